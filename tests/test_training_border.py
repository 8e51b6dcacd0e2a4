"""What training refuses, and with which words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from training_models import HADAMARD, QUADRATIC, RELU_NET, normal_start, regression_data

import numeric
from numeric.device import resolve
from numeric.errors import DataError, NumericError, OptionError, SizeError

START = {"u": torch.ones(5), "v": torch.ones(5)}


def train(**changes: Any) -> numeric.Runs:
    arguments: dict[str, Any] = {
        "M": HADAMARD,
        "loss": numeric.losses.linear_regression,
        "data": regression_data(),
        "optimizer": numeric.GradientDescent(lr=0.01),
        "steps": 3,
        "replicas": 2,
        "initial": START,
    }
    arguments.update(changes)
    return numeric.train(arguments.pop("M"), arguments.pop("loss"), arguments.pop("data"), **arguments)


def changed(key: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**regression_data(), key: value}


def with_bad_row(value: float) -> torch.Tensor:
    x = regression_data()["x"].clone()
    x[4, 2] = x[9, 0] = value
    return x


def test_the_default_call_is_accepted() -> None:
    runs = train()
    assert runs.status == "completed" and runs.diverged_at is None
    assert runs.final["u"].shape == (2, 5) and runs.final["u"].dtype == torch.float64


@pytest.mark.parametrize(
    ("error", "words", "changes"),
    [
        (SizeError, r"'u' of hadamard.*'d'.*P\.bind\(d=…\)", {"initial": None}),
        (SizeError, r"\['u'\].*parameters u, v", {"initial": {"u": torch.ones(5)}}),
        (SizeError, r"'w'.*parameters u, v", {"initial": {**START, "w": torch.ones(5)}}),
        (SizeError, r"'v'.*\(4,\).*d = 5", {"initial": {**START, "v": torch.ones(4)}}),
        (SizeError, r"'u'.*3 replicas", {"initial": {**START, "u": torch.ones(3, 5)}}),
        (SizeError, r"'u'.*\(2, 1, 5\)", {"initial": {**START, "u": torch.ones(2, 1, 5)}}),
        (SizeError, r"drawn for 'u'.*\(1, 5\)", {"initial": lambda g: {**START, "u": torch.ones(1, 5)}}),
        (DataError, r"initial\['v'\].*NaN", {"initial": {**START, "v": torch.full((5,), torch.nan)}}),
        (DataError, r"data\['x'\].*row 4", {"data": changed("x", with_bad_row(torch.nan))}),
        (DataError, r"data\['x'\].*row 4", {"data": changed("x", with_bad_row(torch.inf))}),
        (DataError, r"x 12, y 11", {"data": changed("y", torch.zeros(11))}),
        (DataError, r"data\['y'\].*\(\)", {"data": changed("y", torch.tensor(1.0))}),
        (DataError, r"no data", {"data": {}}),
        (DataError, r"loss needs data\['y'\].*\['x'\]", {"data": {"x": torch.ones(12, 5)}}),
        (
            DataError,
            r"label noise needs a target",
            {"data": {"x": torch.ones(12, 5)}, "optimizer": numeric.SGD(lr=0.1, label_noise=1.0)},
        ),
        (
            DataError,
            r"floating target.*int64",
            {
                "data": changed("y", torch.zeros(12, dtype=torch.int64)),
                "optimizer": numeric.SGD(lr=0.1, label_noise=1.0),
            },
        ),
        (
            DataError,
            r"lack 'x', an input of relu_net",
            {
                "M": RELU_NET,
                "data": {"y": torch.ones(3, 2)},
                "loss": numeric.losses.squared_error,
                "initial": {"W": torch.ones(4, 3), "V": torch.ones(2, 4)},
            },
        ),
        (
            SizeError,
            r"sample of data\['x'\].*\(2,\).*d = 3",
            {
                "M": RELU_NET,
                "data": {"x": torch.ones(3, 2), "y": torch.ones(3, 2)},
                "loss": numeric.losses.squared_error,
                "initial": {"W": torch.ones(4, 3), "V": torch.ones(2, 4)},
            },
        ),
        (
            SizeError,
            r"prediction \(2, 5\) does not fit.*x \(2, 12, 4\)",
            {"data": changed("x", torch.ones(12, 4))},
        ),
        (SizeError, r"loss has shape \(2,\), not \(2, 12\)", {"loss": lambda w, batch: w.sum(-1)}),
        (
            SizeError,
            r"observable 'bad'.*\(5,\).*2 replicas",
            {"observables": {"bad": lambda step: step.point["u"][0]}},
        ),
        (OptionError, r"steps = 0", {"steps": 0}),
        (OptionError, r"replicas = 0", {"replicas": 0}),
        (OptionError, r"checkpoint_every = 0", {"checkpoint_every": 0}),
        (OptionError, r"'ignore'", {"on_divergence": "ignore"}),
        (OptionError, r"record_every and record_at", {"record_every": 1, "record_at": [0]}),
        (OptionError, r"record_every = 0", {"record_every": 0}),
        (OptionError, r"step 3: steps are 0 to 2", {"record_at": [0, 3]}),
        (OptionError, r"lacks PARAMETERS, INPUTS", {"M": SimpleNamespace(predictor=None)}),
        (OptionError, r"unknown device 'abacus'", {"device": "abacus"}),
    ],
)
def test_refusals_name_the_thing(error: type[NumericError], words: str, changes: dict[str, Any]) -> None:
    with pytest.raises(error, match=words) as caught:
        train(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "make"),
    [
        ("lr = 0 ", lambda: numeric.SGD(lr=0)),
        ("lr = -1", lambda: numeric.GradientDescent(lr=-1)),
        ("lr = nan", lambda: numeric.Langevin(lr=float("nan"), temperature=1.0)),
        ("lr = inf", lambda: numeric.SGD(lr=float("inf"))),
        ("batch_size = 0", lambda: numeric.SGD(lr=1, batch_size=0)),
        ("label_noise = -1", lambda: numeric.SGD(lr=1, label_noise=-1)),
        ("momentum = 1 .*below 1", lambda: numeric.SGD(lr=1, momentum=1)),
        ("momentum = 1.5", lambda: numeric.GradientDescent(lr=1, momentum=1.5)),
        ("weight_decay = -0.1", lambda: numeric.GradientDescent(lr=1, weight_decay=-0.1)),
        ("temperature = -1", lambda: numeric.Langevin(lr=1, temperature=-1)),
    ],
)
def test_optimizers_refuse_values_out_of_range(words: str, make: Any) -> None:
    with pytest.raises(OptionError, match=words):
        make()


def test_devices() -> None:
    assert resolve() == resolve("cpu") == torch.device("cpu")
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(OptionError, match=r"'cuda:99' is not available.*'auto'"):
        resolve("cuda:99")


def test_default_start_is_normal_with_variance_one_over_the_last_size() -> None:
    bound = SimpleNamespace(**{**vars(HADAMARD), "PARAMETERS": {"u": (5,), "v": (5,)}})
    start = train(M=bound, initial=None, replicas=4000, steps=1).initial
    # 20,000 numbers: 4.5 standard errors of the variance, fixed beforehand.
    assert abs(float(start["u"].var()) * 5 - 1) < 4.5 * (2 / 20_000) ** 0.5
    assert torch.equal(start["u"][:3], train(M=bound, initial=None, replicas=3, steps=1).initial["u"])


def test_shared_and_own_starting_points_and_unused_parameters() -> None:
    own = torch.stack([torch.ones(5), 2 * torch.ones(5)])
    runs = train(initial={"u": own, "v": torch.zeros(5)}, loss=lambda w, b: b["y"] + 0 * w[:, :1], steps=2)
    assert torch.equal(runs.initial["u"], own.double()) and torch.equal(runs.final["u"], own.double())
    lonely = SimpleNamespace(PARAMETERS={"u": (), "idle": ()}, INPUTS={}, predictor=lambda point: point["u"])
    runs = train(
        M=lonely,
        initial={"u": 1.0, "idle": 3.0},
        data={"y": torch.zeros(1)},
        loss=numeric.losses.coefficient_error,
    )
    assert runs.final["idle"].tolist() == [3.0, 3.0] and runs.final["u"][0] < 1


def test_dtype_follows_the_data_unless_given() -> None:
    data = {key: leaf.float() for key, leaf in regression_data().items()}
    assert train(data=data).final["u"].dtype == torch.float32
    assert train(data=data, dtype=torch.float64).final["u"].dtype == torch.float64
    assert train(data={key: leaf.numpy() for key, leaf in data.items()}).final["u"].dtype == torch.float32


def test_object_with_load_and_record_steps() -> None:
    generated = SimpleNamespace(load=lambda: HADAMARD)
    observe = {"loss": numeric.observables.loss, "w": numeric.observables.predictor(generated)}
    runs = train(M=generated, steps=250, observables=observe)
    assert runs.module is HADAMARD
    assert runs.steps.tolist() == list(range(0, 250, 2))
    assert runs.observables["w"].shape == (125, 2, 5)
    assert train(observables=observe, record_at=[2, 0]).steps.tolist() == [0, 2]
    assert train(observables=observe, record_every=2).steps.tolist() == [0, 2]
    assert torch.equal(runs.observables["w"][0], runs.initial["u"] * runs.initial["v"])


def test_charges_need_a_module_that_has_them() -> None:
    with pytest.raises(OptionError, match="conserved"):
        numeric.observables.charges(QUADRATIC)


def test_training_leaves_the_users_tensors_and_global_generator_alone() -> None:
    data, start = regression_data(), normal_start(torch.Generator().manual_seed(0))
    copies = [leaf.clone() for leaf in (*data.values(), *start.values())]
    state = torch.get_rng_state()
    train(data=data, initial=start, optimizer=numeric.SGD(lr=0.1, batch_size=1, label_noise=1.0))
    assert all(torch.equal(a, b) for a, b in zip(copies, (*data.values(), *start.values()), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    assert capsys.readouterr() == ("", "")
    train(progress=True)
    assert "training hadamard" in capsys.readouterr().err
