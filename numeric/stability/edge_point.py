"""What a point of a training run says about the edge of stability: S, u, ∇S, α, β and the noise along u.

Damian, Nichani and Lee (2209.15594); Liao et al. (2604.21016). Curvatures carry the unit of the loss per squared unit
of the parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.operator import HessianOperator, mean_over_samples
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, dot, norm, scaled, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.sample_slopes import sample_slopes
from numeric.stability.third_order import ThirdOrder, third_derivative

# Newton steps along u onto the floor of the valley, where u·∇L = 0: the first leaves a remainder of second order.
VALLEY_STEPS = 2
# Relative residual of u, and the most products with the Hessian: an error of u enters S squared, α and β linearly.
TOLERANCE, PRODUCTS = 1e-2, 60
# Two more backward passes on the graph of the gradient, each about twice as long as the one before.
THIRD_DERIVATIVE = 5.0


@dataclass(frozen=True)
class EdgePoint:
    """Measured at one step of a run, on the floor of the valley below the iterate.

    loss: L there. sharpness: S, the largest eigenvalue of ∇²L at the iterate; residual: ‖Hu − Su‖; second: the next
    Ritz value, from below an estimate of the next eigenvalue; vector: u (D,). position: x, how far along u the iterate
    lies from the floor. floor_sharpness: uᵀHu on the floor. alpha: −∇L·∇S⊥; beta: ‖∇S⊥‖²; parallel: u·∇S; gradient:
    ‖∇L‖ on the floor. noise, drift_noise: variance over the samples of u·∇ℓ and of ∇S⊥·∇ℓ; samples: n.
    curvature_along: of L along ∇S⊥. units: the cost in forward+backward passes. Weight decay is part of L.
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
    drift_noise: float
    samples: int
    curvature_along: float
    units: float

    def share_of_noise(self, batch_size: int, *, replacement: bool = True) -> float:
        """What is left of a sample's variance in the mean of a batch, drawn with replacement or without."""
        if replacement or self.samples < 2:
            return 1 / batch_size
        return (self.samples - batch_size) / (self.samples - 1) / batch_size

    def noise_of(self, batch_size: int, *, replacement: bool = True) -> float:
        """σ_u², the variance of u·g for batches of this size."""
        return self.noise * self.share_of_noise(batch_size, replacement=replacement)


def measure_edge(
    objective: Objective,
    how: ThirdOrder,
    generator: torch.Generator,
    *,
    start: Tensor | None = None,
    decay: float = 0.0,
    tolerance: float = TOLERANCE,
    products: int = PRODUCTS,
) -> EdgePoint:
    """Measure the point `objective.parameters`, with u warm-started from `start` (D,), whose sign it takes.

    decay: λ of a weight decay, which adds λ‖θ‖²/2 to L. tolerance, products: of the Lanczos iteration for u.
    At the iterate itself −∇L·∇S is α − βx²/2, the drift of S, which vanishes on average at the edge: α is read off
    where the oscillation has been taken out. Raises SharpnessError where a product is not finite.
    """
    before = objective.cost.sample_units
    theta = objective.parameters
    with how.active():
        operator = HessianOperator(objective, how.second)
        near = None if start is None else unflatten(start, theta)
        top = TopEigenvalues(1, tolerance, products, near).extremes(operator, generator)
        (leading,) = top.largest
        vector = leading.vector if start is None or leading.vector @ start >= 0 else -leading.vector
        u = unflatten(vector, theta)
        slope = float(operator.gradient() @ vector) + decay * float(dot(theta, u))
        floor, position = _valley_floor(objective, u, leading.value + decay, slope, decay)
        floor_sharpness, gradient, bend, loss, samples = _sharpness_gradient(objective, floor, u)
        gradient = add(gradient, floor, decay)
        parallel = float(dot(bend, u))
        orthogonal = add(bend, u, -parallel)
        along = scaled(orthogonal, 1 / max(float(norm(orthogonal)), torch.finfo(vector.dtype).tiny))
        slopes = torch.cat([sample_slopes(objective, floor, batch, u, along) for batch in objective.batches()], dim=1)
        straightness = _curvature(objective.at(floor), along)
    beta = float(norm(orthogonal)) ** 2
    noise, drift_noise = slopes.var(dim=1, correction=0).tolist()
    return EdgePoint(
        loss=loss + decay * float(dot(floor, floor)) / 2,
        sharpness=leading.value + decay,
        residual=leading.residual,
        second=float(top.values[1]) + decay if len(top.values) > 1 else math.nan,
        vector=vector,
        position=position,
        floor_sharpness=floor_sharpness + decay,
        alpha=-float(dot(gradient, orthogonal)),
        beta=beta,
        parallel=parallel,
        gradient=float(norm(gradient)),
        noise=noise,
        drift_noise=drift_noise * beta,
        samples=samples,
        curvature_along=straightness + decay,
        units=(objective.cost.sample_units - before) / samples,
    )


def _valley_floor(objective: Objective, u: Point, curvature: float, slope: float, decay: float) -> tuple[Point, float]:
    """The point θ − xu with u·∇L = 0, and x, by Newton steps along u; slope: u·∇L at θ."""
    position = slope / curvature
    point = add(objective.parameters, u, -position)
    for _ in range(VALLEY_STEPS - 1):
        found = mean_over_samples(
            (dot(objective.gradient(point, batch)[1], u), batch.size) for batch in objective.batches()
        )
        step = (float(found) + decay * float(dot(point, u))) / curvature
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
