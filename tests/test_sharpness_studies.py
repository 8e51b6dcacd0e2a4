"""The studies of sharpness run at tiny size, and their shared parts agree with slower ways to the same numbers."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from numeric.errors import StoreError
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.blocks import View, attention_blocks
from numeric.sharpness.blocks.ready import stacked
from numeric.sharpness.hessian.trace import HessianTrace
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient.geodesic import Geodesic

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "sharpness"
NAMES = ("diagonal_networks", "vision_transformers", "digit_networks")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a file of the examples; the folder is on the path as it is for a script in it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_reports_and_goes_on(example: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    study, shared = example(name).study, example("study")
    options = shared.Options(tmp_path, seed=3, quick=True, workers=0)
    record = shared.carry_out(study, name, options)
    assert json.loads((tmp_path / f"{name}_quick" / "report.json").read_text(encoding="utf-8"))["name"] == name
    assert all(Path(path).read_text(encoding="utf-8").startswith("<?xml") for path in record["figures"])
    assert all(-1 <= found["tau"] <= 1 for rows in record["correlations"].values() for found in rows.values())
    assert "τ with" in capsys.readouterr().out
    again = shared.carry_out(study, name, options)
    assert again["seconds"] < record["seconds"]
    assert again["correlations"] == record["correlations"]
    with pytest.raises(StoreError, match="choose another folder"):
        shared.carry_out(study, name, shared.Options(tmp_path, seed=4, quick=True, workers=0))


class Product(nn.Module):
    """x·(u ⊙ v)."""

    def __init__(self, u: Tensor, v: Tensor) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(u.clone()), nn.Parameter(v.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v)


def diagonal(example: Any, residual: float, seed: int = 0) -> Any:
    """Two studies of three networks with 6 coefficients on 9 samples, whose targets are off by `residual`."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    x, w = normal(2, 9, 6), normal(2, 6)
    y = (x @ w.unsqueeze(-1)).squeeze(-1) + residual * normal(2, 9)
    u = normal(2, 3, 6).exp()
    return example("diagonal_sharpness").Diagonal(x, y, u, w.unsqueeze(1) / u)


def test_small_balls_about_a_minimum_measure_the_curvature(example: Any) -> None:
    networks, shared = diagonal(example, residual=0.0), example("diagonal_sharpness")
    hessian = networks.x.mT @ networks.x / 9
    w, radius = networks.w, 1e-5
    # In b the loss is (2wb)ᵀ A (2wb), with |ξ|² = 2|b|² or 2|wb|².
    invariant = torch.linalg.eigvalsh(w.unsqueeze(-1) * hessian.unsqueeze(1) * w.unsqueeze(-2))[..., -1]
    mixed = torch.linalg.eigvalsh(hessian)[:, -1:].expand(2, 3)
    expected = {"adaptive": invariant, "geodesic invariant": invariant, "geodesic mixed": mixed}
    for name, curvature in expected.items():
        found = shared.sharpness(networks, shared.MEASURES[name], radius)
        torch.testing.assert_close(found / radius**2, 2 * curvature, rtol=1e-3, atol=0.0)


def test_the_mixed_metric_through_zero_is_a_trust_region_problem(example: Any) -> None:
    networks, shared = diagonal(example, residual=0.3), example("diagonal_sharpness")
    radius = 0.4
    found = shared.sharpness(networks, shared.MEASURES["geodesic mixed, through zero"], radius)
    for study in range(2):
        # max gᵀδ + δᵀAδ over |δ| ≤ √2·radius, from its secular equation |½(μ − A)^{-1} g| = √2·radius, μ > λ_max.
        values, vectors = torch.linalg.eigh(networks.x[study].T @ networks.x[study] / 9)
        slope = vectors.T @ networks.slope(networks.w)[study, 0]
        low, high = float(values[-1]), float(values[-1]) + 1e3
        for _ in range(200):
            middle = (low + high) / 2
            long = float((slope / 2 / (middle - values)).norm()) > math.sqrt(2) * radius
            low, high = (middle, high) if long else (low, middle)
        step = slope / 2 / (high - values)
        torch.testing.assert_close(found[study, 0], slope @ step + (values * step**2).sum(), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("radius", [0.05, 0.4])
def test_the_batched_sharpness_is_that_of_the_public_measures(example: Any, radius: float) -> None:
    networks, shared = diagonal(example, residual=0.1), example("diagonal_sharpness")
    batched = {name: shared.sharpness(networks, ball, radius) for name, ball in shared.MEASURES.items()}
    for study, k in ((0, 1), (1, 2)):
        model = Product(networks.u[study, k], networks.v[study, k])
        objective = Objective.of(model, functional.mse_loss, (networks.x[study], networks.y[study]))
        blocks = stacked("hadamard", model, {"product": {"u": View("u"), "v": View("v")}})
        public = {
            "adaptive": WorstCase(radius, adaptive="element", steps=60, starts=6),
            "geodesic invariant": Geodesic(blocks, radius, "invariant", "exact", steps=60, starts=6),
            "geodesic invariant, order 2": Geodesic(blocks, radius, "invariant", 2, steps=60, starts=6),
        }
        for name, measure in public.items():
            value = evaluate(measure, objective, seed=0).value
            assert value == pytest.approx(float(batched[name][study, k]), rel=2e-3), name


def images(n: int = 24) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {"x": torch.randn(n, 8, 8, generator=generator), "y": torch.arange(n) % 10}


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw"])
def test_a_member_is_trained_as_it_would_be_alone(example: Any, optimizer: str, tmp_path: Path) -> None:
    population, networks = example("population"), example("networks")
    recipes = [population.Recipe(0.02 * (k + 1), 8, weight_decay=0.1 * k, seed=k) for k in range(3)]
    schedule = population.Schedule(optimizer, epochs=2)
    models = population.train_population(networks.Perceptron, recipes, images(), schedule, tmp_path)
    recipe, data = recipes[1], images()
    alone = population._member(networks.Perceptron, recipe.seed)
    options: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    options |= {"momentum": 0.9} if optimizer == "momentum" else {}
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    stepper = kind(alone.parameters(), **options)
    for epoch in range(2):
        order = torch.randperm(24, generator=population._generator(recipe, epoch))
        for rows in order.split(8):
            stepper.zero_grad()
            functional.cross_entropy(alone(data["x"][rows]), data["y"][rows]).backward()
            stepper.step()
    for name, leaf in alone.named_parameters():
        torch.testing.assert_close(dict(models[1].named_parameters())[name], leaf, rtol=1e-4, atol=1e-5)


def test_a_population_goes_on_to_the_same_numbers(example: Any, tmp_path: Path) -> None:
    population, networks = example("population"), example("networks")
    recipes = [population.Recipe(0.01, size, shift=0.5, dropout=0.2, seed=k) for k, size in enumerate((4, 8, 8))]

    def trained(epochs: int, folder: str, **options: Any) -> list[nn.Module]:
        schedule = population.Schedule("adamw", epochs, **options)
        return population.train_population(networks.Convolutional, recipes, images(), schedule, tmp_path / folder)

    whole = trained(4, "whole")
    trained(2, "cut")
    for path in (tmp_path / "cut").glob("*.safetensors"):
        # The run that was cut off had four epochs before it: what is saved says so, and nothing else.
        tensors, metadata = population.read_tensors(path)
        metadata["group"] = metadata["group"].replace('"epochs": 2', '"epochs": 4')
        population.write_tensors(path, tensors, metadata)
    for left, right in zip(whole, trained(4, "cut"), strict=True):
        for one, other in zip(left.parameters(), right.parameters(), strict=True):
            assert torch.equal(one, other)
    stopped = trained(4, "stopped", target_loss=100.0)  # at its target after one epoch
    one = trained(1, "one")
    assert all(torch.equal(a.head.weight, b.head.weight) for a, b in zip(stopped, one, strict=True))


def test_the_attack_keeps_the_function_and_multiplies_the_trace(example: Any) -> None:
    digit, networks, population = (example(name) for name in ("digit_networks", "networks", "population"))
    data = images()
    for build in (networks.Perceptron, networks.Convolutional):
        model = population._member(build, 0).double()
        batches = [(data["x"].double(), data["y"])]
        move = digit.Attack(batches)(model)
        objective = Objective.of(model, functional.cross_entropy, batches)
        (batch,) = objective.batches()
        moved = move(objective.parameters)
        torch.testing.assert_close(objective.output(moved, batch), objective.output(objective.parameters, batch))
        before, after = (digit._trace(objective.at(point)).value for point in (objective.parameters, moved))
        assert after / before == pytest.approx(100, rel=1e-3)
        # Other probes than those it aims with see it too; 60 of them know such a trace to some ten per cent.
        before, after = (
            evaluate(HessianTrace(300), objective.at(point), seed=1).value for point in (objective.parameters, moved)
        )
        assert after / before == pytest.approx(100, rel=0.4)


def test_a_measure_that_cannot_be_taken_leaves_a_gap(example: Any) -> None:
    measuring = example("measuring")
    records = [{"a": {"value": v}, "b": {"value": w}} for v, w in ((1, 2.0), (2, None), (3, 1), (4, 5), (5, 6), (6, 7))]
    values = measuring.table(records)
    assert np.isnan(values["b"]).sum() == 1
    found = measuring.correlations(values, [1.0, 2, 3, 4, 5, 6])
    assert found["a"].tau == pytest.approx(1.0) and (found["a"].n, found["b"].n) == (6, 5)
    matrix = measuring.correlation_matrix(values)
    assert matrix[0][1] == matrix[1][0] == pytest.approx(0.8)
    assert measuring._finite({"x": math.inf, "y": 1.0, "z": "s"}) == {"x": None, "y": 1.0, "z": "s"}


def test_the_ablated_ball_bends(example: Any) -> None:
    ablation, networks = example("ablation"), example("networks")
    model = example("population")._member(networks.VisionTransformer, 0).double().eval()
    batches = [(images()["x"].double(), images()["y"])]
    objective = Objective.of(model, functional.cross_entropy, batches)
    radius, blocks = 2.0, attention_blocks(model)
    straight = evaluate(WorstCase(radius, adaptive="element", steps=3), objective, seed=0).value
    for metric in ("invariant", "mixed"):
        bent = evaluate(ablation.SecondOrderOnly(blocks, radius, metric, steps=3), objective, seed=0).value
        assert abs(bent / straight - 1) > 1e-4
    small = 1e-3  # the bend is of second order, and gone in a small ball
    straight = evaluate(WorstCase(small, adaptive="element", steps=3), objective, seed=0).value
    bent = evaluate(ablation.SecondOrderOnly(blocks, small, "mixed", steps=3), objective, seed=0).value
    assert bent == pytest.approx(straight, rel=1e-3)
