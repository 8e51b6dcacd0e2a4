"""Starting points are found from the functions of a model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from check_problems import DEPTH_THREE, HADAMARD

from numeric.errors import CheckError
from numeric.experiments.start import elementwise_model, filled, kernel, scale_where, zero_pattern

DIFFERENCE = SimpleNamespace(
    PARAMETERS={"u": ("d",), "v": ("d",)}, INPUTS={}, predictor=lambda point: point["u"] ** 2 - point["v"] ** 2
)
SQUARE = SimpleNamespace(PARAMETERS={"u": ("d",)}, INPUTS={}, predictor=lambda point: point["u"] ** 2)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (HADAMARD, {"u": 1.0, "v": 0.0}),
        (DIFFERENCE, {"u": 1.0, "v": 1.0}),
        (DEPTH_THREE, {"a": 1.0, "b": 1.0, "c": 0.0}),
    ],
)
def test_as_many_ones_as_leave_w_at_zero_and_moving(module: object, expected: dict[str, float]) -> None:
    assert zero_pattern(elementwise_model(module, 5)) == expected


def test_a_square_cannot_leave_zero() -> None:
    with pytest.raises(CheckError, match="no start"):
        zero_pattern(elementwise_model(SQUARE, 5))


def test_the_scale_solves_for_the_kernel() -> None:
    assert scale_where(lambda scale: 2 * scale**4, 0.125, "the kernel") == pytest.approx(0.5, rel=1e-12)
    with pytest.raises(CheckError, match="no start scale makes the kernel equal to 2"):
        scale_where(torch.ones_like, 2.0, "the kernel")


def test_the_kernel_is_the_squared_gradient() -> None:
    point = filled({"a": 2.0, "b": 3.0, "c": 5.0}, 1)
    assert kernel(elementwise_model(DEPTH_THREE, 1), point) == (3 * 5) ** 2 + (2 * 5) ** 2 + (2 * 3) ** 2
    with pytest.raises(CheckError, match="does not move"):
        kernel(elementwise_model(SQUARE, 1), filled({"u": 0.0}, 1))


def test_matrices_and_inputs_are_refused() -> None:
    matrix = SimpleNamespace(PARAMETERS={"W": ("n", "m")}, INPUTS={}, predictor=lambda point: point["W"])
    with pytest.raises(CheckError, match="'W' has shape"):
        elementwise_model(matrix, 5)
    bound = SimpleNamespace(PARAMETERS={"u": (4,)}, INPUTS={}, predictor=lambda point: point["u"])
    with pytest.raises(CheckError, match=r"needs \(5,\)"):
        elementwise_model(bound, 5)
    network = SimpleNamespace(PARAMETERS={"u": (5,)}, INPUTS={"x": (5,)}, predictor=lambda point, x: point["u"] * x)
    with pytest.raises(CheckError, match="has inputs"):
        elementwise_model(network, 5)
