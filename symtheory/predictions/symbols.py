"""The symbols that statements share: one meaning each, everywhere."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from symtheory.graph.symbol_names import prefixed_names

ETA = sp.Symbol("eta", positive=True)
"""Step of the optimiser."""

SIGMA = sp.Symbol("sigma", positive=True)
"""Standard deviation of the label noise."""

LAMBDA = sp.Symbol("lambda", nonnegative=True)
"""Weight decay."""

TARGET = sp.Symbol("y", real=True)
"""Target of a scalar predictor."""

PREDICTOR = sp.Symbol("w", real=True)
"""The predictor w = φ(θ), one coordinate of it."""

TEMPERATURE = sp.Symbol("T", positive=True)
"""Temperature of isotropic Langevin noise."""

ALPHA = sp.Symbol("alpha", positive=True)
"""Scale of the starting point."""

MIRROR = sp.Symbol("tau", real=True)
"""Mirror variable Q'(w), which is also flow time on a leaf of fixed charges."""


def gradient_symbols(names: Iterable[str]) -> dict[str, sp.Symbol]:
    """Coordinates of the gradient of the batch loss: parameter → ``g_parameter``.

    Raises ``DeclarationError`` when a parameter itself has one of these names.
    """
    return {name: sp.Symbol(longer, real=True) for name, longer in prefixed_names("g_", names, "gradient").items()}
