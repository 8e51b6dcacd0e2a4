"""Balls keep their laws, and Auto-PGD finds the highest point in them: closed forms, an exact solver, brute force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from sharpness_problems import classes, objective_of, perceptron, positive, quadratic
from torch import Tensor

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective
from numeric.sharpness.ascent import AutoPGD
from numeric.sharpness.ball import Ball
from numeric.sharpness.parameters import Point, dot, random_tangent
from numeric.sharpness.perturbation.adaptive import adaptive_weights
from numeric.sharpness.perturbation.buffered_walk import BufferedWalk
from numeric.sharpness.perturbation.weighted_ball import WeightedBall
from numeric.sharpness.walk import PlainWalk, Summit, walk_in

ROUNDING = 1e-12
BALLS = [(norm, adaptive) for norm in ("l2", "linf") for adaptive in ("none", "element", "filter")]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def point() -> Point:
    draw = torch.Generator().manual_seed(2)
    return {
        "w": torch.randn(3, 4, generator=draw, dtype=torch.float64),
        "b": torch.randn(3, generator=draw, dtype=torch.float64),
    }


def ball(norm: Any, adaptive: Any, radius: float = 0.7) -> WeightedBall:
    return WeightedBall(point(), radius, norm, adaptive_weights(point(), adaptive))


def distance(one: Ball, left: Point, right: Point) -> float:
    return float(one.length({name: left[name] - right[name] for name in left}))


@dataclass(frozen=True)
class Plainly:
    """A ball with the methods of the protocol alone."""

    inner: WeightedBall

    def __getattr__(self, name: str) -> Any:
        if name in ("advance", "walk"):
            raise AttributeError(name)
        return getattr(self.inner, name)


@pytest.mark.parametrize(("norm", "adaptive"), BALLS)
def test_laws_of_balls(norm: str, adaptive: str, generator: torch.Generator) -> None:
    one = ball(norm, adaptive)
    covector = random_tangent(point(), generator)
    best = one.steepest(covector)
    assert float(one.length(best)) == pytest.approx(one.radius)
    assert all(float(one.length(each)) == 0 for each in [one.steepest({k: 0 * v for k, v in covector.items()})])
    for _ in range(50):
        draw = one.sample(generator)
        assert float(one.length(draw)) <= one.radius * (1 + ROUNDING)
        assert float(dot(covector, draw)) <= float(dot(covector, best)) + ROUNDING
        outside = {name: 3 * leaf for name, leaf in random_tangent(point(), generator).items()}
        nearest = one.project(outside)
        assert float(one.length(nearest)) == pytest.approx(one.radius)
        assert distance(one, outside, nearest) <= distance(one, outside, draw) + ROUNDING
        assert distance(one, one.project(draw), draw) <= ROUNDING


@pytest.mark.parametrize(("norm", "adaptive"), BALLS)
def test_displacements_and_their_derivative(norm: str, adaptive: str, generator: torch.Generator) -> None:
    one = ball(norm, adaptive)
    xi, covector = random_tangent(point(), generator), random_tangent(point(), generator)
    sizes = {
        "none": {"w": torch.ones(3, 4), "b": torch.ones(3)},
        "element": point(),
        "filter": {"w": point()["w"].norm(dim=1, keepdim=True).expand(3, 4), "b": point()["b"]},
    }[adaptive]
    leaves = {name: leaf.requires_grad_() for name, leaf in xi.items()}
    reached = one.displace(leaves)
    gradients = torch.autograd.grad(dot(reached, covector), list(leaves.values()))
    for (name, leaf), gradient in zip(xi.items(), gradients, strict=True):
        torch.testing.assert_close(reached[name], point()[name] + sizes[name] * leaf, rtol=ROUNDING, atol=ROUNDING)
        torch.testing.assert_close(gradient, sizes[name] * covector[name], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize(("norm", "adaptive"), BALLS)
def test_the_step_in_fewer_passes_is_the_step(norm: str, adaptive: str, generator: torch.Generator) -> None:
    one = ball(norm, adaptive)
    walks = [walk_in(Plainly(one)), PlainWalk(one), walk_in(one)]
    assert [type(each) for each in walks] == [PlainWalk, PlainWalk, BufferedWalk]
    for size in (0.01, 0.5, 2.0):
        for momentum in (0.75, 1.0):
            xi, before, covector = one.sample(generator), one.sample(generator), random_tangent(point(), generator)
            kept = {name: leaf.clone() for name, leaf in xi.items()}
            summit = Summit(0.0, xi, covector)
            slow, quick, buffered = (each.step(xi, before, covector, size, momentum, summit) for each in walks)
            assert distance(one, quick, slow) <= ROUNDING
            assert distance(one, buffered, slow) <= ROUNDING
            assert all(torch.equal(kept[name], xi[name]) for name in xi)


@pytest.mark.parametrize(("norm", "adaptive"), BALLS)
def test_ascents_in_one_memory_are_those_in_new_tensors(norm: Any, adaptive: Any) -> None:
    objective = Objective.of(perceptron(), torch.nn.CrossEntropyLoss(), classes())
    one = WeightedBall(objective.parameters, 0.3, norm, adaptive_weights(objective.parameters, adaptive))
    (batch,) = objective.batches()
    start = one.sample(torch.Generator().manual_seed(0))
    quick, slow = (AutoPGD(30)(objective, each, batch, start) for each in (one, Plainly(one)))
    assert quick.value == pytest.approx(slow.value, rel=1e-8)
    assert distance(one, quick.xi, slow.xi) < 1e-6
    reached = objective.value(one.displace(quick.xi), batch).item()
    assert reached == pytest.approx(quick.value, rel=ROUNDING)


def test_what_is_zero_does_not_move(generator: torch.Generator) -> None:
    origin = {"w": torch.tensor([[2.0, 0.0], [0.0, 0.0]]), "b": torch.tensor([0.0, 1.0])}
    for adaptive, frozen in (("element", [0, 1, 1, 1, 1, 0]), ("filter", [0, 0, 1, 1, 1, 0])):
        one = WeightedBall(origin, 0.5, "l2", adaptive_weights(origin, adaptive))
        draw = one.sample(generator)
        reached = one.displace(draw)
        moved = torch.cat([(reached[name] - origin[name]).reshape(-1) for name in origin])
        assert [int(each == 0) for each in moved] == frozen
        assert [int(each == 0) for each in torch.cat([draw[name].reshape(-1) for name in origin])] == frozen
        assert float(one.length(draw)) == pytest.approx(0.5)


def test_a_plain_has_no_steepest_direction() -> None:
    objective = objective_of(lambda v: 0 * v.sum(dim=-1) + 3, torch.zeros(4))
    for one in (WeightedBall(objective.parameters, 1e3), WeightedBall(objective.parameters, 1e3, "linf")):
        assert climb(objective, one, 5) == 3
        assert climb(objective, Plainly(one), 5) == 3


def test_checkpoints_are_those_of_croce_and_hein() -> None:
    assert sorted(AutoPGD(100).checkpoints()) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(AutoPGD(20).checkpoints()) == [5, 9, 12, 14, 16, 18, 19]
    assert sorted(AutoPGD(1).checkpoints()) == []


def climb(objective: Objective, one: Ball, steps: int, seed: int = 0) -> float:
    (batch,) = objective.batches()
    start = one.sample(torch.Generator().manual_seed(seed))
    return AutoPGD(steps)(objective, one, batch, start).value


def hard_maximum(matrix: Tensor, vector: Tensor, radius: float) -> float:
    """max ½vᵀAv + bᵀv on |v| = radius: (μ − A)v = b, μ > λ_max, by the secular equation."""
    values, basis = torch.linalg.eigh(matrix)
    parts = basis.T @ vector

    def excess(mu: float) -> float:
        return float(((parts / (mu - values)) ** 2).sum()) - radius**2

    top = float(values[-1])
    v = parts / (brentq(excess, top + 1e-9, top + 1e3, xtol=1e-13) - values)
    return float(0.5 * (values * v**2).sum() + parts @ v)


@pytest.mark.parametrize("radius", [0.1, 1.0])
def test_quadratic_losses_have_their_closed_form(radius: float) -> None:
    matrix, center = positive(12, 5), torch.zeros(12, dtype=torch.float64)
    top = float(torch.linalg.eigvalsh(matrix)[-1])
    found = climb(objective_of(quadratic(matrix), center), WeightedBall({"theta": center}, radius), 60)
    assert found == pytest.approx(0.5 * radius**2 * top, rel=1e-4)
    vector = torch.linspace(-1, 1, 12, dtype=torch.float64)
    found = climb(objective_of(quadratic(matrix, vector), center), WeightedBall({"theta": center}, radius), 60)
    assert found == pytest.approx(hard_maximum(matrix, vector, radius), rel=1e-6)


def test_a_linear_loss_is_exact_in_the_box() -> None:
    vector, theta = torch.linspace(-1, 2, 7, dtype=torch.float64), torch.linspace(-2, 1, 7, dtype=torch.float64)
    objective = objective_of(lambda v: v @ vector, theta)
    base = float(theta @ vector)
    plain = climb(objective, WeightedBall(objective.parameters, 0.3, "linf"), 2)
    assert plain - base == pytest.approx(0.3 * float(vector.abs().sum()), rel=ROUNDING)
    weights = adaptive_weights(objective.parameters, "element")
    adaptive = climb(objective, WeightedBall(objective.parameters, 0.3, "linf", weights), 2)
    assert adaptive - base == pytest.approx(0.3 * float((vector * theta).abs().sum()), rel=ROUNDING)


def hills(v: Tensor) -> Tensor:
    """A smooth function of two numbers, of one rise in the discs and boxes tried below, without symmetry."""
    return torch.sin(2 * v[..., 0] + v[..., 1]) + 0.4 * torch.cos(3 * v[..., 1]) + 0.2 * v[..., 0] * v[..., 1]


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("adaptive", ["none", "element"])
@pytest.mark.parametrize("radius", [0.2, 0.6])
def test_brute_force_on_a_grid(norm: Any, adaptive: Any, radius: float) -> None:
    theta = torch.tensor([0.3, -0.8], dtype=torch.float64)
    objective = objective_of(hills, theta)
    one = WeightedBall(objective.parameters, radius, norm, adaptive_weights(objective.parameters, adaptive))
    line = torch.linspace(-radius, radius, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    if norm == "l2":
        angles = torch.linspace(0, 2 * torch.pi, 4001, dtype=torch.float64)
        rim = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
        grid = torch.cat([grid[grid.norm(dim=1) <= radius], rim])
    best = float(hills(theta + grid * (theta.abs() if adaptive == "element" else 1)).max())
    assert climb(objective, one, 40) == pytest.approx(best, abs=1e-5)


def test_without_halving_a_steep_hill_is_missed() -> None:
    def ridge(v: Tensor) -> Tensor:
        return -100 * (v[..., 0] - 0.11) ** 2 - (v[..., 1] - 0.2) ** 2

    objective = objective_of(ridge, torch.zeros(2, dtype=torch.float64))
    one = WeightedBall(objective.parameters, 1.0)
    assert climb(objective, one, 100) == pytest.approx(0, abs=1e-3)

    class Stubborn(AutoPGD):
        def checkpoints(self) -> frozenset[int]:
            return frozenset()

    (batch,) = objective.batches()
    start = one.sample(torch.Generator().manual_seed(0))
    assert Stubborn(100)(objective, one, batch, start).value < -0.1


def test_walking_downhill_is_noticed() -> None:
    matrix, center = positive(6, 5), torch.zeros(6, dtype=torch.float64)
    vector = torch.linspace(-1, 2, 6, dtype=torch.float64)
    objective = objective_of(quadratic(matrix, vector), center)

    @dataclass(frozen=True)
    class Downhill(Plainly):
        def steepest(self, covector: Point) -> Point:
            return self.inner.steepest({name: -leaf for name, leaf in covector.items()})

    one = WeightedBall({"theta": center}, 1.0)
    assert climb(objective, Downhill(one), 60) < 0.9 * hard_maximum(matrix, vector, 1.0)
    assert climb(objective, Plainly(one), 60) > 0.999 * hard_maximum(matrix, vector, 1.0)


def test_cost_is_one_gradient_a_step() -> None:
    objective = objective_of(hills, torch.zeros(2, dtype=torch.float64))
    climb(objective, WeightedBall(objective.parameters, 0.1), 17)
    assert objective.cost.units(2) == pytest.approx(17 + 1 / 3)


def test_what_cannot_be_climbed() -> None:
    with pytest.raises(OptionError, match="at least one step"):
        AutoPGD(0)
    with pytest.raises(OptionError, match="positive and finite"):
        WeightedBall(point(), 0.0)
    with pytest.raises(OptionError, match="l2, linf"):
        WeightedBall(point(), 1.0, "l1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="none, element, filter"):
        adaptive_weights(point(), "layer")  # type: ignore[arg-type]
    objective = objective_of(lambda v: torch.exp(1e5 * v[..., 0]), torch.zeros(1, dtype=torch.float64))
    with pytest.raises(SharpnessError, match="smaller rho"):
        climb(objective, WeightedBall(objective.parameters, 1.0), 5)
