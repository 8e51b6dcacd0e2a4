"""Catalog entries: their names, shapes, formulas, one-line descriptions, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from catalog_cases import CLAIMS

import symtheory as st
from symtheory import catalog
from symtheory.catalog.depth_product import product_of
from symtheory.errors import DeclarationError

Point = Mapping[str, np.ndarray]

# Entries are sums of at most a few hundred products of numbers of order one.
ROUNDING = 1e-12

SHAPES = {
    "hadamard": "u (d,), v (d,)",
    "squared_difference": "u (d,), v (d,)",
    "depth_product": "u1 (d,), u2 (d,), u3 (d,)",
    "total_variation": "u (d,), v (d,)",
    "low_rank": "G (n, h), H (m, h)",
    "tied_product": "U (n, h)",
    "cp_decomposition": "A (n, h), B (m, h), C (k, h)",
    "lora": "A (r, d), B (k, r)",
    "deep_linear": "W1 (h1, d), b1 (h1,), W2 (h2, h1), b2 (h2,), W3 (k, h2), b3 (k,)",
    "state_space": "A (h, h), B (h, d), C (k, h)",
    "softmax_classifier": "W (k, d), b (k,)",
    "shallow_relu": "W (h, d), V (k, h)",
    "superposition": "W (h, d), b (d,)",
    "deep_relu": "W1 (h1, d), b1 (h1,), W2 (h2, h1), b2 (h2,), W3 (k, h2), b3 (k,)",
    "leaky_relu": "W (h, d), b (h,), V (k, h), c (k,)",
    "quadratic": "W (h, d), v (h,)",
    "monomial": "W (h, d), V (k, h)",
    "curved_valley": "s (), x ()",
    "tanh_net": "W (h, d), b (h,), V (k, h), c (k,)",
    "bilinear": "W (h, d), U (h, d), V (k, h)",
    "swiglu": "W (h, d), U (h, d), V (k, h)",
    "convolution": "K (c, channels, s, s), b (c,), V (k, c)",
    "weight_norm": "W (h, d), g (h,), b (h,), V (k, h)",
    "batch_norm": "W (h, d), b (h,), gamma (h,), beta (h,), V (k, h)",
    "rms_norm": "W (h, d), V (k, h)",
    "rms_norm_gain": "W (h, d), gamma (h,), V (k, h)",
    "layer_norm": "W (h, d), b (h,), V (k, h), c (k,)",
    "layer_norm_affine": "W (h, d), b (h,), gamma (h,), beta (h,), V (k, h), c (k,)",
    "linear_attention": "Wq (d, h), Wk (d, h), Wv (d, h), Wo (h, d)",
    "attention": "Wq (d, h), bq (h,), Wk (d, h), bk (h,), Wv (d, h), bv (h,), Wo (h, d), bo (d,)",
    "multihead_attention": (
        "Wq (d, h*heads), bq (h*heads,), Wk (d, h*heads), bk (h*heads,), Wv (d, h*heads), bv (h*heads,), "
        "Wo (h*heads, d), bo (d,)"
    ),
    "grouped_query_attention": (
        "Wq (groups, r, d, h), Wk (groups, 1, d, h), Wv (groups, 1, d, h), Wo (groups, r, h, d)"
    ),
    "residual": "E (d, v), W1 (h, d), W2 (d, h), U (k, d)",
    "residual_rms_norm": "E (d, v), W1 (h, d), W2 (d, h), U (k, d)",
    "residual_layer_norm": "E (d, v), W1 (h, d), W2 (d, h), U (k, d)",
    "tied_embedding": "E (v, d), W1 (h, d), W2 (d, h)",
    "mixture_of_experts": "R (m, d), W1 (m, h, d), W2 (m, k, h)",
    "transformer": "E (v, d), Wq (d, h), Wk (d, h), Wv (d, h), Wo (h, d), W1 (d, m), W2 (m, d), U (d, v)",
}


def relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def softmax(z: np.ndarray) -> np.ndarray:
    weights = np.exp(z)
    return weights / weights.sum(axis=-1, keepdims=True)


def rms_norm(z: np.ndarray) -> np.ndarray:
    return z / np.sqrt(np.mean(z**2, axis=-1, keepdims=True))


def layer_norm(z: np.ndarray, axis: int = -1) -> np.ndarray:
    return (z - z.mean(axis=axis, keepdims=True)) / z.std(axis=axis, keepdims=True)


def hidden(p: Point) -> np.ndarray:
    return p["W"] @ p["x"] + p.get("b", 0)


def layers(p: Point, activation: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    z = activation(p["W1"] @ p["x"] + p["b1"])
    return p["W3"] @ activation(p["W2"] @ z + p["b2"]) + p["b3"]


def unchanged(z: np.ndarray) -> np.ndarray:
    return z


def stream(p: Point, norm: Callable[[np.ndarray], np.ndarray], embedded: np.ndarray) -> np.ndarray:
    return norm(embedded + p["W2"] @ relu(p["W1"] @ norm(embedded)))


def convolution(p: Point) -> np.ndarray:
    K, x, places = p["K"], p["x"], np.ndindex(p["x"].shape[1] - 1, p["x"].shape[2] - 1)
    stretches = [np.tensordot(K, x[:, i : i + 2, j : j + 2], 3) + p["b"] for i, j in places]
    return p["V"] @ relu(np.array(stretches)).sum(axis=0)


def attend(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return softmax(Q @ K.T / np.sqrt(Q.shape[1])) @ V


def head(p: Point, own: slice) -> np.ndarray:
    Q, K, V = (p["X"] @ p["W" + letter][:, own] + p["b" + letter][own] for letter in "qkv")
    return attend(Q, K, V) @ p["Wo"][own]


def grouped_query_attention(p: Point) -> np.ndarray:
    Wq, Wk, Wv, Wo, X = p["Wq"], p["Wk"], p["Wv"], p["Wo"], p["X"]
    places = np.ndindex(Wq.shape[:2])
    return np.sum([attend(X @ Wq[g, r], X @ Wk[g, 0], X @ Wv[g, 0]) @ Wo[g, r] for g, r in places], axis=0)


def mixture_of_experts(p: Point) -> np.ndarray:
    experts = [W2 @ relu(W1 @ p["x"]) for W1, W2 in zip(p["W1"], p["W2"], strict=True)]
    return softmax(p["R"] @ p["x"]) @ np.stack(experts)


def transformer(p: Point) -> np.ndarray:
    s = p["X"] @ p["E"]
    z = rms_norm(s)
    s = s + attend(z @ p["Wq"], z @ p["Wk"], z @ p["Wv"]) @ p["Wo"]
    s = s + relu(rms_norm(s) @ p["W1"]) @ p["W2"]
    return rms_norm(s) @ p["U"]


FORMULAS: dict[str, Callable[[Point], np.ndarray]] = {
    "hadamard": lambda p: p["u"] * p["v"],
    "squared_difference": lambda p: p["u"] ** 2 - p["v"] ** 2,
    "depth_product": lambda p: p["u1"] * p["u2"] * p["u3"],
    "total_variation": lambda p: np.cumsum(p["u"] * p["v"]),
    "low_rank": lambda p: p["G"] @ p["H"].T,
    "tied_product": lambda p: p["U"] @ p["U"].T,
    "cp_decomposition": lambda p: np.einsum("ir,jr,kr->ijk", p["A"], p["B"], p["C"]),
    "lora": lambda p: p["W0"] @ p["x"] + p["B"] @ (p["A"] @ p["x"]),
    "deep_linear": lambda p: layers(p, unchanged),
    "state_space": lambda p: p["C"] @ (p["A"] @ (p["A"] @ p["B"] @ p["x1"] + p["B"] @ p["x2"]) + p["B"] @ p["x3"]),
    "softmax_classifier": lambda p: softmax(hidden(p)),
    "shallow_relu": lambda p: p["V"] @ relu(hidden(p)),
    "superposition": lambda p: relu(p["W"].T @ p["W"] @ p["x"] + p["b"]),
    "deep_relu": lambda p: layers(p, relu),
    "leaky_relu": lambda p: p["V"] @ (relu(hidden(p)) - relu(-hidden(p)) / 100) + p["c"],
    "quadratic": lambda p: p["v"] @ hidden(p) ** 2,
    "monomial": lambda p: p["V"] @ hidden(p) ** 3,
    "curved_valley": lambda p: (1 + p["s"]) * p["x"] ** 2 / 2 - p["s"] / 8,
    "tanh_net": lambda p: p["V"] @ np.tanh(hidden(p)) + p["c"],
    "bilinear": lambda p: p["V"] @ (hidden(p) * (p["U"] @ p["x"])),
    "swiglu": lambda p: p["V"] @ (hidden(p) / (1 + np.exp(-hidden(p))) * (p["U"] @ p["x"])),
    "convolution": convolution,
    "weight_norm": lambda p: p["V"] @ relu(p["g"] * (p["W"] @ p["x"]) / np.linalg.norm(p["W"], axis=1) + p["b"]),
    "batch_norm": lambda p: relu(p["gamma"] * layer_norm(p["X"] @ p["W"].T + p["b"], axis=0) + p["beta"]) @ p["V"].T,
    "rms_norm": lambda p: p["V"] @ rms_norm(hidden(p)),
    "rms_norm_gain": lambda p: p["V"] @ (p["gamma"] * rms_norm(hidden(p))),
    "layer_norm": lambda p: p["V"] @ layer_norm(hidden(p)) + p["c"],
    "layer_norm_affine": lambda p: p["V"] @ (p["gamma"] * layer_norm(hidden(p)) + p["beta"]) + p["c"],
    "linear_attention": lambda p: p["X"] @ p["Wq"] @ (p["X"] @ p["Wk"]).T @ (p["X"] @ p["Wv"] @ p["Wo"]),
    "attention": lambda p: head(p, slice(None)) + p["bo"],
    "multihead_attention": lambda p: head(p, slice(0, 2)) + head(p, slice(2, 4)) + p["bo"],
    "grouped_query_attention": grouped_query_attention,
    "residual": lambda p: p["U"] @ stream(p, unchanged, p["E"] @ p["x"]),
    "residual_rms_norm": lambda p: p["U"] @ stream(p, rms_norm, p["E"] @ p["x"]),
    "residual_layer_norm": lambda p: p["U"] @ stream(p, layer_norm, p["E"] @ p["x"]),
    "tied_embedding": lambda p: p["E"] @ stream(p, unchanged, p["E"].T @ p["x"]),
    "mixture_of_experts": mixture_of_experts,
    "transformer": transformer,
}
"""What the entries are, by hand, in numpy; at the sizes of their claims."""

names = pytest.mark.parametrize("name", catalog.NAMES)


def test_names_are_the_files_of_the_folder() -> None:
    files = {path.stem for path in Path(catalog.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(catalog.NAMES) == files == set(SHAPES) == set(FORMULAS) == set(CLAIMS)
    assert len(catalog.NAMES) == len(files)


@names
def test_entry_has_its_name_and_shapes(name: str) -> None:
    entry = catalog.load(name)
    assert isinstance(entry, st.Parametrization)
    assert entry.name == name
    assert {leaf: str(shape) for leaf, shape in entry.parameters.items()} == dict(
        re.findall(r"(\w+) (\(.*?\))", SHAPES[name])
    )
    assert catalog.load(name) is entry


@names
def test_entry_computes_its_formula(name: str) -> None:
    bound = catalog.load(name).bind(**CLAIMS[name].sizes)
    leaves = {**bound.parameters, **bound.inputs, **bound.constants}
    generator = np.random.default_rng(0)
    values = {leaf: generator.normal(size=tuple(int(size) for size in shape)) for leaf, shape in leaves.items()}
    model = st.generate(bound).load()
    torch = pytest.importorskip("torch")
    tensors = {leaf: torch.from_numpy(value) for leaf, value in values.items()}
    point = {leaf: tensors.pop(leaf) for leaf in bound.parameters}
    computed = model.predictor(point, **tensors)
    np.testing.assert_allclose(computed.numpy(), FORMULAS[name](values), rtol=ROUNDING, atol=ROUNDING)


@names
def test_summary_is_one_sentence(name: str) -> None:
    text = catalog.summary(name)
    assert text.endswith(".")
    assert 20 < len(text) < 120
    assert "\n" not in text


def test_unknown_name_is_refused_with_the_choices() -> None:
    for refused in (catalog.load, catalog.summary):
        with pytest.raises(DeclarationError, match=r"^the catalog has no 'hadamrd': it has hadamard, squared_diff"):
            refused("hadamrd")


def test_names_of_modules_outside_the_catalog_are_not_imported() -> None:
    with pytest.raises(DeclarationError):
        catalog.load("__init__")


@pytest.mark.parametrize("k", [1, 2, 5])
def test_product_of_any_number_of_factors(k: int) -> None:
    product = product_of(k)
    assert list(product.parameters) == [f"u{index}" for index in range(1, k + 1)]
    assert len(product.conserved()) == k - 1


@pytest.mark.parametrize("k", [0, -1])
def test_a_product_of_nothing_is_refused(k: int) -> None:
    with pytest.raises(DeclarationError, match=f"needs at least one factor, not {k}"):
        product_of(k)
