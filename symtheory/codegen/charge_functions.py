"""Torch functions of the charges of a symmetry group that acts on whole arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy as sp

from symtheory.codegen.site_source import gram, split_sizes, squares
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.errors import CodegenError
from symtheory.graph.shapes import Shape
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.translation import Translation


def render_charges(
    name: str,
    factors: Sequence[Factor],
    parameters: Mapping[str, Shape],
    owner: str,
    summary: str,
    source: str = "",
    absolute: bool = False,
) -> str:
    """Source of ``name(point)`` for factors that have a charge each.

    parameters: those of the point, all of them; owner: the declaration's name, for messages; absolute: the same with
    the absolute values of all terms added up. Raises ``CodegenError`` for a factor that acts on single coordinates, and
    where a symbolic size cannot be read from the tensors.
    """
    needed = {size for factor in factors for size in _split_sizes(factor)}
    body = Statements(("point",), sorted(needed, key=str))
    body.read_sizes(needed, point_tensors(parameters), owner)
    entries = {factor.name: _sum_source(_terms(factor, body, absolute)) for factor in factors}
    body.return_entries(entries)
    keys = ", ".join(f'"{factor.name}"' for factor in factors)
    return function_source(
        f"{name}(point: dict[str, Tensor])",
        summary,
        [point_entry(parameters)],
        f"dict with {keys}.",
        body.lines,
        source,
    )


def _split_sizes(factor: Factor) -> set[sp.Symbol]:
    if not isinstance(factor, EdgeGroup | Rescaling):
        return set()
    return {size for site in factor.sites for size in split_sizes(site)}


def _terms(factor: Factor, body: Statements, absolute: bool) -> list[tuple[sp.Expr, str]]:
    terms: list[tuple[sp.Expr, str]]

    def read(parameter: str) -> str:
        return f"{body.read(parameter)}.abs()" if absolute else body.read(parameter)

    if isinstance(factor, EdgeGroup):
        terms = [(sp.Integer(factor.sign(site)), gram(site, read(site.parameter))) for site in factor.sites]
    elif isinstance(factor, Rescaling):
        terms = [(factor.weight(site), squares(site, body.read(site.parameter))) for site in factor.sites]
    elif isinstance(factor, Translation):
        axes = tuple(axis - len(factor.leaf.shape) for axis in factor.summed_axes)
        summed = f".sum(dim={axes}, keepdim=True)" if axes else ""
        terms = [(weight, f"{read(name)}{summed}") for name, weight in (factor.multiples or {}).items()]
    else:
        raise CodegenError(f"factor '{factor.name}' has charges of single coordinates, and others have not")
    return [(abs(weight) if absolute else weight, term) for weight, term in terms]


def _sum_source(terms: Sequence[tuple[sp.Expr, str]]) -> str:
    text = ""
    for weight, source in terms:
        size = abs(weight)
        scaled = source if size == 1 else f"{int(size) if size.is_Integer else float(size)} * {source}"
        sign = "-" if weight < 0 else "+"
        text += f" {sign} {scaled}" if text else (f"-({scaled})" if weight < 0 else scaled)
    return text
