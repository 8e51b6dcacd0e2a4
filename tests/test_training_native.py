"""Native steps: those of eager torch up to rounding, and the same bits however they are cut, shared out or repeated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import numeric
import symtheory as st
from numeric.errors import DivergedError, OptionError
from numeric.training import backend as backends
from numeric.training.native import block, compiler, transcript
from numeric.training.native.workspace import Span, arranged
from symtheory import catalog

# Some tens of stable float64 steps whose sums are taken in another order.
ROUNDING = 1e-12
REPLICAS = 19  # whole vectors of 2, 4 or 8 and a rest

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="native steps need a C++ compiler")


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


HADAMARD = st.generate(catalog.load("hadamard").bind(d=5)).load()
REGRESSION = {"x": normal(9, 5), "y": normal(9)}


def schedule(step: int) -> float:
    return 0.05 / (1 + step / 50)


def trained(backend: str, M: Any = HADAMARD, data: Any = REGRESSION, **options: Any) -> numeric.Runs:
    chosen: dict[str, Any] = {
        "loss": numeric.losses.linear_regression,
        "optimizer": numeric.SGD(schedule, 3, label_noise=0.3, momentum=0.5, weight_decay=0.05),
        "steps": 100,
        "replicas": REPLICAS,
        "observables": {"loss": numeric.observables.loss},
        "record_at": [0, 21, 22, 64, 99],
    }
    return numeric.train(M, data=data, backend=backend, **(chosen | options))


def assert_alike(left: numeric.Runs, right: numeric.Runs) -> None:
    for name, leaf in left.final.items():
        torch.testing.assert_close(right.final[name], leaf, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(right.observables["loss"], left.observables["loss"], rtol=ROUNDING, atol=ROUNDING)


def assert_equal(left: numeric.Runs, right: numeric.Runs) -> None:
    assert all(torch.equal(right.final[name], leaf) for name, leaf in left.final.items())
    assert torch.equal(right.observables["loss"], left.observables["loss"])


def of_catalog(name: str, **sizes: int) -> dict[str, Any]:
    """The entry with these sizes and six samples of standard normal inputs and targets."""
    M = st.generate(catalog.load(name).bind(**sizes)).load()
    start = {key: 0.5 + 0.1 * normal(*shape) for key, shape in M.PARAMETERS.items()}
    inputs = {key: normal(6, *shape) for key, shape in M.INPUTS.items()}
    target = M.predictor(start, **{key: leaf[0] for key, leaf in inputs.items()})
    data = {**inputs, "y": normal(6, *target.shape)}
    return {"M": M, "data": data, "initial": start, "loss": numeric.losses.squared_error}


CUMSUM = st.generate(st.Parametrization(st.cumsum(st.param("p", 5) * st.param("q", 5)), name="steps")).load()
WITHOUT, SLOW = (numeric.SGD(lr, 3, label_noise=0.1, replacement=False) for lr in (0.02, 0.002))


@needs_compiler
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="schedule, label noise, momentum, decay"),
        pytest.param({"optimizer": numeric.GradientDescent(0.05)}, id="full batch"),
        pytest.param({"optimizer": numeric.SGD(0.05, label_noise=0.5)}, id="full batch, label noise"),
        pytest.param({"optimizer": numeric.Langevin(lr=0.02, temperature=0.2)}, id="Langevin"),
        pytest.param({"M": CUMSUM, "optimizer": WITHOUT}, id="cumsum, without replacement"),
        pytest.param({**of_catalog("shallow_relu", d=3, h=4, k=2), "optimizer": WITHOUT}, id="network"),
        pytest.param({**of_catalog("attention", n=3, d=4, h=2), "optimizer": WITHOUT}, id="attention"),
        pytest.param({**of_catalog("layer_norm_affine", d=4, h=3, k=2), "optimizer": SLOW}, id="variance"),
    ],
)
def test_native_training_is_eager_training(options: dict[str, Any]) -> None:
    native = trained("native", **options)
    assert native.config["backend"] == "native"
    assert_alike(trained("eager", **options), native)


@needs_compiler
def test_no_bit_depends_on_threads_on_other_replicas_or_on_where_a_run_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("native")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert block._shares(REPLICAS, 8, 3) == [(0, 8), (8, 16), (16, 19)]
        assert_equal(whole, trained("native"))
        torch.set_num_threads(1)
        assert_equal(whole, trained("native"))
    finally:
        torch.set_num_threads(threads)
    unrecorded = {"observables": None, "record_at": None}
    many, few = (trained("native", replicas=count, **unrecorded) for count in (REPLICAS, 5))
    assert all(torch.equal(many.final[name][:5], few.final[name]) for name in few.final)
    monkeypatch.setattr(block, "LONGEST", 3)
    assert_equal(whole, trained("native"))

    class Stop(Exception):
        pass

    def interrupt(step: numeric.Step) -> Tensor:
        if step.index == 64:
            raise Stop
        return step.loss

    file = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        trained("native", checkpoint=file, checkpoint_every=13, observables={"loss": interrupt})
    assert_equal(whole, trained("native", checkpoint=file, checkpoint_every=13))


@needs_compiler
def test_the_first_step_that_diverged_is_found() -> None:
    options = {"optimizer": numeric.GradientDescent(lr=30.0), "observables": None, "record_at": None}
    found = []
    for backend in ("eager", "native"):
        with pytest.raises(DivergedError, match="run diverged at step") as raised:
            trained(backend, **options)
        found.append(raised.value.runs.diverged_steps)
    assert torch.equal(found[0], found[1])


def every_operation(prediction: Tensor) -> Tensor:
    """A derivative that is made of each operation with a native form that the models above have not."""
    x, p, half = prediction, prediction.abs() + 0.5, torch.full((5,), 0.5, dtype=torch.float64)
    y = torch.stack([x, 2 * x], dim=1).amax(1) + torch.cat([x[:, :2], x[:, 2:].sigmoid()], dim=1)
    y = y + p.sqrt() + p.rsqrt() + p.log() + p.log1p() + p**0.5 + p**1.7 + p**-1 + p**3 + p.reciprocal() + 1 / p
    y = y + x.exp() + x.expm1() + x.sin() + x.cos() + x.tanh() + x.sinh() + x.cosh() + x.asinh() + x.atan() + x.erf()
    y = y + x.sign() + torch.sgn(x - 1) + torch.maximum(x, half) + torch.minimum(x, p) + torch.sub(x, p, alpha=3)
    y = y + torch.where(x > 0, x, -p) + torch.where(x <= half, 1.0, x) + (1 - x) + x.mean() + p.sum()
    y = y + torch.nn.functional.gelu(x) + torch.nn.functional.silu(x) + torch.nn.functional.leaky_relu(x, 0.3)
    return y + x.var() + x.flip(-1).cumsum(-1) + torch.erfc(x) + torch.tanh(x).softmax(-1) + (x >= 0.1) + (x != 0)


@needs_compiler
def test_every_operation_that_has_a_native_form() -> None:
    def loss(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return numeric.losses.linear_regression(prediction, batch)

    def derivative(prediction: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        # One row is one replica here: sums over all axes are a replica's own only if they are taken row by row.
        rows = torch.cat([every_operation(row) for row in prediction.split(1)])
        return loss(prediction, batch), rows

    loss.value_and_derivative = derivative  # type: ignore[attr-defined]
    options = {"loss": loss, "optimizer": numeric.SGD(1e-3, 3), "steps": 20, "record_at": [0, 19]}
    assert_alike(trained("eager", **options), trained("native", **options))


@needs_compiler
def test_an_automatic_gradient_has_a_native_form_too() -> None:
    def loss(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return (batch["x"] @ prediction.unsqueeze(-1)).squeeze(-1).sub(batch["y"]).tanh().square()

    options = {"loss": loss, "optimizer": numeric.SGD(0.05, 3)}
    assert_alike(trained("eager", **options), trained("native", **options))


@needs_compiler
@pytest.mark.parametrize(
    ("words", "loss"),
    [
        ("aten.rand_like.default, which has no native form", lambda w, batch: torch.rand_like(w)[:, :1] * batch["y"]),
        ("aten._local_scalar_dense", lambda w, batch: batch["y"] * float(w.sum())),
        ("aten.cummax.default", lambda w, batch: w.cummax(-1)[0][:, :1] * batch["y"]),
        ("hold torch.int64 numbers", lambda w, batch: w.argmax(-1, keepdim=True) * batch["y"]),
    ],
)
def test_steps_without_a_native_form_are_refused(words: str, loss: Any) -> None:
    with pytest.raises(OptionError, match=words):
        trained("native", loss=loss)


def test_data_of_another_dtype_are_refused() -> None:
    data = {**REGRESSION, "group": torch.arange(9)}
    with pytest.raises(OptionError, match=r"there are data\['group'\] of torch.int64"):
        trained("native", data=data)


@needs_compiler
def test_a_native_step_that_is_not_the_step_of_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "EXPRESSIONS", {**transcript.EXPRESSIONS, "mul": "{0} + {1}"})
    with pytest.raises(OptionError, match="not the step that eager torch takes"):
        trained("native")


def test_without_a_compiler_native_says_so_and_auto_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiler, "NAMES", ("no such compiler",))
    monkeypatch.setattr(backends, "NATIVE_REPLICA_STEPS", 1)
    compiler.library.cache_clear()
    with pytest.raises(OptionError, match="there is no C\\+\\+ compiler"):
        trained("native")
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler: training goes on in eager torch"):
        runs = trained("auto")
    assert "backend" not in runs.config
    assert_equal(trained("eager"), runs)


@needs_compiler
def test_auto_takes_native_steps_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "backend" not in trained("auto").config
    monkeypatch.setattr(backends, "NATIVE_REPLICA_STEPS", 95 * backends.FULL)
    assert trained("auto").config["backend"] == "native"
    monkeypatch.setattr(backends, "NATIVE_REPLICA_STEPS", 95 * backends.FULL + 1)
    assert "backend" not in trained("auto").config


def test_arrays_that_are_needed_together_do_not_overlap() -> None:
    spans = {"p": Span.always(3), "a": Span(4, 0, 2), "b": Span(2, 1, 1), "c": Span(2, 2, 5), "d": Span(4, 3, 3)}
    places, size = arranged(spans)
    assert places == {"p": 0, "a": 3, "b": 7, "c": 7, "d": 3}
    assert size == 9
