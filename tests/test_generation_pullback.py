"""The generated pullback against torch.autograd, for the catalog and for random graphs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from catalog_cases import CLAIMS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as hs
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.codegen.load import load_source
from symtheory.codegen.predictor import render_predictor
from symtheory.codegen.pullback import render_pullback
from symtheory.errors import CodegenError
from symtheory.graph.node import Node
from symtheory.graph.operations.tanh import Tanh
from symtheory.graph.shapes import Shape
from symtheory.testing import parametrizations

# Sums of a few dozen float64 products of numbers of order one in another order, and divisions by norms above 0.1.
TOLERANCE = 1e-10
REPLICAS, SAMPLES = 3, 4
IMPORTS = (
    "from __future__ import annotations\nfrom collections.abc import Callable\nimport torch\nfrom torch import Tensor\n"
)


def functions_of(graph: st.Parametrization) -> Any:
    return load_source("\n\n".join([IMPORTS, render_predictor(graph), *render_pullback(graph).values()]), "pullback")


def sizes_of(shape: Shape) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


def value_and_gradient(graph: st.Parametrization, shared: bool, scale: float) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradient of a random functional by autograd and by the pullback; shared: inputs (1, B, ...)."""
    functions = functions_of(graph)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64) * scale

    # Parameters are positive, away from kinks and from zero norms, where autograd is no oracle.
    point = {name: normal(REPLICAS, *sizes_of(shape)).abs() + 0.1 for name, shape in graph.parameters.items()}
    inputs = {
        name: normal(1 if shared else REPLICAS, SAMPLES, *sizes_of(shape)) for name, shape in graph.inputs.items()
    }
    constants = {name: normal(*sizes_of(shape)) for name, shape in graph.constants.items()}
    leaves = {name: leaf.clone().requires_grad_() for name, leaf in point.items()}
    spread = {name: leaf.unsqueeze(1) if inputs else leaf for name, leaf in leaves.items()}
    batch = (REPLICAS, SAMPLES) if inputs else (REPLICAS,)
    expected = functions.predictor(spread, **inputs, **constants).expand(*batch, *sizes_of(graph.predictor.shape))
    cotangent = normal(*expected.shape)
    gradient = torch.autograd.grad(expected, tuple(leaves.values()), cotangent, materialize_grads=True)
    value, pullback = functions.value_and_pullback(point, **inputs, **constants)
    found = pullback(cotangent)
    assert list(found) == list(point)
    return [expected.detach(), *gradient], [value.expand_as(expected), *found.values()]


def assert_equal(expected: list[Tensor], found: list[Tensor]) -> None:
    for left, right in zip(expected, found, strict=True):
        torch.testing.assert_close(right, left, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_the_catalog_at_small_sizes(name: str, shared: bool) -> None:
    entry = catalog.load(name)
    graph = entry.bind(**{size: CLAIMS[name].sizes[size] for size in map(str, entry.free_sizes)})
    assert_equal(*value_and_gradient(graph, shared, scale=1.0))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(graph=parametrizations(max_operations=8), shared=hs.booleans())
def test_random_graphs(graph: st.Parametrization, shared: bool) -> None:
    expected, found = value_and_gradient(graph, shared, scale=0.5)
    assume(all(bool(torch.isfinite(leaf).all()) for leaf in expected))
    assert_equal(expected, found)


@pytest.mark.parametrize(("axis", "size"), [(-1, 2), (0, 3), (1, 1)])
def test_windows_of_a_parameter(axis: int, size: int) -> None:
    graph = st.Parametrization(st.windows(st.param("u", 4, 5), size, axis), name="cut")
    assert_equal(*value_and_gradient(graph, False, scale=1.0))


@pytest.mark.parametrize("name", ["attention", "rms_norm", "deep_relu", "convolution"])
def test_sizes_that_are_symbols_are_read_off_the_tensors(name: str) -> None:
    entry = catalog.load(name)
    graph = entry.bind(**{size: CLAIMS[name].sizes[size] for size in map(str, entry.free_sizes)})
    point = {leaf: torch.ones(REPLICAS, *sizes_of(shape)) for leaf, shape in graph.parameters.items()}
    inputs = {leaf: torch.ones(1, SAMPLES, *sizes_of(shape)) / 3 for leaf, shape in graph.inputs.items()}
    cotangent = torch.ones(REPLICAS, SAMPLES, *sizes_of(graph.predictor.shape))
    free, bound = (functions_of(each).value_and_pullback(point, **inputs)[1](cotangent) for each in (entry, graph))
    assert all(torch.equal(free[leaf], bound[leaf]) for leaf in point)


def test_derivatives_at_kinks_are_those_of_torch() -> None:
    u = st.param("u", 3)
    for node in (st.abs(u), st.relu(u), st.leaky_relu(u, 0.25)):
        functions = functions_of(st.Parametrization(node, name="kink"))
        leaf = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(functions.predictor({"u": leaf}).sum(), leaf)
        _, pullback = functions.value_and_pullback({"u": leaf.detach()})
        assert torch.equal(pullback(torch.ones(3, dtype=torch.float64))["u"], expected)


def test_no_tensor_holds_a_gradient_of_each_sample() -> None:
    source = render_pullback(catalog.load("shallow_relu"))["value_and_pullback"]
    assert '_contract("...sa,...sk->...ak", d_' in source  # the samples s are summed in the product
    assert ".sum(dim=" not in source


def test_an_operation_of_ones_own_needs_no_adjoint_but_a_tangent_made_of_linear_operations() -> None:
    class Nothing(Tanh):
        def tangent(self, operands: Any, tangents: Any, result: Node) -> Node | None:
            return None if tangents[0] is None else Node(Tanh(), (tangents[0],))

    u = st.param("u", 3)
    with pytest.raises(CodegenError, match="'tanh' has no adjoint"):
        render_pullback(st.Parametrization(Node(Nothing(), (u,)), name="nothing"))
