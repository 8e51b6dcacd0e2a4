"""The trace of the Hessian of the loss, by random probes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.sketch import orthonormal_rows, random_signs, remove
from numeric.sharpness.value import Value, over_batches

Method = Literal["hutch++", "hutchinson"]


@dataclass(frozen=True)
class HessianTrace:
    """tr ∇²L(θ) from `probes` products with the Hessian; exact where the probes are as many as the parameters.

    method: "hutchinson" averages zᵀHz over random signs z; its error is √(2/m)·‖offdiag H‖. "hutch++" spends a third of
    the products on a basis Q of what the Hessian does to random vectors, another third on the exact tr QᵀHQ, and
    averages over signs only on the rest of the space, so the few large eigenvalues of networks do not enter its error.
    Memory: some 2·`probes` vectors. Unit: the loss per squared unit of the parameters. The standard error joins
    that of the probes with that over batches; both are in the details.
    """

    probes: int = 30
    method: Method = "hutch++"

    def __post_init__(self) -> None:
        if self.probes < 6:
            raise OptionError(f"probes={self.probes}: a trace with a standard error needs at least 6")
        if self.method not in ("hutch++", "hutchinson"):
            raise OptionError(f"method={self.method!r}: choose 'hutch++' or 'hutchinson'")

    @property
    def name(self) -> str:
        return "hessian_trace"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        operator = HessianOperator(objective)
        basis, probes = self._vectors(operator, generator)
        vectors = torch.cat([basis, probes])
        exact, sampled, sizes = [], [], []
        for products, size in operator.by_batch(vectors):
            forms = torch.einsum("ij,ij->i", products, vectors)
            exact.append(float(forms[: len(basis)].sum()))
            sampled.append(forms[len(basis) :].tolist())
            sizes.append(size)
        means = [part + statistics.fmean(draws) if draws else part for part, draws in zip(exact, sampled, strict=True)]
        value, spread = over_batches(means, sizes)
        error = self._probe_error(sampled, sizes)
        details: dict[str, Any] = {
            "method": self.method if len(probes) else "exact",
            "standard_error_of_probes": error,
            "standard_error_of_batches": spread,
            "trace_on_the_sketch": over_batches(exact, sizes)[0],
        }
        total = None if spread is None and not len(probes) else math.hypot(error, spread or 0.0)
        return Value(value, total, details, operator.notes, error)

    def _vectors(self, operator: HessianOperator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Orthonormal rows on whose span the trace is taken exactly, and the probes of the rest."""
        like = next(iter(operator.objective.parameters.values()))
        dimension = operator.dimension
        if self.probes >= dimension:
            identity = torch.eye(dimension, dtype=like.dtype, device=like.device)
            return identity, identity[:0]
        if self.method == "hutchinson":
            signs = random_signs(self.probes, dimension, like, generator)
            return signs[:0], signs
        size = self.probes // 3
        basis = orthonormal_rows(operator.product(random_signs(size, dimension, like, generator)))
        signs = random_signs(self.probes - size - len(basis), dimension, like, generator)
        return basis, remove(signs, basis)

    @staticmethod
    def _probe_error(sampled: list[list[float]], sizes: list[int]) -> float:
        """The standard error of the mean over probes of the form averaged over batches; 0 without probes."""
        if not sampled[0]:
            return 0.0
        forms = [over_batches(column, sizes)[0] for column in zip(*sampled, strict=True)]
        return statistics.stdev(forms) / math.sqrt(len(forms))


def hessian_trace(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    probes: int = 30,
    method: Method = "hutch++",
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The trace of the Hessian of the loss, see `HessianTrace`.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured.
    """
    measure = HessianTrace(probes, method)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
