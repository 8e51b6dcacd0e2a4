"""Designs of one function for all coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.inverse_design.confirm_coordinates import confirm_coordinates
from symtheory.inverse_design.declare import declare
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.mechanisms import closed_profile
from symtheory.inverse_design.power import product_length, require_power
from symtheory.inverse_design.profile import THETA, Profile
from symtheory.inverse_design.target import Target
from symtheory.rendering import plain

FACTORS = "uvpqabcdefgh"
"""Names of the factors of a product."""

STATEMENTS = {
    "mirror": "gradient descent ends at the minimum of Σ D_Q(w, w(0)) among the solutions of Xw = y",
    "label_noise": "label noise minimises Σ κ R(w) along zero loss, κ the mean squares of the features",
    "weight_decay": "weight decay λ adds λ/2 Σ R(w) to the loss",
}
SIGNS = {
    "difference": "w = φ(u) − φ(v): two copies, of which one rests at zero at the minimum",
    "positive": "w = φ(u) keeps its sign: targets of other signs need other data",
    "odd": "w = φ(u): φ is odd, so that one copy covers both signs",
}


def design_coordinates(target: Target, mechanism: str, sizes: Sequence[object], products: bool) -> Design:
    """The design for each coordinate of an array of the given sizes, confirmed by the forward road."""
    if products:
        return _products(target, mechanism, sizes)
    profile = closed_profile(target, mechanism)
    u, v = functions.param("u", *sizes), functions.param("v", *sizes)
    node = declare(profile.function, {THETA: u})
    if profile.signs == "difference":
        node = node - declare(profile.function, {THETA: v})
    design = Design(
        target=target,
        mechanism=mechanism,
        of="coordinates",
        predictor=node,
        core=node,
        function=profile.function,
        domain=profile.domain,
        statement=STATEMENTS[mechanism],
        assumptions=_assumptions(mechanism, profile),
        signs=profile.signs,
    )
    return replace(design, confirmation=confirm_coordinates(design, profile))


def _assumptions(mechanism: str, profile: Profile) -> tuple[str, ...]:
    """How w gets its sign, and up to what the target is met."""
    if mechanism == "mirror" and profile.signs == "difference":
        return (
            "w = φ(u) − φ(v), started at u = v = alpha: two copies, each with its own mirror flow",
            "Q is met for each copy: w has the potential min Q(a) + Q(b) − Q'(φ(alpha)) (a + b) over a − b = w, which "
            "depends on the scale alpha of the start",
        )
    met = {
        "mirror": "Q is met with its factor, up to a + b w: the start decides from where the divergence is measured",
        "label_noise": "R is met with its factor",
        "weight_decay": "R is met up to its constant R(0)",
    }
    return SIGNS[profile.signs], met[mechanism]


def _products(target: Target, mechanism: str, sizes: Sequence[object]) -> Design:
    """c u_1 ⊙ … ⊙ u_L, for powers of |w|."""
    if mechanism not in ("weight_decay", "label_noise"):
        raise DerivationError(f"products are designed for weight_decay and label_noise, not for {mechanism}")
    factor, power = require_power(target, "a product of parameters")
    length = product_length(mechanism, power, len(FACTORS))
    # weight decay: c^(−2/L) L |w|^(2/L); label noise: c^(2/L) L |w|^(2 − 2/L).
    unit = factor / length
    scale = unit ** sp.Rational(length, 2) if mechanism == "label_noise" else unit ** sp.Rational(-length, 2)
    node: Node = functions.param(FACTORS[0], *sizes)
    for name in FACTORS[1:length]:
        node = node * functions.param(name, *sizes)
    node = node * scale
    design = Design(
        target=target,
        mechanism=mechanism,
        of="coordinates",
        predictor=node,
        core=node,
        function=None,
        domain="every real w",
        statement=STATEMENTS[mechanism],
        assumptions=(f"{plain(target.expression)} is a power, met with its factor by a product of {length}",),
    )
    return replace(design, confirmation=confirm_coordinates(design, None))
