"""Forms on two factors G and H, and exact points, for the tests of geometry in explicit components."""

from __future__ import annotations

import random
from collections.abc import Sequence

import sympy as sp

T = sp.Trace


def two_factors(n: int, m: int, h: int) -> tuple[list[sp.MatrixSymbol], list[sp.MatrixSymbol]]:
    G, H = sp.MatrixSymbol("G", n, h), sp.MatrixSymbol("H", m, h)
    return [G, H], [sp.MatrixSymbol("xi_G", n, h), sp.MatrixSymbol("xi_H", m, h)]


def forms_of(points: Sequence[sp.MatrixSymbol], velocities: Sequence[sp.MatrixSymbol]) -> dict[str, sp.Expr]:
    (G, H), (a, b) = points, velocities
    return {
        "invariant": T((G.T * G).inv() * a.T * a) + T((H.T * H).inv() * b.T * b),
        "mixed": T(H.T * H * a.T * a) + T(G.T * G * b.T * b),
        "pullback": T((a * H.T + G * b.T).T * (a * H.T + G * b.T)),
        "diagonal": T(sp.DiagonalMatrix(G * G.T).inv() * a * a.T) + T(sp.DiagonalMatrix(H.T * H) ** -2 * b.T * b),
        "coefficients": 2 * T(a.T * a) / T(G.T * G) ** 2 + T(H.T * H) * T(b * b.T) + T(G.T * a) * T(H.T * b) / 3,
        "shifted": T((sp.Identity(G.cols) + 3 * G.T * G).inv() * a.T * a) + T((H.T * H) * (b.T * b)),
        "nested": T(((G.T * G).inv() + H.T * H).inv() * a.T * a + b.T * b),
    }


def random_point(size: int, seed: int) -> list[sp.Rational]:
    rng = random.Random(seed)
    return [sp.Rational(rng.choice([-1, 1]) * rng.randint(1, 9), rng.randint(1, 5)) for _ in range(size)]


def matrices(symbols: Sequence[sp.MatrixSymbol], values: Sequence[sp.Expr]) -> dict[sp.Expr, sp.ImmutableMatrix]:
    """Explicit matrices for symbols, filled row by row with consecutive values."""
    remaining = iter(values)
    return {s: sp.ImmutableMatrix(s.rows, s.cols, [next(remaining) for _ in range(s.rows * s.cols)]) for s in symbols}
