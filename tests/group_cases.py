"""Bound declarations with groups of every kind, and values for their leaves."""

from __future__ import annotations

from functools import cache

import numpy as np

import symtheory as st
from symtheory.graph.node import Node


def _heads(z: Node) -> Node:
    return z.reshape(3, 2, 2).transpose(1, 0, 2)


def _multihead() -> Node:
    X = st.input("X", 3, 3)
    Q, K, V = (_heads(X @ st.param(f"W{c}", 3, 4) + st.param(f"b{c}", 4)) for c in "qkv")
    joined = (st.softmax(Q @ K.T) @ V).transpose(1, 0, 2).reshape(3, 4)
    return joined @ st.param("Wo", 4, 3) + st.param("bo", 3)


def _heads_as_axis() -> Node:
    X = st.input("X", 3, 4)
    Q, K, V = (X @ st.param(f"W{c}", 2, 4, 2) for c in "qkv")
    return (st.softmax(Q @ K.T) @ V @ st.param("Wo", 2, 2, 3)).sum(0)


def _nodes() -> dict[str, Node]:
    x = st.input("x", 3)
    return {
        "product": st.param("u", 3) * st.param("v", 3),
        "difference": st.param("u", 3) ** 2 - st.param("v", 3) ** 2,
        "low_rank": st.param("G", 4, 2) @ st.param("H", 3, 2).T,
        "chain": st.param("A", 3, 2) @ st.param("B", 2, 2) @ st.param("C", 2, 3),
        "tied_chain": st.param("A", 3, 2) @ st.param("B", 2, 2) @ st.param("B", 2, 2) @ st.param("C", 2, 3),
        "gram": st.param("U", 4, 3) @ st.param("U", 4, 3).T,
        "relu": st.param("V", 2, 4) @ st.relu(st.param("W", 4, 3) @ x + st.param("b", 4)) + st.param("c", 2),
        "cubic": st.param("V", 2, 4) @ (st.param("W", 4, 3) @ x) ** 3,
        "affine_layers": st.param("V", 2, 2) @ (st.param("W", 2, 3) @ x + st.param("b", 2)) + st.param("c", 2),
        "classifier": st.softmax(st.param("W", 4, 3) @ x + st.param("b", 4)),
        "two_biases": st.param("W", 3, 3) @ x + st.param("b", 3) + 2 * st.param("c", 3),
        "layer_norm": st.param("V", 2, 4) @ st.layer_norm(st.param("W", 4, 3) @ x),
        "rms_norm": st.param("V", 2, 4) @ st.rms_norm(st.param("W", 4, 3) @ x),
        "tanh": st.param("V", 2, 4) @ st.tanh(st.param("W", 4, 3) @ x),
        "multihead": _multihead(),
        "heads_as_axis": _heads_as_axis(),
        "transposed": st.param("M", 2, 3).T * st.param("N", 3, 2),
    }


@cache
def declared(name: str) -> st.Parametrization:
    return st.Parametrization(_nodes()[name], name=name)


NAMES = tuple(_nodes())


def point(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Standard normal values of all parameters."""
    rng = np.random.default_rng(seed)
    return {
        key: rng.standard_normal(tuple(int(size) for size in shape)) for key, shape in declared(name).parameters.items()
    }


def inputs(name: str, seed: int = 100) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        key: rng.standard_normal(tuple(int(size) for size in shape)) for key, shape in declared(name).inputs.items()
    }


def predict(name: str, theta: dict[str, np.ndarray], seed: int = 100) -> np.ndarray:
    """The predictor by the SymPy meaning of its operations, in floats."""
    from graph_oracles import exact_value

    value = exact_value(declared(name), {**theta, **inputs(name, seed)})
    return np.asarray(value, dtype=np.float64)
