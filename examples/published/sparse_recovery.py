"""What cosine modes and step signals share: forecasts of the coefficients that full-batch training ends at."""

from __future__ import annotations

from types import ModuleType

import torch
from report import CONSERVATION, NEITHER, NOISE, Forecast
from torch import Tensor

import numeric
from numeric.comparison.mechanisms.constrained_minimum import dual_newton, weighted_basis_pursuit
from numeric.row_space import row_space


def forecasts_of(end: Tensor, start: Tensor, charge: Tensor, rows: Tensor, mirror: ModuleType) -> dict[str, Forecast]:
    """Where the coefficients c (R, d) end, given what they fit, rows @ c with ``rows`` (n, d); misses are relative ℓ1
    distances. charge: u² − v² of every coefficient at the start; mirror: the functions of the mirror prediction.
    """
    scale = charge.abs().sqrt()  # the natural start of scale α has the charge α²
    flow = [_mirror_minimiser(*state, rows, mirror) for state in zip(end, start, scale, strict=True)]
    fitted = [row_space(rows, rows @ c) for c in end]
    sparse = [weighted_basis_pursuit(*both, torch.ones_like(end[0])) for both in fitted]
    least_squares = [basis.mT @ target for basis, target in fitted]
    return {
        "mirror flow": Forecast(
            "least Bregman divergence of the derived potential at the charges of the start",
            CONSERVATION,
            _distance(end, torch.stack(flow)),
        ),
        "least ℓ1 norm": Forecast(
            "what label noise or weight decay would choose (basis pursuit)", NOISE, _distance(end, torch.stack(sparse))
        ),
        "least ℓ2 norm": Forecast(
            "what training the coefficients themselves would give", NEITHER, _distance(end, torch.stack(least_squares))
        ),
        "no change": Forecast("the coefficients at the start", NEITHER, _distance(end, start)),
    }


def _mirror_minimiser(end: Tensor, start: Tensor, scale: Tensor, rows: Tensor, mirror: ModuleType) -> Tensor:
    """argmin Σ D_Q(c, c₀) subject to rows c = rows c_end; c (d,) float64."""
    basis, target = row_space(rows, rows @ end)
    tau_start = mirror.mirror(start, scale)
    found, residual = dual_newton(
        lambda tau: mirror.mirror_inverse(tau_start + tau, scale),
        lambda tau: mirror.mirror_slope(tau_start + tau, scale),
        basis,
        target,
        basis @ (mirror.mirror(end, scale) - tau_start),
    )
    if residual > 1e-9:
        raise numeric.errors.CheckError(f"the mirror problem was solved to {residual:.1g} only")
    return found


def _distance(end: Tensor, forecast: Tensor) -> Tensor:
    return (end - forecast).abs().sum(-1) / end.abs().sum(-1)
