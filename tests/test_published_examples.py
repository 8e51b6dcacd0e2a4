"""The published experiments run when they are shortened, and their rule chooses a cause only where one is clear."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from symtheory import catalog

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "published"
NAMES = ("shallow_relu", "attention_head", "matrix_completion", "cosine_modes", "step_signal")


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The shared module; the folder is on the path as it is for a script in it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module("report")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_shortened_experiment_reports(
    published: ModuleType, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = published.Options(replicas=2, shorten=2_500, seed=3, folder=tmp_path)
    record = published.carry_out(importlib.import_module(name).experiment, name, options)
    assert json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8")) == record
    assert all(Path(path).read_text(encoding="utf-8").startswith("<?xml") for path in record["figures"])
    assert record["cause"] in (published.NOISE, published.CONSERVATION, published.NEITHER)
    assert len(record["forecasts"]) >= 3 and "discrete_noether" in record["predictions"]
    assert all(forecast["n"] == 2 for forecast in record["forecasts"].values())
    assert f"Supported: {record['supported']}" in capsys.readouterr().out


def outcome(published: ModuleType, **misses: float) -> object:
    generator = torch.Generator().manual_seed(0)
    forecasts = {
        name: published.Forecast("", published.NOISE, miss * (1 + 0.1 * torch.randn(64, generator=generator)))
        for name, miss in misses.items()
    }
    return published.Outcome("", "", catalog.load("hadamard"), "", forecasts, (), ())


def test_a_forecast_is_supported_only_when_it_is_clearly_best_and_fits(published: ModuleType) -> None:
    assert outcome(published, right=0.01, wrong=1.0).supported == "right"
    assert outcome(published, right=0.01, wrong=1.0).cause == published.NOISE
    assert outcome(published, right=0.5, wrong=1.0).supported == published.NEITHER  # better, but it does not fit
    assert outcome(published, one=0.01, same=0.01, wrong=1.0).supported == published.NEITHER
