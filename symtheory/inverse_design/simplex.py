"""Designs for weights that add up to one: normalized squares, whose mirror flow is that of the entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import DeclarationError, DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.graph.shapes import dims
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.mechanisms import closed_profile
from symtheory.inverse_design.profile import THETA
from symtheory.inverse_design.target import SIZE, Target
from symtheory.parametrization import Parametrization

CHECKED = 3
"""Number of weights at which the metric is derived forward."""


def design_simplex(target: Target, mechanism: str, shape: Sequence[object] | None) -> Design:
    """Σ Q(w_i) on the simplex by mirror flow.

    With one φ for each weight, gradient flow stays on the simplex when it is projected onto {Σ φ(θ_i) = 1}. That is
    what dividing by the norm does, which gradient flow conserves, where this level set is a sphere: for φ = c θ² alone,
    so for the entropy. The softmax does not: its JJᵀ is the square of diag(w) − wwᵀ, and no Hessian's inverse. Raises
    ``DerivationError`` for other targets and mechanisms.
    """
    if mechanism != "mirror":
        raise DerivationError(f"weights on the simplex are designed for mirror flow, not for {mechanism}")
    if shape is not None and len(shape) != 1:
        raise DeclarationError(f"weights on the simplex have one size, and shape = {tuple(shape)} has {len(shape)}")
    profile = closed_profile(target, mechanism)
    factor = sp.simplify(profile.function / THETA**2)
    if factor.has(THETA):
        raise DerivationError(
            f"φ = {profile.function} for the target {target.expression}: only c θ² has the simplex as a sphere, on "
            "which normalizing keeps to mirror flow, and that is the entropy w*log(w)"
        )
    node = _node(dims("d") if shape is None else shape[0])
    design = Design(
        target=target,
        mechanism=mechanism,
        of="simplex",
        predictor=node,
        core=node,
        function=THETA**2,
        domain="w > 0 with Σ w = 1",
        statement=(
            "gradient descent ends at the minimum of Σ D_Q(w, w(0)), the Kullback-Leibler divergence from the start, "
            "among the solutions on the simplex; from equal weights that is the one of largest entropy"
        ),
        assumptions=(
            "Q is met up to its factor and a + b w: ‖u‖ is conserved by gradient flow and sets its speed alone",
            "w_i = u_i²/‖u‖²; no entry of the start is zero",
        ),
    )
    return replace(design, confirmation=_confirm(design))


def _node(size: object) -> Node:
    return functions.normalize(functions.param("u", size)) ** 2


def _confirm(design: Design) -> str:
    """JJᵀ of the declaration, as a bilinear form, inverts ∇²Q on tangents of the simplex up to a factor that depends on
    ‖u‖ alone: with P the projection along w's direction of constraint, P ∇²Q JJᵀ = c P."""
    bound = Parametrization(_node(CHECKED), name="designed")
    outputs = sp.Matrix(list(bound.components().ravel()))
    theta = sorted(outputs.free_symbols, key=str)
    positive = {symbol: sp.Symbol(f"t{place}", positive=True) for place, symbol in enumerate(theta)}
    jacobian = outputs.jacobian(theta)
    kernel = (jacobian * jacobian.T).subs(positive)
    curvature = sp.diff(design.target.positive, SIZE, 2)
    hessian = sp.diag(*(curvature.subs(SIZE, entry) for entry in outputs.subs(positive)))
    count = outputs.rows
    centring = sp.eye(count) - sp.ones(count, count) / count  # gradients of a constraint drop out
    product = (centring * hessian * kernel).applyfunc(sp.factor)
    speed = sp.simplify(product[0, 0] / centring[0, 0])
    off = (product - speed * centring).applyfunc(sp.simplify)
    squared = sum(symbol**2 for symbol in positive.values())
    if off != sp.zeros(count, count) or sp.simplify(speed * squared).free_symbols:
        raise DerivationError(f"JJᵀ of this declaration does not invert the Hessian of {design.target.expression}")
    return f"JJᵀ of this declaration inverts ∇²Q on the simplex up to the factor 1/‖u‖², symbolically at size {count}"
