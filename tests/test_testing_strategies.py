"""The strategies of symtheory.testing: what they draw is valid, generic, reproducible and shrinks to little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as hs
from hypothesis.strategies import SearchStrategy

import symtheory as st
from symtheory import testing
from symtheory.errors import DeclarationError
from symtheory.graph.operations.leaf import Leaf
from symtheory.symmetry.certificate.circuit import compile_circuit
from symtheory.testing import data, group_elements, parametrizations, points, tangents
from symtheory.testing.declared_function import declared_function

P = st.Parametrization
# The search for a property with Hypothesis' own settings, and the same on every run.
SEARCH = settings(max_examples=1000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def operations(graph: P) -> list[str]:
    return [node.operation.name for node in graph.nodes if node.operands]


def leaves(graph: P) -> list[str]:
    return [node.operation.label for node in graph.nodes if isinstance(node.operation, Leaf)]


@settings(max_examples=200)
@given(graph=parametrizations(), draw=hs.data())
def test_graphs_are_valid_and_finite(graph: P, draw: hs.DataObject) -> None:
    """With every health check on: nothing is filtered."""
    graph.require_bound()
    assert graph.free_sizes == ()
    assert 1 <= len(graph.parameters) <= 3
    assert len(graph.inputs) <= 2
    assert len(graph.constants) <= 1
    assert graph.predictor.operands
    value = declared_function(graph).value(draw.draw(points(graph)), draw.draw(data(graph)))
    assert value.shape == graph.predictor.shape
    assert np.isfinite(value).all()


@settings(max_examples=100)
@given(graph=parametrizations(smooth=True))
def test_smooth_graphs_have_no_kink(graph: P) -> None:
    assert not {"relu", "leaky_relu", "abs"} & set(operations(graph))
    assert not compile_circuit(graph).has_gates


@settings(max_examples=100)
@given(graph=parametrizations(exact=True))
def test_exact_graphs_are_rational_or_piecewise_linear(graph: P) -> None:
    assert compile_circuit(graph).is_exact


@settings(max_examples=50)
@given(graph=parametrizations(max_operations=1))
def test_the_number_of_operations_is_bounded(graph: P) -> None:
    """One operation may take a few nodes, as conv does."""
    declared = {"relu", "abs", "softmax", "tanh", "matmul", "multiply", "power", "windows", "sum"}
    assert sum(name in declared for name in operations(graph)) <= 2


def test_every_operation_occurs() -> None:
    seen: set[str] = set()

    @settings(max_examples=1500, database=None, derandomize=True)
    @given(graph=parametrizations())
    def collect(graph: P) -> None:
        seen.update(operations(graph))

    collect()
    words = "relu abs exp tanh sigmoid silu gelu softmax normalize rms_norm layer_norm batch_norm cumsum windows"
    arithmetic = "add multiply matmul power sum reshape transpose scale"
    assert set(f"{words} {arithmetic}".split()) <= seen


def test_operations_must_be_allowed() -> None:
    with pytest.raises(DeclarationError, match="max_operations = 0"):
        parametrizations(max_operations=0)


@pytest.mark.parametrize(
    ("condition", "most_operations", "most_leaves"),
    [
        (lambda graph: True, 2, 2),  # u / 3 + 1
        (lambda graph: "softmax" in operations(graph), 1, 1),
        (lambda graph: "relu" in operations(graph), 1, 1),
        (lambda graph: "matmul" in operations(graph), 1, 2),
        (lambda graph: len(graph.parameters) == 3, 2, 3),
        (lambda graph: len(graph.inputs) == 1 and "tanh" in operations(graph), 2, 2),
        (lambda graph: len(graph.symmetries()) > 0, 2, 2),
        (lambda graph: any(factor.kind == "GL" for factor in graph.symmetries()), 1, 2),
        (lambda graph: any(factor.kind == "translation" for factor in graph.symmetries()), 1, 2),
    ],
)
def test_graphs_shrink_to_small_ones(condition: Callable[[P], bool], most_operations: int, most_leaves: int) -> None:
    graph = find(parametrizations(), condition, settings=SEARCH)
    assert len(operations(graph)) <= most_operations, graph.nodes
    assert len(leaves(graph)) <= most_leaves, graph.nodes
    assert all(size <= 2 for shape in graph.parameters.values() for size in shape)


# Arrays.


@pytest.fixture
def attention() -> P:
    n, d = 3, 2
    scores = (st.input("X", n, d) @ st.param("Q", d, 2)) @ st.param("K", d, 2).T @ st.constant("C", d, n)
    return P(st.softmax(scores), name="attention")


STRATEGIES: dict[str, Callable[[P], SearchStrategy[dict[str, np.ndarray]]]] = {
    "points": points,
    "data": data,
    "tangents": tangents,
    "group_elements": group_elements,
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_arrays_have_the_declared_names_and_shapes(name: str, attention: P) -> None:
    expected = {
        "points": attention.parameters,
        "tangents": attention.parameters,
        "data": {**attention.inputs, **attention.constants},
        "group_elements": {factor.name: factor.element_shape for factor in attention.symmetries()},
    }[name]
    assert expected

    @settings(max_examples=20)
    @given(arrays=STRATEGIES[name](attention))
    def check(arrays: dict[str, np.ndarray]) -> None:
        assert {key: array.shape for key, array in arrays.items()} == {
            key: tuple(int(size) for size in shape) for key, shape in expected.items()
        }
        assert all(array.dtype == np.float64 for array in arrays.values())

    check()


@pytest.mark.parametrize("name", STRATEGIES)
def test_unbound_sizes_are_refused_at_once(name: str) -> None:
    n, h = st.dims("n h")
    with pytest.raises(DeclarationError, match=r"size 'h' .* is unbound: call bind\(h=…\)"):
        STRATEGIES[name](P(st.param("G", n, h) @ st.param("H", 3, h).T))
    with pytest.raises(DeclarationError, match=r"size 'n' .* is unbound"):
        STRATEGIES[name](P(st.input("X", n, 3) @ st.param("W", 3)))


@settings(max_examples=50)
@given(draw=hs.data(), positive=hs.booleans())
def test_points_keep_away_from_zero(draw: hs.DataObject, positive: bool) -> None:
    graph = P(st.param("u", 40) * st.param("v", 40))
    point = draw.draw(points(graph, positive=positive))
    entries = np.concatenate(list(point.values()))
    assert np.all((np.abs(entries) >= 0.5) & (np.abs(entries) <= 2))
    assert len(np.unique(np.abs(entries))) == 80
    assert np.all(entries > 0) == positive


def test_elements_move_and_respect_the_condition_number() -> None:
    graph = P(st.param("G", 3, 3) @ st.param("H", 3, 3).T)

    @settings(max_examples=30)
    @given(g=group_elements(graph, condition=4.0))
    def check(g: dict[str, np.ndarray]) -> None:
        assert np.linalg.cond(g["GL"]) <= 4.0 * (1 + 1e-9)
        assert np.abs(g["GL"] - np.eye(3)).max() > 1e-3

    check()


def test_a_group_without_factors_has_the_empty_element() -> None:
    graph = P(st.tanh(st.param("w", 2)) @ st.input("x", 2))
    assert find(group_elements(graph), lambda g: True) == {}


def test_elements_of_a_group_alone() -> None:
    graph = P(st.param("u", 2) * st.param("v", 2))
    assert set(find(group_elements(graph.symmetries()), lambda g: True)) == {"rescaling"}


def test_without_hypothesis_the_error_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    import symtheory.testing\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "symtheory.testing needs Hypothesis: pip install 'symtheory[testing]'", (
        result.stderr
    )


def test_the_library_itself_loads_no_hypothesis() -> None:
    script = "import sys, symtheory; print('hypothesis' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "False", result.stderr


def test_every_public_name_is_documented() -> None:
    for name in testing.__all__:
        assert hasattr(testing, name)
        assert name == "TOLERANCE" or (getattr(testing, name).__doc__ or "").strip(), name
