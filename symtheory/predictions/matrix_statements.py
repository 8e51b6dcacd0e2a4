"""Torch statements on the families of matrices that the parameters of a point are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sympy as sp

from symtheory.codegen.layout import fold_statement
from symtheory.codegen.statements import Statements, point_tensors
from symtheory.codegen.view_source import from_matrices, split_sizes, to_matrices
from symtheory.geometry.matrix.model import ROWS, MatrixModel
from symtheory.graph.shapes import Shape
from symtheory.matrix_calculus.polynomial import Factor, Letter, Word
from symtheory.matrix_calculus.trace_form import TraceForm


class MatrixStatements:
    """Writes the body of a function of a point; every variable gets a name of its own.

    parameters: all of the point, by name; owner: the declaration's name, for messages. Raises ``CodegenError`` where a
    symbolic size that the source names cannot be read from the tensors.
    """

    def __init__(
        self, model: MatrixModel, parameters: Mapping[str, Shape], owner: str, sizes: Iterable[sp.Symbol] = ()
    ) -> None:
        self.model = model
        needed = {size for view in model.views.values() for size in split_sizes(view)} | set(sizes)
        self._statements = Statements(("point",), sorted(needed, key=str))
        self._statements.read_sizes(needed, point_tensors(parameters), owner)
        self._matrices: dict[str, str] = {}
        self._values: dict[str, str] = {}

    @property
    def lines(self) -> list[str]:
        return self._statements.lines

    def assign(self, wish: str, source: str) -> str:
        """A statement, or the variable that holds this source already; returns the name."""
        if source not in self._values:
            self._values[source] = self._statements.assign(self._statements.names.numbered(wish), source)
        return self._values[source]

    def assign_several(self, wishes: Sequence[str], source: str) -> list[str]:
        """One statement that unpacks a tuple."""
        names = [self._statements.names.numbered(wish) for wish in wishes]
        self._statements.assign(", ".join(names), source)
        return names

    def leaf(self, parameter: str) -> str:
        """The parameter's tensor."""
        return self._statements.read(parameter)

    def matrix(self, parameter: str) -> str:
        """The parameter as matrices (*batch, *copies, rows, columns), without the part that shifts take away."""
        if parameter not in self._matrices:
            leaf = self.leaf(parameter)
            source = to_matrices(self.model.views[parameter], leaf)
            for sides in self.model.shifted.get(parameter, ()):
                if not sides:
                    source = f"torch.zeros_like({source})"
                for side in sorted(sides):
                    source = f"({source} - {source}.mean({side - 2}, keepdim=True))"
            is_leaf = source == leaf
            self._matrices[parameter] = leaf if is_leaf else self.assign(f"matrix_{parameter}", source)
        return self._matrices[parameter]

    def side_by_side(self, name: str, members: Mapping[str, int]) -> str:
        """The members with the acted side as rows, their columns side by side."""
        parts = [self.matrix(member) + ("" if side == ROWS else ".mT") for member, side in members.items()]
        return parts[0] if len(parts) == 1 else self.assign(f"block_{name}", f"torch.cat([{', '.join(parts)}], dim=-1)")

    def smallest(self, links: Sequence[Any]) -> str:
        """Source of the smallest size of the edges in front of the links."""
        sizes = []
        for link in links:
            member, side = next(iter(link.members.items()))
            sizes.append(f"{self.matrix(member)}.shape[{side - 2}]")
        sizes = list(dict.fromkeys(sizes))
        return sizes[0] if len(sizes) == 1 else f"min({', '.join(sizes)})"

    def taken_apart(self, name: str, members: Mapping[str, int], source: str, weight: sp.Expr) -> dict[str, str]:
        """Members of a block whose leading rows and columns are given by source; what the block has more is zero."""
        rows, columns = [], []
        for member, side in members.items():
            matrix = self.matrix(member)
            rows.append(f"{matrix}.shape[{side - 2}]")
            columns.append(f"{matrix}.shape[{-1 - side}]")
        block = self.assign(f"block_{name}", self.times(weight, source))
        wide = columns[0] if len(columns) == 1 else f"({' + '.join(columns)})"
        # Negative padding crops: singular values beyond the width of an edge are zero.
        padded = self.assign(
            f"padded_{name}",
            f"torch.nn.functional.pad({block}, (0, {wide} - {block}.shape[-1], 0, {rows[0]} - {block}.shape[-2]))",
        )
        found, start = {}, ""
        for member, side, width in zip(members, members.values(), columns, strict=True):
            part = padded
            if len(members) > 1:
                stop = f"{start} + {width}" if start else width
                part = f"{padded}[..., :, {start}:{stop}]"
                start = stop
            found[member] = self.assign(f"balanced_{member}", part if side == ROWS else transposed(part))
        return found

    def summed(self, wish: str, source: str, parameter: str, axes: int, factor: sp.Expr) -> str:
        """factor · source summed over its last axes and over the copies of a parameter's family."""
        count = axes + len(self.model.views[parameter].batch)
        over = "-1" if count == 1 else f"dim=({', '.join(str(-axis) for axis in range(1, count + 1))})"
        return self.assign(wish, self.times(factor, f"{source}.sum({over})"))

    def scaled_whole(self, parameter: str, matrix: str, root: str) -> str:
        """A family of matrices times a number for each entry of the batch."""
        index = ", ".join(["None"] * (2 + len(self.model.views[parameter].batch)))
        return self.assign(f"balanced_{parameter}", f"{root}[..., {index}] * {matrix}")

    def times(self, factor: sp.Expr, source: str) -> str:
        """A number times source, a product or quotient."""
        if factor == 1:
            return source
        return f"{self._number(sp.sympify(factor))} * {source}"

    def _number(self, factor: sp.Expr) -> str:
        if factor.is_Integer:
            return str(int(factor))
        if factor.is_number:
            return repr(float(factor))
        return size_number(factor)

    def return_value(self, source: str) -> None:
        """The last statement."""
        self._statements.lines += fold_statement("return ", source)

    def return_point(self, matrices: Mapping[str, str]) -> None:
        """The last statement: the point with these families of matrices in place of its own."""
        entries = {
            name: from_matrices(self.model.views[name], matrix, self.leaf(name)) for name, matrix in matrices.items()
        }
        self._statements.return_entries(entries)


def transposed(source: str) -> str:
    """The transpose of a matrix given by a name, an attribute or an index."""
    return source.removesuffix(".mT") if source.endswith(".mT") else f"{source}.mT"


def size_number(expression: sp.Expr) -> str:
    """Source of a positive number made of sizes by products, quotients, sums and powers; sizes by their names."""
    if expression.is_Symbol or expression.is_Integer:
        return str(expression)
    if expression.is_number:
        return repr(float(expression))
    if isinstance(expression, sp.Pow):
        exponent = expression.exp
        power = str(exponent) if exponent.is_Integer else repr(float(exponent))
        return f"({size_number(expression.base)} ** {power if exponent > 0 else f'({power})'})"
    sign = " * " if isinstance(expression, sp.Mul) else " + "
    return f"({sign.join(map(size_number, expression.args))})"


def trace_source(form: TraceForm, variables: Mapping[str, str]) -> str:
    """Source of the trace of one product of two or more matrices, a tensor (*batch); variables: symbol → its name."""
    ((word, coefficient),) = form.terms.items()
    cut = (len(word) + 1) // 2
    number = "" if coefficient == 1 else f"{size_number(coefficient)} * "
    if len(word) == 2 and word[0] == word[1].transpose():
        return f"{number}{_product(word[:1], variables)}.square().sum(dim=(-2, -1))"
    left, right = (
        _product(word[:cut], variables),
        _product(tuple(f.transpose() for f in word[: cut - 1 : -1]), variables),
    )
    return f"{number}(({left}) * ({right})).sum(dim=(-2, -1))"


def _product(word: Word, variables: Mapping[str, str]) -> str:
    return " @ ".join(_factor(factor, variables) for factor in word)


def _factor(factor: Factor, variables: Mapping[str, str]) -> str:
    if isinstance(factor, Letter):
        return variables[factor.symbol.name] + (".mT" if factor.transposed else "")
    ((word, _),) = factor.of
    left, right = _product(word[:1], variables), _product(tuple(f.transpose() for f in word[:0:-1]), variables)
    return f"torch.diag_embed(({left} * ({right})).sum(-1))"
