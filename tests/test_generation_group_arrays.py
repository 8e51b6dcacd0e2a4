"""Generated action, inverse, composition and charges of groups on whole arrays against the NumPy ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from array_cases import (
    ALL,
    SIZES,
    Arrays,
    Tensors,
    arrays,
    data,
    declared,
    fixed_layer,
    heads_with_an_axis,
    module,
    point,
    stacked,
    tensors,
)

import symtheory as st
from symtheory.errors import CodegenError

BATCH = 4

TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-4}
"""Some hundred roundings (1.1e-16 and 6e-8) of entries that a group element of condition 10 makes larger."""

names = pytest.mark.parametrize("name", ALL)
dtypes = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


def elements(name: str, seed: int) -> Arrays:
    return declared(name).symmetries().sample(np.random.default_rng(seed))


def constants(name: str) -> Arrays:
    return arrays(declared(name).constants, 100)


def act(name: str) -> Callable[[Tensors, Tensors], Tensors]:
    """The generated action, with the constants that it asks for."""
    function = module(name).act
    fixed = {key: value for key, value in constants(name).items() if key in inspect.signature(function).parameters}

    def acted(theta: Tensors, g: Tensors) -> Tensors:
        dtype = next(iter(theta.values())).dtype
        return function(theta, g, **tensors(fixed, dtype))

    return acted


def numpy_act(name: str, theta: Arrays, g: Arrays) -> Arrays:
    moved = declared(name).symmetries().act(g, {**constants(name), **theta})
    return {key: moved[key] for key in theta}


def numpy_charges(name: str, theta: Arrays) -> Arrays:
    return {key: value for factor in declared(name).symmetries() for key, value in factor.charge_values(theta).items()}


def assert_close(actual: Tensors, expected: Arrays, tolerance: float) -> None:
    assert list(actual) == list(expected)
    for key, value in expected.items():
        computed = np.broadcast_to(actual[key].to(torch.float64).numpy(), value.shape)
        # The largest entry sets the scale: entries that cancel keep the rounding of their terms.
        np.testing.assert_allclose(computed, value, rtol=0, atol=tolerance * max(1.0, np.abs(value).max()), err_msg=key)


@dtypes
@names
def test_act_moves_a_batch_of_points_by_a_batch_of_elements(name: str, dtype: torch.dtype) -> None:
    points, several = [point(name, seed) for seed in range(BATCH)], [elements(name, seed) for seed in range(BATCH)]
    moved = act(name)(tensors(stacked(points), dtype), tensors(stacked(several), dtype))
    expected = stacked([numpy_act(name, *pair) for pair in zip(points, several, strict=True)])
    assert all(leaf.dtype == dtype for leaf in moved.values())
    assert_close(moved, expected, TOLERANCES[dtype])


@names
def test_act_moves_one_point_by_several_elements_and_several_points_by_one(name: str) -> None:
    points, several = [point(name, seed) for seed in range(BATCH)], [elements(name, seed) for seed in range(BATCH)]
    fan = act(name)(tensors(points[0]), tensors(stacked(several)))
    assert_close(fan, stacked([numpy_act(name, points[0], g) for g in several]), TOLERANCES[torch.float64])
    together = act(name)(tensors(stacked(points)), tensors(several[0]))
    assert_close(together, stacked([numpy_act(name, theta, several[0]) for theta in points]), TOLERANCES[torch.float64])


@names
def test_act_leaves_the_generated_predictor_as_it_is(name: str) -> None:
    points, several = [point(name, seed) for seed in range(BATCH)], [elements(name, seed) for seed in range(BATCH)]
    theta, samples = tensors(stacked(points)), data(name, BATCH)
    moved = act(name)(theta, tensors(stacked(several)))
    before, after = (module(name).predictor(value, **samples) for value in (theta, moved))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-9 * max(1.0, float(before.abs().max())))
    assert max(float((moved[key] - theta[key]).abs().max()) for key in theta) > 0.1


@dtypes
@names
def test_inverse_and_compose_are_those_of_every_factor(name: str, dtype: torch.dtype) -> None:
    left, right = ([elements(name, seed + first) for seed in range(BATCH)] for first in (0, 50))
    group, m = declared(name).symmetries(), module(name)
    g, h = tensors(stacked(left), dtype), tensors(stacked(right), dtype)
    inverses = [{f.name: f.inverse(element[f.name]) for f in group} for element in left]
    products = [
        {f.name: f.compose(one[f.name], other[f.name]) for f in group} for one, other in zip(left, right, strict=True)
    ]
    assert_close(m.inverse(g), stacked(inverses), TOLERANCES[dtype])
    assert_close(m.compose(g, h), stacked(products), TOLERANCES[dtype])
    # One element against several: (2, 2, 2) against (2, 2) is where a solver would read a matrix as vectors.
    assert_close(
        m.compose({k: v[0] for k, v in g.items()}, h),
        stacked([{f.name: f.compose(left[0][f.name], other[f.name]) for f in group} for other in right]),
        TOLERANCES[dtype],
    )


@dtypes
@pytest.mark.parametrize("name", SIZES)
def test_conserved_are_the_charges_of_every_factor(name: str, dtype: torch.dtype) -> None:
    points = [point(name, seed) for seed in range(6)]
    charges = module(name).conserved(tensors(stacked(points), dtype))
    assert all(value.dtype == dtype for value in charges.values())
    expected = stacked([numpy_charges(name, theta) for theta in points])
    assert {key: value.shape for key, value in charges.items()} == {key: v.shape for key, v in expected.items()}
    assert_close(charges, expected, TOLERANCES[dtype])
    two_axes = module(name).conserved(
        {key: leaf.reshape(2, 3, *leaf.shape[1:]) for key, leaf in tensors(stacked(points)).items()}
    )
    assert_close({key: value.flatten(0, 1) for key, value in two_axes.items()}, expected, TOLERANCES[torch.float64])


@names
def test_vmap_gives_what_a_batch_gives(name: str) -> None:
    theta = tensors(stacked([point(name, seed) for seed in range(BATCH)]))
    g = tensors(stacked([elements(name, seed) for seed in range(BATCH)]))
    m, acted = module(name), act(name)
    pairs: list[tuple[Any, Any]] = [
        (torch.func.vmap(acted)(theta, g), acted(theta, g)),
        (torch.func.vmap(m.inverse)(g), m.inverse(g)),
        (torch.func.vmap(m.compose)(g, g), m.compose(g, g)),
    ]
    first = {key: leaf[0] for key, leaf in theta.items()}
    pairs.append((torch.func.vmap(acted, in_dims=(None, 0))(first, g), acted(first, g)))
    if hasattr(m, "conserved"):
        pairs.append((torch.func.vmap(m.conserved)(theta), m.conserved(theta)))
    for mapped, batched in pairs:
        for key, value in mapped.items():
            expected = torch.broadcast_to(batched[key], value.shape)
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-11 * max(1.0, float(expected.abs().max())))


@names
def test_the_slope_of_act_at_the_identity_is_the_field(name: str) -> None:
    group, theta = declared(name).symmetries(), point(name)
    rng = np.random.default_rng(3)
    algebra = {factor.name: factor.algebra_sample(rng) for factor in group}
    identity = tensors({factor.name: factor.identity() for factor in group})
    slopes = torch.func.jacrev(lambda g: act(name)(tensors(theta), g))(identity)
    expected = {key: np.zeros(value.shape) for key, value in theta.items()}
    for factor in group:
        for key, change in factor.field(algebra[factor.name], {**constants(name), **theta}).items():
            expected[key] += change
    directions = tensors(algebra)
    computed = {
        key: sum(
            torch.tensordot(slopes[key][factor], a, dims=a.ndim) if a.ndim else slopes[key][factor] * a
            for factor, a in directions.items()
        )
        for key in theta
    }
    assert_close(computed, expected, 1e-11)


@pytest.mark.parametrize("name", SIZES)
def test_the_slope_of_the_charges_is_their_difference(name: str) -> None:
    """A quadratic form has (C(θ + v) − C(θ − v)) / 2 = dC(θ) v without remainder, and so has a linear one."""
    theta, v = point(name), point(name, 9)
    slopes = torch.func.jacrev(module(name).conserved)(tensors(theta))
    directions = tensors(v)
    computed = {
        charge: sum(torch.tensordot(slope, directions[key], dims=directions[key].ndim) for key, slope in parts.items())
        for charge, parts in slopes.items()
    }
    plus, minus = (numpy_charges(name, {key: theta[key] + sign * v[key] for key in v}) for sign in (1, -1))
    assert_close(computed, {key: (plus[key] - minus[key]) / 2 for key in plus}, 1e-11)


def test_sizes_are_read_off_the_tensors() -> None:
    """At symbolic size, heads that one parameter has as an axis tell how another one is split."""
    free, bound = st.generate(heads_with_an_axis()).load(), module("heads_with_an_axis")
    theta, g = tensors(point("heads_with_an_axis")), tensors(elements("heads_with_an_axis", 0))
    for one, other in (
        (free.act(theta, g), bound.act(theta, g)),
        (free.conserved(theta), bound.conserved(theta)),
        (free.discrete_noether(theta, theta, 0.1, 0.2), bound.discrete_noether(theta, theta, 0.1, 0.2)),
    ):
        assert all(torch.equal(one[key], other[key]) for key in other)


def test_a_size_that_no_tensor_tells_is_asked_for() -> None:
    d, heads, h = st.dims("d heads h")
    W, V = st.param("W", heads * h, d), st.param("V", d, heads * h)
    x = st.input("x", d)
    made = (V.reshape(d, heads, h).transpose(1, 0, 2) @ (W @ x).reshape(heads, h, 1)).sum(0)
    P = st.Parametrization(made, name="split")
    with pytest.raises(CodegenError, match=r"no axis of an array tells the size 'h' of 'split'.*bind\(h=…\) first"):
        P.predictions()["discrete_noether"].load()


def test_a_size_that_is_called_as_an_argument_is_asked_for() -> None:
    made = st.generate(heads_with_an_axis("n d heads g"))
    assert made.omitted["act"] == "the size 'g' of 'heads_with_an_axis' is called as an argument: bind(g=…) first"


def test_constants_follow_the_group_element() -> None:
    made = st.generate(fixed_layer())
    assert "def act(point: dict[str, Tensor], g: dict[str, Tensor], W0: Tensor)" in made.source
    assert "W0: fixed, tensor ``(*batch, k, h)``." in (made.load().act.__doc__ or "")


def test_a_constant_that_is_called_as_an_argument_takes_act_away() -> None:
    d = st.dims("d")
    fixed = st.constant("g", d, d)
    P = st.Parametrization(fixed @ (st.param("A", d, d) @ st.input("x", d) + st.param("b", d)) + st.param("c", d))
    assert "'g' cannot be an argument of the generated act" in st.generate(P).omitted["act"]


def test_a_declared_symmetry_has_no_torch_source_and_the_rest_has() -> None:
    W, V = st.param("W", 2, 3), st.param("V", 2, 2)
    P = st.Parametrization(V @ st.relu(W @ st.input("x", 3)), name="net")
    a = st.constant("a", 2, 1)
    made = st.generate(P.with_symmetry("mine", {"W": a * W, "V": -(V * a.T)}))
    for function in ("act", "inverse", "compose"):
        assert "the declared symmetry 'mine' has no torch source" in made.omitted[function]
    assert {"predictor", "conserved", "discrete_noether"} <= set(vars(made.load()))
