"""Linear readouts are found from the graph, and hand every statement down to their coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import symtheory as st
from symtheory import catalog
from symtheory.errors import DerivationError
from symtheory.predictions.symbols import PREDICTOR

n, d = st.dims("n d")
u, v = st.param("u", d), st.param("v", d)
M, a = st.constant("M", n, d), st.constant("a", d)
MECHANISMS = ("mirror", "label_noise", "weight_decay")

LINEAR = {
    "cumsum": st.cumsum(u * v),
    "matrix": M @ (u * u - v * v),
    "diagonal": a * (u * v),
    "chain": 2 * st.cumsum(a * (u * v)),
    "two_ways": st.cumsum(u * v) - u * v,
    "moving_sum": st.windows(u * v, 2).sum(-1),
}
OTHER = {
    "affine": M @ (u * v) + 1,
    "square": (M @ (u * v)) ** 2,
    "exponential": st.exp(st.cumsum(u * v)),
    "no_single_node": M @ (u * u) - M @ (v * v),
    "softmax": st.softmax(u * v),
    "coordinatewise": u * v,
    "input": st.input("x", d) @ (u * v),
}


@pytest.mark.parametrize("name", LINEAR)
def test_the_predictor_is_a_fixed_matrix_times_the_coordinates(name: str) -> None:
    graph = st.Parametrization(LINEAR[name], name=name)
    prediction = graph.predictions()["mirror"]
    functions, module = prediction.load(), st.generate(graph).load()
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    constants = {key: value for key, value in {"M": draw(3, 4), "a": draw(4)}.items() if key in graph.constants}
    point = {"u": draw(7, 4), "v": draw(7, 4)}
    matrix = functions.mirror_readout({"coordinates": torch.eye(4, dtype=torch.float64)}, **constants)
    expected = module.predictor(point, **constants)
    torch.testing.assert_close(functions.mirror_coordinates(point) @ matrix, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", OTHER)
def test_what_is_not_linear_in_one_node_has_no_readout(name: str) -> None:
    assert st.Parametrization(OTHER[name], name=name).readout is None


def test_statements_are_those_of_the_coordinates() -> None:
    """cumsum(u ⊙ v) says of its jumps what u ⊙ v says of w."""
    whole, part = catalog.load("total_variation").predictions(), catalog.load("hadamard").predictions()
    for mechanism in MECHANISMS:
        said, linear = whole[mechanism].relations[:-1], whole[mechanism].relations[-1]
        (c,) = linear.rhs.args
        assert linear.lhs == PREDICTOR
        assert [relation.subs(c, PREDICTOR) for relation in said] == list(part[mechanism].relations)
        assert "cumsum(c)" in whole[mechanism].notes[0]
    assert "stationary_density" in whole.not_applicable  # D couples the coordinates there


def test_a_parameter_called_c_leaves_the_name_to_itself() -> None:
    c = st.param("c", d)
    prediction = st.Parametrization(st.cumsum(u * c), name="named").predictions()["weight_decay"]
    assert str(prediction.relations[-1].rhs) == "D(c_)"
    reserved = st.Parametrization(st.constant("coordinates", n, d) @ (u * v), name="reserved").predictions()
    with pytest.raises(DerivationError, match="rename it"):
        reserved["mirror"]


def test_the_readout_of_total_variation_is_a_triangle_of_ones() -> None:
    functions = catalog.load("total_variation").predictions()["label_noise"].load()
    matrix = functions.label_noise_readout({"coordinates": torch.eye(5, dtype=torch.float64)}).mT
    np.testing.assert_array_equal(matrix.numpy(), np.tril(np.ones((5, 5))))
