"""What torch may do with generated functions: batches, torch.func, autograd, float32, torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from generation_cases import Point, close, module, random_algebra, random_point, random_tangent
from torch import Tensor

ROUNDING = 1e-13
"""The same float64 operations in another grouping."""

SINGLE = 1e-4
"""Float32 against float64: a few hundred roundings of 6e-8, and denominators near 0.3."""

CASES = [
    ("hadamard", "mixed"),
    ("squared_difference", "invariant"),
    ("depth_product", "mixed"),
    ("matrices", "mixed"),
    ("scalars", "invariant"),
    ("hadamard", "own"),
]
cases = pytest.mark.parametrize(("name", "metric"), CASES)

Call = Callable[[ModuleType, Point, Point, Point], Any]

CALLS: dict[str, Call] = {
    "predictor": lambda m, p, xi, g: m.predictor(p),
    "act": lambda m, p, xi, g: m.act(p, g),
    "conserved": lambda m, p, xi, g: m.conserved(p),
    "inner": lambda m, p, xi, g: m.inner(p, xi, p),
    "norm": lambda m, p, xi, g: m.norm(p, xi),
    "vertical": lambda m, p, xi, g: m.vertical(p, g),
    "project_horizontal": lambda m, p, xi, g: m.project_horizontal(p, xi),
    "christoffel_form": lambda m, p, xi, g: m.christoffel_form(p, xi),
    "geodesic_1": lambda m, p, xi, g: m.geodesic(p, xi, 0.1, order=1),
    "geodesic_2": lambda m, p, xi, g: m.geodesic(p, xi, 0.1),
    "geodesic_3": lambda m, p, xi, g: m.geodesic(p, xi, 0.1, order=3),
    "geodesic_exact": lambda m, p, xi, g: m.geodesic(p, xi, 0.1, order="exact"),
    "gauge_correction": lambda m, p, xi, g: m.gauge_correction(p),
}


def _calls(name: str, metric: str) -> dict[str, Callable[[Point, Point, Point], Any]]:
    """The functions that a module has, as functions of a point, a tangent and a Lie algebra element."""
    m = module(name, metric)
    missing = {"project_horizontal", "geodesic_exact"} if metric == "own" else set()
    return {key: (lambda p, xi, g, call=call: call(m, p, xi, g)) for key, call in CALLS.items() if key not in missing}


def _arguments(name: str, batch: tuple[int, ...] = ()) -> tuple[Point, Point, Point]:
    xi = {key: 0.3 * leaf for key, leaf in random_tangent(name, 1, batch).items()}
    return random_point(name, 0, batch), xi, random_algebra(name, 2, batch)


def _at(tree: Point, *index: int) -> Point:
    return {key: leaf[index] for key, leaf in tree.items()}


def _pick(result: Any, *index: int) -> Any:
    return _at(result, *index) if isinstance(result, dict) else result[index]


@cases
def test_leading_batch_axes(name: str, metric: str) -> None:
    arguments = _arguments(name, (3, 2))
    for call in _calls(name, metric).values():
        batched = call(*arguments)
        for index in [(0, 0), (1, 1), (2, 0)]:
            assert close(_pick(batched, *index), call(*(_at(tree, *index) for tree in arguments)), ROUNDING)


@cases
def test_point_leaves_broadcast_against_a_batch_of_samples(name: str, metric: str) -> None:
    """Leaves (R, 1, *shape) of a point, as training unsqueezes them, meet tangents (R, B, *shape)."""
    point, _, _ = _arguments(name, (3, 1))
    _, xi, g = _arguments(name, (3, 2))
    wide = {key: leaf.expand(3, 2, *leaf.shape[2:]) for key, leaf in point.items()}
    for key, call in _calls(name, metric).items():
        if key not in ("predictor", "conserved", "gauge_correction"):
            assert close(call(point, xi, g), call(wide, xi, g), ROUNDING)
    m = module(name, metric)
    assert m.predictor(point).shape[:2] == (3, 1)


@cases
def test_time_as_a_batched_tensor(name: str, metric: str) -> None:
    m, (point, xi, _) = module(name, metric), _arguments(name, (3,))
    times = torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)
    for order in (1, 2, 3):
        curves = m.geodesic(point, xi, times, order=order)
        for index, time in enumerate(times.tolist()):
            assert close(_at(curves, index), m.geodesic(_at(point, index), _at(xi, index), time, order), ROUNDING)
    assert close(_at(m.geodesic(point, xi, times, 3), 0), _at(point, 0), 0.0)


@cases
def test_vmap_equals_the_batch(name: str, metric: str) -> None:
    arguments = _arguments(name, (4,))
    for call in _calls(name, metric).values():
        assert close(torch.func.vmap(call)(*arguments), call(*arguments), ROUNDING)


def _flat(call: Callable, name: str) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """A call as a function of plain tensors with one tensor as the result, for gradcheck."""
    trees = _arguments(name)
    keys = [list(tree) for tree in trees]
    leaves = [leaf.clone().requires_grad_() for tree in trees for leaf in tree.values()]

    def function(*tensors: Tensor) -> Tensor:
        remaining = iter(tensors)
        result = call(*({key: next(remaining) for key in names} for names in keys))
        values = result.values() if isinstance(result, dict) else [result]
        return torch.stack([(index + 1) * value.sin().sum() for index, value in enumerate(values)]).sum()

    return function, leaves


@pytest.mark.parametrize(("name", "metric"), [("hadamard", "mixed"), ("squared_difference", "invariant")])
def test_first_and_second_derivatives_equal_finite_differences(name: str, metric: str) -> None:
    for call in _calls(name, metric).values():
        function, leaves = _flat(call, name)
        assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, leaves)


@cases
def test_torch_func_transforms_agree_with_autograd(name: str, metric: str) -> None:
    for call in _calls(name, metric).values():
        function, leaves = _flat(call, name)
        plain = [leaf.detach() for leaf in leaves]
        gradient = torch.func.grad(function)(*plain)
        _, slope = torch.func.jvp(function, tuple(plain), tuple(torch.ones_like(leaf) for leaf in plain))
        everything = torch.autograd.grad(function(*leaves), leaves, allow_unused=True, materialize_grads=True)
        assert close(gradient, everything[0], ROUNDING)
        assert close(slope, sum((leaf.sum() for leaf in everything), torch.zeros(())), 10 * ROUNDING)
        hessian = torch.func.hessian(function)(*plain)
        expected = torch.autograd.functional.hessian(lambda x, f=function, p=plain: f(x, *p[1:]), plain[0])
        assert close(hessian, expected, 10 * ROUNDING)


@cases
def test_float32_stays_float32(name: str, metric: str) -> None:
    arguments = _arguments(name, (3,))
    single = tuple({key: leaf.float() for key, leaf in tree.items()} for tree in arguments)
    for call in _calls(name, metric).values():
        result, expected = call(*single), call(*arguments)
        pairs = (
            zip(result.values(), expected.values(), strict=True) if isinstance(result, dict) else [(result, expected)]
        )
        for low, high in pairs:
            assert low.dtype == torch.float32
            assert close(low.double(), high, SINGLE)


@pytest.mark.parametrize(("name", "metric"), [("hadamard", "mixed"), ("squared_difference", "invariant")])
def test_compiles_in_one_graph(name: str, metric: str) -> None:
    """backend="eager" traces and runs the graph without a C++ compiler; fullgraph refuses any break in it."""
    arguments = _arguments(name, (3,))
    for call in _calls(name, metric).values():
        torch.compiler.reset()
        compiled = torch.compile(call, fullgraph=True, backend="eager")
        assert close(compiled(*arguments), call(*arguments), 0.0)


def test_a_function_compiles_where_others_call_it() -> None:
    """torch.compile looks up the globals of an inlined function by the name of its module."""
    m, (point, xi, _) = module("hadamard"), _arguments("hadamard", (3,))

    @torch.compile(fullgraph=True, backend="eager")
    def sharpness(p: Point, tangent: Point) -> Tensor:
        return m.predictor(m.geodesic(p, tangent, order=3)).square().sum(-1)

    assert close(sharpness(point, xi), m.predictor(m.geodesic(point, xi, order=3)).square().sum(-1), 0.0)
