"""A run at the edge of stability from its file: the same bits, more steps, and the files it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import StoreError
from numeric.sharpness import Objective
from numeric.stability import Descent, EdgeRun, Plan, load_edge_run, run_edge
from numeric.stability import run as run_module


def net() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return model, (torch.randn(24, 4, dtype=torch.float64), torch.arange(24) % 3)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = net()
    arguments = (model, nn.CrossEntropyLoss(), data, Descent(0.3, 4, momentum=0.5), Plan(40, 7))
    whole = run_edge(*arguments, seed=2, progress=False)
    path, honest = tmp_path / "run.safetensors", run_module.measure_edge

    def fails(objective: Objective, *rest: Any, **options: Any) -> Any:
        if path.exists() and len(load_edge_run(path).steps) == 3:
            raise KeyboardInterrupt
        return honest(objective, *rest, **options)

    monkeypatch.setattr(run_module, "measure_edge", fails)
    with pytest.raises(KeyboardInterrupt):
        run_edge(*arguments, seed=2, checkpoint=path, progress=False)
    monkeypatch.setattr(run_module, "measure_edge", honest)
    resumed = run_edge(*arguments, seed=2, checkpoint=path, progress=False)
    assert torch.equal(resumed.steps, whole.steps)
    for name, values in whole.records.items():
        assert torch.equal(resumed.records[name], values), name
    assert all(torch.equal(resumed.parameters[name], leaf) for name, leaf in whole.parameters.items())
    loaded = load_edge_run(path)
    assert loaded.step == 40
    assert torch.equal(loaded.records["alpha"], whole.records["alpha"])
    with pytest.raises(StoreError, match="other settings"):
        run_edge(*arguments, seed=3, checkpoint=path, progress=False)


def test_steps_can_be_added_to_a_run_of_one_direction(tmp_path: Path) -> None:
    model, data = net()

    def train(steps: int, checkpoint: Path | None, directions: int = 1) -> EdgeRun:
        plan = Plan(steps, 7, directions=directions)
        arguments = (model, nn.CrossEntropyLoss(), data, Descent(0.3, 4), plan)
        return run_edge(*arguments, seed=2, checkpoint=checkpoint, progress=False)

    path = tmp_path / "run.safetensors"
    train(17, path)
    longer, whole = train(30, path), train(30, None)
    assert load_edge_run(path).settings == whole.settings
    for name, values in whole.records.items():
        assert torch.equal(longer.records[name], values), name
    assert all(torch.equal(longer.parameters[name], leaf) for name, leaf in whole.parameters.items())
    with pytest.raises(StoreError, match=r"other settings \(steps\)"):
        train(25, path)  # it is beyond that
    train(17, tmp_path / "two", 2)
    with pytest.raises(StoreError, match=r"other settings \(steps\)"):
        train(30, tmp_path / "two", 2)


def test_a_file_knows_its_loss_data_model_and_dtype_again(tmp_path: Path) -> None:
    model, (inputs, target) = net()
    path = tmp_path / "run.safetensors"

    def train(model: nn.Module, loss: Callable[..., Tensor], data: tuple[Tensor, Tensor]) -> EdgeRun:
        return run_edge(model, loss, data, Descent(0.3, 4), Plan(10, 5), checkpoint=path, progress=False)

    found = train(model, nn.CrossEntropyLoss(), (inputs, target))
    assert train(model, nn.CrossEntropyLoss(), (inputs, target)).step == found.step
    wider = nn.Sequential(nn.Linear(inputs.shape[1], 7), nn.Linear(7, 3)).to(inputs.dtype)
    for others in (
        (model, nn.CrossEntropyLoss(label_smoothing=0.1), (inputs, target)),
        (model, nn.CrossEntropyLoss(), (inputs.flip(0), target)),
        (wider, nn.CrossEntropyLoss(), (inputs, target)),
        (copy.deepcopy(model).float(), nn.CrossEntropyLoss(), (inputs, target)),
    ):
        with pytest.raises(StoreError, match="another model, loss, data or dtype"):
            train(*others)


def test_a_file_of_a_fitted_run_asks_no_more_than_rounding_tells(tmp_path: Path) -> None:
    model, (inputs, _) = net()
    path = tmp_path / "run.safetensors"
    arguments = (model, nn.MSELoss(), (inputs, model(inputs).detach()), Descent(0.3, 4), Plan(10, 5))
    stood = run_edge(*arguments, checkpoint=path, progress=False)
    begun = {**stood.records, "loss": torch.ones(2, dtype=torch.float64)}
    replace(stood, records=begun, loss=1e-16).save(path)  # here it is zero: another order of summation
    assert run_edge(*arguments, checkpoint=path, progress=False).step == 10
    replace(stood, records=begun, loss=1e-14).save(path)
    with pytest.raises(StoreError, match="another model"):
        run_edge(*arguments, checkpoint=path, progress=False)
