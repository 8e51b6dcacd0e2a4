"""How far off a law is, relative to what had to cancel, and the words in which it is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

TOLERANCE = 1e-8
"""Largest relative deviation that counts as rounding.

A few hundred float64 operations on group elements of condition number 10 stay below 1e-12; a wrong exponent or sign is
off by a part of one. float32 functions need about 1e-3.
"""

LONGEST_ARRAY = 16


def relative(deviation: np.ndarray | float, scale: np.ndarray | float) -> float:
    """Largest |deviation| / scale over all entries, where 0 / 0 counts as 0."""
    off, size = np.broadcast_arrays(np.abs(deviation), np.abs(scale))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(off == 0, 0.0, off / size)
    return float(ratios.max(initial=0.0))


def largest(arrays: Iterable[np.ndarray | float]) -> float:
    """Largest absolute entry of all arrays; 0 when there is none."""
    return max((float(np.abs(array).max(initial=0.0)) for array in map(np.asarray, arrays)), default=0.0)


def require(law: str, broken: str, off: float, tolerance: float, details: str = "") -> None:
    """``AssertionError`` in one form unless ``off`` is within the tolerance (NaN is not)."""
    if not off <= tolerance:
        after = f"; {details}" if details else ""
        raise AssertionError(f"{law}: {broken}: relative deviation {off:.2e}, tolerance {tolerance:.0e}{after}")


def show_array(array: np.ndarray) -> str:
    """A small array as text of one line, a large one by its shape."""
    if array.size > LONGEST_ARRAY:
        return f"an array of shape {array.shape}"
    return " ".join(np.array2string(array, precision=4, separator=", ").split())


def show_sizes(sizes: Mapping[str, float]) -> str:
    """Names with numbers: ``G 3.1e-01, H 2.0e+00``."""
    return ", ".join(f"{name} {size:.1e}" for name, size in sizes.items())
