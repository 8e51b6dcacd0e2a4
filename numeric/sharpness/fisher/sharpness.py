"""Fisher–Riemannian sharpness: tr(F⁺H) and λ_max(F⁺H) (Ahmed et al. 2606.20469)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.fisher.covariant import covariant_form, exact_range, rounding_notes, rounding_of
from numeric.sharpness.fisher.fisher_range import FisherRange
from numeric.sharpness.fisher.hessian_form import HessianForm
from numeric.sharpness.fisher.linearized import gradient
from numeric.sharpness.fisher.output_form import output_eigenvalues
from numeric.sharpness.fisher.predictive import Predictive, predictive
from numeric.sharpness.fisher.root import Root, stated_gap
from numeric.sharpness.fisher.roots import ESTIMATORS, RootOptions
from numeric.sharpness.fisher.rounding import PROBES as COMPARED
from numeric.sharpness.fisher.spectrum import EXACT_RANK, STATISTICS, of_eigenvalues
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.value import Value

# Random vectors for the trace where the rank is too large for the exact one.
PROBES = 100
# Below this ratio of neighbouring singular values the rank, and with it the value, is a matter of the threshold.
CLEAR_GAP = 10.0
FILLED = (
    "the outputs on these samples can be moved freely: the value is one of the predictions alone, whatever the "
    "parameters are; measure on more samples"
)
PLAIN = "the Hessian is the plain one: not a tensor where the gradient does not vanish"


@dataclass(frozen=True)
class FisherSharpness:
    """S_R = tr(F⁺H), or λ_max(F⁺H), on the range of the Fisher information F; dimensionless.

    F = E_x E_{y~p_θ} ∇log p ∇log pᵀ over the model's own labels, in the unit of the loss (see `Predictive`), and H the
    covariant Hessian ∇²L − Γ·∇L of F's Levi-Civita connection: the value is then the same for all parametrizations of
    one function by smooth maps, at critical points and away from them, as long as the rank of F is constant nearby.
    At zero residual under a canonical link H = F, so that the trace is the rank of F and λ_max is 1. Hard labels leave
    a residual: as a classifier of c classes grows sure of them, a sample's trace tends to (c − 1)/2 and not to c − 1
    (−log p is half as curved on the sphere of distributions as in the logits). Where the functions fill the space of
    outputs (n(c − 1) independent rows) the value is one of the predictions alone, and taken sample by sample.
    The normalization of 2606.20469 was not at hand; this is the natural definition with the properties it states.

    estimator: "exact" (a sum over all labels), "sampled" (`draws` labels a sample, unbiased for F), "empirical" (the
    data's labels: vanishes at interpolation), "diagonal", "sampled_diagonal", "empirical_diagonal" (their diagonals),
    "kfac" (curvlinops). "exact" alone is invariant under all smooth maps. The diagonals are under maps that are
    diagonal themselves (rescaling), K-FAC under changes of a layer's basis; but where f is linear in every single
    weight (ReLU and linear networks) the diagonal's trace under a canonical link only counts the parameters.
    covariant: by default for "exact" alone, since it takes the exact F; the plain ∇²L otherwise, the same where the
    gradient vanishes. probes: random vectors in place of the exact trace, Lanczos iterations in place of all
    eigenvalues (default: above rank 1024). tolerance: singular values of F's root below this fraction of the largest
    count as zero (of the root in equilibrated units where the Hessian is covariant and F exact). likelihood: its name
    where the loss does not show it.
    What rounding may do to the value is measured (`measured_rounding`) where F is exact and the Hessian covariant, and
    estimated from the condition of F's root elsewhere.
    """

    statistic: Literal["trace", "lambda_max"] = "trace"
    estimator: str = "exact"
    likelihood: str | None = None
    draws: int = 1
    covariant: bool | None = None
    probes: int | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise OptionError(f"no statistic {self.statistic!r}: choose from {', '.join(STATISTICS)}")
        if self.estimator not in ESTIMATORS:
            raise OptionError(f"no estimator {self.estimator!r}: choose from {', '.join(ESTIMATORS)}")
        if self.draws < 1 or (self.probes is not None and self.probes < 1):
            raise OptionError(f"draws={self.draws}, probes={self.probes}: choose at least 1")

    @property
    def name(self) -> str:
        suffix = "" if self.estimator == "exact" else f"_{self.estimator}"
        return f"fisher_{self.statistic}{suffix}"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        distribution = predictive(objective, self.likelihood)
        before = generator.clone_state()
        probes = max(self.probes or PROBES, COMPARED)
        options = RootOptions(self.draws, self.tolerance, probes, equilibrated=self._covariant and self._exact)
        root = ESTIMATORS[self.estimator](objective, distribution, options, generator)
        slope = gradient(objective)
        found = self._found(objective, distribution, root, slope, generator, before)
        details = {
            "estimator": self.estimator,
            "likelihood": distribution.family.name,
            "scale": distribution.scale,
            "hessian": "covariant" if self._covariant else "plain",
            "rank": root.rank,
            "effective_rank": root.effective_rank,
            "rank_gap": stated_gap(root),
            "gradient_norm": float(torch.linalg.vector_norm(slope)),
            **found.details,
        }
        plain = () if self._covariant else (PLAIN,)
        notes = (*distribution.notes, *found.notes, *plain, *self._doubts(details))
        return Value(
            found.value, found.standard_error, details, notes, found.standard_error or 0.0, rounding=found.rounding
        )

    def _found(
        self,
        objective: Objective,
        distribution: Predictive,
        root: Root,
        slope: Tensor,
        generator: torch.Generator,
        before: torch.Generator,
    ) -> Value:
        """The statistic, and what rounding does to it; before: the generator's state that the root was drawn from."""
        exact = root if isinstance(root, FisherRange) and self._exact else None
        if self._covariant and exact is not None and exact.fills_outputs and not distribution.notes:
            return replace(self._of(output_eigenvalues(objective, distribution), {"rank_gap": None}), notes=(FILLED,))
        form = HessianForm(objective, distribution, root)
        if self._covariant:
            span = exact or exact_range(objective, distribution, generator, self.tolerance)
            form = covariant_form(objective, distribution, root, span, slope)
        probes = PROBES if self.probes is None and root.rank > EXACT_RANK else self.probes
        if probes is None:
            eigenvalues = torch.linalg.eigvalsh(form.matrix())
            found, largest = self._of(eigenvalues, {}), float(eigenvalues.abs().max())
        else:
            value, error = STATISTICS[self.statistic](form, probes, generator)
            found = Value(value, error, {"probes": probes} if self.statistic == "trace" else {})
            largest = abs(value)
        if self._covariant and exact is not None:
            rounding = rounding_of(form, exact, before, self.tolerance)
        else:
            rounding = form.rounding * largest
        share = min(1.0, rounding / max(abs(found.value), torch.finfo(objective.dtype).tiny))
        return replace(found, details={**found.details, "rounding": share}, notes=form.kernels.notes, rounding=rounding)

    def _of(self, eigenvalues: Tensor, details: dict[str, Any]) -> Value:
        others = of_eigenvalues(eigenvalues)
        value = others.pop(self.statistic)
        return Value(value, None, {"rank": eigenvalues.numel(), **details, **others})

    @property
    def _exact(self) -> bool:
        return self.estimator == "exact"

    @property
    def _covariant(self) -> bool:
        return self._exact if self.covariant is None else self.covariant

    def _doubts(self, details: dict[str, Any]) -> list[str]:
        notes = []
        gap = details["rank_gap"]
        if gap is not None and gap < CLEAR_GAP:
            notes.append(
                f"the rank {details['rank']} is a matter of the threshold: the next singular value is smaller by a "
                f"factor of {gap:.2g} only"
            )
        notes.extend(rounding_notes(details.get("rounding", 0.0), "the value by {share:.2g} of itself"))
        if self.probes is None and details["rank"] > EXACT_RANK and "lambda_min" not in details:
            notes.append(
                f"the rank is {details['rank']}: estimated, with {PROBES} random vectors or Lanczos iterations"
            )
        return notes


def fisher_sharpness(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    statistic: Literal["trace", "lambda_max"] = "trace",
    estimator: str = "exact",
    likelihood: str | None = None,
    draws: int = 1,
    covariant: bool | None = None,
    probes: int | None = None,
    tolerance: float | None = None,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """Fisher–Riemannian sharpness of a model, see `FisherSharpness`.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Costs two backward passes for every number of the output, one of them to measure the rounding, and (10/3) r units
    for r = rank F Hessian products and eight more; all but the first fall away where the functions fill the outputs'
    space.
    Raises OptionError for options out of range and a loss that is no known likelihood, SharpnessError for a loss of
    which no sharpness can be measured or a Fisher factor too large to hold.
    """
    measure = FisherSharpness(statistic, estimator, likelihood, draws, covariant, probes, tolerance)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
