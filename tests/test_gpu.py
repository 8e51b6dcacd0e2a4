"""What runs on a GPU gives what the CPU gives; skipped where there is none."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import numeric
import symtheory as st
from numeric.experiments.decide import decide
from numeric.losses import linear_regression
from numeric.sharpness import MEASURES, Objective, Row, Settings, attention_blocks, table
from numeric.sharpness.parameters import flatten
from numeric.stability import Descent, EdgeRun, Plan, Predicted, forecast, predicted_dynamics, run_edge, third_order
from numeric.stability.critical_directions import measure_directions
from numeric.stability.generated import sharpness_gap
from symtheory import catalog
from symtheory.cli.app import main

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

# Their values depend on random probes or starts, which a device draws from a generator of its own: compared within
# errors. The other measures are functions of the point and the data.
ERRORS, ASCENT = 5.0, 0.05


class Reader(nn.Module):
    """One encoder layer over four tokens, mean over tokens, three classes."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(x).mean(1))


def reader(device: str, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return Reader().to(device=device, dtype=dtype).eval()


def sequences() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(24, 4, 8, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (24,), generator=generator)
    return [(x[:12], y[:12]), (x[12:], y[12:])]


def measured(device: str, dtype: torch.dtype) -> dict[str, Row]:
    model = reader(device, dtype)
    settings = Settings(0.1, attention_blocks(model), eta=0.1, batch_size=4, prior_variance=0.1)
    return {row.name: row for row in table(model, nn.CrossEntropyLoss(), sequences(), settings=settings)}


@pytest.fixture(scope="module")
def on_cpu() -> dict[str, Row]:
    return measured("cpu", torch.float64)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-6), (torch.float32, 1e-2)])
def test_every_measure_is_that_of_the_cpu(on_cpu: dict[str, Row], dtype: torch.dtype, close: float) -> None:
    rows = measured("cuda", dtype)
    assert list(rows) == list(MEASURES)
    compared = 0
    for name, row in rows.items():
        here, there = on_cpu[name].measurement, row.measurement
        assert (here is None) == (there is None), (name, row.reason, on_cpu[name].reason)
        if here is None or there is None:
            continue
        compared += 1
        random = ERRORS * math.hypot(here.random_error, there.random_error)
        climbed = ASCENT * abs(here.value) if name.startswith(("worst_case", "geodesic")) else 0.0
        assert abs(there.value - here.value) <= close * abs(here.value) + random + climbed, (name, here, there)
        assert there.invariant == here.invariant or here.random_error or climbed, (name, here, there)
    assert compared >= len(MEASURES) - 2


def network(device: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 2)).double().to(device)


def descended(device: str, batch_size: int | None) -> EdgeRun:
    """At a step far below the edge: at it, rounding would grow until the runs have nothing in common."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(64, 6, generator=generator, dtype=torch.float64)
    y = torch.stack([torch.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]], dim=1)
    data = (x.to(device), y.to(device))
    return run_edge(network(device), nn.MSELoss(), data, Descent(0.02, batch_size), Plan(60, 3, directions=2))


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_measured_run_takes_the_batches_and_steps_of_the_cpu(batch_size: int | None) -> None:
    here, there = descended("cpu", batch_size), descended("cuda", batch_size)
    assert torch.equal(here.steps, there.steps)
    for name, leaf in here.parameters.items():
        torch.testing.assert_close(there.parameters[name].cpu(), leaf, rtol=1e-9, atol=1e-9)
    # u is found to a residual of 1e-2, from a start that each device draws for itself: its error enters squared.
    for name in ("loss", "floor_sharpness", "sharpness"):
        torch.testing.assert_close(there.records[name], here.records[name], rtol=1e-3, atol=1e-4)
    assert there.descent == here.descent and forecast(there, sharpness_gap).edge == forecast(here, sharpness_gap).edge


def directions(device: str) -> dict[str, Tensor]:
    """Of one span, the same on every device."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(64, 6, generator=generator, dtype=torch.float64)
    data = (x.to(device), torch.stack([torch.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]], dim=1).to(device))
    objective = Objective.of(network(device), nn.MSELoss(), data)
    (batch,) = objective.batches()
    pulled = flatten(objective.gradient(objective.parameters, batch)[1])
    span, _ = torch.linalg.qr(torch.randn(len(pulled), 2, generator=generator, dtype=torch.float64))
    curvatures = pulled.new_tensor([3.0, 2.0, 1.0])
    with third_order(objective).active():
        found = measure_directions(
            objective, objective, span.to(device), pulled, curvatures, earlier=None, lag=0.1, decay=0.0
        )
    return found.tensors(1.0)


def test_several_directions_are_those_of_the_cpu() -> None:
    here, there = directions("cpu"), directions("cuda")
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, rtol=1e-7, atol=1e-9, equal_nan=True)


def predicted(device: str) -> Predicted:
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(device)
    y = torch.stack([torch.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]], dim=1)
    return predicted_dynamics(network(device), nn.MSELoss(), (x, y), Descent(0.02, 16), 10, seed=1, progress=False)


def test_dynamics_are_predicted_as_on_the_cpu() -> None:
    here, there = predicted("cpu"), predicted("cuda")
    torch.testing.assert_close(there.sharpness, here.sharpness, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(there.distance, here.distance, rtol=1e-2, atol=1e-4)


def trained(device: str, optimizer: Any, replicas: int = 8) -> numeric.Runs:
    generator = torch.Generator().manual_seed(3)
    data = {
        name: torch.randn(*shape, generator=generator).double() for name, shape in {"x": (32, 5), "y": (32,)}.items()
    }
    return numeric.train(
        st.generate(catalog.load("hadamard").bind(d=5)).load(),
        linear_regression,
        data,
        optimizer=optimizer,
        steps=200,
        replicas=replicas,
        device=device,
        progress=False,
    )


def test_gradient_descent_of_an_ensemble_is_that_of_the_cpu() -> None:
    here, there = (trained(device, numeric.GradientDescent(lr=0.01)) for device in ("cpu", "cuda"))
    for name, leaf in here.final.items():
        torch.testing.assert_close(there.final[name], leaf, rtol=1e-9, atol=1e-9)


def test_batches_of_a_device_depend_on_seed_replica_and_step_alone() -> None:
    optimizer = numeric.SGD(lr=0.01, batch_size=4)
    many, few = trained("cuda", optimizer), trained("cuda", optimizer, replicas=3)
    for name, leaf in few.final.items():
        torch.testing.assert_close(many.final[name][:3], leaf, rtol=1e-9, atol=1e-9)


def test_a_prediction_is_decided_on_the_device() -> None:
    declared = catalog.load("shallow_relu").bind(d=3, h=4, k=2)
    decision = decide(
        declared.predictions()["discrete_noether"], st.generate(declared).load(), seed=5, device="cuda", progress=False
    )
    assert decision.verdict.verdict == "confirmed", decision.verdict


USER = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 5, generator=generator)
    return [(x, torch.randint(0, 3, (16,), generator=generator))]
"""


@pytest.mark.parametrize("command", [["sharpness", "--measures", "lambda_max,hessian_trace"], ["gap", "--lr", "0.5"]])
def test_commands_take_the_device(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "user.py"
    user.write_text(USER, encoding="utf-8")
    steps = ["--steps", "60", "--every", "2"] if command[0] == "gap" else []
    options = ["--model", f"{user}:model", "--data", f"{user}:data", "--device", "cuda", "--json"]
    monkeypatch.setattr(sys, "argv", ["symtheory", *command, *options, *steps])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    json.loads(capsys.readouterr().out)
