"""The second moment of the gradient under label noise at zero residual, as few gradients that have it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.training.model import Model, Point


def label_noise_gradients(
    model: Model, point: Point, data: Mapping[str, Tensor], sigma: float, batch_size: int = 1
) -> Point:
    """Gradients whose mean square is that of one step's gradient where the noise-free loss vanishes.

    point: one replica's leaves (*shape). data: the model's inputs (n, ...) and constants (*shape). Loss ½‖φ − y − σξ‖²
    on a batch drawn with replacement, so that E[g gᵀ] = (σ²/B) Σ_c mean_i ∇φ_c(x_i) ∇φ_c(x_i)ᵀ over the outputs c.
    Returns leaves (S, *shape) with mean over S equal to that matrix, S at most the number of parameters.
    """
    rows = predictor_gradients(model, point, data)
    flat = flattened(rows, 1)
    samples = len(next(iter(data[name] for name in model.inputs))) if model.inputs else 1
    # The triangular factor has the same second moment with as many rows as there are parameters.
    root = torch.linalg.qr(flat, mode="r").R
    root = root * (sigma * math.sqrt(len(root) / (samples * batch_size)))
    return unflattened(root, shapes_of(rows, 1))


def predictor_gradients(model: Model, point: Point, data: Mapping[str, Tensor]) -> Point:
    """∂φ_c/∂θ at every sample and output, leaves (samples · outputs, *shape). CheckError if it is not finite."""
    inputs = {name: data[name] for name in model.inputs}
    fixed = {name: data[name] for name in model.constants}

    def outputs(leaves: Point, sample: dict[str, Tensor]) -> Tensor:
        return model.predictor(leaves, **sample, **fixed)

    if inputs:
        jacobian = torch.func.vmap(torch.func.jacrev(outputs), in_dims=(None, 0))(point, inputs)
    else:
        jacobian = torch.func.jacrev(outputs)(point, {})
    rows = {name: leaf.reshape(-1, *point[name].shape) for name, leaf in jacobian.items()}
    if not all(bool(torch.isfinite(leaf).all()) for leaf in rows.values()):
        raise CheckError(f"gradients of {model.name} are not finite at the start")
    return rows


def predictions(model: Model, point: Point, data: Mapping[str, Tensor]) -> Tensor:
    """φ at every sample, (n, *out); n = 1 without inputs. point: one replica's leaves (*shape)."""
    known = replace(model, fixed={name: data[name] for name in model.constants})
    batch = {name: data[name].unsqueeze(0) for name in model.inputs}
    found = known.predict({name: leaf.unsqueeze(0) for name, leaf in point.items()}, batch)
    return found[0] if model.inputs else found
