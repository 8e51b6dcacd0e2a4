"""Torch source of the symmetric part of a group: points as vectors, the fields of its generators, and its orbits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.site_source import split_sizes, times_matrix, times_numbers
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.graph.shapes import Shape, torch_size
from symtheory.predictions.noise_equilibrium_names import FIELDS, MECHANISM, MOVE, SOURCE, VECTOR
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site

BASIS, FIELD, SYMMETRIC = (f"{MECHANISM}_{part}" for part in ("basis", "field", "symmetric"))

ArrayFactor = EdgeGroup | Rescaling


class ArrayAction:
    """Of changes of basis and rescalings of whole arrays. Coordinates t: the entries on and above the diagonal of a
    symmetric matrix for a change of basis, one logarithm for each rescaling, factor after factor, copies in between.
    """

    def __init__(self, factors: Sequence[ArrayFactor], parameters: Mapping[str, Shape], owner: str) -> None:
        self.factors, self.parameters, self.owner = tuple(factors), parameters, owner
        moved = {site.parameter for factor in factors for site in factor.sites}
        self.moved = {name: shape for name, shape in parameters.items() if name in moved}

    @property
    def names(self) -> tuple[str, ...]:
        symmetric = (SYMMETRIC,) if any(isinstance(factor, EdgeGroup) for factor in self.factors) else ()
        return (VECTOR, BASIS, FIELD, *symmetric, FIELDS, MOVE)

    def sources(self) -> dict[str, str]:
        """Function name → source. Raises ``CodegenError`` where a symbolic size cannot be read off the tensors."""
        texts = {VECTOR: self._vector(), BASIS: self._basis(), FIELD: self._field(), SYMMETRIC: _symmetric()}
        texts |= {FIELDS: self._fields(), MOVE: self._move()}
        return {name: texts[name] for name in self.names}

    def _vector(self) -> str:
        body = Statements(("point",))
        flat = [_flattened(body.read(name), len(shape)) for name, shape in self.moved.items()]
        body.lines += fold_statement("return ", f"torch.cat([{', '.join(flat)}], -1)")
        return self._text(
            f"{VECTOR}(point: dict[str, Tensor])", "The entries that the group moves, as one vector.", body, "(*batch, D)"
        )

    def _basis(self) -> str:
        sizes = {
            symbol
            for factor in self.factors
            for size in _element_sizes(factor)
            for symbol in sp.sympify(size).free_symbols
        }
        body = Statements(("point",), sorted(sizes, key=str))
        body.read_sizes(sizes, point_tensors(self.parameters), self.owner)
        like = body.read(next(iter(self.moved)))
        blocks, widths, entries = [], [], {}
        for place, factor in enumerate(self.factors):
            copies = [torch_size(size) for size in factor.copies]
            count = " * ".join(copies) or "1"
            block = f"torch.eye({count}, dtype={like}.dtype, device={like}.device)"
            shape = copies
            if isinstance(factor, EdgeGroup):
                h = torch_size(factor.size)
                symmetric = f"{SYMMETRIC}({h}, {like})"
                block = f"torch.kron({block}, {symmetric})" if copies else symmetric
                shape = [*copies, h, h]
            blocks.append(body.assign(body.names.unique("block"), block))
            widths.append(f"{blocks[-1]}.shape[1]")
            entries[factor.name] = f"parts[{place}].reshape({', '.join(['-1', *shape])})"
        body.assign("parts", f"torch.block_diag({', '.join(blocks)}).split([{', '.join(widths)}], 1)")
        body.return_entries(entries)
        return function_source(
            f"{BASIS}(point: dict[str, Tensor])",
            "A basis of the symmetric elements of the Lie algebra, the generators.",
            [point_entry(self.parameters)],
            f"dict with {', '.join(self._keys)}, generators along the first axis.",
            body.lines,
            SOURCE,
        )

    def _field(self) -> str:
        """The infinitesimal action, linear in the point and in the element."""
        body = Statements(("point", "a"))
        terms: dict[str, list[str]] = {name: [] for name in self.moved}
        for factor in self.factors:
            name = body.assign(body.names.unique(f"a_{factor.name}"), f'a["{factor.name}"]')
            negative = ""
            if any(site.exponent < 0 for site in factor.sites):
                negative = body.assign(body.names.unique(f"minus_{factor.name}"), f"-{name}")
            for site in factor.sites:
                terms[site.parameter].append(_change(site, body.read(site.parameter), name, negative))
        body.return_entries({name: " + ".join(parts) for name, parts in terms.items()})
        return function_source(
            f"{FIELD}(point: dict[str, Tensor], a: dict[str, Tensor])",
            "The infinitesimal change of the point under an element of the Lie algebra; batch axes broadcast.",
            [point_entry(self.parameters), f"a: dict with {', '.join(self._keys)}, as in {BASIS}."],
            "dict with the parameters that the group moves.",
            body.lines,
            SOURCE,
        )

    def _fields(self) -> str:
        wide = {name: f'point["{name}"].unsqueeze({-1 - len(shape)})' for name, shape in self.moved.items()}
        entries = ", ".join(f'"{name}": {source}' for name, source in wide.items())
        body = Statements(("point",))
        body.assign("wide", f"{{{entries}}}")
        body.lines.append(f"{INDENT}return {VECTOR}({FIELD}(wide, {BASIS}(point)))")
        return self._text(
            f"{FIELDS}(point: dict[str, Tensor])",
            "The vector fields A_a θ of all generators.",
            body,
            "(*batch, generators, D)",
        )

    def _move(self) -> str:
        body = Statements(("point", "t"))
        body.assign("basis", f"{BASIS}(point)")
        for factor in self.factors:
            a = body.assign(
                body.names.unique(f"a_{factor.name}"), f'torch.tensordot(t, basis["{factor.name}"], 1)'
            )
            is_matrix = isinstance(factor, EdgeGroup)
            exponential = "torch.linalg.matrix_exp" if is_matrix else "torch.exp"
            g = body.assign(body.names.unique(f"g_{factor.name}"), f"{exponential}({a})")
            inverse = ""
            if is_matrix and any(site.exponent < 0 for site in factor.sites):
                inverse = body.assign(body.names.unique(f"inverse_{factor.name}"), f"{exponential}(-{a})")
            for site in factor.sites:
                variable = body.read(site.parameter)
                moved = times_matrix(site, variable, g, inverse) if is_matrix else times_numbers(site, variable, g)
                body.assign(variable, moved)
        entries = ", ".join(f'"{name}": {body.parameters[name]}' for name in self.moved)
        body.lines += fold_statement("return ", f"{{**point, {entries}}}")
        return function_source(
            f"{MOVE}(point: dict[str, Tensor], t: Tensor)",
            "The point moved along its orbit by exp(Σ t_a A_a); a gradient moves along with −t.",
            [point_entry(self.parameters), "t: tensor (*batch, generators), 0 moves nothing."],
            "dict with the keys and shapes of point.",
            body.lines,
            SOURCE,
        )

    @property
    def _keys(self) -> list[str]:
        return [f'"{factor.name}"' for factor in self.factors]

    def _text(self, signature: str, summary: str, body: Statements, shape: str) -> str:
        entries = [point_entry(self.parameters)]
        return function_source(signature, summary, entries, f"tensor {shape}.", body.lines, SOURCE, "Tensor")


class CoordinateAction:
    """Of groups that act on each coordinate by itself, through the symmetric ones of their generators."""

    def __init__(
        self, factor: CoordinatewiseGroup, matrices: Sequence[sp.ImmutableMatrix], parameters: Mapping[str, Shape]
    ) -> None:
        self.coordinates, self.matrices, self.parameters = tuple(factor.shapes), tuple(matrices), parameters

    @property
    def names(self) -> tuple[str, ...]:
        return VECTOR, FIELDS, MOVE

    def sources(self) -> dict[str, str]:
        """Function name → source; D is the number of parameters of one coordinate."""
        rows = [[[float(entry) for entry in row] for row in matrix.tolist()] for matrix in self.matrices]
        constant = f"torch.tensor({rows}, dtype=theta.dtype, device=theta.device)"
        stacked = ", ".join(f'point["{name}"]' for name in self.coordinates)
        moved = ", ".join(f'"{name}": moved[{place}]' for place, name in enumerate(self.coordinates))
        generators, argument = "coordinates, generators", "point: dict[str, Tensor]"
        return {
            VECTOR: self._text(
                f"{VECTOR}({argument})",
                "The parameters of every coordinate as one vector.",
                [("return", f"torch.stack([{stacked}], -1)")],
                "tensor (*batch, coordinates, D).",
            ),
            FIELDS: self._text(
                f"{FIELDS}({argument})",
                "The vector fields A_a θ of all generators.",
                [
                    ("theta =", f"{VECTOR}(point)"),
                    ("generators =", constant),
                    ("return", 'torch.einsum("aij,...j->...ai", generators, theta)'),
                ],
                f"tensor (*batch, {generators}, D).",
            ),
            MOVE: self._text(
                f"{MOVE}({argument}, t: Tensor)",
                "The point moved along its orbit by exp(Σ t_a A_a); a gradient moves along with −t.",
                [
                    ("theta =", f"{VECTOR}(point)"),
                    ("generators =", constant),
                    ("g =", "torch.linalg.matrix_exp(torch.tensordot(t, generators, 1))"),
                    ("moved =", "(g @ theta.unsqueeze(-1)).squeeze(-1).unbind(-1)"),
                    ("return", f"{{**point, {moved}}}"),
                ],
                "dict with the keys and shapes of point.",
                "dict[str, Tensor]",
                (f"t: tensor (*batch, {generators}), 0 moves nothing.",),
            ),
        }

    def _text(
        self,
        signature: str,
        summary: str,
        lines: Sequence[tuple[str, str]],
        returns: str,
        returned: str = "Tensor",
        more: Sequence[str] = (),
    ) -> str:
        entries = [point_entry(self.parameters), *more]
        body = [line for head, source in lines for line in fold_statement(f"{head} ", source)]
        return function_source(signature, summary, entries, returns, body, SOURCE, returned)


def _element_sizes(factor: ArrayFactor) -> list[sp.Expr]:
    return [*factor.copies, *([factor.size] if isinstance(factor, EdgeGroup) else [])]


def _flattened(tensor: str, rank: int) -> str:
    return tensor if rank == 1 else f"{tensor}.unsqueeze(-1)" if rank == 0 else f"{tensor}.flatten({-rank})"


def _change(site: Site, tensor: str, element: str, negative: str) -> str:
    """What an element of the Lie algebra does to a parameter at one site."""
    if site.place is not None:
        return times_matrix(site, tensor, element, negative)
    exponent = site.exponent
    once = times_numbers(replace(site, exponent=sp.Integer(1)), tensor, element if exponent > 0 else negative)
    size = abs(exponent)
    return once if size == 1 else f"{int(size) if size.is_Integer else float(size)} * ({once})"


def _symmetric() -> str:
    lines = [
        "rows, columns = torch.triu_indices(size, size, device=like.device)",
        "unit = torch.eye(size, dtype=like.dtype, device=like.device)",
        "products = unit[rows].unsqueeze(-1) * unit[columns].unsqueeze(-2)",
        "return ((products + products.mT) / 2).flatten(1)",
    ]
    return function_source(
        f"{SYMMETRIC}(size: int, like: Tensor)",
        "A basis of the symmetric matrices: ⟨S, B_ij⟩ is the entry S_ij.",
        ["size: rows of a matrix.", "like: tensor whose dtype and device are taken."],
        "tensor (size (size + 1) / 2, size²).",
        [INDENT + line for line in lines],
        SOURCE,
        "Tensor",
    )
