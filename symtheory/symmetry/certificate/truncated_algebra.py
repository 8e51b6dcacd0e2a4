"""Numbers with nilpotent parts ε_1, …, ε_k (ε_i² = 0), in batches, modulo a prime or in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp

# Products of two residues stay below 2^62, sums of two products below 2^63.
PRIME = 2**31 - 1

Taylor = Callable[[np.ndarray, int], list[np.ndarray]]
"""Body a and order k to the coefficients f^(j)(a)/j! for j = 0, …, k."""


@dataclass(frozen=True)
class TruncatedAlgebra:
    """Arithmetic on arrays whose last axis has length 2^k: entry S belongs to the product of ε_i, i in the bits of S.

    modulus: a prime below 2^31, or None for float64. Operands with fewer ε are those with zeros behind.
    """

    modulus: int | None

    @property
    def dtype(self) -> type:
        return np.float64 if self.modulus is None else np.int64

    def reduce(self, value: np.ndarray) -> np.ndarray:
        return value if self.modulus is None else value % self.modulus

    def number(self, value: sp.Expr) -> Any:
        """A SymPy number as a scalar of the algebra; rational when there is a modulus."""
        if self.modulus is None:
            return float(value)
        return int(value.p) * pow(int(value.q), -1, self.modulus) % self.modulus

    def add(self, values: Sequence[np.ndarray]) -> np.ndarray:
        width = max(value.shape[-1] for value in values)
        total = np.zeros((*np.broadcast_shapes(*(value.shape[:-1] for value in values)), width), dtype=self.dtype)
        for value in values:
            total[..., : value.shape[-1]] += value
        return self.reduce(total)

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        if left.shape[-1] == 1 or right.shape[-1] == 1:
            return self.reduce(left * right)
        width = max(left.shape[-1], right.shape[-1])
        first, second, starts = _disjoint_pairs(width, left.shape[-1], right.shape[-1])
        return self.reduce(np.add.reduceat(self.reduce(left[..., first] * right[..., second]), starts, axis=-1))

    def apply(self, taylor: Taylor, value: np.ndarray) -> np.ndarray:
        """f(a + n) = Σ_j f^(j)(a)/j! n^j, a finite sum for the nilpotent n."""
        coefficients = taylor(value[..., :1], value.shape[-1].bit_length() - 1)
        nilpotent = value.copy()
        nilpotent[..., 0] = 0
        total, power = coefficients[0], nilpotent
        for order, coefficient in enumerate(coefficients[1:], 1):
            if order > 1:
                power = self.multiply(power, nilpotent)
            total = self.add([total, self.multiply(power, coefficient)])
        return total

    def power_of_body(self, body: np.ndarray, exponent: sp.Rational) -> np.ndarray:
        if self.modulus is None:
            return np.asarray(body ** float(exponent))
        remaining = int(exponent) % (self.modulus - 1)
        result, square = np.ones_like(body), body
        while remaining:
            if remaining & 1:
                result = result * square % self.modulus
            square = square * square % self.modulus
            remaining >>= 1
        return result


@lru_cache(maxsize=64)
def _disjoint_pairs(width: int, left: int, right: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of disjoint subsets sorted by their union, and where each union starts."""
    pairs = [
        (subset, union ^ subset)
        for union in range(width)
        for subset in range(union + 1)
        if subset & ~union == 0 and subset < left and union ^ subset < right
    ]
    unions = np.array([first | second for first, second in pairs])
    starts = np.searchsorted(unions, np.arange(width))
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]), starts


def without_bit(value: np.ndarray, bit: int) -> np.ndarray:
    """The part that does not contain ε_bit, as an element of the algebra without it."""
    return value.reshape(*value.shape[:-1], -1, 2, 2**bit)[..., 0, :].reshape(*value.shape[:-1], -1)


def times_bit(value: np.ndarray, bit: int) -> np.ndarray:
    """The product with ε_bit of an element of the algebra without it."""
    split = value.reshape(*value.shape[:-1], -1, 2**bit)
    return np.stack([np.zeros_like(split), split], axis=-2).reshape(*value.shape[:-1], -1)
