"""Where the gradient flow of half the squared error goes from points near zero loss, however stiff it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from numeric.flat_points import flattened, shapes_of, unflattened
from numeric.training.model import Model, Point

FIRST, GROWTH = 0.25, 0.4
"""The first step in units of the fastest relaxation time, and the others in units of the time gone by: what relaxes
faster than that has gone by then. The limit is then right to about 1e-4 of how far it is."""


def flow_limit(model: Model, start: Point, data: Mapping[str, Tensor], time: float) -> Point:
    """θ(time) of dθ/dt = −Jᵀr/n with the residuals r = φ − y of n samples; start and result: leaves (R, *shape).

    Exponential midpoint rule: with J fixed over a step h, its value at the middle, r decays by exp(−h JJᵀ/n), and the
    point moves by −Jᵀ h φ₁(−h JJᵀ/n) r/n, φ₁(z) = (eᶻ − 1)/z, exactly. J changes as little as r is small, to second
    order in the steps here, which therefore need not resolve the relaxation. data: inputs and "y", samples first; all
    targets are one where there are no inputs. Derived here.
    """
    shapes, inputs = shapes_of(start, 1), {name: data[name].unsqueeze(0) for name in model.inputs}
    samples = len(data["y"]) if model.inputs else 1
    target = data["y"][:samples].flatten()

    def outputs(flat: Tensor) -> Tensor:
        return model.predict(unflattened(flat.unsqueeze(0), shapes), inputs)[0].flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(outputs))
    flat = flattened(start, 1)

    def moved(at: Tensor, h: float) -> Tensor:
        """`flat` after a time h along the rows of J at the points `at`."""
        rows = jacobian(at) / samples**0.5
        values, vectors = torch.linalg.eigh(rows @ rows.mT)
        residual = (torch.func.vmap(outputs)(flat) - target) / samples**0.5
        z = (-h * values).clamp(max=-torch.finfo(values.dtype).tiny)
        weights = h * torch.expm1(z) / z * (vectors.mT @ residual.unsqueeze(-1)).squeeze(-1)
        return flat - (rows.mT @ (vectors @ weights.unsqueeze(-1))).squeeze(-1)

    fastest = float((jacobian(flat).square().sum((1, 2)) / samples).max())
    gone = 0.0
    while gone < time:
        h = min(max(FIRST / fastest, GROWTH * gone), time - gone)
        flat = moved(moved(flat, h / 2), h)
        gone += h
    return unflattened(flat, shapes)
