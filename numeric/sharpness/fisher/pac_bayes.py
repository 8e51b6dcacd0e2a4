"""A PAC-Bayes bound on the risk of a randomized model whose posterior covariance is that of the Fisher metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD
from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.covariant import covariant_form
from numeric.sharpness.fisher.fisher_range import fisher_range
from numeric.sharpness.fisher.linearized import gradient
from numeric.sharpness.fisher.mean_loss import mean_loss
from numeric.sharpness.fisher.posterior import Posterior
from numeric.sharpness.fisher.predictive import Predictive, predictive
from numeric.sharpness.fisher.relative_entropy import largest_mean
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.parameters import Point
from numeric.sharpness.value import Value

# (output, target) -> a loss in [0, 1] for every sample, (n,)
BoundedLoss = Callable[[Any, Any], Tensor]
BOUND = "kl⁻¹(kl⁻¹(drawn risk, log(2/δ)/draws), (KL + log(4√n/δ))/n)"
ESTIMATE = "L + ½ tr(ΣH) + √((KL + log(2√n/δ))/(2n))"


@dataclass(frozen=True)
class PacBayes:
    """An upper bound on the risk of a model drawn from N(θ, Σ), Σ = (τnF + 1/σ²)⁻¹, on new data.

    Prior N(θ₀, σ²), KL in closed form, n samples. "monte_carlo", a bound: with probability at least 1 − δ over the
    samples and the draws, the risk in a loss with values in [0, 1] is at most kl⁻¹(q, (KL + log(2√n/δ₁))/n) with q =
    kl⁻¹(mean over draws, log(1/δ₂)/draws), δ₁ = δ₂ = δ/2; it needs n ≥ 8 independent samples and θ₀, σ², τ fixed
    without them. "quadratic", no bound: the unbounded loss itself by its expansion L + ½ tr(ΣH), and the square-root
    form; it shows what the sharpness controls, ½ tr(ΣH) ≤ S_R/(2τn) where H ≥ 0.

    prior_variance: σ². prior_mean: θ₀, zero by default (an initialization is allowed, anything seen in training is
    not). weight: τ; 1 is the Laplace approximation's posterior. bounded: the loss in [0, 1] per sample, by default the
    share of wrong classes or labels.
    """

    prior_variance: float
    delta: float = 0.05
    weight: float = 1.0
    draws: int = 100
    estimate: Literal["monte_carlo", "quadratic"] = "monte_carlo"
    prior_mean: Point | None = None
    bounded: BoundedLoss | None = None
    likelihood: str | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not (self.prior_variance > 0 and self.weight > 0 and 0 < self.delta < 1 and self.draws >= 1):
            raise OptionError(
                f"prior_variance={self.prior_variance}, weight={self.weight}, delta={self.delta}, draws={self.draws}: "
                "choose positive numbers, and delta below 1"
            )
        if self.estimate not in ("monte_carlo", "quadratic"):
            raise OptionError(f"no estimate {self.estimate!r}: choose 'monte_carlo' or 'quadratic'")

    @property
    def name(self) -> str:
        return "pac_bayes" if self.estimate == "monte_carlo" else "pac_bayes_quadratic"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        distribution = predictive(objective, self.likelihood)
        samples = sum(batch.size for batch in objective.batches())
        if samples < 8:
            raise OptionError(f"the bound needs at least 8 samples, not {samples}")
        span = fisher_range(objective, distribution, estimators.exact, generator, tolerance=self.tolerance)
        posterior = Posterior(objective.parameters, span, self.weight * samples, self.prior_variance)
        divergence = posterior.divergence(self._prior_mean(objective))
        details = {
            "kl": divergence,
            "n": samples,
            "delta": self.delta,
            "prior_variance": self.prior_variance,
            "damping": 1 / (self.weight * samples * self.prior_variance),
            "rank": span.rank,
            "is_bound": self.estimate == "monte_carlo",
        }
        if self.estimate == "quadratic":
            return self._quadratic(objective, distribution, posterior, details)
        return self._bound(objective, distribution, posterior, details, generator)

    def _bound(
        self,
        objective: Objective,
        distribution: Predictive,
        posterior: Posterior,
        details: dict[str, Any],
        generator: torch.Generator,
    ) -> Value:
        bounded = self.bounded or _wrong_share(distribution)
        n = details["n"]
        risks = [_risk(objective.at(posterior.draw(generator)), bounded) for _ in range(self.draws)]
        drawn = math.fsum(risks) / self.draws
        empirical = largest_mean(drawn, math.log(2 / self.delta) / self.draws)
        value = largest_mean(empirical, (details["kl"] + math.log(4 * math.sqrt(n) / self.delta)) / n)
        found = {**details, "drawn_risk": drawn, "empirical_risk_at_most": empirical, "formula": BOUND}
        return Value(value, None, found, distribution.notes)

    def _quadratic(
        self, objective: Objective, distribution: Predictive, posterior: Posterior, details: dict[str, Any]
    ) -> Value:
        n, span = details["n"], posterior.span
        form = covariant_form(objective, distribution, span, span, gradient(objective)).matrix()
        increase = 0.5 * float((span.singular.square() / posterior.precisions * form.diagonal()).sum())
        loss = mean_loss(objective)
        penalty = math.sqrt((details["kl"] + math.log(2 * math.sqrt(n) / self.delta)) / (2 * n))
        found = {
            **details,
            "loss": loss,
            "increase": increase,
            "increase_at_most": float(form.trace()) / (2 * posterior.weight),
            "formula": ESTIMATE,
        }
        note = "an estimate by the loss's expansion, not a bound: the loss is not in [0, 1]"
        return Value(loss + increase + penalty, None, found, (*distribution.notes, note))

    def _prior_mean(self, objective: Objective) -> Point:
        if self.prior_mean is None:
            return {name: torch.zeros_like(leaf) for name, leaf in objective.parameters.items()}
        missing = [name for name in objective.parameters if name not in self.prior_mean]
        if missing:
            raise OptionError(f"prior_mean lacks {', '.join(missing)}")
        return {name: self.prior_mean[name].to(leaf) for name, leaf in objective.parameters.items()}


def _wrong_share(distribution: Predictive) -> BoundedLoss:
    """The share of wrong predictions in each sample, (n,)."""
    family = distribution.family

    def categorical(output: Any, target: Tensor) -> Tensor:
        natural = distribution.natural(output)
        labels = family.natural(target).argmax(-1) if target.is_floating_point() else target.reshape(len(natural), -1)
        return (natural.argmax(-1) != labels).to(natural.dtype).mean(1)

    def bernoulli(output: Any, target: Tensor) -> Tensor:
        natural = distribution.natural(output).squeeze(-1)
        return ((natural > 0) != (target.reshape(natural.shape) > 0.5)).to(natural.dtype).mean(1)

    found = {"categorical": categorical, "bernoulli": bernoulli}.get(family.name)
    if found is None:
        raise OptionError("the squared error has no bound: pass bounded=, a loss in [0, 1] for every sample")
    return found


def _risk(objective: Objective, bounded: BoundedLoss) -> float:
    """The mean of the bounded loss over all samples; a model that is not finite has the risk 1."""
    total = samples = 0.0
    for batch in objective.batches():
        total += float(_checked(objective, batch, bounded).double().sum())
        samples += batch.size
    return total / samples


def _checked(objective: Objective, batch: Batch, bounded: BoundedLoss) -> Tensor:
    objective.cost.add(FORWARD, batch.size)
    with torch.no_grad():
        losses = bounded(objective.output(objective.parameters, batch), batch.target)
    if losses.shape != (batch.size,):
        raise OptionError(f"bounded= gives shape {tuple(losses.shape)}: one number for each of {batch.size} samples")
    losses = losses.nan_to_num(nan=1.0)
    if float(losses.min()) < 0 or float(losses.max()) > 1:
        raise OptionError("bounded= gives values outside [0, 1]: the bound does not hold for them")
    return losses


def pac_bayes(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    prior_variance: float,
    delta: float = 0.05,
    weight: float = 1.0,
    draws: int = 100,
    estimate: Literal["monte_carlo", "quadratic"] = "monte_carlo",
    prior_mean: Point | None = None,
    bounded: BoundedLoss | None = None,
    likelihood: str | None = None,
    tolerance: float | None = None,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """A PAC-Bayes bound on the risk of a randomized model, see `PacBayes`; draws/3 forward+backward units and F.

    Raises OptionError for options out of range, a squared error without bounded=, a bounded loss that leaves [0, 1];
    SharpnessError where the Fisher factor is too large to hold.
    """
    measure = PacBayes(prior_variance, delta, weight, draws, estimate, prior_mean, bounded, likelihood, tolerance)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
