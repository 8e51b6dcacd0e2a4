"""Fixed arrays of a model: trained with, recorded, and refused in one line where they do not fit."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import array_cases
import pytest
import torch

import numeric
from numeric.errors import DataError, OptionError, SizeError

LORA = array_cases.module("lora")
W0 = torch.as_tensor(array_cases.arrays(array_cases.declared("lora").constants, 3)["W0"])


def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    return {"x": x, "y": torch.randn(12, 4, generator=generator, dtype=torch.float64)}


def train(M: Any = LORA, **options: Any) -> numeric.Runs:
    settings = {"steps": 30, "replicas": 2, "optimizer": numeric.SGD(lr=0.05, batch_size=4), "seed": 4}
    return numeric.train(M, numeric.losses.squared_error, data(), **{**settings, **options})


def test_constants_enter_the_predictor_as_if_it_were_bound_to_them() -> None:
    bound = SimpleNamespace(
        NAME="lora", PARAMETERS=LORA.PARAMETERS, INPUTS=LORA.INPUTS, predictor=partial(LORA.predictor, W0=W0)
    )
    expected, runs = train(bound).final, train(constants={"W0": W0}).final
    assert all(torch.equal(runs[name], expected[name]) for name in expected)
    other = train(constants={"W0": 2 * W0}).final
    assert not torch.equal(other["A"], expected["A"])


def test_lists_arrays_and_integers_are_taken_in_the_dtype_of_the_run() -> None:
    ones = train(constants={"W0": [[1, 1, 1]] * 4}).final
    assert torch.equal(ones["A"], train(constants={"W0": torch.ones(4, 3, dtype=torch.float64).numpy()}).final["A"])


def test_the_record_tells_two_constants_apart_and_has_none_without() -> None:
    one, two = train(constants={"W0": W0}).config, train(constants={"W0": 2 * W0}).config
    assert one["constants"]["W0"]["shape"] == [4, 3]
    assert one["constants"] != two["constants"]
    low_rank = numeric.train(
        array_cases.module("low_rank"),
        numeric.losses.coefficient_error,
        {"y": torch.ones(2, 4, 3, dtype=torch.float64)},
        optimizer=numeric.GradientDescent(lr=0.1),
        steps=2,
    )
    assert "constants" not in low_rank.config


@pytest.mark.parametrize(
    ("constants", "error", "message"),
    [
        (None, DataError, r"given are \[\], but lora has constants W0: pass constants="),
        ({"W0": W0, "W1": W0}, DataError, r"given are \['W0', 'W1'\], but lora has constants W0"),
        ({"W0": W0.T}, SizeError, r"constants\['W0'\] has shape \(3, 4\), but \(4, 3\) was declared"),
        ({"W0": W0 * float("nan")}, DataError, r"constants\['W0'\] holds NaN or infinity"),
    ],
)
def test_constants_that_do_not_fit(constants: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        train(constants=constants)
    assert "\n" not in str(caught.value)


def test_constants_for_a_model_without_any() -> None:
    with pytest.raises(DataError, match=r"given are \['W0'\], but low_rank has no constants: drop them"):
        numeric.train(
            array_cases.module("low_rank"),
            numeric.losses.coefficient_error,
            {"y": torch.ones(2, 4, 3, dtype=torch.float64)},
            optimizer=numeric.GradientDescent(lr=0.1),
            steps=2,
            constants={"W0": W0},
        )


def test_a_free_size_has_one_value_in_parameters_and_constants() -> None:
    free = SimpleNamespace(
        NAME="free", PARAMETERS={"u": ("d",)}, INPUTS={}, CONSTANTS={"c": ("d",)}, predictor=lambda p, c: p["u"] * c
    )
    with pytest.raises(SizeError, match=r"constants\['c'\] has shape \(3,\), but \(d,\) with d = 2 was declared"):
        numeric.train(
            free,
            numeric.losses.coefficient_error,
            {"y": torch.ones(4, 2)},
            optimizer=numeric.GradientDescent(lr=0.1),
            steps=2,
            initial={"u": torch.ones(2)},
            constants={"c": torch.ones(3)},
        )


def test_the_predictor_is_observed_with_its_constants() -> None:
    x = data()["x"]
    runs = train(
        constants={"W0": W0},
        observables={"f": numeric.observables.predictor(LORA, x=x, W0=W0)},
        record_at=[0],
    )
    expected = LORA.predictor({name: leaf.unsqueeze(1) for name, leaf in runs.initial.items()}, x, W0)
    assert torch.equal(runs.observables["f"][0], expected)
    for values in ({"x": x}, {"x": x, "W0": W0, "z": x}):
        with pytest.raises(OptionError, match=r"lora has inputs and constants \['x', 'W0'\]: name just these"):
            numeric.observables.predictor(LORA, **values)
