"""Batch sharpness: the curvature of a batch's loss along its own gradient, in three averages over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.hessian.operator import HessianOperator, mean_over_samples
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.value import Value, over_batches

Average = Literal["ratio_of_means", "mean_of_ratios", "full_hessian"]
AVERAGES = ("ratio_of_means", "mean_of_ratios", "full_hessian")


@dataclass(frozen=True)
class BatchSharpness:
    """The curvature along stochastic gradients g = ∇L_B (Andreyev and Beneventano 2025, arXiv 2412.20553).

    average: "ratio_of_means" is E gᵀH_B g / E‖g‖², "mean_of_ratios" is E[gᵀH_B g/‖g‖²], both with the batch's own
    Hessian H_B; "full_hessian" is E gᵀHg / E‖g‖² with the Hessian H of the whole data, the curvature that a step of
    stochastic gradient descent meets in L itself. For one batch of all samples the three are one number. The first two
    are always in the details; the third costs a product with H for each batch.
    batch_size: the value depends on it; None takes the batches as they come, a number cuts every batch of the data at
    random into batches of that size. Unit: the loss per squared unit of the parameters; at the edge of stability of a
    step η, 2/η. Standard errors are over batches, for quotients of means by linearization.
    """

    batch_size: int | None = None
    average: Average = "ratio_of_means"

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise OptionError(f"average={self.average!r}: choose one of {', '.join(AVERAGES)}")
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch_size={self.batch_size}: choose at least 1")

    @property
    def name(self) -> str:
        return "batch_sharpness"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        operator = HessianOperator(objective)
        gradients: list[Tensor] = []
        curvatures, squares, sizes = [], [], []
        for batch in self._batches(objective, generator):
            gradient, product = operator.along_gradient(batch)
            curvatures.append(float(gradient @ product))
            squares.append(float(gradient @ gradient))
            sizes.append(batch.size)
            if self.average == "full_hessian":
                gradients.append(gradient)
        if not all(squares):
            raise SharpnessError("the gradient of a batch vanishes: batch sharpness divides by its length")
        found = {
            "ratio_of_means": quotient(curvatures, squares, sizes),
            "mean_of_ratios": over_batches([c / s for c, s in zip(curvatures, squares, strict=True)], sizes),
        }
        details: dict[str, Any] = {"batches": len(sizes), "batch_size": max(sizes)}
        if gradients:
            rows = torch.stack(gradients)
            whole = (rows * operator.product(rows)).sum(dim=1).tolist()
            found["full_hessian"] = quotient(whole, squares, sizes)
            mean = mean_over_samples(zip(gradients, sizes, strict=True))
            details["over_squared_mean_gradient"] = over_batches(whole, sizes)[0] / float(mean @ mean)
        for name, (value, error) in found.items():
            details[name] = value
            details[f"{name}_standard_error"] = error
        return Value(*found[self.average], details, operator.notes + _notes(sizes))

    def _batches(self, objective: Objective, generator: torch.Generator) -> Iterator[Batch]:
        for batch in objective.batches():
            size = self.batch_size or batch.size
            if size > batch.size:
                raise OptionError(
                    f"batch_size={size}: the data come in batches of {batch.size}; give them in larger ones"
                )
            if size == batch.size:
                yield batch
                continue
            order = torch.randperm(batch.size, generator=generator, device=generator.device).to(objective.device)
            for start in range(0, batch.size - size + 1, size):
                yield batch.select(order[start : start + size])


def quotient(
    numerators: Sequence[float], denominators: Sequence[float], sizes: Sequence[int]
) -> tuple[float, float | None]:
    """The quotient of two means over batches and its standard error to first order, None with one batch."""
    bottom = over_batches(denominators, sizes)[0]
    value = over_batches(numerators, sizes)[0] / bottom
    deviations = [(top - value * below) / bottom for top, below in zip(numerators, denominators, strict=True)]
    return value, over_batches(deviations, sizes)[1]


def _notes(sizes: list[int]) -> tuple[str, ...]:
    if len(set(sizes)) > 1:
        return (f"batches of {min(sizes)} to {max(sizes)} samples were mixed: batch sharpness depends on the size",)
    return ()


def batch_sharpness(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    batch_size: int | None = None,
    average: Average = "ratio_of_means",
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """Batch sharpness of a model, see `BatchSharpness`; costs three forward+backward units.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured, and
    where a batch's gradient vanishes.
    """
    measure = BatchSharpness(batch_size, average)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
