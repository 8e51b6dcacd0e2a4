"""What a point of a training run says about several critical directions: their Hessian, how it drifts, how an
oscillation bends it, and the noise along them, all in one frame that is carried along the run.

Derived here; for one direction Damian, Nichani and Lee (2209.15594).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, flatten, unflatten
from numeric.sharpness.second_order import gradient_graph, second_derivative
from numeric.stability.sample_slopes import sample_slopes
from numeric.stability.third_order import third_derivative

# A backward pass on the graph of a product with the Hessian, in forward+backward units.
THIRD_BACKWARD = 3.0


@dataclass(frozen=True)
class CriticalDirections:
    """k directions that span the leading eigenvectors, at one step of a run, on the floor of the valley below it.

    frame: (D, k), orthonormal columns u_i. overlap: the smallest cosine between its span and that of the earlier frame,
    one without it. next_curvature: the eigenvalue that follows. In the frame: positions: x (k,), how far the iterate
    lies from the floor; curvatures: uᵢᵀ∇²L uⱼ (k, k) on the floor; alpha: −∇L·∇S_ij (k, k) and beta: ⟨∇S_ij, ∇S_kl⟩
    (k, k, k, k), with ∇S_ij = ∇³L(u_i, u_j) and its part in the span taken out; rest: ½⟨∇³L(δ, δ), ∇S_ij⟩ (k, k) for
    the run's deviation δ across the span, by which what fluctuates there lowers α, nan where δ is not known; noise:
    covariance (k, k) over the samples of uᵢ·∇ℓ; drift_noise: that of ∇S_ij·∇ℓ (k, k, k, k). Weight decay is part of L.
    """

    frame: Tensor
    overlap: float
    next_curvature: float
    positions: Tensor
    curvatures: Tensor
    alpha: Tensor
    beta: Tensor
    rest: Tensor
    noise: Tensor
    drift_noise: Tensor

    def tensors(self, share: float) -> dict[str, Tensor]:
        """What is recorded of a run, float64 on the CPU; share: of a sample's variance in the batches' gradients."""
        names = ("positions", "curvatures", "alpha", "beta", "rest", "noise", "drift_noise")
        found = {name: getattr(self, name) * (share if "noise" in name else 1.0) for name in names}
        found |= {"overlap": torch.tensor(self.overlap), "next_curvature": torch.tensor(self.next_curvature)}
        return {name: value.to("cpu", torch.float64) for name, value in found.items()}


def carried_frame(vectors: Tensor, earlier: Tensor | None) -> tuple[Tensor, float]:
    """The frame (D, k) of the span of orthonormal `vectors` (D, k) that lies nearest to an earlier frame (D, k), and
    the smallest cosine between the two spans.

    Eigenvectors that cross change places and mix; the nearest frame does not.
    """
    if earlier is None:
        return vectors, 1.0
    left, cosines, right = torch.linalg.svd(vectors.mT @ earlier)
    return vectors @ left @ right, float(cosines[-1])


def measure_directions(
    objective: Objective,
    settled: Objective,
    eigenvectors: Tensor,
    slope: Tensor,
    curvatures: Tensor,
    *,
    earlier: Tensor | None,
    lag: float,
    decay: float,
    deviation: Tensor | None = None,
) -> CriticalDirections:
    """Measure the run's point `objective.parameters` in the span of eigenvectors (D, k) of the Hessian at `settled`.

    slope: ∇L at `settled` (D,); curvatures: the eigenvalues there and the one that follows (k + 1,); lag: the time of
    gradient flow that lies between the two points, for which the curvatures have drifted at α; deviation: of the
    run from where it lies on average (D,). Costs 2 + 3k + 4p units, p = k(k+1)/2: the gradient's graph, k products with
    the Hessian, p derivatives of them, slopes of all samples; and 6 for the deviation.
    """
    size = eigenvectors.shape[1]
    frame, overlap = carried_frame(eigenvectors, earlier)
    turned = eigenvectors.mT @ frame
    hessian = turned.mT @ (curvatures[:size, None] * turned)
    floor_flat = flatten(settled.parameters) - frame @ torch.linalg.solve(hessian, frame.mT @ slope)
    floor = unflatten(floor_flat, objective.parameters)
    columns = [unflatten(column, floor) for column in frame.mT]
    gradient, bent, bends = _derivatives(objective, floor, columns)
    gradient = gradient + decay * floor_flat
    rows, cols = torch.triu_indices(size, size).tolist()
    across = bends - (bends @ frame) @ frame.mT
    pairs = torch.empty(size, size, dtype=torch.int64)
    pairs[rows, cols] = pairs[cols, rows] = torch.arange(len(rows))
    alpha = -(across @ gradient)[pairs]
    drifting = [unflatten(row, floor) for row in across]
    along = [*columns, *drifting]
    slopes = torch.cat([sample_slopes(objective, floor, batch, *along) for batch in objective.batches()], dim=1)
    covariance = _covariance(slopes)
    rest = torch.full_like(alpha, torch.nan)
    if deviation is not None:
        rest = (across @ _bend_of(objective, floor, deviation - frame @ (frame.mT @ deviation)))[pairs] / 2
    return CriticalDirections(
        frame=frame,
        overlap=overlap,
        next_curvature=float(curvatures[-1]),
        positions=(flatten(objective.parameters) - floor_flat) @ frame,
        curvatures=frame.mT @ bent.mT + decay * torch.eye(size).to(frame) - lag * alpha,
        alpha=alpha,
        beta=(across @ across.mT)[pairs][:, :, pairs],
        rest=rest,
        noise=covariance[:size, :size],
        drift_noise=covariance[size:, size:][pairs][:, :, pairs],
    )


def _derivatives(objective: Objective, point: Point, columns: list[Point]) -> tuple[Tensor, Tensor, Tensor]:
    """(∇L (D,), H u_j (k, D), ∇³L(u_i, u_j) (p, D) for i ≤ j in the order of `triu_indices`), over all samples.

    One graph of the gradient serves all products, and one of each product all derivatives of it.
    """
    total: list[Tensor] = []
    samples = 0
    for batch in objective.batches():
        found = _of_batch(objective, point, batch, columns)
        parts = [batch.size * part for part in found]
        total = parts if not total else [a + b for a, b in zip(total, parts, strict=True)]
        samples += batch.size
    gradient, bent, bends = (part / samples for part in total)
    return gradient, bent, bends


def _of_batch(objective: Objective, point: Point, batch: Batch, columns: list[Point]) -> tuple[Tensor, Tensor, Tensor]:
    _, leaves, gradient = gradient_graph(objective, point, batch)
    size = len(columns)
    products = [flatten(second_derivative(leaves, gradient, u, differentiable=True)) for u in columns]
    flat = [flatten(u) for u in columns]
    bends = []
    for i in range(size):
        for j in range(i, size):
            form = products[i] @ flat[j]
            bends.append(_slope(form, leaves))
    pairs = size * (size + 1) // 2
    objective.cost.add(size * HESSIAN_PRODUCT + pairs * THIRD_BACKWARD, batch.size)
    return flatten(gradient).detach(), torch.stack(products).detach(), torch.stack(bends)


def _bend_of(objective: Objective, point: Point, direction: Tensor) -> Tensor:
    """∇³L(δ, δ) (D,) over all samples."""
    total, samples = torch.zeros_like(direction), 0
    for batch in objective.batches():
        _, leaves, gradient = gradient_graph(objective, point, batch)
        _, bend = third_derivative(leaves, gradient, unflatten(direction, point))
        objective.cost.add(HESSIAN_PRODUCT + THIRD_BACKWARD, batch.size)
        total = total + batch.size * flatten(bend)
        samples += batch.size
    return total / samples


def _slope(value: Tensor, leaves: Point) -> Tensor:
    if not value.requires_grad:
        return flatten({name: torch.zeros_like(leaf) for name, leaf in leaves.items()})
    slopes = torch.autograd.grad(
        value, list(leaves.values()), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([slope.reshape(-1) for slope in slopes])


def _covariance(slopes: Tensor) -> Tensor:
    """Of m series over n samples (m, n)."""
    centred = slopes - slopes.mean(dim=1, keepdim=True)
    return centred @ centred.mT / slopes.shape[1]
