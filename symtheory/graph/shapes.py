"""Shapes with symbolic or integer sizes: equality, broadcasting, and the names under which sizes are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import TypeAlias

import sympy as sp

from symtheory.errors import ShapeError

Size: TypeAlias = sp.Expr
Shape: TypeAlias = tuple[Size, ...]


def dims(names: str) -> sp.Symbol | tuple[sp.Symbol, ...]:
    """Symbolic sizes (positive integers), one per name in a string such as ``"n m h"``.

    Returns one symbol for one name and a tuple for several, as ``sympy.symbols`` does.
    """
    symbols: sp.Symbol | tuple[sp.Symbol, ...] = sp.symbols(names, integer=True, positive=True)
    return symbols


def as_size(value: object) -> Size:
    """A size as a SymPy expression; ``ShapeError`` unless it is a positive integer or made of symbolic sizes."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = sp.Integer(int(value))
    is_number = isinstance(value, sp.Integer) and value > 0
    is_symbolic = isinstance(value, sp.Expr) and bool(value.free_symbols) and is_in_sizes(value)
    if not (is_number or is_symbolic):
        raise ShapeError(f"size {value!r} is not a positive integer: sizes are ints ≥ 1 or symbols made by st.dims")
    return value


def is_in_sizes(expression: sp.Expr) -> bool:
    """Whether every symbol in the expression is a symbolic size."""
    return all(symbol.is_integer and symbol.is_positive for symbol in expression.free_symbols)


def as_shape(sizes: Iterable[object]) -> Shape:
    """Sizes as SymPy expressions; raises ``ShapeError`` as ``as_size`` does."""
    return tuple(as_size(size) for size in sizes)


def same_size(left: Size, right: Size) -> bool:
    """Equal for every value of the symbols (``2*h`` equals ``h + h``; ``n`` and ``m`` do not)."""
    return left == right or sp.expand(left - right) == 0


def same_shape(left: Shape, right: Shape) -> bool:
    """Equally many axes of equal sizes."""
    return len(left) == len(right) and all(map(same_size, left, right))


def show(shape: Shape) -> str:
    """A shape as one reads it: ``(n, h)``, ``(3,)``, ``()``."""
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Common shape of equal-rank shapes; an axis of size 1 stretches. Raises ``ShapeError`` otherwise."""
    result = []
    for sizes in zip(*shapes, strict=True):
        wide = [size for size in sizes if size != 1]
        if any(not same_size(wide[0], size) for size in wide[1:]):
            raise ShapeError("sizes do not agree: " + " against ".join(show(shape) for shape in shapes))
        result.append(wide[0] if wide else sp.Integer(1))
    return tuple(result)


def bind_shape(shape: Shape, sizes: Mapping[sp.Symbol, int]) -> Shape:
    """The shape with symbols replaced; ``ShapeError`` when a size comes out that is no positive integer."""
    return as_shape(size.subs(sizes) for size in shape)


def element_count(shape: Shape) -> Size:
    """Number of entries; 1 for a scalar."""
    return sp.Mul(*shape)


def is_bound(shape: Shape) -> bool:
    """Whether every size is an integer."""
    return all(size.is_Integer for size in shape)


def torch_size(size: Size) -> str:
    """A size as Python source: an int, or an expression in the names of the symbolic sizes."""
    numerator, denominator = sp.fraction(sp.together(size))
    return str(numerator) if denominator == 1 else f"({numerator}) // ({denominator})"


def batch_and_sizes(tensor: str, rank: int, sizes: Shape, like: str = "") -> str:
    """Python source of a shape: the batch axes of a tensor, those before its last ``rank``, and then the sizes.

    like: a tensor off whose last axes the sizes are read, where there is one; they are named otherwise.
    """
    batch = f"{tensor}.shape[:-{rank}]" if rank else f"{tensor}.shape"
    if like and sizes:
        return f"(*{batch}, *{like}.shape[-{len(sizes)}:])"
    listed = "".join(f", {torch_size(size)}" for size in sizes)
    return f"(*{batch}{listed or ','})"


def torch_number(value: sp.Expr) -> str:
    """A number, or an expression in the names of the symbolic sizes, as Python source that needs no import."""
    if value.is_Integer:
        return str(int(value))
    if value.is_number:
        return repr(float(value))
    return sp.sstr(value.evalf(17), full_prec=False)  # 17 digits give the float back; roots come out as powers
