"""Whether the gradient noise is the Fisher information: the alignment of C with F."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD
from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.fisher_range import fisher_range
from numeric.sharpness.fisher.gradient_noise import noise_form
from numeric.sharpness.fisher.linearized import Linearized
from numeric.sharpness.fisher.predictive import Predictive, fisher_product, predictive
from numeric.sharpness.fisher.root import stated_gap
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.parameters import flatten, random_tangent
from numeric.sharpness.second_order import second_order
from numeric.sharpness.value import Value


@dataclass(frozen=True)
class FisherNoiseAlignment:
    """The cosine of the gradient-noise covariance C and the Fisher information F; in [0, 1], dimensionless.

    metric "fisher": tr(F⁺C)/(√r ‖F^{-1/2} C F^{-1/2}‖) on the range of F, 1 if and only if C is a multiple of F, and
    invariant under smooth function-preserving maps. "euclidean": tr(CF)/(‖C‖ ‖F‖) with Frobenius norms, as the
    literature has it; dominated by the largest eigenvalues, not invariant. Both exact, from per-sample gradients.
    probes: the Euclidean one from products C ω and F ω with that many random ω, for models whose Fisher factor is too
    large to hold; its standard error by the jackknife over probes.
    """

    metric: Literal["fisher", "euclidean"] = "fisher"
    likelihood: str | None = None
    probes: int | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in ("fisher", "euclidean"):
            raise OptionError(f"no metric {self.metric!r}: choose 'fisher' or 'euclidean'")
        if self.probes is not None and (self.metric == "fisher" or self.probes < 2):
            raise OptionError("probes= needs metric='euclidean' and at least 2 of them")

    @property
    def name(self) -> str:
        return "noise_fisher_alignment" if self.metric == "fisher" else "noise_fisher_alignment_euclidean"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        distribution = predictive(objective, self.likelihood)
        if self.probes is not None:
            return self._probed(objective, distribution, self.probes, generator)
        span = fisher_range(objective, distribution, estimators.exact, generator, tolerance=self.tolerance)
        noise, _ = noise_form(objective, distribution, span, generator)
        scale = torch.ones_like(span.singular) if self.metric == "fisher" else span.singular
        value = _cosine(scale.unsqueeze(1) * noise * scale, scale.square())
        details = {
            "noise_over_fisher": float(noise.trace()) / span.rank,
            "rank": span.rank,
            "effective_rank": span.effective_rank,
            "rank_gap": stated_gap(span),
        }
        return Value(value, None, details, distribution.notes)

    def _probed(self, objective: Objective, distribution: Predictive, probes: int, generator: torch.Generator) -> Value:
        products = [_products(objective, distribution, generator) for _ in range(probes)]
        fisher, noise = (torch.stack(rows).double() for rows in zip(*products, strict=True))
        moments = torch.stack([(fisher * noise).sum(1), fisher.square().sum(1), noise.square().sum(1)], 1)
        total = moments.sum(0)
        value = _ratio(total)
        left_out = torch.stack([_ratio(total - row) for row in moments])
        error = math.sqrt((probes - 1) * float((left_out - left_out.mean()).square().mean()))
        return Value(float(value), error, {"probes": probes}, distribution.notes, error)


def _cosine(noise: Tensor, fisher: Tensor) -> float:
    """The cosine of C (r, r) and F = diag(fisher), in the same coordinates."""
    norm = torch.linalg.matrix_norm(noise)
    if float(norm) == 0:
        raise SharpnessError("the gradients of all samples are equal: there is no gradient noise to align")
    return float((noise.diagonal() * fisher).sum() / (norm * torch.linalg.vector_norm(fisher)))


def _ratio(moments: Tensor) -> Tensor:
    return moments[0] / (moments[1] * moments[2]).sqrt()


def _products(objective: Objective, distribution: Predictive, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(F ω, C ω), both (D,), at one normal ω: a pass for J ω and one for each pullback, batch by batch."""
    omega = random_tangent(objective.parameters, generator)
    samples = sum(batch.size for batch in objective.batches())
    fisher, second, mean = (torch.zeros_like(flatten(omega)) for _ in range(3))
    with second_order(objective).active():
        for batch in objective.batches():
            parts = _batch_products(objective, distribution, batch, omega, generator)
            for total, part in zip((fisher, second, mean), parts, strict=True):
                total += part / samples
    return fisher, second - mean * torch.dot(mean, flatten(omega))


def _batch_products(
    objective: Objective, distribution: Predictive, batch: Batch, omega: dict[str, Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """(Σ s JᵀSJ ω, Σ g_i g_i·ω, Σ g_i) over the samples of a batch."""
    objective.cost.add(FORWARD * 8, batch.size)
    model = Linearized(objective, distribution, batch)
    velocity = model.push(flatten(omega).unsqueeze(0))[0]
    slope = estimators.empirical(objective, distribution, batch, generator).squeeze(1)
    rate = (slope * velocity).sum((1, 2), keepdim=True)
    curved = distribution.scale * fisher_product(distribution.family.root(model.natural.detach()), velocity)
    fisher, second, mean = model.pull(torch.stack([curved, slope * rate, slope]))
    return fisher, second, mean


def noise_fisher_alignment(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    metric: Literal["fisher", "euclidean"] = "fisher",
    likelihood: str | None = None,
    probes: int | None = None,
    tolerance: float | None = None,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The alignment of gradient noise and Fisher information at a model, see `FisherNoiseAlignment`.

    Raises OptionError for options out of range and a loss that is no known likelihood, SharpnessError where there is
    no noise or the Fisher factor is too large to hold.
    """
    measure = FisherNoiseAlignment(metric, likelihood, probes, tolerance)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
