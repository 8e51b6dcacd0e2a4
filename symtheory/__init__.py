"""Symbolic theory of parametrized models: declare a graph, derive what it implies for training, generate torch code.

Importing this package loads SymPy and never torch.
"""

from __future__ import annotations

from symtheory.generation import generate
from symtheory.geometry import Fisher, GaussNewton, Metric, Relaxed, TraceMetric, WeightedSum
from symtheory.graph.functions import (
    abs,
    batch_norm,
    constant,
    conv,
    cumsum,
    exp,
    gelu,
    input,
    layer_norm,
    leaky_relu,
    log,
    normalize,
    param,
    relu,
    rms_norm,
    sigmoid,
    silu,
    softmax,
    spline,
    tanh,
    windows,
)
from symtheory.graph.shapes import dims
from symtheory.inverse_design import DesignedParametrization, design
from symtheory.parametrization import Parametrization

__version__ = "0.1.0"

__all__ = [
    "DesignedParametrization",
    "Fisher",
    "GaussNewton",
    "Metric",
    "Parametrization",
    "Relaxed",
    "TraceMetric",
    "WeightedSum",
    "abs",
    "batch_norm",
    "constant",
    "conv",
    "cumsum",
    "design",
    "dims",
    "exp",
    "gelu",
    "generate",
    "input",
    "layer_norm",
    "leaky_relu",
    "log",
    "normalize",
    "param",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "spline",
    "tanh",
    "windows",
]
