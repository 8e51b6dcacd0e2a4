"""Bound declarations whose groups act on whole arrays, with random values in NumPy and in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.graph.shapes import Shape

Arrays = dict[str, np.ndarray]
Tensors = dict[str, Tensor]


def heads_with_an_axis(names: str = "n d heads h") -> st.Parametrization:
    """Attention whose heads are an axis of the weights on one side of the edge and part of one on the other."""
    n, d, heads, h = st.dims(names)
    X = st.input("X", n, d)
    Wq, Wk, Wv = (st.param(f"W{letter}", heads, d, h) for letter in "qkv")
    bv, Wo, bo = st.param("bv", heads, 1, h), st.param("Wo", heads * h, d), st.param("bo", d)
    mixed = st.softmax((X @ Wq) @ (X @ Wk).T) @ (X @ Wv + bv)
    return st.Parametrization(mixed.transpose(1, 0, 2).reshape(n, heads * h) @ Wo + bo, name="heads_with_an_axis")


def rows_against_rows() -> st.Parametrization:
    """Gᵀ H: both matrices are moved along their rows, and the first one by the contragredient."""
    n, m, h = st.dims("n m h")
    return st.Parametrization(st.param("G", h, n).T @ st.param("H", h, m), name="rows_against_rows")


def fixed_layer() -> st.Parametrization:
    """A shift of b that c makes up for through a constant matrix."""
    d, h, k = st.dims("d h k")
    x, W0 = st.input("x", d), st.constant("W0", k, h)
    hidden = st.param("A", h, d) @ x + st.param("b", h)
    return st.Parametrization(W0 @ hidden + st.param("c", k), name="fixed_layer")


def _entry(name: str) -> Callable[[], st.Parametrization]:
    return lambda: catalog.load(name)


SIZES: dict[str, tuple[Callable[[], st.Parametrization], dict[str, int]]] = {
    "low_rank": (_entry("low_rank"), {"n": 4, "m": 3, "h": 2}),
    "rows_against_rows": (rows_against_rows, {"n": 4, "m": 3, "h": 2}),
    "lora": (_entry("lora"), {"d": 3, "k": 4, "r": 2}),
    "deep_linear": (_entry("deep_linear"), {"d": 3, "h1": 4, "h2": 2, "k": 3}),
    "deep_relu": (_entry("deep_relu"), {"d": 3, "h1": 4, "h2": 2, "k": 3}),
    "multihead_attention": (_entry("multihead_attention"), {"n": 3, "d": 4, "heads": 2, "h": 3}),
    "heads_with_an_axis": (heads_with_an_axis, {"n": 3, "d": 4, "heads": 3, "h": 2}),
    "grouped_query_attention": (_entry("grouped_query_attention"), {"n": 2, "d": 3, "groups": 2, "r": 3, "h": 2}),
    "softmax_classifier": (_entry("softmax_classifier"), {"d": 3, "k": 4}),
    "weight_norm": (_entry("weight_norm"), {"d": 3, "h": 4, "k": 2}),
    "convolution": (_entry("convolution"), {"channels": 2, "height": 4, "width": 3, "s": 2, "c": 3, "k": 2}),
    "layer_norm": (_entry("layer_norm"), {"d": 3, "h": 4, "k": 2}),
    "cp_decomposition": (_entry("cp_decomposition"), {"n": 2, "m": 3, "k": 4, "h": 2}),
    "mixture_of_experts": (_entry("mixture_of_experts"), {"d": 3, "m": 2, "h": 4, "k": 2}),
}
"""Name → the declaration at symbolic size, and sizes that tell its axes apart; all have charges."""

ALL = {**SIZES, "fixed_layer": (fixed_layer, {"d": 3, "h": 2, "k": 4})}
"""With one that has none."""


@cache
def declared(name: str) -> st.Parametrization:
    """Bound to its sizes."""
    make, sizes = ALL[name]
    return make().bind(**sizes)


@cache
def module(name: str) -> ModuleType:
    return st.generate(declared(name)).load()


def integers(shape: Shape) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


def arrays(shapes: Mapping[str, Shape], seed: int) -> Arrays:
    """Standard normal numbers of bound shapes."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(integers(shape)) for name, shape in shapes.items()}


def point(name: str, seed: int = 0) -> Arrays:
    return arrays(declared(name).parameters, seed)


def data(name: str, count: int, seed: int = 100) -> Tensors:
    """`count` samples of every input as (count, *shape), and the constants as they are."""
    graph = declared(name)
    constants = arrays(graph.constants, seed)
    inputs = [arrays(graph.inputs, seed + 1 + sample) for sample in range(count)]
    stacked = {key: np.stack([sample[key] for sample in inputs]) for key in graph.inputs}
    return tensors({**stacked, **constants})


def tensors(values: Mapping[str, np.ndarray], dtype: torch.dtype = torch.float64) -> Tensors:
    return {name: torch.as_tensor(value).to(dtype) for name, value in values.items()}


def stacked(values: list[Arrays]) -> Arrays:
    """Dicts of arrays as one dict with a first axis more."""
    return {name: np.stack([value[name] for value in values]) for name in values[0]}
