"""The smallest Σ c_P ‖θ_P‖² on an orbit of a group that acts on matrices, where it has a closed form.

The group is a product of changes of basis and rescalings, closed under transposition; the weighted norm is convex along
exp(tS) for symmetric S, and smallest where all its charges, the weighted moment map, vanish. Factors that share a
parameter are minimised together: a chain of changes of basis, or rescalings of one index. Rescalings of whole
parameters come last, for what the others leave is homogeneous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.matrix.model import WHOLE, MatrixModel, Meeting, same_along
from symtheory.matrix_calculus.polynomial import letter
from symtheory.predictions.orbit_quantity import Chain, Link, OrbitQuantity, Powers, PowersOfWholes, Square
from symtheory.symmetry.edge_group import GENERAL, EdgeGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.solutions import nullspace
from symtheory.symmetry.translation import Translation


@dataclass(frozen=True)
class OrbitMinimum:
    """model: the parameters as matrices, with the shifts that the minimum is over; quantities: what it is the sum of;
    unsolved: names of the factors for which there is no closed form, then the minimum has none either."""

    model: MatrixModel
    quantities: tuple[OrbitQuantity, ...]
    unsolved: tuple[str, ...]

    @property
    def is_closed(self) -> bool:
        return not self.unsolved

    @property
    def value(self) -> sp.Expr:
        """The minimum at symbolic size, for one copy of the group where there are several."""
        return sp.Add(*(quantity.expression for quantity in self.quantities))


def orbit_minimum(model: MatrixModel, weights: Mapping[str, sp.Expr]) -> OrbitMinimum:
    """The minimum of Σ c_P ‖θ_P‖², weights: parameter → c_P > 0, numbers or sizes.

    Raises ``DerivationError`` where some factor makes the parameters that it moves as small as one likes, all at once:
    then no point of the orbit is smallest.
    """
    model = replace(model, shifted=_removable(model))
    shrinking = [factor for factor in model.linear_factors() if _has_moment(factor)]
    for factor in shrinking:
        _require_both_signs(factor.name, [m for m in model.meetings if m.factor == factor.name])
    wholes = [factor.name for factor in shrinking if _is_whole(model, factor.name)]
    quantities: list[OrbitQuantity] = []
    unsolved = [
        f.name for f in model.factors.values() if isinstance(f, Translation) and f.compensation and f.has_charge
    ]
    left = list(model.views)
    for names in _connected(model, [factor.name for factor in shrinking if factor.name not in wholes]):
        meetings = [m for m in model.meetings if m.factor in names]
        found = _chain(model, meetings, weights) or _powers(model, meetings, weights)
        moved = {m.parameter for m in meetings}
        left = [name for name in left if name not in moved]
        if found is None:
            unsolved += names
        else:
            quantities.append(found)
    quantities += [Square(model, name, weights[name]) for name in left]
    if wholes and not unsolved:
        scaled = _scaled(model, wholes, quantities)
        if scaled is None:
            return OrbitMinimum(model, (), tuple(wholes))
        quantities = scaled
    order = list(model.views)
    quantities.sort(key=lambda quantity: order.index(quantity.parameters[0]))
    return OrbitMinimum(model, tuple(quantities), tuple(unsolved))


def _removable(model: MatrixModel) -> dict[str, tuple[frozenset[int], ...]]:
    """Shifts that no other parameter makes up for: what they move vanishes where the norm is smallest."""
    found: dict[str, tuple[frozenset[int], ...]] = {}
    for factor in model.factors.values():
        if isinstance(factor, Translation) and not factor.compensation:
            same = same_along(factor, model.views[factor.parameter])
            found[factor.parameter] = (*found.get(factor.parameter, ()), same)
    return found


def _has_moment(factor: object) -> bool:
    return isinstance(factor, Rescaling) or (isinstance(factor, EdgeGroup) and factor.algebra == GENERAL)


def _is_whole(model: MatrixModel, name: str) -> bool:
    return any(m.where == WHOLE for m in model.meetings if m.factor == name)


def _require_both_signs(name: str, meetings: Sequence[Meeting]) -> None:
    if len({sp.sign(m.exponent) for m in meetings}) == 1:
        moved = ", ".join(dict.fromkeys(m.parameter for m in meetings))
        raise DerivationError(
            f"'{name}' makes {moved} as small as one likes and leaves the predictor as it is: the norm has no "
            "minimum on an orbit, and the charge vanishes nowhere else than at zero"
        )


def _connected(model: MatrixModel, names: Sequence[str]) -> list[list[str]]:
    """Factors that share a parameter, directly or through others."""
    groups: list[tuple[list[str], set[str]]] = []
    for name in names:
        own = {m.parameter for m in model.meetings if m.factor == name}
        touching = [group for group in groups if group[1] & own]
        groups = [group for group in groups if group not in touching]
        groups.append(([n for group in touching for n in group[0]] + [name], own.union(*(g[1] for g in touching))))
    return [members for members, _ in groups]


# Chains of changes of basis


def _chain(model: MatrixModel, meetings: Sequence[Meeting], weights: Mapping[str, sp.Expr]) -> Chain | None:
    """The factors as edges of a chain of matrices; None where they are none, or members of an end differ in weight."""
    names = list(dict.fromkeys(m.factor for m in meetings))
    if not all(isinstance(model.factors[name], EdgeGroup) for name in names):
        return None
    classes: dict[tuple[str, int], dict[str, int]] = {}
    for m in meetings:
        members = classes.setdefault((m.factor, int(sp.sign(m.exponent))), {})
        if m.parameter in members:
            return None
        members[m.parameter] = m.where
    by_parameter = {m.parameter: [o for o in meetings if o.parameter == m.parameter] for m in meetings}
    between = {name for name, own in by_parameter.items() if len(own) > 1}
    if any(len(members) > 1 and between & set(members) for members in classes.values()):
        return None  # a matrix of the chain lies beside another one
    ends = [key for key, members in classes.items() if not between & set(members)]
    if len(ends) != 2:
        return None
    sides = [classes[ends[0]]]
    name, sign = ends[0]
    while True:
        members = classes[name, -sign]
        sides.append(members)
        if (name, -sign) == ends[1]:
            break
        onward = next(m for m in meetings if m.parameter in members and m.factor != name)
        name, sign = onward.factor, int(sp.sign(onward.exponent))
    links = []
    for own in sides:
        parts = {member: side for member, side in own.items() if not _vanishes(model, member)}
        factors = {weights[member] for member in parts}
        if len(factors) != 1:
            return None
        links.append(Link(parts, factors.pop()))
    return Chain(model, tuple(links), "_".join(names))


def _vanishes(model: MatrixModel, parameter: str) -> bool:
    """Whether a shift takes away all of it: then the smallest point has zero there."""
    return not model.centred(parameter, letter(model.symbols[parameter]))


# Rescalings


def _powers(model: MatrixModel, meetings: Sequence[Meeting], weights: Mapping[str, sp.Expr]) -> Powers | None:
    """Rescalings of one index: None where parameters are rescaled along both sides, or the solution is not unique."""
    names = list(dict.fromkeys(m.factor for m in meetings))
    if not all(isinstance(model.factors[name], Rescaling) for name in names):
        return None
    sides: dict[str, int] = {}
    for m in meetings:
        if sides.setdefault(m.parameter, m.where) != m.where:
            return None
    columns = {
        parameter: tuple(
            sp.Add(*(m.exponent for m in meetings if (m.factor, m.parameter) == (name, parameter))) for name in names
        )
        for parameter in sides
        if not _vanishes(model, parameter)
    }
    parts = _means(columns)
    return None if parts is None else Powers(model, parts, sides, weights, "_".join(names))


def _means(columns: Mapping[str, tuple[sp.Expr, ...]]) -> tuple[tuple[sp.Rational, tuple[str, ...]], ...] | None:
    """Members by exponents, with the weights n of their means: Σ_g c_ag n_g = 0 for every rescaling a, n > 0."""
    alike: dict[tuple[sp.Expr, ...], list[str]] = {}
    for name, column in columns.items():
        alike.setdefault(column, []).append(name)
    solutions = nullspace(list(map(list, zip(*alike, strict=True))), len(alike))
    if len(solutions) != 1 or any(count <= 0 for count in solutions[0]):
        return None
    return tuple(zip(solutions[0], map(tuple, alike.values()), strict=True))


def _scaled(
    model: MatrixModel, wholes: Sequence[str], quantities: Sequence[OrbitQuantity]
) -> list[OrbitQuantity] | None:
    """Quantities that rescalings of whole parameters move brought together; None where they have no closed minimum."""
    columns: dict[str, tuple[sp.Expr, ...]] = {}
    by_name = {quantity.parameters[0]: quantity for quantity in quantities}
    for name, quantity in by_name.items():
        degrees = [
            quantity.degree_under({m.parameter: m.exponent for m in model.meetings if m.factor == whole})
            for whole in wholes
        ]
        if None in degrees:
            return None
        if any(degrees):
            columns[name] = tuple(degree for degree in degrees if degree is not None)
    if not columns:
        return list(quantities)
    parts = _means(columns)
    if parts is None:
        return None
    joined = PowersOfWholes(
        tuple((count, tuple(by_name[name] for name in members)) for count, members in parts), "_".join(wholes)
    )
    return [*(quantity for name, quantity in by_name.items() if name not in columns), joined]
