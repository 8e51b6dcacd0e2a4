"""Saving, loading, and going on after an interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from training_models import HADAMARD, normal_start, regression_data

import numeric
from numeric.errors import StoreError
from numeric.files import write_whole
from numeric.training.configuration import differing_keys

STEPS, INTERRUPTED_AT = 900, 650


class Observe:
    """Records w, counts its calls and, at a chosen step, ends the process or raises."""

    def __init__(self, at: int = -1, end: Any = None) -> None:
        self.calls: list[int] = []
        self._at, self._end = at, end

    def __call__(self, step: numeric.Step) -> torch.Tensor:
        if step.index == self._at:
            self._end()
        self.calls.append(step.index)
        return step.point["u"] * step.point["v"]


def train(observe: Observe, checkpoint: Path | None, **changes: Any) -> numeric.Runs:
    optimizer = changes.pop(
        "optimizer", numeric.SGD(lr=0.01, batch_size=2, label_noise=0.5, momentum=0.6, weight_decay=0.01)
    )
    arguments: dict[str, Any] = {"steps": STEPS, "replicas": 3, "seed": 5, "record_every": 10, **changes}
    return numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        regression_data(),
        optimizer=optimizer,
        initial=normal_start,
        observables={"w": observe},
        checkpoint=checkpoint,
        checkpoint_every=130,
        **arguments,
    )


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def press_interrupt() -> None:
    raise KeyboardInterrupt


def assert_identical(left: numeric.Runs, right: numeric.Runs) -> None:
    assert torch.equal(left.steps, right.steps)
    assert torch.equal(left.diverged_steps, right.diverged_steps)
    for name in ("observables", "initial", "final"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name


def test_a_killed_process_resumes_to_identical_results(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    script = (
        "import sys, pathlib\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_training_store as t\n"
        "t.train(t.Observe(t.INTERRUPTED_AT, t.kill_self), pathlib.Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    observe = Observe()
    resumed = train(observe, path)
    assert observe.calls[0] == INTERRUPTED_AT  # the last checkpoint is at 5 · 130 = 650
    assert_identical(resumed, train(Observe(), None))


@pytest.mark.parametrize("interrupted_at", [100, 700])
def test_a_keyboard_interrupt_resumes_to_identical_results(tmp_path: Path, interrupted_at: int) -> None:
    path = tmp_path / "deeper" / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(Observe(interrupted_at, press_interrupt), path)
    assert path.exists() == (interrupted_at > 130)
    observe = Observe()
    resumed = train(observe, path)
    assert observe.calls[0] == (0 if interrupted_at < 130 else 650)
    assert_identical(resumed, train(Observe(), None))
    again = Observe()
    assert_identical(train(again, path), resumed)
    assert again.calls == []  # a finished run is read, not repeated
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("differs", "changes"),
    [
        ("seed", {"seed": 6}),
        ("steps", {"steps": STEPS + 1}),
        ("replicas", {"replicas": 2}),
        ("optimizer", {"optimizer": numeric.SGD(lr=0.01, batch_size=2, momentum=0.6, label_noise=0.4)}),
        ("optimizer", {"optimizer": numeric.SGD(lr=lambda k: 0.01, batch_size=2, label_noise=0.5)}),
        ("record", {"record_every": 20}),
    ],
)
def test_another_configuration_is_refused(tmp_path: Path, differs: str, changes: dict[str, Any]) -> None:
    path = tmp_path / "run.checkpoint"
    train(Observe(), path)
    with pytest.raises(StoreError, match=rf"another configuration \(.*{differs}"):
        train(Observe(), path, **changes)


def test_torch_decides_the_numbers_but_python_and_commit_do_not() -> None:
    config = {"seed": 1, "commit": "a", "versions": {"torch": "2.13.0", "python": "3.11.0"}}
    moved = {"seed": 1, "commit": "b", "versions": {"torch": "2.13.0", "python": "3.12.0"}}
    newer = {**moved, "versions": {"torch": "2.14.0", "python": "3.12.0"}}
    assert differing_keys(config, moved) == []
    assert differing_keys(config, newer) == ["torch version"]


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(StoreError, match="cannot read"):
        train(Observe(), path)
    train(Observe(), None, steps=2).save(tmp_path)
    with pytest.raises(StoreError, match="no checkpoint"):
        train(Observe(), tmp_path / "tensors.safetensors")


def test_runs_survive_saving_and_loading(tmp_path: Path) -> None:
    runs = train(Observe(), None, steps=50)
    folder = runs.save(tmp_path / "results")
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "tensors.safetensors"]
    loaded = numeric.Runs.load(folder, HADAMARD)
    assert_identical(loaded, runs)
    assert loaded.config == runs.config and loaded.module is HADAMARD
    assert numeric.Runs.load(folder).module is None
    config = json.loads((folder / "config.json").read_text())
    assert config["optimizer"]["name"] == "SGD" and config["optimizer"]["label_noise"] == 0.5
    assert config["versions"]["torch"] == torch.__version__ and config["seed"] == 5
    assert config["data"]["x"]["shape"] == [12, 5]
    runs.save(folder)  # again, over the first


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot make .*file.* choose a place that can be written"):
        train(Observe(), None, steps=2).save(tmp_path / "file" / "results")
    (tmp_path / "run.checkpoint").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*run\.checkpoint"):
        write_whole(tmp_path / "run.checkpoint", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run.checkpoint"]


def test_loading_refuses_what_does_not_belong(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        numeric.Runs.load(tmp_path)
    folder = train(Observe(), None, steps=5).save(tmp_path / "results")
    other = SimpleNamespace(**{**vars(HADAMARD), "DECLARATION_HASH": "2" * 16})
    with pytest.raises(StoreError, match="runs of hadamard"):
        numeric.Runs.load(folder, other)
    (folder / "tensors.safetensors").write_bytes(b"cut")
    with pytest.raises(StoreError, match="cannot read tensors"):
        numeric.Runs.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(StoreError, match=r"config\.json"):
        numeric.Runs.load(folder)
