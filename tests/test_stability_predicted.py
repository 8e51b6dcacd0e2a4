"""The predicted dynamics: exact where the loss is the normal form, near to a network at its edge."""

from __future__ import annotations

import pytest
import torch
from test_stability_run import CURVATURE, EDGE, ETA, SLOPE, Valley, itself, noise
from torch import nn

from numeric.errors import OptionError
from numeric.stability import Descent, Plan, run_edge
from numeric.stability.predicted import predicted_dynamics, relative_error

# One Newton step leaves the floor, and the Lanczos iteration u, this far from exact; x reaches 1.9.
UNDER = 5e-5


@pytest.mark.parametrize("batch_size", [None, 4])
def test_on_the_normal_form_it_is_exact(batch_size: int | None) -> None:
    """The run, its predicted displacement and the noise of its batches: 150 steps to what u and the floor are known."""
    model = Valley(0.05, (EDGE - CURVATURE) / SLOPE)
    found = predicted_dynamics(model, itself, noise(3.0), Descent(ETA, batch_size), 150, seed=5)
    assert float(found.x.abs().max()) > 0.3
    assert float((found.x - found.predicted_x).abs().max()) < UNDER
    assert float((found.y - found.predicted_y).abs().max()) < 10 * UNDER
    assert float((found.sharpness - EDGE)[2:].abs().max()) < 1e-6


def test_the_distance_from_the_constrained_trajectory_is_predicted() -> None:
    model = Valley(0.05, (EDGE - CURVATURE) / SLOPE)
    found = predicted_dynamics(model, itself, noise(3.0), Descent(ETA), 150)
    assert float(found.distance.max()) > 0.3
    assert relative_error(found) < UNDER


def test_a_network_near_its_edge() -> None:
    """40 steps of a tanh network from where its sharpness has come to the edge."""
    torch.manual_seed(1)
    x = torch.randn(30, 4, dtype=torch.float64) + 1
    y = (x[:, :1] * x[:, 1:2]).tanh() + x[:, 2:3]
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    run = run_edge(model, nn.MSELoss(), (x, y), Descent(0.05), Plan(400, 20, batches=0), progress=False)
    sharpness = run.records["floor_sharpness"]
    assert float(sharpness[-1]) > float(sharpness[0])
    for name, leaf in model.named_parameters():
        leaf.data.copy_(run.parameters[name])
    lr = 2 / float(sharpness[-1])
    found = predicted_dynamics(model, nn.MSELoss(), (x, y), Descent(lr), 40)
    assert relative_error(found) < 0.3
    assert float(found.sharpness.max()) < 2 / lr * 1.01


def test_momentum_is_refused() -> None:
    with pytest.raises(OptionError, match="momentum"):
        predicted_dynamics(Valley(0.1, 0.0), itself, noise(1.0), Descent(ETA, momentum=0.5), 3)
