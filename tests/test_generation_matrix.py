"""What torch may do with generated geometry of matrices: batches, torch.func, autograd, float32, torch.compile."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from catalog_cases import CLAIMS
from generation_cases import close
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import symtheory as st
from symtheory import catalog
from symtheory.testing.arrays import generic_arrays

ROUNDING = 1e-11
"""The same float64 operations in another grouping, on Gram matrices of condition up to some hundreds."""
SINGLE = 2e-3
"""Float32 against float64: some hundred roundings of 6e-8 through inverses of such Gram matrices."""

ITERATED = 1e-8
"""Derivatives by the implicit function theorem, solved by conjugate gradients on Gram matrices as above."""

Point = dict[str, Tensor]
Call = Callable[..., Any]

MAIN = [
    ("low_rank", "mixed"),
    ("low_rank", "invariant"),
    ("low_rank", "euclidean"),
    ("tied_product", "mixed"),
    ("deep_linear", "invariant"),
    ("shallow_relu", "mixed"),
    ("rms_norm", "invariant"),
    ("attention", "mixed"),
    ("multihead_attention", "invariant"),
    ("residual_layer_norm", "mixed"),
    ("cp_decomposition", "mixed"),
]
"""Products, rotations, rescalings and shifts that are made up for; solvers in closed form, and two that iterate."""
main = pytest.mark.parametrize(("name", "metric"), MAIN)
NEEDS_SIZES = {"multihead_attention"}
"""No axis tells the size of a head."""
QUOTIENT = "project_horizontal"

CALLS: dict[str, Call] = {
    "inner": lambda m, p, xi: m.inner(p, xi, {name: 2 * value + 0.1 for name, value in xi.items()}),
    "norm": lambda m, p, xi: m.norm(p, xi),
    "flat": lambda m, p, xi: m.flat(p, xi),
    "sharp": lambda m, p, xi: m.sharp(p, xi),
    QUOTIENT: lambda m, p, xi: m.project_horizontal(p, xi),
    "christoffel_form": lambda m, p, xi: m.christoffel_form(p, xi),
    "geodesic_1": lambda m, p, xi: m.geodesic(p, xi, 0.1, order=1),
    "geodesic_2": lambda m, p, xi: m.geodesic(p, xi, 0.1),
    "geodesic_3": lambda m, p, xi: m.geodesic(p, xi, 0.1, order=3),
}
DERIVED = ("inner", QUOTIENT, "christoffel_form", "geodesic_3")


@cache
def bound(name: str) -> st.Parametrization:
    return catalog.load(name).bind(**CLAIMS[name].sizes)


@cache
def module(name: str, metric: str) -> ModuleType:
    """With free sizes where the axes tell them."""
    return st.generate(bound(name) if name in NEEDS_SIZES else catalog.load(name), metric).load()


def calls(name: str, metric: str, wanted: Any = tuple(CALLS)) -> dict[str, Call]:
    """The functions that a module has, of a point and a tangent."""
    m = module(name, metric)
    kept = [key for key in wanted if key != QUOTIENT or hasattr(m, QUOTIENT)]
    return {key: (lambda p, xi, call=CALLS[key]: call(m, p, xi)) for key in kept}


def point_of(name: str, batch: tuple[int, ...] = (), seed: int = 1) -> Point:
    """Near one point with regular Gram matrices, another one at each place of the batch."""
    center = generic_arrays(bound(name).parameters, seed)
    rng = np.random.default_rng(seed)
    return {
        key: torch.from_numpy(value + 0.1 * rng.standard_normal((*batch, *value.shape)))
        for key, value in center.items()
    }


def tangent_of(name: str, batch: tuple[int, ...] = (), seed: int = 2) -> Point:
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: [int(size) for size in shape] for key, shape in bound(name).parameters.items()}
    return {
        key: 0.3 * torch.randn((*batch, *shape), generator=generator, dtype=torch.float64)
        for key, shape in shapes.items()
    }


def at(tree: Any, *index: int) -> Any:
    return {key: leaf[index] for key, leaf in tree.items()} if isinstance(tree, dict) else tree[index]


def mapped(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    return {key: function(leaf) for key, leaf in tree.items()} if isinstance(tree, dict) else function(tree)


# Batches


@main
@pytest.mark.parametrize("batch", [(3,), (3, 2)])
def test_leading_batch_axes(name: str, metric: str, batch: tuple[int, ...]) -> None:
    """With one of them products are added in place."""
    point, xi = point_of(name, batch), tangent_of(name, batch)
    for call in calls(name, metric).values():
        batched = call(point, xi)
        for index in (tuple(0 for _ in batch), tuple(size - 1 for size in batch)):
            assert close(at(batched, *index), call(at(point, *index), at(xi, *index)), ROUNDING)


def assert_broadcasts(call: Call, name: str, there: tuple[int, ...], here: tuple[int, ...]) -> None:
    """A call on a point and a tangent of two batch shapes gives what it gives on both expanded, and copied."""
    point, xi = point_of(name, there), tangent_of(name, here)
    batch = torch.broadcast_shapes(there, here)
    wide = [
        {key: leaf.expand(*batch, *leaf.shape[len(own) :]).clone() for key, leaf in tree.items()}
        for tree, own in ((point, there), (xi, here))
    ]
    found, expected = call(point, xi), call(*wide)
    # What does not depend on one of the two keeps the axes of the other.
    if isinstance(found, dict):
        found = {entry: leaf.expand_as(expected[entry]) for entry, leaf in found.items()}
    else:
        found = found.expand_as(expected)
    assert close(found, expected, ROUNDING)


BATCHES = [((3, 1), (3, 2)), ((), (4,)), ((1,), (4,)), ((1, 2), (3, 1)), ((4,), ()), ((4,), (1,))]
NEEDS_JVP = {"deep_linear", "attention", "multihead_attention"}
"""Entries whose functions go to straightened coordinates by torch.func.jvp."""


@pytest.mark.parametrize(("there", "here"), BATCHES)
@pytest.mark.parametrize(("name", "metric"), [case for case in MAIN if case[0] not in NEEDS_JVP])
def test_points_and_tangents_broadcast(name: str, metric: str, there: tuple[int, ...], here: tuple[int, ...]) -> None:
    for key, call in calls(name, metric).items():
        if key != "geodesic_3":
            assert_broadcasts(call, name, there, here)


JVP_CASES = [("low_rank", "mixed", "geodesic_3"), ("deep_linear", "mixed", "inner"), ("attention", "mixed", QUOTIENT)]


@pytest.mark.parametrize(("there", "here"), BATCHES)
@pytest.mark.parametrize(("name", "metric", "key"), JVP_CASES)
def test_points_and_tangents_broadcast_where_jvp_is_called(
    name: str, metric: str, key: str, there: tuple[int, ...], here: tuple[int, ...]
) -> None:
    assert_broadcasts(calls(name, metric)[key], name, there, here)


@pytest.mark.parametrize("key", ["inner", "christoffel_form", QUOTIENT, "geodesic_2"])
def test_expanded_tensors_are_as_good_as_their_copies(key: str) -> None:
    point, xi = point_of("low_rank", (3,)), tangent_of("low_rank", (3,))
    wide = [mapped(lambda leaf: leaf[:1].expand_as(leaf), tree) for tree in (point, xi)]
    call = calls("low_rank", "mixed")[key]
    assert close(call(*wide), call(*(mapped(torch.clone, tree) for tree in wide)), ROUNDING)


@pytest.mark.parametrize(("name", "metric", "key"), JVP_CASES)
def test_expanded_tensors_are_as_good_as_their_copies_where_jvp_is_called(name: str, metric: str, key: str) -> None:
    point, xi = point_of(name, (3,)), tangent_of(name, (3,))
    wide = [mapped(lambda leaf: leaf[:1].expand_as(leaf), tree) for tree in (point, xi)]
    call = calls(name, metric)[key]
    assert close(call(*wide), call(*(mapped(torch.clone, tree) for tree in wide)), ROUNDING)


@main
def test_time_as_a_batched_tensor(name: str, metric: str) -> None:
    m, point, xi = module(name, metric), point_of(name, (3,)), tangent_of(name, (3,))
    times = torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)
    for order in (1, 2, 3):
        curves = m.geodesic(point, xi, times, order=order)
        for index, time in enumerate(times.tolist()):
            assert close(at(curves, index), m.geodesic(at(point, index), at(xi, index), time, order), ROUNDING)


@main
def test_vmap_over_all_over_tangents_alone_and_over_one_parameter_alone(name: str, metric: str) -> None:
    point, xi = point_of(name, (4,)), tangent_of(name, (4,))
    first = next(iter(point))
    one = {**at(point, 0), first: point[first]}
    only_first = dict.fromkeys(point) | {first: 0}
    for key, call in calls(name, metric).items():
        pairs = [
            (torch.func.vmap(call)(point, xi), lambda i, c=call: c(at(point, i), at(xi, i))),
            (torch.func.vmap(call, (None, 0))(at(point, 0), xi), lambda i, c=call: c(at(point, 0), at(xi, i))),
            (
                torch.func.vmap(call, (only_first, None))(one, at(xi, 0)),
                lambda i, c=call: c({**at(point, 0), first: point[first][i]}, at(xi, 0)),
            ),
            (
                torch.func.vmap(call, (None, only_first))(at(point, 0), {**at(xi, 0), first: xi[first]}),
                lambda i, c=call: c(at(point, 0), {**at(xi, 0), first: xi[first][i]}),
            ),
        ]
        for place, (found, expected) in enumerate(pairs):
            for index in (0, 3):
                assert close(at(found, index), expected(index), ROUNDING), (key, place)


@main
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_vmap_inside_a_batch(name: str, metric: str) -> None:
    """The samples of a batch under vmap, on top of a batch axis that the functions see."""
    point, xi = point_of(name, (3,)), tangent_of(name, (4, 3))
    for key, call in calls(name, metric).items():
        found = torch.func.vmap(call, (None, 0))(point, xi)
        assert close(at(found, 2), call(point, at(xi, 2)), ROUNDING), key


def test_vmap_inside_a_batch_is_mapped_in_one_piece() -> None:
    point, xi = point_of("low_rank", (3,)), tangent_of("low_rank", (4, 3))
    torch.func.vmap(module("low_rank", "mixed").christoffel_form, (None, 0))(point, xi)


# Derivatives


def flat_call(call: Call, batch: tuple[int, ...], name: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A call as a function of one vector that holds point and tangent, with one vector as its result."""
    trees = point_of(name, batch), tangent_of(name, batch)
    leaves = [leaf for tree in trees for leaf in tree.values()]

    def function(vector: Tensor) -> Tensor:
        parts = vector.split([leaf.numel() for leaf in leaves])
        shaped = iter([part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
        result = call(*({key: next(shaped) for key in tree} for tree in trees))
        return torch.cat([leaf.reshape(-1) for leaf in (result.values() if isinstance(result, dict) else [result])])

    return function, torch.cat([leaf.reshape(-1) for leaf in leaves])


SMALL = [("low_rank", "mixed"), ("low_rank", "invariant"), ("shallow_relu", "mixed"), ("softmax_classifier", "mixed")]


def summed(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda vector: function(vector).sin().sum()


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(("name", "metric"), SMALL)
def test_derivatives_equal_finite_differences(name: str, metric: str, batch: tuple[int, ...]) -> None:
    """With one batch axis, products are added in place. The third order calls torch.func.jvp, which torch does not
    nest into its other forward mode, that of gradcheck."""
    for key, call in calls(name, metric, DERIVED).items():
        function, vector = flat_call(call, batch, name)
        forward = not key.startswith("geodesic")
        if not function(vector.requires_grad_()).requires_grad:
            continue  # a connection that vanishes
        assert torch.autograd.gradcheck(function, vector, check_forward_ad=forward, fast_mode=True)
        assert torch.autograd.gradgradcheck(summed(function), vector, check_fwd_over_rev=forward, fast_mode=True)


def all_orders(
    number: Callable[[Tensor], Tensor], at: Tensor, one: Tensor, two: Tensor, iterates: bool
) -> dict[str, Tensor]:
    """The second derivative of a number along two directions; iterations refuse forward over forward mode."""

    def forward(x: Tensor) -> Tensor:
        return torch.func.jvp(number, (x,), (one,))[1]

    def reverse(x: Tensor) -> Tensor:
        return torch.func.grad(number)(x) @ one

    found = {
        "reverse over reverse": torch.func.grad(reverse)(at) @ two,
        "forward over reverse": torch.func.jvp(reverse, (at,), (two,))[1],
        "reverse over forward": torch.func.grad(forward)(at) @ two,
    }
    if iterates:
        with pytest.raises(RuntimeError, match="no jvp of jvp through project_horizontal: take jvp of grad"):
            torch.func.jvp(forward, (at,), (two,))
    else:
        found["forward over forward"] = torch.func.jvp(forward, (at,), (two,))[1]
    return found


def tolerance_of(name: str, metric: str, key: str) -> float:
    """Of derivatives: those of the steps of an iteration lag behind its result."""
    iterates = key == QUOTIENT and hasattr(module(name, metric), "SOLVER_STEPS")
    return ITERATED if iterates else 100 * ROUNDING


@main
@pytest.mark.parametrize("batch", [(), (2,)])
def test_forward_and_reverse_derivatives_agree(name: str, metric: str, batch: tuple[int, ...]) -> None:
    """jvp, vjp, and all orders of two of them, along random directions.

    torch 2.13 makes nan of the reverse derivative of eigh's forward one, so that order is left out there.
    """
    generated = module(name, metric)
    projection = inspect.getsource(generated.project_horizontal) if hasattr(generated, "project_horizontal") else ""
    for key, call in calls(name, metric, DERIVED).items():
        function, vector = flat_call(call, batch, name)
        generator = torch.Generator().manual_seed(3)
        one, two = (torch.randn(len(vector), generator=generator, dtype=torch.float64) for _ in range(2))
        value, along = torch.func.jvp(function, (vector,), (one,))
        weights = torch.randn(len(value), generator=generator, dtype=torch.float64)
        (pulled,) = torch.func.vjp(function, vector)[1](weights)
        tolerance = tolerance_of(name, metric, key)
        scale = max(1.0, float((pulled * one).abs().sum()))
        assert abs(float(pulled @ one - along @ weights)) <= tolerance * scale, key
        iterates = tolerance == ITERATED
        found = all_orders(lambda x, f=function, w=weights: (f(x).sin() * w).sum(), vector, one, two, iterates)
        if key == QUOTIENT and "torch.linalg.eigh(" in projection and not iterates:
            assert found.pop("reverse over forward").isnan()
        expected = found.pop("reverse over reverse")
        for order, second in found.items():
            assert abs(float(second - expected)) <= tolerance * max(scale, abs(float(expected))), (key, order)


@pytest.mark.parametrize(("name", "metric"), [("low_rank", "mixed"), ("deep_linear", "invariant")])
def test_whole_jacobians_and_gradients_of_single_samples(name: str, metric: str) -> None:
    """jacrev and jacfwd map over directions, so that some tensors are mapped and others are not."""
    m, point, xi = module(name, metric), point_of(name, (3,)), tangent_of(name, (3,))
    first = next(iter(point))
    for key, call in calls(name, metric, DERIVED).items():

        def of_first(value: Tensor, call: Call = call) -> Any:
            return call({**point, first: value}, xi)

        forward, reverse = torch.func.jacfwd(of_first)(point[first]), torch.func.jacrev(of_first)(point[first])
        assert close(forward, reverse, tolerance_of(name, metric, key)), key
    energy = torch.func.grad(lambda p, v: m.inner(p, v, v))
    single = torch.func.vmap(energy)(point, xi)
    assert close(at(single, 1), energy(at(point, 1), at(xi, 1)), ROUNDING)
    assert close(single, torch.func.grad(lambda p, v: m.inner(p, v, v).sum())(point, xi), ROUNDING)


@pytest.mark.parametrize(
    ("name", "metric"), [("low_rank", "mixed"), ("low_rank", "invariant"), ("linear_attention", "mixed")]
)
def test_products_added_in_place_spoil_no_graph(name: str, metric: str) -> None:
    """Checkpoints, tensors that are used again, forward levels, and inference."""
    m, point, xi = module(name, metric), point_of(name, (3,)), tangent_of(name, (3,))
    before = {key: value.clone() for key, value in point.items()}
    leaves = {key: value.clone().requires_grad_() for key, value in point.items()}
    plain = sum(value.sin().sum() for value in m.christoffel_form(leaves, xi).values())
    expected = torch.autograd.grad(plain, list(leaves.values()), allow_unused=True, materialize_grads=True)

    def form(*values: Tensor) -> Tensor:
        made = m.christoffel_form(dict(zip(leaves, values, strict=True)), xi)
        return sum((value.sin().sum() for value in made.values()), torch.zeros(()))

    for reentrant in (False, True):
        for leaf in leaves.values():
            leaf.grad = None
        checkpoint(form, *leaves.values(), use_reentrant=reentrant).backward()
        for leaf, wanted in zip(leaves.values(), expected, strict=True):
            assert close(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, wanted, ROUNDING)
    with torch.inference_mode():
        inferred = m.christoffel_form(point, xi)
    assert close(mapped(torch.clone, inferred), m.christoffel_form(point, xi), ROUNDING)
    with torch.autograd.forward_ad.dual_level():
        dual = {key: torch.autograd.forward_ad.make_dual(value, value) for key, value in point.items()}
        found = m.christoffel_form({**point, **dict([next(iter(dual.items()))])}, xi)
        rates = {key: torch.autograd.forward_ad.unpack_dual(value).tangent for key, value in found.items()}
    first = next(iter(point))
    _, along = torch.func.jvp(
        lambda value: m.christoffel_form({**point, first: value}, xi), (point[first],), (point[first],)
    )
    for key, value in along.items():
        rate = rates[key] if rates[key] is not None else torch.zeros_like(value)
        assert close(rate, value, ROUNDING)
    assert all(torch.equal(value, before[key]) for key, value in point.items())


# Dtypes, devices, compilation, state


@main
def test_float32_follows_float64(name: str, metric: str) -> None:
    point, xi = point_of(name, (2,)), tangent_of(name, (2,))
    for key, call in calls(name, metric).items():
        exact = call(point, xi)
        single = call(*(mapped(torch.Tensor.float, tree) for tree in (point, xi)))
        for leaf in single.values() if isinstance(single, dict) else [single]:
            assert leaf.dtype == torch.float32, key
        assert close(mapped(torch.Tensor.double, single), exact, SINGLE), key


@pytest.mark.parametrize("metric", ["mixed", "invariant"])
def test_projection_in_float32_survives_nearly_dependent_columns(metric: str) -> None:
    """Columns at an angle of 1e-3 give a Gram matrix of condition 1e6: too much for float32, and taken in float64."""
    point, xi = point_of("low_rank"), tangent_of("low_rank")
    point["G"][:, 1] = point["G"][:, 0] + 1e-3 * xi["G"][:, 1]
    single = [mapped(torch.Tensor.float, tree) for tree in (point, xi)]
    project = module("low_rank", metric).project_horizontal
    expected = project(*(mapped(torch.Tensor.double, tree) for tree in single))
    assert close(mapped(torch.Tensor.double, project(*single)), expected, SINGLE)


@main
def test_results_are_on_the_device_of_the_inputs(name: str, metric: str) -> None:
    """With another default device: a tensor made without saying where would be on that, and compute nothing."""
    point, xi = point_of(name, (2,)), tangent_of(name, (2,))
    for key, call in calls(name, metric).items():
        expected = call(point, xi)
        with torch.device("meta"):
            result = call(point, xi)
        for leaf in result.values() if isinstance(result, dict) else [result]:
            assert leaf.device.type == "cpu", key
        assert close(result, expected, 0.0), key


COMPILED = [
    ("low_rank", "mixed", "aot_eager"),
    ("low_rank", "invariant", "eager"),
    ("shallow_relu", "mixed", "aot_eager"),
    ("attention", "mixed", "eager"),
    ("cp_decomposition", "mixed", "eager"),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("name", "metric", "backend"), COMPILED)
def test_torch_compile_makes_one_graph(name: str, metric: str, backend: str) -> None:
    point, xi = point_of(name, (2,)), tangent_of(name, (2,))
    for key, call in calls(name, metric, ("inner", QUOTIENT, "christoffel_form", "geodesic_2")).items():
        torch.compiler.reset()
        compiled = torch.compile(call, backend=backend, fullgraph=True)
        assert close(compiled(point, xi), call(point, xi), ROUNDING), key
    torch.compiler.reset()


@main
def test_calls_leave_no_trace(name: str, metric: str) -> None:
    m, point, xi = module(name, metric), point_of(name, (3,)), tangent_of(name, (3,))
    names, state = set(vars(m)), torch.random.get_rng_state()
    copies = [mapped(torch.clone, tree) for tree in (point, xi)]
    versions = [leaf._version for tree in (point, xi) for leaf in tree.values()]
    first = {key: call(point, xi) for key, call in calls(name, metric).items()}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if default == torch.float64 else torch.float64)
    try:
        for key, call in calls(name, metric).items():
            assert close(call(point, xi), first[key], 0.0), key
    finally:
        torch.set_default_dtype(default)
    assert set(vars(m)) == names
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [leaf._version for tree in (point, xi) for leaf in tree.values()] == versions
    for tree, copy in zip((point, xi), copies, strict=True):
        assert close(tree, copy, 0.0)


# Sizes


@pytest.mark.parametrize(("name", "metric"), [case for case in MAIN if case[0] not in NEEDS_SIZES])
def test_bound_and_free_sizes_give_the_same_numbers(name: str, metric: str) -> None:
    fixed = st.generate(bound(name), metric).load()
    point, xi = point_of(name, (2,)), tangent_of(name, (2,))
    for key, call in calls(name, metric).items():
        assert close(CALLS[key](fixed, point, xi), call(point, xi), ROUNDING), key


@pytest.mark.parametrize("metric", ["mixed", "invariant"])
def test_heads_are_independent(metric: str) -> None:
    """Attention with three heads of size two: permuted heads give permuted results, and each is one head's own."""
    sizes = {"n": 3, "d": 5, "heads": 3, "h": 2}
    m = st.generate(catalog.load("multihead_attention").bind(**sizes), metric).load()
    rng = np.random.default_rng(0)
    trees = [
        {key: torch.from_numpy(rng.standard_normal(shape)) for key, shape in m.PARAMETERS.items()} for _ in range(2)
    ]
    order = torch.tensor([2, 3, 4, 5, 0, 1])
    places = {"Wq": -1, "Wk": -1, "Wv": -1, "bq": -1, "bk": -1, "bv": -1, "Wo": -2}

    def permuted(tree: Point) -> Point:
        return {key: leaf.index_select(places[key], order) if key in places else leaf for key, leaf in tree.items()}

    for key in ("christoffel_form", QUOTIENT, "sharp"):
        function = getattr(m, key)
        assert close(function(*map(permuted, trees)), permuted(function(*trees)), ROUNDING), key
    # A change of the first head alone leaves the others' connection as it is.
    other = {key: leaf.clone() for key, leaf in trees[0].items()}
    other["Wq"][:, :2] *= 1.5
    one, two = m.christoffel_form(trees[0], trees[1]), m.christoffel_form(other, trees[1])
    assert close(two["Wq"][:, 2:], one["Wq"][:, 2:], ROUNDING)
    assert not close(two["Wq"][:, :2], one["Wq"][:, :2], 1e-3)


def test_sizes_may_differ_from_call_to_call() -> None:
    m = module("low_rank", "mixed")
    found = []
    for n, h in ((5, 2), (40, 33), (3, 1)):
        point = {"G": torch.randn(n, h, dtype=torch.float64), "H": torch.randn(n + 1, h, dtype=torch.float64)}
        gram = torch.linalg.solve(point["H"].mT @ point["H"], torch.eye(h, dtype=torch.float64))
        cross = point["H"].mT @ point["H"]
        expected = point["G"] @ (2 * cross - cross) @ gram  # ξ = θ: ξ_G (ξ_Hᵀ H + Hᵀ ξ_H) − G ξ_Hᵀ ξ_H, over HᵀH
        found.append(m.christoffel_form(point, point)["G"])
        assert close(found[-1], expected, 1e-9)
    assert all(a.shape != b.shape for a, b in pairwise(found))


@pytest.mark.parametrize("name", ["low_rank", "shallow_relu", "cp_decomposition"])
def test_the_trace_of_the_hessian_is_that_of_all_pairs(name: str) -> None:
    """Σ over an orthonormal basis of the horizontal space, found from the metric's matrix, of ∇²f(e, e)."""
    m, point = module(name, "mixed"), point_of(name)
    sizes = [leaf.numel() for leaf in point.values()]

    def tangent(vector: Tensor) -> Point:
        return {
            key: part.reshape(leaf.shape) for (key, leaf), part in zip(point.items(), vector.split(sizes), strict=True)
        }

    def flat(tree: Point) -> Tensor:
        return torch.cat([leaf.reshape(-1) for leaf in tree.values()])

    sample = torch.tensor([0.3, -1.2], dtype=torch.float64)

    def function(at_point: Point) -> Tensor:
        value = m.predictor(at_point, **({"x": sample} if m.INPUTS else {}))
        return (value.sin() * torch.arange(1, value.numel() + 1).reshape(value.shape)).sum()

    basis = torch.eye(sum(sizes), dtype=torch.float64)
    metric = torch.stack([flat(m.flat(point, tangent(e))) for e in basis])
    projection = torch.stack([flat(m.project_horizontal(point, tangent(e))) for e in basis], 1)
    root = torch.linalg.cholesky(metric)
    frame = torch.linalg.solve(root.mT, basis)  # columns orthonormal in the metric
    turned = torch.linalg.solve(frame, projection @ frame)
    values, vectors = torch.linalg.eigh((turned + turned.mT) / 2)
    assert close(values, values.round(), 1e-9)
    horizontal = (frame @ vectors)[:, values > 0.5].mT
    expected = sum(float(m.riemannian_hessian(function, point, tangent(e), tangent(e))) for e in horizontal)
    assert float(m.hessian_trace(function, point)) == pytest.approx(expected, rel=1e-9)
