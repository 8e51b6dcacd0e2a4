"""How far the noise of stochastic gradients follows a curvature matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.gradient_noise.cosine import cosine
from numeric.sharpness.gradient_noise.covariance import gradient_covariance
from numeric.sharpness.hessian.operator import HessianOperator
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.symmetric_operator import SymmetricOperator
from numeric.sharpness.value import Value

Matrix = Callable[[Objective, torch.Generator], SymmetricOperator]


def hessian(objective: Objective, generator: torch.Generator) -> HessianOperator:
    """The Hessian of the loss over all samples."""
    return HessianOperator(objective)


@dataclass(frozen=True)
class NoiseAlignment:
    """tr(CA)/(‖C‖‖A‖) in Frobenius norms, C the covariance of one sample's gradient and A a curvature matrix.

    Dimensionless: 1 where C is proportional to A, 0 where they share no direction. C = (1/n)Σ(g_i − ḡ)(g_i − ḡ)ᵀ is
    that of the samples given, so the standard error is that of the random probes alone. matrix: what A is, the Hessian
    if nothing else is said; the theory of stochastic gradient noise as a thermal bath takes C near the Fisher
    information F. probes: products with each matrix (`cosine`). target: the name of A in the result.
    """

    probes: int = 30
    matrix: Matrix = hessian
    target: str = "hessian"

    def __post_init__(self) -> None:
        if self.probes < 10:
            raise OptionError(f"probes={self.probes}: a cosine with a standard error needs at least 10")

    @property
    def name(self) -> str:
        return f"noise_alignment_{self.target}"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        matrix = self.matrix(objective, generator)
        like = next(iter(objective.parameters.values()))
        found = cosine(gradient_covariance(objective), matrix, like, generator, probes=self.probes)
        details: dict[str, Any] = {
            "inner_product": found.inner,
            "covariance_norm": found.left_norm,
            f"{self.target}_norm": found.right_norm,
        }
        notes = tuple(getattr(matrix, "notes", ()))
        return Value(found.value, found.standard_error, details, notes, found.standard_error or 0.0)


def noise_alignment(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    probes: int = 30,
    matrix: Matrix = hessian,
    target: str = "hessian",
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """The alignment of the gradient noise with a curvature matrix, see `NoiseAlignment`.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. matrix: makes
    the operator A from the objective and a generator. keep: picks parameters by name. blocks: a bound symmetry, along
    which the change of the value is measured too.
    Raises OptionError for too few probes, SharpnessError for a loss of which no sharpness can be measured, and where
    one of the matrices vanishes.
    """
    measure = NoiseAlignment(probes, matrix, target)
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=orbit_move(blocks, seed))
