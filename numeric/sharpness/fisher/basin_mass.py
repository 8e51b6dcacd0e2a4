"""The mass of the Gaussian basin about a minimum, against the volume of the Fisher metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.fisher.covariant import covariant_eigenvalues, rounding_notes
from numeric.sharpness.fisher.linearized import gradient
from numeric.sharpness.fisher.mean_loss import mean_loss
from numeric.sharpness.fisher.predictive import predictive
from numeric.sharpness.fisher.root import stated_gap
from numeric.sharpness.fisher.stationary import check_step, stationary_state
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.value import Value

MEASURE = "volume of the Fisher metric on the range of F"


@dataclass(frozen=True)
class BasinMass:
    """log ∫ exp(−½ δᵀΣ⁻¹δ) dvol over the range of F, dvol the volume of the metric F: (r/2) log 2π + ½ log det(F Σ).

    covariance "gibbs": Σ = T H⁻¹, T = η/(2B), H the covariant Hessian: natural-gradient steps whose noise has the
    covariance F/B are Langevin dynamics of that temperature in the metric F. (r/2) log(πη/B) − ½ log det(F⁺H) is
    invariant under smooth function-preserving maps, and at least (r/2) (log(πη/B) − log(S_R/r)) with S_R = tr(F⁺H).
    "sgd": the Σ of plain SGD's stationary state with the measured C, which is not invariant (with C = F = H it is
    (η/2B) I to leading order). Both grow as (r/2) log(η/B), the second to leading order in η. Dimensionless; two minima
    compare at equal rank r, and with their depths −2BL/η (in the details).
    The normalization of 2606.20469 was not at hand: derived here.
    """

    eta: float
    batch_size: int
    covariance: Literal["gibbs", "sgd"] = "gibbs"
    likelihood: str | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_step(self.eta, self.batch_size)
        if self.covariance not in ("gibbs", "sgd"):
            raise OptionError(f"no covariance {self.covariance!r}: choose 'gibbs' or 'sgd'")

    @property
    def name(self) -> str:
        return "basin_mass" if self.covariance == "gibbs" else "basin_mass_sgd"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        mass, details = (self._gibbs if self.covariance == "gibbs" else self._sgd)(objective, generator)
        common = {
            "measure": MEASURE,
            "covariance": self.covariance,
            "eta_over_B": self.eta / self.batch_size,
            "log_depth": -2 * self.batch_size / self.eta * mean_loss(objective),
            "gradient_norm": float(torch.linalg.vector_norm(gradient(objective))),
        }
        return Value(mass, None, {**common, **details}, rounding_notes(details.get("rounding", 0.0)))

    def _gibbs(self, objective: Objective, generator: torch.Generator) -> tuple[float, dict[str, Any]]:
        distribution = predictive(objective, self.likelihood)
        curvatures, span, rounding = covariant_eigenvalues(objective, distribution, generator, self.tolerance)
        rank = curvatures.numel()
        if float(curvatures[0]) <= 0:
            raise SharpnessError(f"no basin: F⁺H has the eigenvalue {float(curvatures[0]):.3g} on the range of F")
        spread = math.log(math.pi * self.eta / self.batch_size)
        sharpness = float(curvatures.sum())
        details = {
            "rank": rank,
            "rank_gap": stated_gap(span),
            "rounding": min(1.0, rounding / float(curvatures[-1])),
            "fisher_trace": sharpness,
            "least_at_this_trace": 0.5 * rank * (spread - math.log(sharpness / rank)),
        }
        return 0.5 * (rank * spread - float(curvatures.log().sum())), details

    def _sgd(self, objective: Objective, generator: torch.Generator) -> tuple[float, dict[str, Any]]:
        state = stationary_state(
            objective,
            self.eta,
            self.batch_size,
            likelihood=self.likelihood,
            tolerance=self.tolerance,
            generator=generator,
        )
        singular = state.span.singular
        scaled = 2 * math.pi * singular.unsqueeze(1) * state.covariance * singular
        values = torch.linalg.eigvalsh(scaled)
        if float(values[0]) <= values.numel() * torch.finfo(values.dtype).eps * float(values[-1]):
            raise SharpnessError("no basin: the gradient noise, and so SGD's covariance, is singular on the range of F")
        return 0.5 * float(values.log().sum()), {"rank": state.span.rank, "rank_gap": stated_gap(state.span)}


def basin_mass(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    eta: float,
    batch_size: int,
    covariance: Literal["gibbs", "sgd"] = "gibbs",
    likelihood: str | None = None,
    tolerance: float | None = None,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The log-mass of the basin at a model, see `BasinMass`; costs r Hessian products at rank r.

    Raises OptionError for options out of range and a loss that is no known likelihood, SharpnessError where the model
    is at no minimum on the range of F.
    """
    measure = BasinMass(eta, batch_size, covariance, likelihood, tolerance)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
