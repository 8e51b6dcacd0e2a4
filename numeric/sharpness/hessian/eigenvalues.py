"""The largest eigenvalues of the Hessian of the loss: λ_max, the top k, and their eigenvectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.hessian.lanczos import STOPS, Extremes, RitzPair, Stop, lanczos
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.hessian.upper_bound import risk_beyond, upper_bound
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.parameters import Point, flatten
from numeric.sharpness.value import Value, over_batches

# Random vector mixed into a warm start, relative to its length: an old eigenvector alone would never see a new leader.
WARM_NOISE = 0.1
# Length of the gradient in a cold start, in units of a random vector's component along any direction. In trained
# networks the gradient lies near the leading eigenvectors; thirty such components save one to four products in nine,
# and an eigenvector that the gradient lacks is still seen.
GRADIENT_LEAN = 30.0


@dataclass(frozen=True)
class TopEigenvalues:
    """The sum of the k algebraically largest eigenvalues of ∇²L(θ), by Lanczos; with k = 1, λ_max.

    tolerance, stop: relative error of each, and when it counts as reached, see `lanczos`. vectors: that the basis may
    hold. products: at most so many products with the Hessian. start: a
    tangent near the leading eigenvector (that of an earlier point). The value has the unit of the loss per squared
    unit of the parameters. details: every eigenvalue with its residual (an eigenvalue of the Hessian lies so near),
    the error and how it is bounded, what λ_max exceeds for 1 in 100 random starts (`upper_bound`), the probability, at
    most, that it exceeds the largest found by more than the tolerance (`risk_beyond`), the smallest
    eigenvalue seen and the spectral radius; a loss with more curvature down than up shows there. Standard errors are
    those of uᵀH_B u over the batches B, at the eigenvectors u.
    """

    k: int = 1
    tolerance: float = 1e-3
    products: int = 100
    start: Mapping[str, Tensor] | None = None
    stop: Stop = "residual"
    vectors: int | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or self.products < 1 or not 0 < self.tolerance < 1:
            raise OptionError(
                f"k={self.k}, products={self.products}, tolerance={self.tolerance:g}: choose k and products of at "
                "least 1 and a tolerance between 0 and 1"
            )
        if self.stop not in STOPS:
            raise OptionError(f"stop={self.stop!r}: choose one of {', '.join(STOPS)}")

    @property
    def name(self) -> str:
        return "lambda_max" if self.k == 1 else "top_eigenvalues"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        operator = HessianOperator(objective)
        found = self.extremes(operator, generator)
        spreads = _spreads(operator, found.largest)
        error = None if spreads is None else spreads[-1]
        notes = operator.notes
        if not found.converged:
            worst = max(pair.residual for pair in found.largest)
            notes += (f"not converged within {found.products} products: the largest residual is {worst:.2g}",)
        return Value(
            math.fsum(pair.value for pair in found.largest),
            error,
            self._details(found, spreads, operator.dimension),
            notes,
        )

    def extremes(self, operator: HessianOperator, generator: torch.Generator) -> Extremes:
        """The eigenvalues with their vectors, from a random start that leans to the gradient, or to `start`."""
        return lanczos(
            operator,
            self._start(operator, generator),
            lambda: random_vector(operator.objective, generator),
            k=self.k,
            tolerance=self.tolerance,
            products=self.products,
            stop=self.stop,
            vectors=self.vectors,
            share=self._share(operator.dimension),
        )

    def _start(self, operator: HessianOperator, generator: torch.Generator) -> Tensor:
        """A random unit vector plus a known one, of the length `_lean`."""
        known = operator.gradient() if self.start is None else self._known(operator.objective.parameters, self.start)
        random = random_vector(operator.objective, generator)
        length = torch.linalg.vector_norm(known)
        random /= torch.linalg.vector_norm(random)
        return random.add_(known.to(random), alpha=self._lean(operator.dimension) / float(length)) if length else random

    @staticmethod
    def _known(parameters: Point, start: Mapping[str, Tensor]) -> Tensor:
        lacking = [name for name, leaf in parameters.items() if name not in start or start[name].shape != leaf.shape]
        if lacking:
            raise OptionError(
                f"start lacks {lacking[0]!r}, or has it in another shape: give a tangent of the parameters"
            )
        return flatten({name: start[name] for name in parameters})

    def _lean(self, dimension: int) -> float:
        return 1 / WARM_NOISE if self.start is not None else GRADIENT_LEAN / math.sqrt(dimension)

    def _share(self, dimension: int) -> float:
        """The length of the random part in a start of length one, at least."""
        return 1 / (1 + self._lean(dimension))

    def _chances(self, found: Extremes, dimension: int) -> dict[str, float | None]:
        """What the largest eigenvalue exceeds for 1 in 100 random starts, and the risk that it exceeds the tolerance.

        None after a restart of the basis.
        """
        if found.log_couplings is None:
            return {"upper_bound_99": None, "risk": None}
        seen = (found.values, found.log_couplings, dimension, self._share(dimension))
        top = found.largest[0].value
        tolerated = top + self.tolerance * abs(top)
        risk = risk_beyond(tolerated, *seen) if tolerated > top else None
        return {"upper_bound_99": upper_bound(*seen, risk=0.01), "risk": risk}

    def _details(self, found: Extremes, spreads: list[float] | None, dimension: int) -> dict[str, Any]:
        details: dict[str, Any] = {
            "eigenvalues": [pair.value for pair in found.largest],
            "residuals": [pair.residual for pair in found.largest],
            "errors": [pair.error for pair in found.largest],
            "bounds": [pair.bound for pair in found.largest],
            **self._chances(found, dimension),
            "smallest_eigenvalue": found.smallest.value,
            "smallest_residual": found.smallest.residual,
            "spectral_radius": found.spectral_radius,
            "converged": found.converged,
            "products": found.products,
        }
        if spreads is not None:
            details["standard_errors"] = spreads[:-1]
        return details


@dataclass(frozen=True)
class Eigenpair:
    """One eigenvalue of the Hessian, its unit eigenvector under the parameters' names, and its residual ‖Hu − λu‖."""

    value: float
    vector: Point
    residual: float


def lambda_max(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    tolerance: float = 1e-3,
    products: int = 100,
    start: Mapping[str, Tensor] | None = None,
    stop: Stop = "residual",
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The largest eigenvalue of the Hessian of the loss, see `TopEigenvalues`.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured.
    """
    measure = TopEigenvalues(1, tolerance, products, start, stop)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))


def top_eigenvalues(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    k: int = 5,
    tolerance: float = 1e-3,
    products: int = 100,
    stop: Stop = "residual",
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The sum of the k largest eigenvalues of the Hessian, each in the details, see `TopEigenvalues`.

    The other arguments and what is raised are those of `lambda_max`.
    """
    measure = TopEigenvalues(k, tolerance, products, None, stop)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))


def eigenpairs(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    k: int = 1,
    tolerance: float = 1e-3,
    products: int = 100,
    start: Mapping[str, Tensor] | None = None,
    keep: Callable[[str], bool] | None = None,
    seed: int = 0,
) -> tuple[Eigenpair, ...]:
    """The k largest eigenvalues of the Hessian with their eigenvectors, largest first; arguments as in `lambda_max`."""
    objective = Objective.of(model, loss, data, keep=keep)
    operator = HessianOperator(objective)
    generator = torch.Generator(objective.device).manual_seed(seed)
    found = TopEigenvalues(k, tolerance, products, start).extremes(operator, generator)
    return tuple(Eigenpair(pair.value, operator.point(pair.vector), pair.residual) for pair in found.largest)


def random_vector(objective: Objective, generator: torch.Generator) -> Tensor:
    """Independent standard normal entries, flat (D,), drawn on the generator's device."""
    size = sum(leaf.numel() for leaf in objective.parameters.values())
    return torch.randn(size, generator=generator, device=generator.device, dtype=objective.dtype).to(objective.device)


def _spreads(operator: HessianOperator, pairs: tuple[RitzPair, ...]) -> list[float] | None:
    """Standard errors over batches of uᵀH_B u for each eigenvector, and of their sum; None with one batch."""
    if operator.one_batch:
        return None
    block = torch.stack([pair.vector for pair in pairs])
    curvatures, sizes = [], []
    for products, size in operator.by_batch(block):
        each = (products * block).sum(dim=1).tolist()
        curvatures.append([*each, math.fsum(each)])
        sizes.append(size)
    errors = [over_batches(column, sizes)[1] for column in zip(*curvatures, strict=True)]
    return [error for error in errors if error is not None]
