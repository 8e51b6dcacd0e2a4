"""The torch function ``geodesic``: Taylor polynomials written with ``christoffel_form``, and the closed form."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.docstring import describe_argument
from symtheory.codegen.paragraph import fold_entry
from symtheory.geometry import Geodesic

TAYLOR_NAMES = {2: "_geodesic_quadratic", 3: "_geodesic_cubic"}
"""Generated functions of a point and a step that hold the Taylor polynomial of an order."""

SOURCE = "da Silva et al. 2025 (2505.05409)"


def christoffel_rate(
    form: Sequence[sp.Expr],
    coordinates: Sequence[sp.Symbol],
    xi: Sequence[sp.Symbol],
    acceleration: Sequence[sp.Symbol],
) -> list[sp.Expr]:
    """d/dt Γ(γ', γ') for given components Γ(ξ, ξ), in γ = coordinates, γ' = xi and γ'' = acceleration."""
    position = list(zip(coordinates, xi, strict=True))
    velocity = list(zip(xi, acceleration, strict=True))
    return [_tidy(_along(position, component), _along(velocity, component)) for component in form]


def _along(changes: Sequence[tuple[sp.Symbol, sp.Symbol]], expression: sp.Expr) -> sp.Expr:
    return sp.Add(*(sp.diff(expression, symbol) * change for symbol, change in changes))


def _tidy(position: sp.Expr, velocity: sp.Expr) -> sp.Expr:
    """Sum of both parts: like terms collected where all denominators are monomials, else each part factored."""
    total = position + velocity
    if not any(power.base.is_Add and power.exp.is_negative for power in total.atoms(sp.Pow)):
        return sp.expand(total)
    factored = sp.factor(position) if position.is_rational_function() else sp.factor_terms(position)
    return factored + sp.factor_terms(velocity)


def render_geodesic(
    metric: str, geodesic: Geodesic, point: DictArgument, xi: DictArgument, axes: int, has_polynomials: bool
) -> str:
    """Source of ``geodesic(point, xi, t, order)``; ``axes`` is the number of logical axes of every leaf.

    It calls the functions of ``TAYLOR_NAMES``, where there are such, else ``christoffel_form`` and
    ``_christoffel_rate``; and ``_geodesic_exact`` where there is a closed form.
    """
    has_exact = geodesic.closed_form is not None
    choices = '1, 2, 3 or "exact"' if has_exact else "1, 2 or 3"
    lines = [
        "def geodesic(",
        "    point: dict[str, Tensor],",
        "    xi: dict[str, Tensor],",
        "    t: float | Tensor = 1.0,",
        "    order: int | str = 2,",
        ") -> dict[str, Tensor]:",
        f'    """Geodesic of the {metric} metric at time t, from a point with velocity xi.',
        "",
        "    Solves γ'' = −Γ(γ', γ') by a Taylor polynomial in t; of order 2 it is::",
        "",
        "        point + t*xi - t**2/2*christoffel_form(point, xi)",
        "",
        "    At t = 1 order 1 is the retraction point + xi, and order 2 the one of second order,",
        "    point + xi - christoffel_form(point, xi)/2.",
        "",
        *_exact_lines(geodesic),
        "    Args:",
        *fold_entry(f"point: {describe_argument(point, '')}"),
        *fold_entry(f"xi: {describe_argument(xi, '')}"),
        "        t: number, or tensor ``(*batch)``.",
        f"        order: {choices}.",
        "    Returns:",
        "        dict with the keys and shapes of point.",
        "    Raises:",
        "        ValueError: another order.",
        "",
        f"    Source: {SOURCE}",
        '    """',
    ]
    if has_exact:
        lines += ['    if order == "exact":', "        return _geodesic_exact(point, xi, t)"]
    like = f'point["{next(iter(point.entries))}"]'
    unsqueezed = f"[..., {', '.join(['None'] * axes)}]" if axes else ""
    lines += [
        "    if order not in (1, 2, 3):",
        f"        raise ValueError(f'order {{order!r}} is not available: choose {choices}')",
        f"    like = {like}",
        f"    t = torch.as_tensor(t, dtype=like.dtype, device=like.device){unsqueezed}",
        "    if order == 1:",
        "        return {key: torch.addcmul(point[key], t, xi[key]) for key in PARAMETERS}",
        *(_from_polynomials() if has_polynomials else _from_derivatives()),
    ]
    return "\n".join(lines) + "\n"


def _from_polynomials() -> list[str]:
    return [
        "    step = {key: t * xi[key] for key in PARAMETERS}",
        f"    return {TAYLOR_NAMES[2]}(point, step) if order == 2 else {TAYLOR_NAMES[3]}(point, step)",
    ]


def _from_derivatives() -> list[str]:
    return [
        "    form = christoffel_form(point, xi)",
        "    curve = {key: point[key] + t * xi[key] - t**2 / 2 * form[key] for key in PARAMETERS}",
        "    if order == 2:",
        "        return curve",
        "    acceleration = {key: -form[key] for key in PARAMETERS}",
        "    rate = _christoffel_rate(point, xi, acceleration)",
        "    return {key: curve[key] - t**3 / 6 * rate[key] for key in PARAMETERS}",
    ]


def _exact_lines(geodesic: Geodesic) -> list[str]:
    if geodesic.closed_form is None:
        return ["    No closed form is known for this metric.", ""]
    if geodesic.kind == "all":
        return ['    "exact" is the closed form, for every xi.', ""]
    return [
        '    "exact" is the closed form for horizontal xi, as project_horizontal returns them; for another',
        "    xi it is not a geodesic.",
        "",
    ]
