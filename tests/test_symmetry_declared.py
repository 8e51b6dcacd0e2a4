"""Symmetries that a user declares: verified, usable, or refused with the point where they fail."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from group_cases import declared, point, predict

import symtheory as st
from symtheory.errors import CalculusError, DeclarationError, SymmetryError


def _low_rank() -> st.Parametrization:
    return declared("low_rank")


G, H, A = st.param("G", 4, 2), st.param("H", 3, 2), st.constant("A", 2, 2)


def test_a_true_one_joins_the_group_and_acts() -> None:
    extended = _low_rank().with_symmetry("mine", {"G": -(G @ A), "H": H @ A.T})
    factor = extended.symmetries()["mine"]
    assert (factor.kind, factor.dimension, len(_low_rank().symmetries())) == ("declared", 4, 1)
    theta, rng = point("low_rank"), np.random.default_rng(0)
    g = factor.sample(rng)
    moved = factor.act(g, theta)
    assert np.abs(moved["G"] - theta["G"]).max() > 0.1
    np.testing.assert_allclose(predict("low_rank", moved), predict("low_rank", theta), rtol=1e-12, atol=1e-12)
    back = factor.act(factor.inverse(g), moved)
    np.testing.assert_allclose(back["H"], theta["H"], rtol=1e-12, atol=1e-12)
    assert factor.generators[0]["H"] == sp.MatrixSymbol("H", 3, 2) * sp.MatrixSymbol("A", 2, 2).T


def test_a_false_one_is_refused_with_the_point() -> None:
    with pytest.raises(SymmetryError) as refusal:
        _low_rank().with_symmetry("wrong", {"G": G @ A, "H": H @ A.T})
    message = str(refusal.value)
    assert message.startswith("'wrong' is no symmetry: entry [0, 0] of the predictor moves at the rate ")
    for name in ("G = [[", "H = [[", "A = [["):
        assert name in message
    assert "\n" not in message


def test_one_that_fails_at_one_entry_only_is_refused() -> None:
    u, v, t = st.param("u", 3), st.param("v", 3), st.constant("t", 3)
    mask = st.Parametrization(u * v, name="product")
    mask.with_symmetry("good", {"u": u * t, "v": -(v * t)})
    with pytest.raises(SymmetryError, match=r"entry \[0\] of the predictor"):
        mask.with_symmetry("bad", {"u": u * t, "v": -(v * t) * st.constant("t", 3)})


def test_transcendental_graphs_are_tested_to_many_digits() -> None:
    x, t = st.input("x", 3), st.constant("t", 1, 3)
    W = st.param("W", 4, 3)
    net = st.Parametrization(st.softmax(W @ x), name="scores")
    net.with_symmetry("shift", {"W": W * 0 + t})
    with pytest.raises(SymmetryError, match="'stretch' is no symmetry"):
        net.with_symmetry("stretch", {"W": W * t})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"G": -G, "H": H}, "must depend on one st.constant that is not in the graph.*found none"),
        ({"G": G @ A, "H": H @ st.constant("B", 2, 2)}, "found A, B"),
        ({"G": st.param("Z", 4, 2) @ A}, "uses 'Z', which is no parameter"),
        ({"K": G @ A}, "has no parameter 'K' to move"),
    ],
)
def test_fields_of_another_form_are_refused(changes: dict, reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason):
        _low_rank().with_symmetry("mine", changes)


def test_names_and_sizes() -> None:
    with pytest.raises(DeclarationError, match="has a symmetry factor 'GL' already"):
        _low_rank().with_symmetry("GL", {"G": -(G @ A), "H": H @ A.T})
    h = st.dims("h")
    U, S = st.param("U", 3, h), st.constant("S", h, h)
    with pytest.raises(DeclarationError, match="has unbound sizes: declare it on a bound graph"):
        st.Parametrization(U @ U.T, name="gram").with_symmetry("turn", {"U": U @ (S - S.T)})


def test_what_has_no_closed_form_says_so() -> None:
    factor = _low_rank().with_symmetry("mine", {"G": -(G @ A), "H": H @ A.T}).symmetries()["mine"]
    with pytest.raises(CalculusError, match="acts on arrays"):
        factor.act(sp.eye(2), {"G": sp.MatrixSymbol("G", 4, 2)})
    with pytest.raises(CalculusError, match="act with one after the other"):
        factor.compose(factor.identity(), factor.identity())
