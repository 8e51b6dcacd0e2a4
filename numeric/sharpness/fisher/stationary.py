"""The stationary covariance of SGD about a minimum, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.fisher_range import FisherRange, fisher_range
from numeric.sharpness.fisher.gradient_noise import noise_form
from numeric.sharpness.fisher.hessian_form import HessianForm
from numeric.sharpness.fisher.linearized import gradient
from numeric.sharpness.fisher.predictive import Predictive, predictive
from numeric.sharpness.fisher.root import stated_gap
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.value import Value


def stationary_covariance(hessian: Tensor, noise: Tensor, eta: float, batch_size: int) -> Tensor:
    """Σ with HΣ + ΣH − ηHΣH = (η/B) C, of SGD on a quadratic loss with additive noise: exact at finite η.

    hessian, noise: H and C, (r, r), symmetric; in H's eigenbasis Σ_ij = (η/B) C_ij/(h_i + h_j − η h_i h_j).
    Raises SharpnessError where SGD has no stationary state: h ≤ 0, or ηh ≥ 2.
    """
    values, vectors = torch.linalg.eigh(hessian)
    lowest, highest = float(values[0]), float(values[-1])
    if lowest <= 0:
        raise SharpnessError(f"no stationary state: the Hessian has the eigenvalue {lowest:.3g} on the range of F")
    if eta * highest >= 2:
        raise SharpnessError(f"no stationary state: η λ_max = {eta * highest:.3g} is not below 2")
    rates = values.unsqueeze(1) + values - eta * values.unsqueeze(1) * values
    return vectors @ ((eta / batch_size) * (vectors.mT @ noise @ vectors) / rates) @ vectors.mT


@dataclass(frozen=True)
class Stationary:
    """SGD's stationary state on the range of F: orthonormal coordinates along `span.vectors`.

    hessian: ∇²L there. noise: C there, of trace `noise_trace` in all directions. covariance: Σ. All (r, r).
    """

    span: FisherRange
    predictive: Predictive
    hessian: Tensor
    noise: Tensor
    noise_trace: float
    covariance: Tensor


def stationary_state(
    objective: Objective,
    eta: float,
    batch_size: int,
    *,
    likelihood: str | None,
    tolerance: float | None,
    generator: torch.Generator,
) -> Stationary:
    """Measure H and C at the objective's point and solve for Σ. Costs r Hessian products.

    Raises SharpnessError where there is no stationary state.
    """
    distribution = predictive(objective, likelihood)
    span = fisher_range(objective, distribution, estimators.exact, generator, tolerance=tolerance)
    orthonormal = replace(span, singular=torch.ones_like(span.singular))
    hessian = HessianForm(objective, distribution, orthonormal).matrix()
    noise, total = noise_form(objective, distribution, orthonormal, generator)
    covariance = stationary_covariance(hessian, noise, eta, batch_size)
    return Stationary(span, distribution, hessian, noise, total, covariance)


@dataclass(frozen=True)
class StationaryLoss:
    """½ tr(HΣ), by how much SGD's own noise keeps the loss above its minimum; in the unit of the loss.

    Σ solves HΣ + ΣH − ηHΣH = (η/B) C on the range of F, with H and C measured at the model's point. Assumes a minimum,
    a loss that is quadratic and a C that is constant within the spread of Σ, and batches drawn with replacement;
    leading order in η/B. SGD is not covariant: neither is this number, nor Σ.
    """

    eta: float
    batch_size: int
    likelihood: str | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_step(self.eta, self.batch_size)

    @property
    def name(self) -> str:
        return "stationary_loss"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        state = stationary_state(
            objective,
            self.eta,
            self.batch_size,
            likelihood=self.likelihood,
            tolerance=self.tolerance,
            generator=generator,
        )
        details = {
            "eta_over_B": self.eta / self.batch_size,
            "rank": state.span.rank,
            "rank_gap": stated_gap(state.span),
            "covariance_trace": float(state.covariance.trace()),
            "noise_trace": state.noise_trace,
            "eta_lambda_max": self.eta * float(torch.linalg.eigvalsh(state.hessian)[-1]),
            "gradient_norm": float(torch.linalg.vector_norm(gradient(objective))),
        }
        return Value(0.5 * float((state.hessian * state.covariance).sum()), None, details, state.predictive.notes)


def check_step(eta: float, batch_size: int) -> None:
    """Raise OptionError for a learning rate or a batch size out of range."""
    if not (eta > 0 and batch_size >= 1):
        raise OptionError(f"eta={eta}, batch_size={batch_size}: choose a positive step and at least one sample")


def stationary_loss(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    eta: float,
    batch_size: int,
    likelihood: str | None = None,
    tolerance: float | None = None,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The loss that SGD of step `eta` on batches of `batch_size` keeps up above its minimum, see `StationaryLoss`.

    Raises OptionError for options out of range and a loss that is no known likelihood, SharpnessError where there is
    no stationary state (a direction of negative curvature, or ηλ_max ≥ 2).
    """
    measure = StationaryLoss(eta, batch_size, likelihood, tolerance)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
