"""Declared parametrizations, one small file each; they double as examples of how to declare."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from symtheory.errors import DeclarationError

if TYPE_CHECKING:
    from symtheory.parametrization import Parametrization

NAMES = (
    "hadamard",
    "squared_difference",
    "depth_product",
    "total_variation",
    "low_rank",
    "tied_product",
    "cp_decomposition",
    "lora",
    "deep_linear",
    "state_space",
    "softmax_classifier",
    "shallow_relu",
    "superposition",
    "deep_relu",
    "leaky_relu",
    "quadratic",
    "monomial",
    "curved_valley",
    "tanh_net",
    "bilinear",
    "swiglu",
    "convolution",
    "weight_norm",
    "batch_norm",
    "rms_norm",
    "rms_norm_gain",
    "layer_norm",
    "layer_norm_affine",
    "linear_attention",
    "attention",
    "multihead_attention",
    "grouped_query_attention",
    "residual",
    "residual_rms_norm",
    "residual_layer_norm",
    "tied_embedding",
    "mixture_of_experts",
    "transformer",
)


def load(name: str) -> Parametrization:
    """The catalog entry of that name; raises ``DeclarationError`` listing the names when there is none."""
    parametrization: Parametrization = getattr(_module(name), name)
    return parametrization


def summary(name: str) -> str:
    """The entry's one-line description."""
    return (_module(name).__doc__ or "").splitlines()[0]


def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise DeclarationError(f"the catalog has no '{name}': it has {', '.join(NAMES)}")
    return import_module(f"symtheory.catalog.{name}")
