"""Gradients and the drift of label noise by automatic differentiation alone, for generated modules."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

Point = dict[str, Tensor]


def flat_gradients(module: ModuleType, point: Point, inputs: dict[str, Tensor]) -> Point:
    """∂φ_c/∂θ, leaves (samples · outputs, *shape)."""

    def outputs(leaves: Point, sample: dict[str, Tensor]) -> Tensor:
        return module.predictor(leaves, **sample)

    if inputs:
        jacobian = torch.func.vmap(torch.func.jacrev(outputs), in_dims=(None, 0))(point, inputs)
    else:
        jacobian = torch.func.jacrev(outputs)(point, {})
    return {name: leaf.reshape(-1, *point[name].shape) for name, leaf in jacobian.items()}


def label_noise_drift(module: ModuleType, point: Point, inputs: dict[str, Tensor]) -> Point:
    """−¼ ∇ E‖∇φ‖² with the part along the gradients of φ taken out; E over samples, outputs summed; for η = σ = 1."""
    names = list(point)
    samples = len(next(iter(inputs.values()))) if inputs else 1

    def squares(leaves: Point) -> Tensor:
        gradients = flat_gradients(module, leaves, inputs)
        return torch.stack([leaf.square().sum() for leaf in gradients.values()]).sum() / samples

    slope = torch.func.grad(squares)(point)
    rows = torch.cat([leaf.flatten(1) for leaf in flat_gradients(module, point, inputs).values()], 1)
    vector = torch.cat([slope[name].flatten() for name in names]) / -4
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    normal = directions[values > 1e-9 * values[0]]
    vector = vector - normal.T @ (normal @ vector)
    parts = vector.split([point[name].numel() for name in names])
    return {name: part.reshape(point[name].shape) for name, part in zip(names, parts, strict=True)}
