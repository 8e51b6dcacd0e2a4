"""Permutations and sign flips: each leaves the predictor, and none is listed that a continuous factor contains."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from group_cases import NAMES, declared, point, predict

import symtheory as st
from symtheory.symmetry.discrete import DiscreteSymmetry

EXPECTED = {
    "product": ["sign flips (3,) (u axis 0, v axis 0)"],
    "difference": ["sign flips (3,) (u axis 0)", "sign flips (3,) (v axis 0)"],
    "low_rank": [],
    "chain": [],
    "tied_chain": ["sign flip (B)"],  # (A, C) is −1 of GL(2)
    "gram": [],
    "relu": ["permutations of R^4 (V axis 1, W axis 0, b axis 0)"],
    "cubic": ["permutations of R^4 (V axis 1, W axis 0)", "sign flips (4,) (V axis 1, W axis 0)"],
    "affine_layers": [],
    "classifier": [],
    "two_biases": [],
    "layer_norm": ["sign flip (V, W)"],  # permutations are rotations that fix the ones vector
    "rms_norm": [],
    "tanh": ["permutations of R^4 (V axis 1, W axis 0)", "sign flips (4,) (V axis 1, W axis 0)"],
    "heads_as_axis": ["permutations of R^2 (Wq axis 0, Wk axis 0, Wv axis 0, Wo axis 0)"],
    "transposed": ["sign flips (2, 3) (M axis 0 and axis 1, N axis 1 and axis 0)"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_listed_symmetries(name: str) -> None:
    assert [str(symmetry) for symmetry in declared(name).symmetries().discrete] == EXPECTED[name]


def test_heads_cut_by_a_reshape_are_permuted_as_parts_of_axes() -> None:
    (heads,) = declared("multihead").symmetries().discrete
    assert (heads.kind, heads.element_shape, heads.order) == ("permutation", (2,), 2)
    assert str(heads).startswith("permutations of R^2 (Wq axis 1 part 1 of 2, bq axis 0 part 1 of 2, ")


def test_units_of_every_expert_are_permuted_by_themselves() -> None:
    x = st.input("x", 3)
    W, V, R = st.param("W", 2, 4, 3), st.param("V", 2, 3, 4), st.param("R", 2, 3)
    outputs = V @ st.relu(W @ x).reshape(2, 4, 1)
    mixture = st.Parametrization((st.softmax(R @ x).reshape(2, 1, 1) * outputs).sum(0), name="mixture")
    units, experts = mixture.symmetries().discrete
    assert str(units) == "permutations of R^4, one for each index of (2,), (V axis 2, W axis 1)"
    assert (units.element_shape, units.order) == ((2, 4), 24**2)
    assert str(experts) == "permutations of R^2 (R axis 0, V axis 0, W axis 0)"


def elements(symmetry: DiscreteSymmetry) -> list[np.ndarray]:
    """Generators: every transposition with entry 0 in one copy, or every single flip."""
    shape = tuple(int(size) for size in symmetry.element_shape)
    if symmetry.kind == "sign_flip":
        flips = []
        for index in np.ndindex(shape):
            g = np.ones(shape)
            g[index] = -1.0
            flips.append(g)
        return flips
    swaps = []
    for copy in np.ndindex(shape[:-1]):
        for index in range(1, shape[-1]):
            g = np.broadcast_to(np.arange(shape[-1]), shape).copy()
            g[(*copy, 0)], g[(*copy, index)] = index, 0
            swaps.append(g)
    return swaps


@pytest.mark.parametrize("name", NAMES)
def test_every_element_leaves_the_predictor(name: str) -> None:
    theta = point(name)
    before = predict(name, theta)
    for symmetry in declared(name).symmetries().discrete:
        for g in elements(symmetry):
            moved = symmetry.act(g, theta)
            assert any(np.any(moved[key] != theta[key]) for key in theta)
            np.testing.assert_allclose(predict(name, moved), before, rtol=1e-12, atol=1e-12)


SIGNED = ["product", "difference", "cubic", "tanh", "relu", "layer_norm", "tied_chain"]


def _listed_flips(name: str) -> set[tuple[float, ...]]:
    """Signs of whole parameters that the listed flips and −1 in the changes of basis generate."""
    ones = {key: np.ones_like(value) for key, value in point(name).items()}
    group = declared(name).symmetries()
    moved = [s.act(-np.ones(tuple(map(int, s.element_shape))), ones) for s in group.discrete if s.kind == "sign_flip"]
    moved += [factor.act(-factor.identity(), ones) for factor in group if factor.kind in ("GL", "O")]
    flips = {tuple(1.0 for _ in ones)}
    for image in moved:
        signs = tuple(float(np.sign(value.ravel()[0])) for value in image.values())
        flips |= {tuple(a * b for a, b in zip(flip, signs, strict=True)) for flip in flips}
    return flips


@pytest.mark.parametrize("name", SIGNED)
def test_no_flip_of_whole_parameters_is_forgotten(name: str) -> None:
    """Brute force over all signs of whole parameters against the flips listed and those of the continuous factors."""
    theta, names = point(name), list(declared(name).parameters)
    before = predict(name, theta)
    kept = {
        signs
        for signs in product([1.0, -1.0], repeat=len(names))
        if np.allclose(
            predict(name, {key: sign * theta[key] for key, sign in zip(names, signs, strict=True)}),
            before,
            rtol=1e-9,
            atol=1e-9,
        )
    }
    assert kept == _listed_flips(name)


def test_an_input_axis_is_not_permuted() -> None:
    x = st.input("x", 3)
    assert st.Parametrization(st.relu(st.param("W", 3, 3) @ x) * x, name="gated").symmetries().discrete == ()
