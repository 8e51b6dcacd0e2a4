"""A function of one number that is known by values alone: a cubic spline through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isinf
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.operations.inequivariant import Inequivariant
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Spline(Inequivariant):
    """The cubic Hermite spline through ``values`` with ``slopes`` at increasing ``knots``, or its derivative.

    Beyond the ends it goes on as a straight line. It has no formula, so that nothing is
    derived from it in symbols.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]
    is_slope: bool = False
    name: ClassVar[str] = "spline"

    @property
    def label(self) -> str:
        return "spline'" if self.is_slope else "spline"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        raise CalculusError("a spline is known by its values: nothing is derived from it in symbols")

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        """The value at the first knot plus what every piece adds on the way: a polynomial in the part of it that is
        covered."""
        x = operands[0]
        widths, start, table = self._pieces()
        at = f"{x}.unsqueeze(-1)"
        lefts, rights = _tensor((-inf, *self.knots), x), _tensor((*self.knots, inf), x)
        knots, ends = _tensor((self.knots[0], *self.knots), x), _tensor((0.0, *widths, 0.0), x)
        # Half-open pieces: at a knot one of them alone moves with x.
        covered = f"torch.where({at} <= {lefts}, 0.0, torch.where({at} > {rights}, {ends}, {at} - {knots}))"
        powers = f"torch.arange(1, 4, device={x}.device)"
        coefficients = f"torch.stack([{', '.join(_tensor(column, x) for column in table)}], -1)"
        return f"{start!r} + ({covered}.unsqueeze(-1) ** {powers} * {coefficients}).sum((-2, -1))"

    def _pieces(self) -> tuple[list[float], float, list[tuple[float, ...]]]:
        """Widths of the pieces between knots; value at the first knot; coefficients of the powers 1, 2, 3 of the
        covered part of every piece, from the line before the first knot to the one behind the last."""
        widths = [right - left for left, right in pairwise(self.knots)]
        start, rows = self.values[0], [(self.slopes[0], 0.0, 0.0)]
        for width, (low, high), (first, second) in zip(
            widths, pairwise(self.values), pairwise(self.slopes), strict=True
        ):
            rise = (high - low) / width
            rows.append((first, (3 * rise - 2 * first - second) / width, (first + second - 2 * rise) / width**2))
        rows.append((self.slopes[-1], 0.0, 0.0))
        if self.is_slope:
            start, rows = self.slopes[0], [(2 * square, 3 * cube, 0.0) for _, square, cube in rows]
        return widths, start, [tuple(column) for column in zip(*rows, strict=True)]

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        if self.is_slope:
            raise CalculusError("the second derivative of a spline jumps at its knots: it is no operation")
        return type(result)(replace(self, is_slope=True), operands) * tangents[0]


def _tensor(entries: Sequence[float], like: str) -> str:
    written = ", ".join(f"{'-' if entry < 0 else ''}torch.inf" if isinf(entry) else repr(entry) for entry in entries)
    return f"torch.tensor([{written}], dtype={like}.dtype, device={like}.device)"
