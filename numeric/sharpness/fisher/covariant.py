"""The covariant Hessian of the loss: in the coordinates of an estimate of F, and its eigenvalues against F."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from numeric.sharpness.fisher.connection import Filling, Projected
from numeric.sharpness.fisher.fisher_range import FisherRange
from numeric.sharpness.fisher.hessian_form import HessianForm
from numeric.sharpness.fisher.natural_gradient import natural_gradient
from numeric.sharpness.fisher.output_form import output_eigenvalues
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective

# Above this share, rounding is worth a note.
CLEAR_DIGITS = 0.01


def covariant_form(
    objective: Objective, predictive: Predictive, root: Root, exact: FisherRange, slope: Tensor
) -> HessianForm:
    """∇²L − Γ·∇L in the coordinates of `root`; exact: the equilibrated range of the exact F. slope: ∇L, (D,)."""
    if exact.fills_outputs:
        return HessianForm(objective, predictive, root, Filling(predictive.family))
    return HessianForm(objective, predictive, root, Projected(natural_gradient(objective, predictive, exact, slope)))


def covariant_eigenvalues(
    objective: Objective, predictive: Predictive, exact: FisherRange, slope: Tensor
) -> tuple[Tensor, float]:
    """The eigenvalues of F⁺H on the range of F, and the share that rounding may add."""
    if exact.fills_outputs and not predictive.notes:
        return output_eigenvalues(objective, predictive), 0.0
    form = covariant_form(objective, predictive, exact, exact, slope)
    eigenvalues = torch.linalg.eigvalsh(form.matrix())
    return eigenvalues, form.rounding


def rounding_notes(rounding: float) -> tuple[str, ...]:
    """What to say of a share that rounding may add to F⁺H."""
    if rounding < CLEAR_DIGITS:
        return ()
    return (f"rounding may move F⁺H by {rounding:.2g} of its largest: measure in float64, or at a larger tolerance",)
