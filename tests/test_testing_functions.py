"""The laws of symtheory.testing on torch functions of the user's own, and what they refuse to examine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from testing_cases import assert_deviation, data_of, element_of, low_rank, normalized, point_of, refused, relu_net

import symtheory as st
from symtheory.errors import DeclarationError, DomainError, ShapeError
from symtheory.testing import (
    action_is_a_group_action,
    certificate_agrees,
    charge_is_conserved,
    generators_match_action,
    gradient_is_horizontal,
    predictor_is_invariant,
)

# Functions of the user's own.


def torch_relu_net(point: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return point["V"] @ torch.relu(point["W"] @ x + point["b"]) + point["c"]


def torch_gelu_net(point: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return point["V"] @ torch.nn.functional.gelu(point["W"] @ x + point["b"]) + point["c"]


@pytest.mark.parametrize("claims_group_alone", [False, True])
def test_a_torch_function_obeys_the_laws_of_its_group(claims_group_alone: bool) -> None:
    graph = relu_net()
    symmetry = graph.symmetries() if claims_group_alone else graph
    point, sample = point_of(graph), data_of(graph)
    predictor_is_invariant(symmetry, point, element_of(graph.symmetries()), sample, function=torch_relu_net)
    gradient_is_horizontal(symmetry, point, sample, function=torch_relu_net)
    charge_is_conserved(symmetry, point, sample, function=torch_relu_net)


def test_a_torch_function_of_another_kind_is_refused() -> None:
    graph = relu_net()
    point, sample = point_of(graph), data_of(graph)
    g = element_of(graph.symmetries())
    with refused("predictor_is_invariant", "'rescaling'", "V, W, b", "moves the predictor") as error:
        predictor_is_invariant(graph, point, g, sample, function=torch_gelu_net)
    assert_deviation(error)
    with refused("gradient_is_horizontal", "'rescaling'", "V, W, b"):
        gradient_is_horizontal(graph, point, sample, function=torch_gelu_net)
    with refused("charge_is_conserved", "'rescaling'", "V ", "W ", "b "):
        charge_is_conserved(graph, point, sample, function=torch_gelu_net)


def test_a_torch_function_may_take_batches_and_integers() -> None:
    """Only the group is symtheory's: a lookup of tokens in an embedding that a linear map reads."""
    group = low_rank().symmetries()

    def scores(point: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
        return point["G"][tokens] @ point["H"].T

    point, sample = point_of(low_rank()), {"tokens": np.array([[0, 2], [1, 1]])}
    predictor_is_invariant(group, point, element_of(group), sample, function=scores)
    gradient_is_horizontal(group, point, sample, function=scores)
    charge_is_conserved(group, point, sample, function=scores)


def test_parameters_that_the_function_does_not_use_have_no_gradient() -> None:
    graph = low_rank()
    point = {**point_of(graph), "w": np.ones(4)}
    with refused("gradient_is_horizontal", "'GL' on G, H", "H 0.0e+00") as error:
        gradient_is_horizontal(graph, point, function=lambda point: point["G"].sum())
    assert_deviation(error)


def test_torch_and_the_declared_graph_have_the_same_gradient() -> None:
    from symtheory.testing.subject import subject_of

    graph = relu_net()
    point, sample = point_of(graph), data_of(graph)
    declared, own = (subject_of(graph, point, sample, function) for function in (None, torch_relu_net))
    weights = np.array([1.0, -2.0])
    np.testing.assert_allclose(declared.value(point), own.value(point), rtol=1e-12)
    for name, gradient in declared.gradient(weights).items():
        np.testing.assert_allclose(gradient, own.gradient(weights)[name], rtol=1e-12)


def test_a_generated_predictor_obeys_the_laws() -> None:
    graph = low_rank()
    predictor = st.generate(graph, metric="euclidean").load().predictor
    predictor_is_invariant(graph, point_of(graph), element_of(graph.symmetries()), function=predictor)
    gradient_is_horizontal(graph, point_of(graph), function=predictor)


def test_float32_needs_a_wider_tolerance() -> None:
    graph = low_rank()
    point = {name: value.astype(np.float32) for name, value in point_of(graph).items()}
    seen = []

    def product(point: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(point["G"].dtype)
        return point["G"] @ point["H"].T

    g = element_of(graph.symmetries())
    predictor_is_invariant(graph, point, g, function=product, tolerance=1e-4)
    assert set(seen) == {torch.float32}
    with refused("predictor_is_invariant", "tolerance 1e-12"):
        predictor_is_invariant(graph, point, g, function=product, tolerance=1e-12)


def test_without_a_torch_function_torch_stays_unloaded() -> None:
    script = (
        "import sys, numpy, symtheory as st, symtheory.testing as laws\n"
        "P = st.Parametrization(st.param('u', 2) * st.param('v', 2))\n"
        "point = {'u': numpy.array([1.0, 2.0]), 'v': numpy.array([0.5, 3.0])}\n"
        "g = P.symmetries().sample(numpy.random.default_rng(0))\n"
        "laws.predictor_is_invariant(P, point, g)\n"
        "laws.gradient_is_horizontal(P, point)\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip()) == (0, "False"), result.stderr


# The border.


def test_a_group_alone_has_no_predictor() -> None:
    graph = low_rank()
    with pytest.raises(DeclarationError, match="pass function="):
        gradient_is_horizontal(graph.symmetries(), point_of(graph))


def test_points_and_elements_are_checked() -> None:
    graph = low_rank()
    point, g = point_of(graph), element_of(graph.symmetries())
    with pytest.raises(DeclarationError, match="the point has no 'H'"):
        predictor_is_invariant(graph, {"G": point["G"]}, g)
    with pytest.raises(ShapeError, match=r"'G' in the point has shape \(3,\)"):
        predictor_is_invariant(graph, {**point, "G": np.ones(3)}, g)
    with pytest.raises(ShapeError, match=r"the element of 'GL' has shape \(3, 3\)"):
        predictor_is_invariant(graph, point, {"GL": np.eye(3)})
    with pytest.raises(DeclarationError, match="no symmetry factor 'SO'"):
        predictor_is_invariant(graph, point, {"SO": np.eye(2)})
    with pytest.raises(DeclarationError, match="the data has no 'x'"):
        gradient_is_horizontal(relu_net(), point_of(relu_net()), {})
    with pytest.raises(DeclarationError, match=r"must return a torch.Tensor, not int"):
        predictor_is_invariant(graph, point, g, function=lambda point: 1)
    with pytest.raises(DeclarationError, match="not int"):
        predictor_is_invariant(1, point, g)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="function= takes a torch function or a Parametrization, not str"):
        predictor_is_invariant(graph, point, g, function="relu")  # type: ignore[arg-type]


def test_unbound_sizes_are_refused() -> None:
    n, h = st.dims("n h")
    graph = st.Parametrization(st.param("G", n, h) @ st.param("H", 3, h).T)
    for law in (
        lambda: predictor_is_invariant(graph, {}, {}),
        lambda: action_is_a_group_action(graph, {}, {}, {}),
        lambda: generators_match_action(graph, {}),
        lambda: gradient_is_horizontal(graph, {}),
        lambda: charge_is_conserved(graph, {}),
        lambda: certificate_agrees(graph),
    ):
        with pytest.raises(DeclarationError, match=r"size 'h' .* is unbound"):
            law()


def test_a_point_outside_the_domain_is_named_as_such() -> None:
    graph = normalized()
    with pytest.raises(DomainError, match="'normalized' is not finite"):
        gradient_is_horizontal(graph, {"w": np.zeros(4)})


def test_a_function_that_ignores_the_parameters_is_invariant() -> None:
    graph = low_rank()
    gradient_is_horizontal(graph, point_of(graph), function=lambda point: torch.ones(3, dtype=torch.float64))
    predictor_is_invariant(graph, point_of(graph), element_of(graph.symmetries()), function=lambda point: torch.ones(3))
