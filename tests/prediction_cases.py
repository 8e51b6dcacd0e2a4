"""Declarations for the tests of predictions: the same plain function of numbers, arrays, tensors or graph nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import symtheory as st
from symtheory.predictions.predictions import Predictions

PHI: dict[str, Callable[..., Any]] = {
    "hadamard": lambda u, v: u * v,
    "squared_difference": lambda u, v: u * u - v * v,
    "depth_3": lambda u, v, z: u * v * z,
    "depth_4": lambda u, v, z, q: u * v * z * q,
    "square_times": lambda u, v: u * u * v,
    "negative_product": lambda u, v: -u * v,
    "times_cube": lambda u, v: u * v * v * v,
    "mixed_powers": lambda u, v, z: u * v * v * z,
    "quadratic": lambda u: u * u + u,
}
"""Name → φ, written out by hand."""

CASES = list(PHI)[:6]
"""What every mechanism is tested on; the others are for flows on leaves."""


def names(case: str) -> tuple[str, ...]:
    """Parameter names in the order of the arguments of φ."""
    code = PHI[case].__code__
    return code.co_varnames[: code.co_argcount]


@cache
def declared(case: str) -> st.Parametrization:
    """The parametrization, over d coordinates."""
    d = st.dims("d")
    return st.Parametrization(PHI[case](*(st.param(name, d) for name in names(case))), name=case)


def predictions(case: str) -> Predictions:
    return declared(case).predictions()


def gradient(case: str, theta: np.ndarray) -> np.ndarray:
    """∂φ/∂θ_i by complex steps, exact to rounding: theta (k, ...) → (k, ...)."""
    step = 1e-30
    shifted = [
        theta + step * 1j * np.eye(len(theta))[i].reshape(-1, *[1] * (theta.ndim - 1)) for i in range(len(theta))
    ]
    return np.stack([np.imag(PHI[case](*point)) / step for point in shifted])
