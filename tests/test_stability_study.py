"""The study of the sharpness gap: its images, its networks, what it makes of the runs' records."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from numeric.sharpness import Objective
from numeric.sharpness.border import check_border
from numeric.stability import Descent, Plan, third_order
from numeric.stability.forecast import FEWEST

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "stability"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a file of the example; the folder is on the path as it is for a script in it."""
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


def test_patches_are_disjoint_pieces_of_the_strips_they_are_labelled_with(example: Any) -> None:
    from sklearn.datasets import load_sample_images

    strip_of = {}
    photographs = load_sample_images().images
    for number, photograph in enumerate(photographs):
        for top in range(0, 427 - 15, 16):
            for left in range(0, 640, 16):
                piece = photograph[top : top + 16, left : left + 16].transpose(2, 0, 1)
                strip_of[piece.tobytes()] = 5 * number + left // 128
    assert len(strip_of) == 2080  # no two are equal
    images, targets = example("patches").patches(2080, seed=3)
    pixels = np.concatenate([photograph[:416].reshape(-1, 3) for photograph in photographs]).astype(np.float64)
    mean, deviation = (values.reshape(1, 3, 1, 1) for values in (pixels.mean(0), pixels.std(0)))
    raw = np.rint(images.numpy() * deviation + mean).astype(np.uint8)
    assert [strip_of.pop(piece.tobytes()) for piece in raw] == targets.argmax(1).tolist()
    assert targets.sum(1).eq(1).all()


def test_patches_are_standardized_and_follow_the_seed(example: Any) -> None:
    patches = example("patches").patches
    images, targets = patches()
    assert images.shape == (512, 3, 16, 16) and targets.shape == (512, 10)
    assert images.mean((0, 2, 3)).abs().max() < 1e-6
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6
    assert targets.sum(0).min() > 30  # about 51 of each
    assert torch.equal(images, patches()[0])
    assert not torch.equal(images, patches(seed=1)[0])
    with pytest.raises(ValueError, match="2080 patches"):
        patches(3000)


def test_patches_have_the_statistics_of_natural_images(example: Any) -> None:
    """Power falls with frequency f as f^-2, roughly, and the channels are correlated; neither is so for noise."""
    images = example("patches").patches(2080)[0].double()
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    exponent = np.polyfit(np.log(np.arange(1, 8)), np.log((power[0, 1:8] + power[1:8, 0]).numpy()), 1)[0]
    assert -3 < exponent < -1.3
    channels = torch.corrcoef(images.transpose(0, 1).flatten(1))
    assert channels.min() > 0.5


def test_every_case_is_a_mean_over_samples_with_right_third_derivatives(example: Any) -> None:
    cases = example("edge_cases")
    for case in cases.CASES.values():
        images, targets = case.load()
        few = (images[:16], targets[:16])
        objective = Objective.of(case.model(seed=1), cases.LOSSES[case.loss], few)
        check_border(objective)
        assert third_order(objective).notes == (), case.name
        assert case.model(seed=1)(few[0]).shape == (16, 10)
        assert len(images) == cases.SAMPLES


def test_every_case_measures_often_enough_and_with_either_sign_of_the_oscillation(example: Any) -> None:
    cases = example("edge_cases")
    assert {case.data for case in cases.CASES.values()} == set(cases.DATA)
    assert {case.network for case in cases.CASES.values()} == set(cases.NETWORKS)
    for name, case in cases.CASES.items():
        assert name == case.name
        measured = [
            step for step in range(case.steps // 2, case.steps) if Plan(case.steps, case.every).is_measured(step)
        ]
        assert len(measured) >= 2 * FEWEST
        assert case.every % 2 == 1
        assert all(Descent(case.lr, batch).samples_of(cases.SAMPLES) == batch for batch in case.batches)


def test_a_residual_network_keeps_its_input_on_the_straight_way(example: Any) -> None:
    networks = example("edge_networks")
    torch.manual_seed(0)
    x = torch.randn(2, 8, 8, 8)
    for block, wanted in ((networks.Block(8, 8, True), x), (networks.Block(8, 16, False), None)):
        last = block.branch[-1]
        nn.init.zeros_(last.bias)
        nn.init.zeros_(last.weight)
        given = block(x)
        if wanted is None:
            pooled = x.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
            wanted = torch.einsum("oi,bihw->bohw", block.straight[1].weight[:, :, 0, 0], pooled)
        assert torch.allclose(given, wanted, atol=1e-6)


def record(batch: int, gap: float, forecast: float, sentence: str = "at the edge, forecast holds to 1 %") -> dict:
    estimate = {"value": forecast, "standard_error": 0.1}
    return {
        "case": "digits, tanh, squared",
        "batch_size": batch,
        "lr": 0.1,
        "edge": 20.0,
        "answer": "forecast holds",
        "sentence": sentence,
        "gap": {"value": gap, "standard_error": 0.1},
        "forecasts": {"leading": estimate, "corrected": estimate, "identity": estimate},
        "measured_over_forecast": {"leading": estimate, "corrected": estimate, "identity": estimate},
    }


def test_powers_are_fitted_to_the_runs_at_the_edge_alone(example: Any) -> None:
    summary = example("gap_summary")
    records = [record(b, 40 * b**-1.27, 30 * b**-1.27) for b in (8, 16, 32, 64)]
    records += [record(128, 7.0, 0.1, "not at the edge: training does not sharpen"), record(256, -0.1, 0.1)]
    found = summary.series(records)
    assert found["digits, tanh, squared"]["inverse_batch"] == [1 / b for b in (8, 16, 32, 64, 256)]
    fit = summary.fits(found)["digits, tanh, squared"]
    assert fit["slope"] == pytest.approx(1.27) and fit["n"] == 4
    assert summary.against_forecast(found, "leading")["slope"] == pytest.approx(1)
    wrong = [record(b, 40 * b**-1.27, 30 * b**-0.6) for b in (8, 16, 32, 64)]
    assert summary.against_forecast(summary.series(wrong), "leading")["slope"] == pytest.approx(1.27 / 0.6)
    assert summary.fits(summary.series(records[:2])) == {}


def test_numbers_are_shown_only_of_runs_at_the_edge(example: Any) -> None:
    console = Console(file=(out := StringIO()), width=160)
    records = [record(16, 4.44, 3.62), record(512, 7.77, 0.1, "not at the edge: it does not sharpen")]
    example("gap_summary").show(console, records)
    assert "at the edge, forecast holds" in out.getvalue() and "4.44 ± 0.1" in out.getvalue()
    assert "7.77" not in out.getvalue()
