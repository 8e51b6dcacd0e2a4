"""Torch source of the symmetric part of a group: points as vectors, the fields of its generators, and its orbits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sympy as sp

from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.site_source import times_matrix, times_numbers
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.graph.shapes import Shape, torch_size
from symtheory.predictions.noise_equilibrium_names import COUNT, FIELDS, MECHANISM, MOVE, SHIFTED, SIGNS, SOURCE, VECTOR
from symtheory.predictions.noise_equilibrium_shifts import ShiftSources, flattened, involved, stacked, widened
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import FIXING_ONES, EdgeGroup
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.site import Site
from symtheory.symmetry.translation import Translation

BASIS, FIELD, MATRICES = (f"{MECHANISM}_{part}" for part in ("basis", "field", "matrices"))

ArrayFactor = EdgeGroup | Rescaling


class ArrayAction:
    """Of changes of basis, rescalings and shifts of whole arrays.

    Coordinates t of a move: first those of symmetric generators (the entries on and above the diagonal of a symmetric
    matrix, one logarithm for each rescaling), then those of rotations, then shifts; each factor after factor. A move
    shifts first. symmetric: factors whose charges are balanced; others: groups of rotations, and shifts.
    """

    def __init__(
        self,
        symmetric: Sequence[ArrayFactor],
        others: Sequence[EdgeGroup | Translation],
        parameters: Mapping[str, Shape],
        owner: str,
    ) -> None:
        self.linear = (*symmetric, *(factor for factor in others if isinstance(factor, EdgeGroup)))
        self.symmetric, self.parameters, self.owner = tuple(symmetric), parameters, owner
        touched = {site.parameter for factor in self.linear for site in factor.sites}
        shifts = [factor for factor in others if isinstance(factor, Translation)]
        touched |= {name for factor in shifts for name in involved(factor)}
        self.moved = {name: shape for name, shape in parameters.items() if name in touched}
        self.shifts = ShiftSources(shifts, parameters, self.moved, owner) if shifts else None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._texts())

    def sources(self) -> dict[str, str]:
        """Function name → source. Raises ``CodegenError`` where a symbolic size cannot be read off the tensors."""
        return {name: make() for name, make in self._texts().items()}

    def _texts(self) -> dict[str, Callable[[], str]]:
        texts: dict[str, Callable[[], str]] = {VECTOR: self._vector, BASIS: self._basis, FIELD: self._field}
        if any(isinstance(factor, EdgeGroup) for factor in self.linear):
            texts[MATRICES] = _matrices
        if self.shifts:
            texts |= self.shifts.texts()
        return texts | {SIGNS: self._signs, FIELDS: self._fields, MOVE: self._move}

    def _vector(self) -> str:
        body = Statements(("point",))
        flat = [flattened(body.read(name), len(shape)) for name, shape in self.moved.items()]
        body.lines += fold_statement("return ", f"torch.cat([{', '.join(flat)}], -1)")
        signature = f"{VECTOR}(point: dict[str, Tensor])"
        return self._text(signature, "The entries that the group moves, as one vector.", body, "(*batch, D)")

    def _basis(self) -> str:
        sizes = {symbol for factor in self.linear for size in _element_sizes(factor) for symbol in size.free_symbols}
        body = Statements(("point",), sorted(sizes, key=str))
        body.read_sizes(sizes, point_tensors(self.parameters), self.owner)
        like = body.read(next(iter(self.moved)))
        places = f"dtype={like}.dtype, device={like}.device"
        blocks: dict[str, list[str]] = {"symmetric": [], "turns": []}
        shapes = {}
        for factor in self.linear:
            copies = [torch_size(size) for size in factor.copies]
            unit = f"torch.eye({' * '.join(copies) or '1'}, {places})"
            shapes[factor.name] = copies
            none = f"torch.zeros(0, {' * '.join(copies) or '1'}, {places})"
            found = {"symmetric": unit, "turns": none}
            if isinstance(factor, EdgeGroup):
                h = torch_size(factor.size)
                shapes[factor.name] = [*copies, h, h]
                fixed = factor.algebra == FIXING_ONES
                turns = f"{MATRICES}({h}, {like}, -1.0, {fixed})"
                found["turns"] = f"torch.kron({unit}, {turns})" if copies else turns
                symmetric = f"{MATRICES}({h}, {like}, 1.0, {fixed})"
                found["symmetric"] = f"torch.kron({unit}, {symmetric})" if copies else symmetric
                if factor not in self.symmetric:
                    found["symmetric"] += "[:0]"
            for kind, source in found.items():
                blocks[kind].append(body.assign(body.names.unique(kind), source))
        widths = ", ".join(f"{block}.shape[1]" for block in blocks["turns"])
        for kind, names in blocks.items():
            body.assign(f"all_{kind}", f"torch.block_diag({', '.join(names)}).split([{widths}], 1)")
        entries = {
            name: f"torch.cat([all_symmetric[{place}], all_turns[{place}]]).reshape({', '.join(['-1', *shape])})"
            for place, (name, shape) in enumerate(shapes.items())
        }
        body.return_entries(entries)
        return function_source(
            f"{BASIS}(point: dict[str, Tensor])",
            "A basis of the Lie algebra: the symmetric generators, then the rotations.",
            [point_entry(self.parameters)],
            f"dict with {', '.join(self._keys)}, generators along the first axis.",
            body.lines,
            SOURCE,
        )

    def _field(self) -> str:
        """The infinitesimal action, linear in the point and in the element."""
        body = Statements(("point", "a"))
        terms: dict[str, list[str]] = {}
        for factor in self.linear:
            name = body.assign(body.names.unique(f"a_{factor.name}"), f'a["{factor.name}"]')
            negative = ""
            if any(site.exponent < 0 for site in factor.sites):
                negative = body.assign(body.names.unique(f"minus_{factor.name}"), f"-{name}")
            for site in factor.sites:
                change = _change(site, body.read(site.parameter), name, negative)
                terms.setdefault(site.parameter, []).append(change)
        body.return_entries({name: " + ".join(parts) for name, parts in terms.items()})
        return function_source(
            f"{FIELD}(point: dict[str, Tensor], a: dict[str, Tensor])",
            "The infinitesimal change of the point under an element of the Lie algebra.",
            [point_entry(self.parameters), f"a: dict with {', '.join(self._keys)}, as in {BASIS}."],
            "dict with the parameters that the group moves linearly.",
            body.lines,
            SOURCE,
        )

    def _signs(self) -> str:
        body = Statements(("point",))
        body.assign("basis", f"{BASIS}(point)")
        terms = []
        for factor in self.linear:
            element = f'basis["{factor.name}"]'
            # Tr(A²) is positive for a symmetric matrix and negative for an antisymmetric one.
            square = f"({element} * {element}.mT)" if isinstance(factor, EdgeGroup) else f"{element}.square()"
            terms.append(f"{square}.reshape({element}.shape[0], -1).sum(1)")
        body.assign("squares", " + ".join(terms))
        if self.shifts:
            body.lines += fold_statement("return ", f"torch.nn.functional.pad(-squares.sign(), (0, {COUNT}(point)))")
        else:
            body.lines.append(f"{INDENT}return -squares.sign()")
        return self._text(
            f"{SIGNS}(point: dict[str, Tensor])",
            "How gradients move: by −1 times t for symmetric generators, 1 for rotations, 0 for shifts.",
            body,
            "(generators)",
        )

    def _fields(self) -> str:
        body = Statements(("point",))
        body.lines += widened("point", self.moved)
        body.assign("basis", f"{BASIS}(point)")
        body.assign("change", f"{FIELD}(wide, basis)")
        body.assign("count", f'basis["{self.linear[0].name}"].shape[0]')
        rows = stacked(
            body, "change", {site.parameter for factor in self.linear for site in factor.sites}, self.moved, "count"
        )
        if self.shifts:
            rows = f"torch.cat([{rows}, {self.shifts.rows(body)}], -2)"
        body.lines += fold_statement("return ", rows)
        signature = f"{FIELDS}(point: dict[str, Tensor])"
        return self._text(signature, "The vector fields of all generators.", body, "(*batch, generators, D)")

    def _move(self) -> str:
        body = Statements(("point", "t"))
        if self.shifts:
            body.assign("shifted", f"{SHIFTED}(point, t[..., t.shape[-1] - {COUNT}(point) :])")
            for name in self.shifts.changed:
                body.assign(body.read(name), f'{body.read(name)} + shifted["{name}"]')
        body.assign("basis", f"{BASIS}(point)")
        body.assign("count", f'basis["{self.linear[0].name}"].shape[0]')
        for factor in self.linear:
            tensor = f'torch.tensordot(t[..., :count], basis["{factor.name}"], 1)'
            a = body.assign(body.names.unique(f"a_{factor.name}"), tensor)
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
        entries = ", ".join(f'"{name}": {variable}' for name, variable in body.parameters.items())
        body.lines += fold_statement("return ", f"{{**point, {entries}}}")
        return function_source(
            f"{MOVE}(point: dict[str, Tensor], t: Tensor)",
            "The point shifted first, then moved by exp(Σ t_a A_a).",
            [point_entry(self.parameters), "t: tensor (*batch, generators), 0 moves nothing."],
            "dict with the keys and shapes of point.",
            body.lines,
            SOURCE,
        )

    @property
    def _keys(self) -> list[str]:
        return [f'"{factor.name}"' for factor in self.linear]

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
        return VECTOR, FIELDS, MOVE, SIGNS

    def sources(self) -> dict[str, str]:
        """Function name → source; D is the number of parameters of one coordinate."""
        constant = self._literal()
        stacked = ", ".join(f'point["{name}"]' for name in self.coordinates)
        moved = ", ".join(f'"{name}": moved[{place}]' for place, name in enumerate(self.coordinates))
        generators, argument = "coordinates, generators", "point: dict[str, Tensor]"
        signs = [-1.0 if matrix.is_symmetric() else 1.0 for matrix in self.matrices]
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
            SIGNS: self._text(
                f"{SIGNS}({argument})",
                "How gradients move along: by −1 times t for symmetric generators, 1 for rotations.",
                [
                    ("theta =", f'point["{self.coordinates[0]}"]'),
                    ("return", f"torch.tensor({signs}, dtype=theta.dtype, device=theta.device)"),
                ],
                "tensor (generators).",
            ),
            MOVE: self._text(
                f"{MOVE}({argument}, t: Tensor)",
                "The point moved by exp(Σ t_a A_a); a gradient moves along by the signs times t.",
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

    def _literal(self) -> str:
        """The generators as a tensor, a line for each row."""
        lines = ["torch.tensor(", 2 * INDENT + "["]
        for matrix in self.matrices:
            rows = [4 * INDENT + f"{[float(entry) for entry in row]}," for row in matrix.tolist()]
            lines += [3 * INDENT + "[", *rows, 3 * INDENT + "],"]
        closing = [2 * INDENT + text for text in ("],", "dtype=theta.dtype,", "device=theta.device,")]
        return "\n".join([*lines, *closing, INDENT + ")"])

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
        body: list[str] = []
        for head, source in lines:
            first, *more_lines = source.splitlines()
            body += [f"{INDENT}{head} {first}", *more_lines] if more_lines else fold_statement(f"{head} ", source)
        return function_source(signature, summary, entries, returns, body, SOURCE, returned)


def _element_sizes(factor: ArrayFactor) -> list[sp.Expr]:
    return [sp.sympify(size) for size in (*factor.copies, *([factor.size] if isinstance(factor, EdgeGroup) else []))]


def _change(site: Site, tensor: str, element: str, negative: str) -> str:
    """What an element of the Lie algebra does to a parameter at one site."""
    if site.place is not None:
        return times_matrix(site, tensor, element, negative)
    exponent = site.exponent
    once = times_numbers(replace(site, exponent=sp.Integer(1)), tensor, element if exponent > 0 else negative)
    size = abs(exponent)
    return once if size == 1 else f"{int(size) if size.is_Integer else float(size)} * ({once})"


def _matrices() -> str:
    lines = [
        "rows, columns = torch.triu_indices(size, size, 0 if sign > 0 else 1, device=like.device)",
        "unit = torch.eye(size, dtype=like.dtype, device=like.device)",
        "products = unit[rows].unsqueeze(-1) * unit[columns].unsqueeze(-2)",
        "found = (products + sign * products.mT) / 2",
        "if fixing_ones:",
        f"{INDENT}projection = unit - 1 / size",
        f"{INDENT}found = projection @ found @ projection",
        "return found.flatten(1)",
    ]
    return function_source(
        f"{MATRICES}(size: int, like: Tensor, sign: float, fixing_ones: bool)",
        "A basis of the matrices with Aᵀ = ± A, as rows.",
        [
            "size: rows of a matrix.",
            "like: tensor whose dtype and device are taken.",
            "sign: 1.0 or −1.0.",
            "fixing_ones: whether they map the ones vector to zero.",
        ],
        "tensor (matrices, size²).",
        [INDENT + line for line in lines],
        SOURCE,
        "Tensor",
    )
