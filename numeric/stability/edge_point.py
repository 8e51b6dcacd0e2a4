"""What a point of a training run says about the edge of stability: S, u, ∇S, α, β and the noise along u.

Damian, Nichani and Lee (2209.15594); Liao et al. (2604.21016). Curvatures carry the unit of the loss per squared unit
of the parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.lanczos import RitzPair
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, dot, flatten, norm, scaled, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.critical_directions import CriticalDirections, measure_directions
from numeric.stability.sample_slopes import sample_slopes
from numeric.stability.third_order import ThirdOrder, third_derivative

# Steps of length 1/edge onto the floor of the valley: each leaves 1 − λ/edge of the position along a direction of
# curvature λ, nothing of an oscillation at the edge in whichever direction, and hardly moves where the loss is flat.
HALF_STEPS = 2
# Relative residual of u and of the vector next to it: an error of u enters S squared, α and β linearly.
TOLERANCE = 1e-2
# The most products with the Hessian, from a random start and near an earlier point. The second vector may be left
# unfinished: its Ritz value lies below the eigenvalue.
COLD, WARM = 30, 10
# Vectors that the basis holds before it is restarted, for one direction and for each further one. More of them save
# products after the eleventh only: warm-started on a perceptron of a million parameters, u had a residual of 5e-3 with
# six after as many, and 3e-3 with all.
VECTORS, FURTHER_VECTORS = 6, 3
# A warm start is the earlier u with so much of the earlier second vector, and less of every further one, so that none
# is lost when they change places.
MIXTURE = 0.5
# Two more backward passes on the graph of the gradient, each about twice as long as the one before.
THIRD_DERIVATIVE = 5.0


@dataclass(frozen=True)
class EdgePoint:
    """Measured at one step of a run, on the floor of the valley below the iterate.

    loss: L there. floor_sharpness: S, the largest eigenvalue of ∇²L; residual: ‖Hu − Su‖; second: the next Ritz value,
    from below an estimate of the next eigenvalue; vectors: u and that of the second (D, 2). sharpness: uᵀHu at the
    iterate itself; position: x, how far along u it lies from the floor. alpha: −∇L·∇S⊥; beta: ‖∇S⊥‖²; parallel:
    u·∇S; gradient: ‖∇L‖. noise, drift_noise: variance over the samples of u·∇ℓ and of ∇S⊥·∇ℓ; samples: n. velocity,
    drift_velocity: u·v and ∇S⊥·v of the last step v.
    curvature_along: of L along ∇S⊥. units: the cost in forward+backward passes. Weight decay is part of L. critical: of
    several directions, where they were asked for.
    """

    loss: float
    sharpness: float
    residual: float
    second: float
    vectors: Tensor
    position: float
    floor_sharpness: float
    alpha: float
    beta: float
    parallel: float
    gradient: float
    noise: float
    drift_noise: float
    velocity: float
    drift_velocity: float
    samples: int
    curvature_along: float
    units: float
    critical: CriticalDirections | None = None

    @property
    def vector(self) -> Tensor:
        """u (D,)."""
        return self.vectors[:, 0]

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
    edge: float,
    *,
    start: Tensor | None = None,
    velocity: Point | None = None,
    decay: float = 0.0,
    tolerance: float = TOLERANCE,
    directions: int = 1,
    frame: Tensor | None = None,
    deviation: Tensor | None = None,
) -> EdgePoint:
    """Measure the point `objective.parameters`, with u warm-started from `start`, whose sign it takes.

    start: what an earlier point gave as `vectors`. velocity: the last step, None for none. edge: the curvature from
    which an oscillation grows, 2(1 + μ)/η. decay: λ of a weight decay, which adds λ‖θ‖²/2 to L. tolerance: of the
    Lanczos iteration for u. directions: k, from two on all of them are measured too, near an earlier `frame` (D, k);
    `vectors` are then the k leading ones (D, k). deviation: of the run from where it lies on average (D,), for
    `CriticalDirections.rest`.
    At the iterate itself −∇L·∇S is α − βx²/2, the drift of S, which vanishes on average at the edge: α is read off
    where the oscillation has been taken out. Raises SharpnessError where a product is not finite.
    """
    before = objective.cost.sample_units
    theta = objective.parameters
    with how.active():
        settled = objective.at(without_oscillation(objective, edge, decay))
        operator = HessianOperator(settled, how.second)
        pairs, following = top_pairs(operator, generator, start, tolerance, directions)
        leading, second = pairs[0], pairs[1] if len(pairs) > 1 else None
        vector = leading.vector
        u = unflatten(vector, theta)
        gradient_there = operator.gradient()
        slope = float(gradient_there @ vector) + decay * float(dot(settled.parameters, u))
        floor = add(settled.parameters, u, -slope / (leading.value + decay))
        # Points and gradients that are kept are what memory at the peak is made of.
        near = (settled, gradient_there + decay * flatten(settled.parameters)) if directions > 1 else None
        del operator, settled, gradient_there  # the operator keeps the graph
        floor_sharpness, gradient, bend, loss, samples = sharpness_gradient(objective, floor, u)
        parallel = float(dot(bend, u))
        orthogonal = add(bend, u, -parallel)
        del bend
        gradient = add(gradient, floor, decay)
        alpha, beta, length = -float(dot(gradient, orthogonal)), float(norm(orthogonal)) ** 2, float(norm(gradient))
        along = scaled(orthogonal, 1 / max(float(norm(orthogonal)), torch.finfo(vector.dtype).tiny))
        drifting = 0.0 if velocity is None else float(dot(velocity, orthogonal))
        del gradient, orthogonal
        slopes = torch.cat([sample_slopes(objective, floor, batch, u, along) for batch in objective.batches()], dim=1)
        straightness = _curvature(objective.at(floor), along)
        del along
        sharpness = _curvature(objective, u)
        critical = None
        if near is not None:
            curvatures = vector.new_tensor([*(pair.value for pair in pairs[:directions]), following]) + decay
            span = torch.stack([pair.vector for pair in pairs[:directions]], dim=1)
            settled, pulled = near
            critical = measure_directions(
                objective,
                settled,
                span,
                pulled,
                curvatures,
                earlier=frame,
                lag=HALF_STEPS / edge,
                decay=decay,
                deviation=deviation,
            )
    noise, drift_noise = slopes.var(dim=1, correction=0).tolist()
    return EdgePoint(
        loss=loss + decay * float(dot(floor, floor)) / 2,
        sharpness=sharpness + decay,
        residual=leading.residual,
        second=math.nan if second is None else second.value + decay,
        vectors=torch.stack([pair.vector for pair in (pairs if second is not None else [leading, leading])], dim=1),
        position=float(dot(add(theta, floor, -1.0), u)),
        floor_sharpness=floor_sharpness + decay - HALF_STEPS / edge * alpha,
        alpha=alpha,
        beta=beta,
        parallel=parallel,
        gradient=length,
        noise=noise,
        drift_noise=drift_noise * beta,
        velocity=0.0 if velocity is None else float(dot(velocity, u)),
        drift_velocity=drifting,
        samples=samples,
        curvature_along=straightness + decay,
        units=(objective.cost.sample_units - before) / samples,
        critical=critical,
    )


def top_pair(
    operator: HessianOperator, generator: torch.Generator, start: Tensor | None, tolerance: float
) -> tuple[RitzPair, RitzPair | None]:
    """The largest Ritz pair and the one next to it, where there are two dimensions."""
    pairs, _ = top_pairs(operator, generator, start, tolerance, 1)
    return pairs[0], pairs[1] if len(pairs) > 1 else None


def top_pairs(
    operator: HessianOperator, generator: torch.Generator, start: Tensor | None, tolerance: float, directions: int
) -> tuple[list[RitzPair], float]:
    """The largest Ritz pairs, at least two where there are as many dimensions, and the Ritz value next to them.

    start: (D, m), the vectors of an earlier point. With one direction the second may be left unfinished.
    Raises OptionError for more directions than dimensions.
    """
    count = max(directions, min(2, operator.dimension))
    near = None
    if start is not None:
        weights = start.new_tensor([MIXTURE**number for number in range(start.shape[1])])
        near = unflatten(start @ weights, operator.objective.parameters)
    products = (COLD if start is None else WARM) * directions
    vectors = VECTORS + FURTHER_VECTORS * (directions - 1)
    found = TopEigenvalues(count, tolerance, products, near, vectors=vectors).extremes(operator, generator)
    if start is not None and found.largest[0].vector @ start[:, 0] < 0:
        found.largest[0].vector.neg_()
    return list(found.largest), float(found.values[count]) if len(found.values) > count else math.nan


def without_oscillation(objective: Objective, edge: float, decay: float) -> Point:
    """The point after `HALF_STEPS` steps of gradient descent of length 1/edge."""
    point = objective.parameters
    for _ in range(HALF_STEPS):
        total: Point = {name: torch.zeros_like(leaf) for name, leaf in point.items()}
        samples = 0
        for batch in objective.batches():
            total = add(total, objective.gradient(point, batch)[1], batch.size)
            samples += batch.size
        point = add(scaled(point, 1 - decay / edge), total, -1 / (edge * samples))
    return point


def sharpness_gradient(objective: Objective, point: Point, u: Point) -> tuple[float, Point, Point, float, int]:
    """(uᵀHu, ∇L, ∇³L(u, u), L, n) at a point, over all samples; memory of one batch."""
    curvature = loss = 0.0
    samples = 0
    gradient, slope = ({name: torch.zeros_like(leaf) for name, leaf in point.items()} for _ in range(2))
    for batch in objective.batches():
        bowed, value = _add_sharpness_gradient(objective, point, batch, u, gradient, slope)
        curvature += bowed * batch.size
        loss += value * batch.size
        samples += batch.size
    for leaf in (*gradient.values(), *slope.values()):
        leaf.div_(samples)
    return curvature / samples, gradient, slope, loss / samples, samples


def _add_sharpness_gradient(
    objective: Objective, point: Point, batch: Batch, u: Point, gradient: Point, slope: Point
) -> tuple[float, float]:
    """(uᵀH_B u, L_B); n_B ∇L_B and n_B ∇³L_B(u, u) are added into `gradient` and `slope`, and all else is freed."""
    value, leaves, bent = gradient_graph(objective, point, batch)
    bowed, third = third_derivative(leaves, bent, u)
    objective.cost.add(THIRD_DERIVATIVE, batch.size)
    for name in gradient:
        gradient[name].add_(bent[name].detach(), alpha=batch.size)
        slope[name].add_(third[name], alpha=batch.size)
    return float(bowed), float(value.detach())


def _curvature(objective: Objective, direction: Point) -> float:
    """vᵀHv over all samples, for a direction v."""
    total = samples = 0.0
    for batch in objective.batches():
        _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
        total += float(dot(second_derivative(leaves, gradient, direction, retain=False), direction)) * batch.size
        objective.cost.add(HESSIAN_PRODUCT, batch.size)
        samples += batch.size
    return total / samples
