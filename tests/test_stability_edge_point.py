"""S, u, ∇S, α, β and the noise along u: an analytic loss, dense third derivatives, and kernels that are wrong."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from numeric.errors import SharpnessError
from numeric.sharpness import Objective
from numeric.sharpness.parameters import flatten, random_tangent, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.edge_point import EdgePoint, measure_edge
from numeric.stability.plain_normalization import PlainNormalization
from numeric.stability.sample_slopes import sample_slopes
from numeric.stability.third_order import third_derivative, third_order

CURVATURE, SLOPE, PULL = 40.0, 3.0, 0.5


class TwoParameters(nn.Module):
    """½(c + bs)x² − as + noise·x: S = c + bs, u = e_x, ∇S = (0, b), α = ab on the floor, β = b²."""

    def __init__(self, x: float, s: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x, dtype=torch.float64))
        self.s = nn.Parameter(torch.tensor(s, dtype=torch.float64))

    def forward(self, noise: Tensor) -> Tensor:
        valley = (CURVATURE + SLOPE * self.s) * self.x**2 / 2 - PULL * self.s
        return valley + noise * self.x


def itself(output: Tensor, target: Tensor) -> Tensor:
    return output.mean()


def measured(objective: Objective, **options: Tensor) -> EdgePoint:
    generator = torch.Generator().manual_seed(0)
    return measure_edge(objective, third_order(objective), generator, CURVATURE, tolerance=1e-9, **options)


def test_an_analytic_loss() -> None:
    noise = torch.tensor([1.0, -1.0, 0.5, -0.5], dtype=torch.float64)
    objective = Objective.of(TwoParameters(0.1, 0.2), itself, [(noise[:3], noise[:3]), (noise[3:], noise[3:])])
    point = measured(objective)
    sharpness = CURVATURE + SLOPE * 0.2
    assert point.floor_sharpness == pytest.approx(sharpness, rel=1e-3)
    assert point.sharpness == pytest.approx(sharpness, rel=1e-3)  # of what stands in the Hessian along u
    assert point.position == pytest.approx(0.1, rel=1e-3)
    floor = measured(Objective.of(TwoParameters(0.0, 0.2), itself, (noise, noise)))
    assert floor.position == pytest.approx(0.0, abs=1e-12)
    assert floor.floor_sharpness == pytest.approx(CURVATURE + SLOPE * 0.2)
    assert floor.alpha == pytest.approx(PULL * SLOPE)
    assert floor.beta == pytest.approx(SLOPE**2)
    assert floor.parallel == pytest.approx(0.0, abs=1e-9)
    assert floor.curvature_along == pytest.approx(0.0, abs=1e-9)
    assert floor.noise == pytest.approx(float(noise.var(correction=0)))
    assert floor.gradient == pytest.approx(PULL)
    assert floor.second == pytest.approx(0.0, abs=1e-9)
    assert floor.noise_of(2) == pytest.approx(float(noise.var(correction=0)) / 2)
    assert floor.drift_noise == pytest.approx(0.0, abs=1e-12)
    assert floor.noise_of(4, replacement=False) == 0.0


def test_alpha_is_read_where_the_oscillation_is_taken_out() -> None:
    """At the iterate itself −∇L·∇S⊥ would be α − βx²/2."""
    noise = torch.zeros(2, dtype=torch.float64)
    away = measured(Objective.of(TwoParameters(0.05, 0.0), itself, (noise, noise)))
    assert abs(away.position) == pytest.approx(0.05, rel=0.02)
    assert away.alpha == pytest.approx(PULL * SLOPE, rel=0.01)
    assert pytest.approx(away.alpha, rel=0.005) != PULL * SLOPE - SLOPE**2 * 0.05**2 / 2


def gelu_net() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    layers = [nn.Linear(3, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 4), nn.Softmax(-1), nn.Linear(4, 2)]
    return nn.Sequential(*layers).double(), torch.randn(5, 3, dtype=torch.float64), torch.arange(5) % 2


def differences(objective: Objective, vector: Tensor) -> Tensor:
    """∂/∂ε H(θ + εu)u by central differences in float64, on plain kernels."""
    (batch,) = objective.batches()
    u = unflatten(vector, objective.parameters)
    sides = []
    for sign in (1e-5, -1e-5):
        moved = {name: leaf + sign * u[name] for name, leaf in objective.parameters.items()}
        _, leaves, gradient = gradient_graph(objective, moved, batch)
        sides.append(flatten(second_derivative(leaves, gradient, u, retain=False)))
    return (sides[0] - sides[1]) / 2e-5


def test_third_derivatives_through_normalization_softmax_and_gelu() -> None:
    model, x, y = gelu_net()
    objective = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    how = third_order(objective)
    (batch,) = objective.batches()
    vector = flatten(random_tangent(objective.parameters, torch.Generator().manual_seed(1)))
    u = unflatten(vector, objective.parameters)
    with how.active():
        _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
        curvature, found = third_derivative(leaves, gradient, u)
    wanted = differences(objective, vector)
    assert torch.allclose(flatten(found), wanted, rtol=1e-6, atol=1e-7 * float(wanted.abs().max()))
    assert float(curvature) == pytest.approx(float(_hessian_form(objective, vector)), rel=1e-10)


def _hessian_form(objective: Objective, vector: Tensor) -> Tensor:
    (batch,) = objective.batches()

    def loss(flat: Tensor) -> Tensor:
        return objective.value(unflatten(flat, objective.parameters), batch)

    start = flatten(objective.parameters)
    return vector @ torch.autograd.functional.hvp(loss, start, vector)[1]


@pytest.mark.parametrize("kind", ["layer", "batch", "batch_running", "instance", "group"])
def test_plain_normalizations_compute_the_same(kind: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5, dtype=torch.float64)
    w, b = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    mean, var = torch.randn(6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    calls = {
        "layer": lambda: F.layer_norm(x.mT, (6,), w, b),
        "batch": lambda: F.batch_norm(x, None, None, w, b, training=True),
        "batch_running": lambda: F.batch_norm(x, mean, var, w, b),
        "instance": lambda: F.instance_norm(x, weight=w, bias=b),
        "group": lambda: F.group_norm(x, 3, w, b),
    }
    native = calls[kind]()
    with PlainNormalization():
        assert torch.allclose(calls[kind](), native, rtol=1e-12, atol=1e-12)


class Severed(torch.autograd.Function):
    """tanh whose second derivative is right and whose third is not: what a faulty kernel does."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return x.tanh()

    @staticmethod
    def backward(ctx: object, upstream: Tensor) -> Tensor:
        return SecondWrong.apply(ctx.saved_tensors[0], upstream)  # type: ignore[attr-defined, no-any-return]


class SecondWrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, upstream: Tensor) -> Tensor:
        ctx.save_for_backward(x, upstream)  # type: ignore[attr-defined]
        return upstream * (1 - x.tanh() ** 2)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, upstream = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = 1 - x.detach().tanh() ** 2
        return grad * upstream * -2 * x.detach().tanh() * slope, grad * (1 - x.tanh() ** 2)


class FaultyKernel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Severed.apply(x)  # type: ignore[no-any-return]


def test_a_faulty_kernel_is_named_instead_of_believed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), FaultyKernel(), nn.Linear(5, 2)).double()
    data = (torch.randn(4, 3, dtype=torch.float64), torch.arange(4) % 2)
    with pytest.raises(SharpnessError, match="third derivatives deviate"):
        third_order(Objective.of(model, nn.CrossEntropyLoss(), data))


def test_sample_slopes_are_the_gradients_along_u_one_by_one() -> None:
    model, x, y = gelu_net()
    objective = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    (batch,) = objective.batches()
    u = random_tangent(objective.parameters, torch.Generator().manual_seed(2))
    v = random_tangent(objective.parameters, torch.Generator().manual_seed(3))
    found = sample_slopes(objective, objective.parameters, batch, u, v)
    for index in range(5):
        _, gradient = objective.gradient(objective.parameters, batch.select(slice(index, index + 1)))
        for row, direction in zip(found, (u, v), strict=True):
            wanted = sum(float((gradient[name] * direction[name]).sum()) for name in u)
            assert float(row[index]) == pytest.approx(wanted, rel=1e-10)


def test_weight_decay_is_part_of_the_loss() -> None:
    decay, noise = 2.0, torch.tensor([1.0, -1.0, 0.5, -0.5], dtype=torch.float64)

    class Decayed(TwoParameters):
        def forward(self, noise: Tensor) -> Tensor:
            return super().forward(noise) + decay / 2 * (self.x**2 + self.s**2)

    told = measured(Objective.of(TwoParameters(0.03, 0.2), itself, (noise, noise)), decay=decay)  # type: ignore[arg-type]
    written = measured(Objective.of(Decayed(0.03, 0.2), itself, (noise, noise)))
    for name in ("loss", "sharpness", "second", "position", "floor_sharpness", "alpha", "beta", "gradient", "noise"):
        assert getattr(told, name) == pytest.approx(getattr(written, name), rel=1e-8, abs=1e-10), name
    assert told.curvature_along == pytest.approx(decay)


def test_a_warm_start_costs_less_and_keeps_the_sign() -> None:
    model, x, y = gelu_net()
    objective = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    cold = measured(objective)
    near = torch.stack([-cold.vectors[:, 0], cold.vectors[:, 1]], dim=1)
    warm = measure_edge(
        objective, third_order(objective), torch.Generator().manual_seed(1), CURVATURE, start=near, tolerance=1e-4
    )
    assert float(warm.vector @ cold.vector) == pytest.approx(-1.0, abs=1e-3)
    assert warm.floor_sharpness == pytest.approx(cold.floor_sharpness, rel=1e-4)
    assert warm.second == pytest.approx(cold.second, rel=1e-2)
    assert warm.units < cold.units
    assert warm.units <= 40


def test_memory_is_that_of_a_dozen_gradients() -> None:
    """Of a perceptron whose parameters are far more than its activations; the basis has six vectors, not thirty."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 300), nn.Tanh(), nn.Linear(300, 300), nn.Tanh(), nn.Linear(300, 5)).double()
    x, y = torch.randn(16, 100, dtype=torch.float64), torch.arange(16) % 5
    objective = Objective.of(model, nn.CrossEntropyLoss(), (x, y))
    how, size = third_order(objective), sum(leaf.nbytes for leaf in objective.parameters.values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        measure_edge(objective, how, torch.Generator().manual_seed(0), CURVATURE)
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    assert max(accumulate(changes)) < 13 * size
