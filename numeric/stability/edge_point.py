"""What a point of a training run says about the edge of stability: S, u, ∇S, α, β and the noise along u.

Damian, Nichani and Lee (2209.15594); Liao et al. (2604.21016). Curvatures carry the unit of the loss per squared unit
of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, dot, norm, scaled, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.sample_slopes import sample_slopes
from numeric.stability.third_order import ThirdOrder, third_derivative

# Newton steps along u onto the floor of the valley, where u·∇L = 0: the first leaves a remainder of second order.
VALLEY_STEPS = 2
# Two more backward passes on the graph of the gradient, each about twice as long as the one before.
THIRD_DERIVATIVE = 5.0


@dataclass(frozen=True)
class EdgePoint:
    """Measured at one step of a run, on the floor of the valley below the iterate.

    loss: L there. sharpness: S, the largest eigenvalue of ∇²L at the iterate; residual: ‖Hu − Su‖; second: the next
    eigenvalue; vector: u (D,). position: x, how far along u the iterate lies from the floor. floor_sharpness: uᵀHu on
    the floor. alpha: −∇L·∇S⊥; beta: ‖∇S⊥‖²; parallel: u·∇S; gradient: ‖∇L‖ on the floor. noise: variance of one
    sample's u·∇ℓ; samples: n. curvature_along: of L along ∇S⊥. units: the cost in forward+backward passes.
    """

    loss: float
    sharpness: float
    residual: float
    second: float
    vector: Tensor
    position: float
    floor_sharpness: float
    alpha: float
    beta: float
    parallel: float
    gradient: float
    noise: float
    samples: int
    curvature_along: float
    units: float

    def noise_of(self, batch_size: int, *, replacement: bool = True) -> float:
        """σ_u², the variance of u·g for batches of this size, drawn with replacement or without."""
        drawn = self.noise / batch_size
        if replacement or self.samples < 2:
            return drawn
        return drawn * (self.samples - batch_size) / (self.samples - 1)


def measure_edge(
    objective: Objective,
    how: ThirdOrder,
    generator: torch.Generator,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-3,
) -> EdgePoint:
    """Measure the point `objective.parameters`, with u warm-started from `start` (D,).

    At the iterate itself −∇L·∇S is α − βx²/2, the drift of S, which vanishes on average at the edge: α is read off
    where the oscillation has been taken out. Raises SharpnessError where a product is not finite.
    """
    before = objective.cost.sample_units
    theta = objective.parameters
    near = None if start is None else unflatten(start, theta)
    with how.active():
        operator = HessianOperator(objective, how.second)
        top = TopEigenvalues(2, tolerance, start=near).extremes(operator, generator)
        vector = top.largest[0].vector
        u = unflatten(vector, theta)
        floor, position = _valley_floor(objective, u, top.largest[0].value)
        floor_sharpness, gradient, slope, loss, samples = _sharpness_gradient(objective, floor, u)
        slopes = torch.cat([sample_slopes(objective, floor, batch, u) for batch in objective.batches()])
        parallel = float(dot(slope, u))
        orthogonal = add(slope, u, -parallel)
        along = scaled(orthogonal, 1 / max(float(norm(orthogonal)), torch.finfo(vector.dtype).tiny))
        straightness = _curvature(objective.at(floor), along)
    return EdgePoint(
        loss=loss,
        sharpness=top.largest[0].value,
        residual=top.largest[0].residual,
        second=top.largest[1].value,
        vector=vector,
        position=position,
        floor_sharpness=floor_sharpness,
        alpha=-float(dot(gradient, orthogonal)),
        beta=float(norm(orthogonal)) ** 2,
        parallel=parallel,
        gradient=float(norm(gradient)),
        noise=float(slopes.var()) if samples > 1 else 0.0,
        samples=samples,
        curvature_along=straightness,
        units=(objective.cost.sample_units - before) / samples,
    )


def _valley_floor(objective: Objective, u: Point, curvature: float) -> tuple[Point, float]:
    """The point θ − xu with u·∇L = 0, and x, by Newton steps along u."""
    point, position = objective.parameters, 0.0
    for _ in range(VALLEY_STEPS):
        slope = samples = 0.0
        for batch in objective.batches():
            slope += float(dot(objective.gradient(point, batch)[1], u)) * batch.size
            samples += batch.size
        step = slope / samples / curvature
        point, position = add(point, u, -step), position + step
    return point, position


def _sharpness_gradient(objective: Objective, point: Point, u: Point) -> tuple[float, Point, Point, float, int]:
    """(uᵀHu, ∇L, ∇³L(u, u), L, n) at a point, over all samples; memory of one batch."""
    curvature = loss = 0.0
    samples = 0
    gradient: Point = {name: torch.zeros_like(leaf) for name, leaf in point.items()}
    slope: Point = dict(gradient)
    for batch in objective.batches():
        value, leaves, bent = gradient_graph(objective, point, batch)
        bowed, third = third_derivative(leaves, bent, u)
        objective.cost.add(THIRD_DERIVATIVE, batch.size)
        gradient = add(gradient, {name: leaf.detach() for name, leaf in bent.items()}, batch.size)
        slope = add(slope, third, batch.size)
        curvature += float(bowed) * batch.size
        loss += float(value.detach()) * batch.size
        samples += batch.size
    mean = 1 / samples
    return curvature * mean, scaled(gradient, mean), scaled(slope, mean), loss * mean, samples


def _curvature(objective: Objective, direction: Point) -> float:
    """vᵀHv over all samples, for a direction v."""
    total = samples = 0.0
    for batch in objective.batches():
        _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
        total += float(dot(second_derivative(leaves, gradient, direction, retain=False), direction)) * batch.size
        objective.cost.add(HESSIAN_PRODUCT, batch.size)
        samples += batch.size
    return total / samples
