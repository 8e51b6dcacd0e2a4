"""Checkpoints into models: what is read, what is refused, and that nothing in a file runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from numeric.errors import StoreError
from numeric.sharpness.checkpoint import load_checkpoint


def filled(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


@pytest.mark.parametrize("form", ["safetensors", "plain", "state_dict", "model_state_dict", "model"])
def test_every_form_fills_the_model(form: str, tmp_path: Path) -> None:
    saved = filled(0.5).state_dict()
    path = tmp_path / ("model.safetensors" if form == "safetensors" else "model.pt")
    if form == "safetensors":
        save_file(saved, path)
    else:
        torch.save(saved if form == "plain" else {form: saved, "optimizer": {"step": 3}}, path)
    model = filled(0.0)
    load_checkpoint(model, path)
    assert all(torch.equal(parameter, torch.full_like(parameter, 0.5)) for parameter in model.parameters())


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this ran",)


def test_files_that_are_no_state_dict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(StoreError, match="cannot read"):
        load_checkpoint(filled(0.0), path)
    with pytest.raises(StoreError, match="cannot read"):
        load_checkpoint(filled(0.0), tmp_path / "model.safetensors")
    for written in (b"", b"no tensors", pickle.dumps(Runs(), protocol=2)):
        path.write_bytes(written)
        with pytest.raises(StoreError, match="no checkpoint of tensors"):
            load_checkpoint(filled(0.0), path)
    torch.save({"weights": Runs()}, path)
    with pytest.raises(StoreError, match="no checkpoint of tensors"):
        load_checkpoint(filled(0.0), path)
    assert "this ran" not in capsys.readouterr().out
    torch.save({"state_dict": {}}, path)
    with pytest.raises(StoreError, match="holds no state dict"):
        load_checkpoint(filled(0.0), path)
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 4)
    with pytest.raises(StoreError, match="no checkpoint of tensors"):
        load_checkpoint(filled(0.0), tmp_path / "broken.safetensors")


def test_another_models_file_names_what_differs_and_leaves_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    model = filled(0.0)
    torch.save(nn.Sequential(nn.Linear(2, 3)).state_dict(), path)
    with pytest.raises(StoreError, match=r"lacks 1\.bias, 1\.num_batches_tracked, 1\.running_mean and more"):
        load_checkpoint(model, path)
    torch.save(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).state_dict(), path)
    with pytest.raises(StoreError, match=r"0\.weight is \(3, 5\) in the file and \(3, 2\)"):
        load_checkpoint(model, path)
    torch.save(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).state_dict(), path)
    with pytest.raises(StoreError, match=r"also has 2\.bias, 2\.weight"):
        load_checkpoint(model, path)
    assert all(not parameter.any() for parameter in model.parameters())
