"""The predicted dynamics: exact where the loss is the normal form, near to a network at its edge."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_stability_run import CURVATURE, EDGE, ETA, SLOPE, Valley, itself, noise
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.stability import Descent, Plan, Predicted, predicted_dynamics, run_edge
from numeric.stability.predicted import MODELS, Track

# One Newton step leaves the floor, and the Lanczos iteration u, this far from exact; x reaches 1.9.
UNDER = 5e-5


@pytest.mark.parametrize(
    "descent",
    [Descent(ETA), Descent(ETA, 4), Descent(1.5 * ETA, 4, momentum=0.5, weight_decay=0.01)],
    ids=["gradient descent", "batches", "momentum and decay"],
)
def test_on_the_normal_form_both_models_are_exact(descent: Descent) -> None:
    """The run, its predicted displacement and the noise of its batches: 150 steps to what u and the floor are known."""
    start = Valley(0.05, (EDGE - descent.weight_decay - CURVATURE) / SLOPE)
    found = predicted_dynamics(start, itself, noise(3.0), descent, 150, seed=5, progress=False)
    assert found.edge == pytest.approx(EDGE)
    assert float(found.run.x.abs().max()) > 0.3
    for name in MODELS:
        track = found.models[name]
        assert float((found.run.x - track.x).abs().max()) < UNDER
        assert float((found.run.y - track.y).abs().max()) < 10 * UNDER
        assert found.relative_error(name) < UNDER
        assert found.steps_within_half(name) == 150
    assert float((found.sharpness - EDGE)[2:].abs().max()) < 1e-6


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_away_from_the_edge_the_trajectory_is_gradient_flow(mu: float) -> None:
    """S† rises by αη/(1 − μ) a step up to the edge, which it reaches at step 20, and no further."""
    descent = Descent((1 + mu) * ETA, momentum=mu)
    rate = 1.5 * descent.lr / (1 - mu)
    start = Valley(0.0, (EDGE - 20 * rate - CURVATURE) / SLOPE)
    found = predicted_dynamics(start, itself, noise(0.0), descent, 30, progress=False)
    rise = found.sharpness.diff()
    assert torch.allclose(rise[:18], torch.full((18,), rate, dtype=torch.float64), rtol=1e-6)
    assert float(found.sharpness[21:].sub(EDGE).abs().max()) < 1e-9


def test_it_goes_on_from_a_run_with_the_batches_of_the_run() -> None:
    """x of a run measured at every step, and as seen from θ† after it was taken up at step 20."""
    descent = Descent(1.5 * ETA, 4, momentum=0.5)
    runs = [
        run_edge(Valley(0.3, 20.0), itself, noise(3.0), descent, Plan(steps, 1, batches=0), seed=3, progress=False)
        for steps in (20, 40)
    ]
    found = predicted_dynamics(Valley(0.0, 0.0), itself, noise(3.0), descent, 20, seed=3, start=runs[0], progress=False)
    wanted = runs[1].records["position"][20:]
    sign = torch.sign(found.run.x[0] * wanted[0])
    assert found.first == 20
    assert torch.allclose(sign * found.run.x, wanted, atol=0.01 * float(wanted.abs().max()))


def test_a_network_near_its_edge() -> None:
    """40 steps of a tanh network from where its sharpness has come to the edge."""
    torch.manual_seed(1)
    x = torch.randn(30, 4, dtype=torch.float64) + 1
    y = (x[:, :1] * x[:, 1:2]).tanh() + x[:, 2:3]
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    run = run_edge(model, nn.MSELoss(), (x, y), Descent(0.05), Plan(400, 20, batches=0), progress=False)
    sharpness = run.records["floor_sharpness"]
    assert float(sharpness[-1]) > float(sharpness[0])
    lr = 2 / float(sharpness[-1])
    found = predicted_dynamics(model, nn.MSELoss(), (x, y), Descent(lr), 40, start=run, progress=False)
    assert found.relative_error("reduced") < 0.3
    assert found.relative_error("cubic") < found.relative_error("reduced") / 3
    assert float(found.sharpness.max()) < 2 / lr * 1.01
    batches = predicted_dynamics(model, nn.MSELoss(), (x, y), Descent(lr, 10), 40, start=run, progress=False)
    assert batches.relative_error("cubic") < 0.1
    assert batches.relative_error("cubic") < batches.relative_error("reduced") / 3


def test_a_prediction_that_leaves_is_counted_as_off() -> None:
    zeros, distance = torch.zeros(5, dtype=torch.float64), torch.full((5,), 1.0, dtype=torch.float64)
    error = torch.tensor([0.0, 0.4, torch.nan, torch.inf, 0.6], dtype=torch.float64)
    track = Track(zeros, zeros, zeros)
    models = {"reduced": replace(track, error=error), "cubic": track}
    found = Predicted(0, 20.0, track, models, zeros, zeros, distance)
    assert [found.steps_within_half(name) for name in MODELS] == [2, 5]
    assert "reduced for 2, cubic for 5" in found.sentence
    assert set(found.to_json()) == {"sentence", "first_step", "steps", *MODELS}


class Bowl(nn.Module):
    """Curvature 3/η along x, for which no step is small enough."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([1.0, 1.0]))

    def forward(self, noise: Tensor) -> Tensor:
        return (75 * self.x[0] ** 2 + self.x[1] ** 2 / 2).expand(len(noise))


def test_a_run_that_diverges_ends_no_prediction() -> None:
    """x doubles at every step, and leaves single precision."""
    data = (torch.zeros(4), torch.zeros(4))
    found = predicted_dynamics(Bowl(), itself, data, Descent(ETA), 140, progress=False)
    assert len(found.run.x) == 140
    assert not bool(torch.isfinite(found.run.x[-1]))
    assert found.steps_within_half("cubic") < 140


def test_what_cannot_be_predicted_is_refused() -> None:
    other = run_edge(
        nn.Linear(2, 1).double(), lambda output, target: output.square().mean(), (torch.ones(3, 2).double(),) * 2,
        Descent(ETA), Plan(1, batches=0), progress=False,
    )  # fmt: skip
    with pytest.raises(OptionError, match="other parameters"):
        predicted_dynamics(Valley(0.1, 0.0), itself, noise(1.0), Descent(ETA), 3, start=other)
    for descent, steps, words in ((Descent(ETA), 0, "at least 1"), (Descent(ETA, 100), 3, "64 samples")):
        with pytest.raises(OptionError, match=words):
            predicted_dynamics(Valley(0.1, 0.0), itself, noise(1.0), descent, steps)
