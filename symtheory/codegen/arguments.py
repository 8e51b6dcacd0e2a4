"""Arguments of a generated function, bound to SymPy symbols: tensors, numbers, dicts of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import sympy as sp

Shape = tuple[sp.Expr | int | str, ...]


@dataclass(frozen=True)
class TensorArgument:
    """A tensor ``(*batch, *shape)`` bound to a Symbol or a MatrixSymbol (then ``shape`` may be left out)."""

    name: str
    symbol: sp.Basic
    shape: Shape = ()
    meaning: str = ""

    @property
    def annotation(self) -> str:
        return "Tensor"

    @property
    def default(self) -> str:
        return ""

    def leaves(self) -> Iterator[tuple[sp.Basic, str, Shape]]:
        """Symbol, source that reads it, logical shape."""
        yield self.symbol, self.name, logical_shape(self.symbol, self.shape)


@dataclass(frozen=True)
class ScalarArgument:
    """A Python number or a tensor.

    With ``unsqueeze=0`` a tensor must broadcast against the others as it is. With ``unsqueeze=k`` it is
    ``(*batch)`` and gets k axes of size 1, one for each logical axis of the tensors it meets. In matrix
    expressions leave it 0: the printer puts the axes where a scalar multiplies a matrix.
    """

    name: str
    symbol: sp.Basic
    default_value: float | None = None
    unsqueeze: int = 0
    meaning: str = ""

    @property
    def annotation(self) -> str:
        return "float | Tensor"

    @property
    def default(self) -> str:
        return "" if self.default_value is None else f" = {self.default_value!r}"

    def leaves(self) -> Iterator[tuple[sp.Basic, str, Shape]]:
        yield self.symbol, self.name, ()


@dataclass(frozen=True)
class DictArgument:
    """A dict of tensors such as a point or a tangent: key to symbol, and key to logical shape."""

    name: str
    entries: Mapping[str, sp.Basic]
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    meaning: str = ""

    @property
    def annotation(self) -> str:
        return "dict[str, Tensor]"

    @property
    def default(self) -> str:
        return ""

    def leaves(self) -> Iterator[tuple[sp.Basic, str, Shape]]:
        for key, symbol in self.entries.items():
            yield symbol, f'{self.name}["{key}"]', logical_shape(symbol, self.shapes.get(key, ()))


Argument = TensorArgument | ScalarArgument | DictArgument


def logical_shape(symbol: sp.Basic, shape: Shape) -> Shape:
    """The shape given, or the one that a MatrixSymbol carries."""
    return tuple(symbol.shape) if isinstance(symbol, sp.MatrixSymbol) and not shape else tuple(shape)
