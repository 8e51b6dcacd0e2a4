"""Declared graphs, points and expected refusals for the tests of symtheory.testing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symtheory as st
from symtheory.symmetry.group import SymmetryGroup
from symtheory.testing.arrays import generic_arrays

P = st.Parametrization


def low_rank() -> P:
    return P(st.param("G", 3, 2) @ st.param("H", 4, 2).T, name="low_rank")


def relu_net() -> P:
    hidden = st.relu(st.param("W", 3, 2) @ st.input("x", 2) + st.param("b", 3))
    return P(st.param("V", 2, 3) @ hidden + st.param("c", 2), name="relu_net")


def deep_linear() -> P:
    hidden = st.param("W1", 2, 3) @ st.input("x", 3) + st.param("b1", 2)
    return P(st.param("W2", 3, 2) @ hidden + st.param("b2", 3), name="deep_linear")


def attention_of_stacked_heads() -> P:
    X = st.input("X", 3, 2)
    query, key, value = (X @ st.param(name, 2, 2, 2) for name in ("Q", "K", "V"))
    mixed = st.softmax(query @ key.transpose(0, 2, 1)) @ value
    return P((mixed @ st.param("O", 2, 2, 2)).sum(0), name="stacked_heads")


def attention_of_reshaped_heads() -> P:
    X = st.input("X", 3, 2)
    query, key, value = ((X @ st.param(name, 2, 4)).reshape(3, 2, 2).transpose(1, 0, 2) for name in ("Q", "K", "V"))
    mixed = st.softmax(query @ key.transpose(0, 2, 1)) @ value
    return P(mixed.transpose(1, 0, 2).reshape(3, 4) @ st.param("O", 4, 2), name="reshaped_heads")


def softmax_classifier() -> P:
    return P(st.softmax(st.param("W", 3, 2) @ st.input("x", 2) + st.param("b", 3)), name="softmax_classifier")


def layer_norm_net() -> P:
    normed = st.layer_norm(st.param("W", 3, 2) @ st.input("x", 2) + st.param("b", 3))
    return P(st.param("V", 2, 3) @ (st.param("gain", 3) * normed), name="layer_norm_net")


def hadamard() -> P:
    return P(st.param("u", 3) * st.param("v", 3), name="hadamard")


def squared_difference() -> P:
    return P(st.param("u", 2) ** 2 - st.param("v", 2) ** 2, name="squared_difference")


def normalized() -> P:
    return P(st.normalize(st.param("w", 4)) @ st.input("x", 4), name="normalized")


def tied() -> P:
    U = st.param("U", 4, 3)
    return P(U @ U.T, name="tied")


def convolution() -> P:
    hidden = st.relu(st.conv(st.param("K", 2, 1, 2), st.input("x", 1, 4)))
    return P(st.param("V", 2, 6) @ hidden.reshape(6), name="convolution")


def shift_by_a_constant() -> P:
    """The shift of u is made up for by one of v that depends on the constant."""
    return P(st.param("u", 3) * st.constant("c", 3) + st.param("v", 3), name="shift_by_a_constant")


DECLARED: dict[str, Callable[[], P]] = {
    declare.__name__: declare
    for declare in (
        low_rank,
        relu_net,
        deep_linear,
        attention_of_stacked_heads,
        attention_of_reshaped_heads,
        softmax_classifier,
        layer_norm_net,
        hadamard,
        squared_difference,
        normalized,
        tied,
        convolution,
    )
}


def point_of(graph: P, seed: int = 1) -> dict[str, np.ndarray]:
    """Positive, so that every hidden unit is on."""
    return generic_arrays(graph.parameters, seed, positive=True)


def data_of(graph: P, seed: int = 2) -> dict[str, np.ndarray]:
    return generic_arrays({**graph.inputs, **graph.constants}, seed, positive=True)


def element_of(group: SymmetryGroup, seed: int = 3) -> dict[str, np.ndarray]:
    return group.sample(np.random.default_rng(seed))


DEVIATION = r"relative deviation \d\.\d\de[+-]\d\d, tolerance 1e-08"


def refused(law: str, *words: str) -> Any:
    """The message names the law, the words in this order, and a deviation far above rounding."""
    return pytest.raises(AssertionError, match=".*".join(map(re.escape, (law, *words))))


def assert_deviation(error: pytest.ExceptionInfo[AssertionError], smallest: float = 1e-3) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert re.search(DEVIATION, message), message
    assert float(message.split("relative deviation ")[1].split(",")[0]) > smallest
