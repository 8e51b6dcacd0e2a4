"""Designs for isotropic Langevin: a radius whose sphere, or a Gram matrix whose orbit, has the volume wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from symtheory.errors import DeclarationError, DerivationError
from symtheory.graph import functions
from symtheory.graph.shapes import dims
from symtheory.inverse_design.confirm_volume import confirm_gram, confirm_radius
from symtheory.inverse_design.declare import declare
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.profile import RADIUS
from symtheory.inverse_design.target import PROBES, SIZE, Target
from symtheory.predictions.inversion import closed_inverse
from symtheory.predictions.symbols import PREDICTOR

SQUARED = sp.Symbol("theta_squared", positive=True)
"""‖θ‖² of one coordinate."""


def design_radius(target: Target, sizes: Sequence[object], copies: int) -> Design:
    """w = h(‖θ‖), θ ∈ R^n for each coordinate, with (n − 1) log h⁻¹(w) = −R(w) + const.

    Isotropic Langevin at temperature T samples exp(−L/T) dθ. Conditioned on the direction of θ, with respect to the
    length dr of the ray, the density is r^(n−1) exp(−L/T): the volume of the orbit, a sphere, is r^(n−1). So it is
    exp(−L/T − R). Raises ``DerivationError`` where h is not closed, or where R does not let r take all positive values.
    """
    if copies < 2:
        raise DerivationError(f"n = {copies}: the orbit of rotations has a volume from n = 2 on")
    is_line = target.has_negative_side and not target.is_even
    w = PREDICTOR if is_line else SIZE
    radius = sp.simplify(sp.exp(-(target.expression if is_line else target.positive) / (copies - 1)))
    ends = [sp.limit(radius, w, -sp.oo) if is_line else sp.limit(radius, w, 0, "+"), sp.limit(radius, w, sp.oo)]
    if ends not in ([0, sp.oo], [sp.oo, 0]):
        raise DerivationError(
            f"the target {target.expression} asks for the radius r = {radius}, which runs between {ends[0]} and "
            f"{ends[1]}: nothing keeps Langevin noise in there. R = −c log(w) has all r > 0"
        )
    found = closed_inverse(radius, w, RADIUS, PROBES)
    if found is None:
        raise DerivationError(f"the target {target.expression} asks for r = {radius}, which has no closed inverse")
    function = sp.powdenest(found.subs(RADIUS, sp.sqrt(SQUARED)), force=True)
    parameter = functions.param("u", *sizes, copies)
    node = declare(function, {SQUARED: (parameter * parameter).sum(-1)})
    design = Design(
        target=target,
        mechanism="orbit_volume",
        of="coordinates",
        predictor=node,
        core=node,
        function=found.subs(RADIUS, sp.Symbol("r", positive=True)),
        domain="every real w" if is_line else "w > 0",
        statement=(
            "isotropic Langevin at temperature T has the density exp(−L/T − Σ R(w)) with respect to Π dr, r = ‖u‖ of "
            "each coordinate: T R is added to the loss"
        ),
        assumptions=(
            "isotropic noise: minibatch noise does not see the volume of the orbit",
            "R is met up to its constant, with the measure dr; with dw it gains log |dw/dr|",
        ),
    )
    return replace(design, confirmation=confirm_radius(design))


def design_gram(target: Target, shape: Sequence[object] | None) -> Design:
    """W = ΘΘᵀ with Θ ∈ R^(m×k): the density of W is exp(−L/T) det(W)^((k−m−1)/2) dW, so R = −c log det W.

    The orbit under rotations of the columns and the volume element of ΘΘᵀ join to this power of the determinant, as in
    Wishart's distribution. Raises ``DerivationError`` for targets that are not c log(w), or where k is none.
    """
    if shape is not None and len(shape) != 1:
        raise DeclarationError(f"a Gram matrix has one size, and shape = {tuple(shape)} has {len(shape)}")
    power = sp.simplify(-target.positive / sp.log(SIZE))
    if not power.is_number:
        raise DerivationError(
            f"the volume of these orbits is a power of det W, and {target.expression} is not c log(w)"
        )
    size = dims("m") if shape is None else shape[0]
    columns = size + 1 + 2 * power  # type: ignore[operator]
    if not (2 * power).is_Integer or 2 * power < -1:
        raise DerivationError(
            f"c = {-power} asks for {columns} columns: a whole number, at least m, needs c = 1/2, 0, …"
        )
    parameter = functions.param("u", size, columns)
    node = parameter @ parameter.T
    design = Design(
        target=target,
        mechanism="orbit_volume",
        of="singular_values",
        predictor=node,
        core=node,
        function=None,
        domain="positive definite matrices",
        statement=(
            "isotropic Langevin at temperature T has the density exp(−L/T − Σ R(λ_i)) dW, λ_i the eigenvalues of W"
        ),
        assumptions=(
            "isotropic noise: minibatch noise does not see the volume of the orbit",
            "R is met up to its constant, with the measure dW on symmetric matrices",
        ),
    )
    return replace(design, confirmation=confirm_gram(design))
