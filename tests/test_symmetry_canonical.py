"""The balanced representative of an orbit: on the orbit, the same for all its points, balanced, and shortest."""

from __future__ import annotations

import numpy as np
import pytest
from group_cases import NAMES, declared, point, predict

import symtheory as st
from symtheory.errors import DomainError, ShapeError
from symtheory.symmetry.edge_group import EdgeGroup

# Sweeps settle to 1e-13 of the largest entry; coupled factors and square roots leave a few digits more.
SETTLED = 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_point_has_the_same_predictor(name: str) -> None:
    theta = point(name)
    moved = declared(name).symmetries().canonical(theta)
    assert {key: value.shape for key, value in moved.items()} == {key: value.shape for key, value in theta.items()}
    np.testing.assert_allclose(predict(name, moved), predict(name, theta), rtol=SETTLED, atol=SETTLED)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_all_points_of_an_orbit_have_one_canonical_point(name: str, seed: int) -> None:
    group, theta = declared(name).symmetries(), point(name, seed)
    other = group.act(group.sample(np.random.default_rng(seed), condition=30.0), theta)
    if len(group):
        assert max(np.abs(other[key] - theta[key]).max() for key in theta) > 1e-3
    first, second = group.canonical(theta), group.canonical(other)
    for key in theta:
        np.testing.assert_allclose(second[key], first[key], rtol=SETTLED, atol=SETTLED, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_points_of_different_orbits_stay_apart(name: str) -> None:
    group = declared(name).symmetries()
    first, second = (group.canonical(point(name, seed)) for seed in (1, 2))
    assert max(np.abs(first[key] - second[key]).max() for key in first) > 1e-3


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("difference", "rms_norm", "layer_norm")])
def test_charges_vanish_at_the_canonical_point(name: str) -> None:
    """A difference of squares and a scale-invariant net have none with zero charge: u² − v² = w and ‖W‖ > 0."""
    canonical = declared(name).symmetries().canonical(point(name))
    for factor in declared(name).symmetries():
        for key, charge in factor.charge_values(canonical).items():
            assert np.abs(charge).max() < SETTLED, f"{key} {charge}"


@pytest.mark.parametrize("name", ["product", "low_rank", "chain", "tied_chain", "relu", "cubic", "heads_as_axis"])
def test_no_sampled_point_of_the_orbit_is_shorter(name: str) -> None:
    group, rng = declared(name).symmetries(), np.random.default_rng(5)
    canonical = group.canonical(point(name))
    shortest = sum((value**2).sum() for value in canonical.values())
    for _ in range(20):
        moved = group.act(group.sample(rng, condition=2.0), canonical)
        assert sum((value**2).sum() for value in moved.values()) > shortest


def test_rows_of_the_balanced_factors_are_the_singular_vectors() -> None:
    """G Hᵀ = U S Vᵀ has the canonical factors U √S and V √S, largest singular value first."""
    theta = point("low_rank")
    canonical = declared("low_rank").symmetries().canonical(theta)
    values = np.linalg.svd(theta["G"] @ theta["H"].T, compute_uv=False)[:2]
    for key in ("G", "H"):
        np.testing.assert_allclose(canonical[key].T @ canonical[key], np.diag(values), atol=SETTLED)


def test_balanced_products_have_equal_factors() -> None:
    theta = point("product")
    canonical = declared("product").symmetries().canonical(theta)
    np.testing.assert_allclose(np.abs(canonical["u"]), np.sqrt(np.abs(theta["u"] * theta["v"])), rtol=SETTLED)
    np.testing.assert_array_equal(np.sign(canonical["u"]), np.sign(theta["u"]))


def test_the_condition_of_sampled_matrices_is_bounded() -> None:
    (factor,) = declared("low_rank").symmetries()
    conditions = [np.linalg.cond(factor.sample(np.random.default_rng(seed), condition=50.0)) for seed in range(200)]
    assert max(conditions) <= 50.0 * (1 + 1e-9)
    assert max(conditions) > 10.0


def test_an_orbit_without_a_shortest_point_is_refused_by_name() -> None:
    group = declared("low_rank").symmetries()
    flat = {**point("low_rank"), "H": np.zeros((3, 2))}
    with pytest.raises(DomainError, match=r"^'GL' on edge R\^2 \(G axis 1, H axis 1\): a Gram matrix has no full rank"):
        group.canonical(flat)
    dead = {**point("relu"), "V": np.zeros((2, 4))}
    with pytest.raises(DomainError, match=r"^'rescaling' on .*: what it rescales is zero here"):
        declared("relu").symmetries().canonical(dead)
    A, B = st.param("A", 2, 2), st.param("B", 2, 2)
    tied = st.Parametrization(st.param("L", 1, 2) @ A @ A @ B, name="tied").symmetries()
    nilpotent = {"L": np.zeros((1, 2)), "A": np.array([[0.0, 1.0], [0.0, 0.0]]), "B": np.zeros((2, 2))}
    with pytest.raises(DomainError, match=r"the norm has no minimum on the orbit|zero here|no full rank"):
        tied.canonical(nilpotent)


def test_scale_invariant_parameters_get_norm_one() -> None:
    canonical = declared("rms_norm").symmetries().canonical(point("rms_norm"))
    assert np.linalg.norm(canonical["W"]) == pytest.approx(1.0, abs=SETTLED)


def test_rotations_that_fix_the_ones_vector_do_so() -> None:
    factor = next(f for f in declared("layer_norm").symmetries() if f.kind == "O_fixing_ones")
    assert isinstance(factor, EdgeGroup)
    for seed in range(5):
        g = factor.sample(np.random.default_rng(seed))
        np.testing.assert_allclose(g @ np.ones(4), np.ones(4), atol=1e-12)
        np.testing.assert_allclose(g @ g.T, np.eye(4), atol=1e-12)
        assert np.abs(g - np.eye(4)).max() > 0.1


def test_arrays_of_another_shape_are_refused() -> None:
    group = declared("low_rank").symmetries()
    wrong = {"G": np.ones((2, 2)), "H": np.ones((3, 2))}
    for refused in (group.canonical, lambda theta: group.act({"GL": np.eye(2)}, theta)):
        with pytest.raises(ShapeError, match=r"^'G' has the shape \(2, 2\) and is declared as \(4, 2\)$"):
            refused(wrong)
    with pytest.raises(ShapeError, match=r"^the point lacks the parameter 'H' \(3, 2\)$"):
        group.canonical({"G": np.ones((4, 2))})


def test_plain_numbers_are_points_too() -> None:
    group = st.Parametrization(st.param("u") * st.param("v"), name="scalars").symmetries()
    canonical = group.canonical({"u": 2.0, "v": np.float64(8.0)})
    assert float(canonical["u"]) == pytest.approx(4.0)
    moved = group.act({"rescaling": np.array([0.5])}, {"u": 2.0, "v": 8.0})
    assert float(moved["u"]) == pytest.approx(2.0 * np.exp(0.5))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["layer_norm", "affine_layers"])
def test_signs_are_fixed_on_every_orbit(name: str, seed: int) -> None:
    """Rotations that fix the ones vector leave signs of their own, and a shift can bring the leading rows to zero."""
    group, theta = declared(name).symmetries(), point(name, seed)
    other = group.act(group.sample(np.random.default_rng(seed + 50)), theta)
    first, second = group.canonical(theta), group.canonical(other)
    for key in theta:
        np.testing.assert_allclose(second[key], first[key], rtol=1e-7, atol=1e-7, err_msg=key)
