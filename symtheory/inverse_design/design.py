"""Inverse design: from a bias that is wanted to a parametrization that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symtheory.errors import DeclarationError, DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant
from symtheory.graph.shapes import dims
from symtheory.inverse_design.coordinates import design_coordinates
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.designed import DesignedParametrization
from symtheory.inverse_design.no_closed_form import NoClosedForm
from symtheory.inverse_design.orbit_volume import design_gram, design_radius
from symtheory.inverse_design.products import design_groups, design_singular_values
from symtheory.inverse_design.simplex import design_simplex
from symtheory.inverse_design.spline_design import design_spline
from symtheory.inverse_design.target import Target
from symtheory.inverse_design.time_limit import time_limit

MECHANISMS = ("mirror", "label_noise", "weight_decay", "orbit_volume")
KINDS = ("coordinates", "groups", "singular_values", "simplex")
SECONDS = 20.0  # in which SymPy has to find the closed form and its confirmation


def design(
    target: object,
    mechanism: str = "mirror",
    *,
    of: str = "coordinates",
    after: str | Node | None = None,
    shape: Sequence[object] | None = None,
    name: str = "designed",
    products: bool = False,
    radial: int = 2,
    numeric: bool = False,
) -> DesignedParametrization:
    """A parametrization whose bias under a mechanism is the target, confirmed by deriving its bias forward.

    target: R(w), or for mirror flow the potential Q(w): a SymPy expression of w or its text. mechanism: "mirror"
    (gradient descent ends at the minimum of the divergence of Q among the solutions), "label_noise" (R is minimised
    along zero loss), "weight_decay" (λ/2 R is added to the loss), "orbit_volume" (the stationary density of isotropic
    Langevin is exp(−L/T − R)). of: what w is: each of the "coordinates", the norm of each of the "groups", each of
    the "singular_values", or each weight on the "simplex". after: the linear map after which the target acts, given
    by its inverse: "differences" (R of every jump, as total variation has it), or an ``st.constant`` B, for w = B z
    and R of z. shape: sizes of the predictor, symbols by default. products: products of parameters instead of powers
    of one, where the target is a power that allows them. radial: for orbit_volume, the number n of parameters of each
    coordinate, whose norm is its radius. numeric: φ as a monotone spline where it has no closed form; it is then
    confirmed in numbers alone, and ``design.is_numeric`` says so.

    Raises ``DeclarationError`` for an unreadable target or option, and ``DerivationError`` where the mechanism cannot
    have this bias, where φ has no closed form, and where the forward derivation does not give the target back.
    Source: the mechanisms' own; the inversion is derived here.
    """
    wanted = Target.of(target)
    if mechanism not in MECHANISMS:
        raise DerivationError(f"there is no mechanism '{mechanism}' to design for: choose from {', '.join(MECHANISMS)}")
    if of not in KINDS:
        raise DeclarationError(f"a target of '{of}' is unknown: choose from {', '.join(KINDS)}")
    if after is not None and of != "coordinates":
        raise DeclarationError(f"after a linear map the target is of coordinates, not of {of}")
    try:
        with time_limit(SECONDS, f"the design for {wanted.expression}"):
            made = _design(wanted, mechanism, of, after, shape, products, radial)
    except NoClosedForm:
        if not numeric:
            raise
        made = _after(design_spline(wanted, mechanism, of, _coefficients(after, shape)), after)
    return DesignedParametrization.of(made, name)


def _design(
    target: Target,
    mechanism: str,
    of: str,
    after: str | Node | None,
    shape: Sequence[object] | None,
    products: bool,
    radial: int,
) -> Design:
    if of == "groups":
        return design_groups(target, mechanism, shape)
    if of == "simplex":
        return design_simplex(target, mechanism, shape)
    if of == "singular_values":
        is_gram = mechanism == "orbit_volume"
        return design_gram(target, shape) if is_gram else design_singular_values(target, mechanism, shape)
    sizes = _coefficients(after, shape)
    if mechanism == "orbit_volume":
        return _after(design_radius(target, sizes, radial), after)
    return _after(design_coordinates(target, mechanism, sizes, products), after)


def _coefficients(after: str | Node | None, shape: Sequence[object] | None) -> Sequence[object]:
    """Sizes of what the target acts on: of z where w = B z."""
    if isinstance(after, Node):
        if after.rank != 2 or not isinstance(after.operation, Constant):
            raise DeclarationError(f"after={after!r} is no matrix: give the inverse map as st.constant('B', d, k)")
        if shape is not None:
            raise DeclarationError("with a matrix in after, its columns tell the shape: leave shape out")
        return (after.shape[1],)
    if after is not None and after != "differences":
        raise DeclarationError(f"after={after!r} is unknown: 'differences', or an st.constant matrix B with w = B z")
    return (dims("d"),) if shape is None else tuple(shape)


def _after(made: Design, after: str | Node | None) -> Design:
    """The design below a fixed linear map, through which the features are seen."""
    if after is None:
        return made
    predictor = functions.cumsum(made.core) if isinstance(after, str) else after @ made.core
    kind = "the differences of w (the first one from 0)" if isinstance(after, str) else "z, where w = B z"
    note = f"the target is of {kind}, whose features are those of w times the same map"
    return replace(made, predictor=predictor, assumptions=(*made.assumptions, note))
