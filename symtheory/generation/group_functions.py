"""The torch functions of a symmetry group: its action, inverse and composition, and its charges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import sympy as sp

from symtheory.codegen.arguments import DictArgument
from symtheory.codegen.charge_functions import render_charges
from symtheory.codegen.docstring import shape_text
from symtheory.codegen.function import TorchFunction
from symtheory.codegen.layout import fold_statement
from symtheory.codegen.naming import Names
from symtheory.codegen.node_source import node_source
from symtheory.codegen.site_source import times_matrix, times_numbers
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.errors import CodegenError, DerivationError
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant
from symtheory.graph.shapes import Shape
from symtheory.graph.subgraph import nodes_below
from symtheory.graph.symbol_names import free_name
from symtheory.parametrization import Parametrization
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.declared import DeclaredSymmetry
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.element_names import element_names
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site
from symtheory.symmetry.translation import Translation

ELEMENTS = {
    "GL": "invertible matrix",
    "O": "orthogonal matrix",
    "O_fixing_ones": "orthogonal matrix whose rows add up to one",
    "rescaling": "positive numbers",
    "scaling": "positive number",
    "translation": "shift",
}
"""Kind of a group → what its elements are."""

INVERSES: dict[type[Factor], str] = {EdgeGroup: "torch.linalg.inv({0})", Rescaling: "1 / {0}"}
PRODUCTS: dict[type[Factor], str] = {EdgeGroup: "@", Rescaling: "*"}
"""How elements of a class are inverted and multiplied; those of the others are added."""

SOURCE = "Kunin et al. 2020 (2012.04728)"


def render_act(parametrization: Parametrization) -> str:
    """Source of ``act(point, g)``: the symmetry group acting on a point.

    Constants on which a shift depends follow as arguments. Raises ``DerivationError`` when there is no continuous
    affine symmetry, and ``CodegenError`` where a symbolic size cannot be read from the tensors.
    """
    factors = _require_factors(parametrization)
    if _are_coordinatewise(factors):
        return _coordinatewise_act(parametrization)
    nodes = [node for factor in factors if isinstance(factor, Translation) for node in _made_up(factor)]
    constants = _constants_in(nodes, parametrization)
    body = Statements(("point", "g", *constants), parametrization.free_sizes)
    for name in dict.fromkeys(name for factor in factors for name in factor.shapes):
        body.assign(body.parameter(name), f'point["{name}"]')
    elements = {f'g["{factor.name}"]': factor.element_shape for factor in factors}
    needed = {size for node in nodes for size in node.operation.needed_sizes()}
    body.read_sizes(
        needed, {**point_tensors(parametrization.parameters), **elements, **constants}, parametrization.name
    )
    for factor in factors:
        _act_lines(factor, body)
    moved = ", ".join(f'"{name}": {variable}' for name, variable in body.parameters.items())
    body.lines += fold_statement("return ", f"{{**point, {moved}}}")
    arguments = ["point: dict[str, Tensor]", "g: dict[str, Tensor]", *(f"{name}: Tensor" for name in constants)]
    return function_source(
        f"act({', '.join(arguments)})",
        "The point moved by a group element; the predictor stays as it is.",
        [
            point_entry(parametrization.parameters),
            _element_entry(factors),
            *(f"{name}: fixed, tensor {shape_text(shape)}." for name, shape in constants.items()),
        ],
        "dict with the keys and shapes of point.",
        body.lines,
    )


def _made_up(factor: Translation) -> list[Node]:
    """All nodes of the changes that make up for a shift, its own leaf left out."""
    nodes = [node for root in factor.compensation.values() for node in nodes_below(root)]
    return [node for node in nodes if node.operation != factor.leaf.operation]


def _constants_in(nodes: Sequence[Node], parametrization: Parametrization) -> dict[str, Shape]:
    used = {node.operation.identifier for node in nodes if isinstance(node.operation, Constant)}
    constants = {name: shape for name, shape in parametrization.constants.items() if name in used}
    reserved = Names({"point", "g"})
    for name in constants:
        if reserved.unique(name) != name:
            raise CodegenError(f"'{name}' cannot be an argument of the generated act: give it another name")
    return constants


def render_inverse(parametrization: Parametrization) -> str:
    """Source of ``inverse(g)``: for every factor the element that undoes the given one."""
    factors = _require_factors(parametrization)
    entries: dict[str, str] = {}
    for factor in factors:
        for key in _keys(factor, parametrization):
            form = INVERSES.get(type(factor), "-{0}")
            entries[key] = form.format(f'g["{key}"]')
    return _elementwise("inverse", ("g",), "For every factor the element that undoes the given one.", factors, entries)


def render_compose(parametrization: Parametrization) -> str:
    """Source of ``compose(g, h)``: for every factor the element that acts as h first and g second."""
    factors = _require_factors(parametrization)
    entries: dict[str, str] = {}
    for factor in factors:
        sign = PRODUCTS.get(type(factor), "+")
        entries |= {key: f'g["{key}"] {sign} h["{key}"]' for key in _keys(factor, parametrization)}
    summary = "For every factor the element that acts as h first and g second."
    return _elementwise("compose", ("g", "h"), summary, factors, entries)


def render_conserved(parametrization: Parametrization) -> str:
    """Source of ``conserved(point)``: the charges of gradient flow, by name.

    Raises ``DerivationError`` when there is none.
    """
    factors = [factor for factor in parametrization.symmetries() if factor.has_charge]
    if not factors:
        raise DerivationError("no generator is symmetric or constant, so gradient flow conserves nothing of this kind")
    if _are_coordinatewise(factors):
        point, _ = _scalar_points(parametrization)
        charges = {name: charge for factor in factors for name, charge in factor.charges.items()}
        summary = "Conserved quantities of gradient flow, by name."
        return TorchFunction("conserved", (point,), charges, summary, source=SOURCE).render()
    return render_charges(
        "conserved",
        factors,
        parametrization.parameters,
        parametrization.name,
        "Conserved quantities of gradient flow, by name.",
        SOURCE,
    )


def _act_lines(factor: Factor, body: Statements) -> None:
    g = body.assign(body.names.unique(f"g_{factor.name}"), f'g["{factor.name}"]')
    if isinstance(factor, EdgeGroup):
        inverse = ""
        if any(site.exponent < 0 for site in factor.sites):
            inverse = body.assign(body.names.unique(f"inverse_{factor.name}"), f"torch.linalg.inv({g})")
        for site in factor.sites:
            variable = body.parameters[site.parameter]
            body.assign(variable, times_matrix(site, variable, g, inverse))
    elif isinstance(factor, Rescaling):
        for site in factor.sites:
            variable = body.parameters[site.parameter]
            body.assign(variable, times_numbers(site, variable, g))
    elif isinstance(factor, Translation):
        # The shift first sees the parameters as they are: what makes up for it does not depend on what it moves.
        moved = body.parameters[factor.parameter]
        changes = {name: node_source(node, body, factor.leaf, g) for name, node in factor.compensation.items()}
        body.assign(moved, f"{moved} + {g}")
        for name, change in changes.items():
            body.assign(body.parameters[name], f"{body.parameters[name]} + {change}")
    else:
        raise CodegenError(
            f"factor '{factor.name}' acts on single coordinates, and others do not: act on arrays instead"
        )


def _elementwise(
    name: str, arguments: Sequence[str], summary: str, factors: Sequence[Factor], entries: dict[str, str]
) -> str:
    signature = f"{name}({', '.join(f'{argument}: dict[str, Tensor]' for argument in arguments)})"
    meaning = _element_entry(factors).removeprefix("g: ")
    described = [
        f"{argument}: {meaning}" if not place else f"{argument}: the same." for place, argument in enumerate(arguments)
    ]
    body = Statements(arguments)
    body.return_entries(entries)
    return function_source(signature, summary, described, "dict with the keys of g.", body.lines)


def group_elements(parametrization: Parametrization) -> dict[str, tuple[str, Shape]]:
    """What an element of the group is made of: key of the argument ``g`` of ``act`` → kind and shape.

    The kind "algebra" are coordinates of the Lie algebra, of which 0 is the identity.
    """
    found: dict[str, tuple[str, Shape]] = {}
    for factor in parametrization.symmetries():
        if isinstance(factor, CoordinatewiseGroup):
            shape = next(iter(factor.shapes.values()))
            found |= dict.fromkeys(element_names(parametrization.symmetries()), ("algebra", shape))
        else:
            found[factor.name] = (factor.kind, factor.element_shape)
    return found


def group_sites(parametrization: Parametrization) -> dict[str, dict[str, tuple[int, int]]]:
    """Where a factor acts: its name → parameter → (axis, exponent ±1), the exponent −1 of a matrix contragredient.

    Factors are left out that act on parts of axes, on whole parameters, with other exponents, or whose copies do not
    come first.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for factor in parametrization.symmetries():
        if isinstance(factor, EdgeGroup | Rescaling):
            entries = {site.parameter: _plain_place(site) for site in factor.sites}
            if len(entries) == len(factor.sites) and all(entries.values()):
                found[factor.name] = {name: place for name, place in entries.items() if place}
    return found


def _plain_place(site: Site) -> tuple[int, int] | None:
    """Axis and exponent of a site on a whole axis of its parameter, behind its copies; None for any other."""
    places = site.copies if site.place is None else (*site.copies, site.place)
    own = places[-1:] if site.place is not None or len(site.copies) == 1 else ()
    before = site.copies if site.place is not None else ()
    if not own or site.layout.is_split() or before != tuple(range(len(before))) or abs(site.exponent) != 1:
        return None
    return own[0], int(site.exponent)


def _element_entry(factors: Sequence[Factor]) -> str:
    described = []
    for factor in factors:
        if isinstance(factor, CoordinatewiseGroup):
            return "g: dict of Lie algebra coordinates, 0 is the identity."
        described.append(f'"{factor.name}" {shape_text(factor.element_shape)}, {ELEMENTS[factor.kind]}')
    return f"g: dict with {'; '.join(described)}."


def _require_factors(parametrization: Parametrization) -> list[Factor]:
    factors = list(parametrization.symmetries())
    if not factors:
        raise DerivationError("no continuous affine symmetry was found")
    declared = [factor.name for factor in factors if isinstance(factor, DeclaredSymmetry)]
    if declared:
        raise CodegenError(f"the declared symmetry '{declared[0]}' has no torch source: act on arrays instead")
    if not _are_coordinatewise(factors) and any(isinstance(factor, CoordinatewiseGroup) for factor in factors):
        raise CodegenError("some factors act on single coordinates and others shift: use the action on arrays instead")
    return factors


def _are_coordinatewise(factors: Sequence[Factor]) -> bool:
    return len(factors) > 0 and all(isinstance(factor, CoordinatewiseGroup) for factor in factors)


def _keys(factor: Factor, parametrization: Parametrization) -> tuple[str, ...]:
    """Keys of a group element in generated code that belong to one factor."""
    if isinstance(factor, CoordinatewiseGroup):
        factor.require_commuting()
        return element_names(parametrization.symmetries())
    return (factor.name,)


def _coordinatewise_act(parametrization: Parametrization) -> str:
    group = parametrization.symmetries()
    point, moved = _scalar_points(parametrization)
    elements: dict[str, Any] = {}
    shapes: dict[str, Shape] = {}
    meanings: dict[str, str] = {}
    remaining = iter(element_names(group))
    for factor in group:
        assert isinstance(factor, CoordinatewiseGroup)
        names = list(islice(remaining, len(factor.matrices)))
        symbols = [sp.Symbol(free_name(f"g_{name}", parametrization.parameters), real=True) for name in names]
        elements |= dict(zip(names, symbols, strict=True))
        shapes |= dict.fromkeys(names, next(iter(factor.shapes.values())))
        moved = factor.act(tuple(symbols), moved)
        meanings[", ".join(names)] = "Lie algebra coordinates, 0 is the identity"
    several = [f"{name}: {meaning}" for name, meaning in meanings.items()]
    return TorchFunction(
        "act",
        (point, DictArgument("g", elements, shapes, "; ".join(several if len(several) > 1 else meanings.values()))),
        moved,
        "The point moved by a group element; the predictor stays as it is.",
        returns="dict with the keys and shapes of point.",
    ).render()


def _scalar_points(parametrization: Parametrization) -> tuple[DictArgument, dict[str, Any]]:
    """The argument ``point``, and the symbol of one coordinate of every parameter."""
    symbols: dict[str, Any] = {name: sp.Symbol(name, real=True) for name in parametrization.parameters}
    return DictArgument("point", symbols, dict(parametrization.parameters)), symbols
