"""Compiled blocks of steps: the same training up to rounding, in the same order, with the same stops."""

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
from numeric.training import block
from numeric.training.backend import steps_in_blocks
from symtheory import catalog

# 100 stable float64 steps whose sums are taken in another order.
ROUNDING = 1e-12
STEPS = 100
MODULE = st.generate(catalog.load("hadamard").bind(d=5)).load()

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


def data() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    return {"x": x, "y": x[:, 0] - x[:, 2]}


def schedule(step: int) -> float:
    return 0.05 / (1 + step / 50)


def trained(backend: str, **options: Any) -> numeric.Runs:
    chosen: dict[str, Any] = {
        "optimizer": numeric.SGD(schedule, 2, label_noise=0.3, momentum=0.5, weight_decay=0.05),
        "steps": STEPS,
        "replicas": 3,
        "observables": {"charge": numeric.observables.charges(MODULE), "loss": numeric.observables.loss},
        "record_at": [0, 21, 22, 64, 99],
    }
    return numeric.train(MODULE, numeric.losses.linear_regression, data(), backend=backend, **(chosen | options))


def assert_alike(left: numeric.Runs, right: numeric.Runs) -> None:
    assert torch.equal(left.steps, right.steps)
    for name, leaf in left.final.items():
        torch.testing.assert_close(right.final[name], leaf, rtol=ROUNDING, atol=ROUNDING)
    for name, values in left.observables.items():
        torch.testing.assert_close(right.observables[name], values, rtol=ROUNDING, atol=ROUNDING)


@needs_compiler
def test_compiled_training_is_eager_training_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    compiled = trained("compiled")
    assert compiled.config["backend"] == "compiled"
    assert_alike(trained("eager"), compiled)

    class Stop(Exception):
        pass

    def interrupt(step: numeric.Step) -> Tensor:
        if step.index == 64:
            raise Stop
        return step.loss

    # Checkpoints at multiples of 13 are written where the blocks that hold them end, so that no block is cut.
    file = tmp_path / "run.safetensors"
    usual = {"charge": numeric.observables.charges(MODULE), "loss": numeric.observables.loss}
    with pytest.raises(Stop):
        trained("compiled", checkpoint=file, checkpoint_every=13, observables={**usual, "loss": interrupt})
    resumed = trained("compiled", checkpoint=file, checkpoint_every=13, observables=usual)
    assert all(torch.equal(resumed.final[name], compiled.final[name]) for name in compiled.final)
    assert all(torch.equal(resumed.observables[name], compiled.observables[name]) for name in compiled.observables)


@needs_compiler
def test_compiled_langevin_steps_draw_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    # 10 numbers a step: a block of the stream has 102 steps, so that steps 100 to 103 take theirs from two blocks.
    monkeypatch.setattr(block, "LONGEST", 4)
    options = {"optimizer": numeric.Langevin(lr=0.02, temperature=0.2), "steps": 120}
    assert_alike(trained("eager", **options), trained("compiled", **options))


@needs_compiler
def test_compiled_training_finds_the_first_step_that_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "LONGEST", 2)
    options = {"optimizer": numeric.GradientDescent(lr=30.0), "observables": None, "record_at": None}
    found = []
    for backend in ("eager", "compiled"):
        with pytest.raises(DivergedError, match="run diverged at step") as raised:
            trained(backend, **options)
        found.append(raised.value.runs.diverged_steps)
    assert torch.equal(found[0], found[1])


def test_without_a_compiler_auto_goes_on_and_compiled_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OptionError("the steps cannot be compiled (no compiler)")

    monkeypatch.setattr(backends, "native_block", refuse)
    monkeypatch.setattr(backends, "compiled_block", refuse)
    monkeypatch.setattr(backends, "NATIVE_REPLICA_STEPS", 1)
    monkeypatch.setattr(backends, "REPLICA_STEPS", 1)
    runs = trained("auto")
    assert "backend" not in runs.config
    assert_alike(trained("eager"), runs)
    with pytest.raises(OptionError, match="no compiler"):
        trained("compiled")
    with pytest.raises(OptionError, match="backend = 'fast' is unknown: 'auto', 'eager', 'native', 'compiled'"):
        trained("fast")


def test_auto_compiles_where_enough_replica_steps_lie_in_whole_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*arguments: Any) -> Any:
        raise OptionError("an operation has no native form")

    def note(program: Any, state: Any, length: int) -> None:
        asked.append(length)

    monkeypatch.setattr(backends, "native_block", refuse)
    monkeypatch.setattr(backends, "NATIVE_REPLICA_STEPS", 1)
    monkeypatch.setattr(backends, "compiled_block", note)
    trained("auto")
    monkeypatch.setattr(backends, "REPLICA_STEPS", 3 * 72)
    trained("auto")  # records lie in blocks 0, 2, 8 and beyond the last whole one: 9 of 12 remain
    assert asked == [8]
    monkeypatch.setattr(backends, "REPLICA_STEPS", 3 * 72 + 1)
    trained("auto")
    assert asked == [8]


@pytest.mark.parametrize(
    ("steps", "recorded", "inside"), [(100, [], 96), (100, [99], 96), (100, [0, 7, 8], 80), (7, [], 0)]
)
def test_steps_in_whole_blocks(steps: int, recorded: list[int], inside: int) -> None:
    assert steps_in_blocks(steps, 8, recorded) == inside
