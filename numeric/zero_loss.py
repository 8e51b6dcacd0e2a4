"""The set of zero loss near a point: its tangent space, and how fast gradient descent approaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.training.model import Model, Point

RANK = 1e-9  # of the largest singular value of J; float64 rounding leaves less
GAP = 1e-6  # values between both leave the rank, and so the tangent space, undecided


@dataclass(frozen=True)
class ZeroLoss:
    """tangent: orthonormal basis (D, t) of the directions in which the predictor does not change on any sample;
    slowest: the smallest eigenvalue of H = mean JᵀJ that is not zero; largest_sample: the largest ‖J‖² of one sample;
    deviation: the largest |φ − y|."""

    tangent: Tensor
    slowest: float
    largest_sample: float
    deviation: float


def zero_loss(model: Model, point: Point, data: Mapping[str, Tensor]) -> ZeroLoss:
    """point: leaves (*shape), all float64 on the CPU; data: inputs and "y" with samples along the first axis.

    Raises CheckError where the rank of J is undecided or nothing is left of the tangent space.
    """
    inputs = {name: data[name].unsqueeze(0) for name in model.inputs}

    def outputs(flat: Tensor) -> Tensor:
        value = model.predict(unflattened(flat.unsqueeze(0), shapes_of(point)), inputs)[0]
        return value.reshape(len(data["y"]) if model.inputs else 1, -1)

    flat = flattened(point)
    jacobian = torch.func.jacrev(outputs)(flat)
    count = len(jacobian)
    rows = jacobian.reshape(-1, jacobian.shape[-1])
    _, values, right = torch.linalg.svd(rows, full_matrices=True)
    rank = int((values > RANK * values[0]).sum())
    if bool(((values > RANK * values[0]) & (values < GAP * values[0])).any()):
        raise CheckError("the derivative of the predictor has no clear rank at this point: choose another seed")
    if rank == rows.shape[1] or rank == 0:
        raise CheckError("the set of zero loss has no direction at this point: use fewer samples")
    eigenvalues = values[:rank].square() / count
    per_sample = jacobian.square().sum((-2, -1))
    deviation = (outputs(flat).reshape(-1) - data["y"].reshape(len(data["y"]), -1)[:count].reshape(-1)).abs().max()
    return ZeroLoss(right[rank:].mT, float(eigenvalues[-1]), float(per_sample.max()), float(deviation))
