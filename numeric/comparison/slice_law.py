"""The law of w on a slice of one coordinate, along the curve that the slice is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from torch import Tensor

from numeric.comparison.density import NumericDensity
from numeric.comparison.samples import FloatArray
from numeric.errors import CheckError

NEGLIGIBLE = 40.0  # L/T beyond which the law is taken to vanish
NODES = 2_001  # of the spline along the curve
ACCURACY = 1e-10  # relative, of the curve's points
FLAT = 1e-8  # |∇w|² below this part of its value at the start ends the curve: w turns around there


def slice_law(
    predictor: Callable[[dict[str, Tensor]], Tensor],
    log_factor: Callable[[dict[str, Tensor]], Tensor],
    start: Mapping[str, float],
    target: float,
    temperature: float,
) -> NumericDensity:
    """The law with density exp(−½(w − target)²/T + log_factor(θ(w))) dw on the slice through a point.

    Where (w, c) are coordinates the slice is a curve along ∇w, since ∇w is orthogonal to every ∇c:
    dθ/dw = ∇w/‖∇w‖². predictor: leaves (N, 1) → w (N, 1); log_factor: the same → (N, 1); start: the point's numbers.
    CheckError where w does not move at the start.
    """
    names = list(start)

    def at(theta: FloatArray) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.ascontiguousarray(row))[:, None] for name, row in zip(names, theta, strict=True)
        }

    def slope(theta: FloatArray) -> FloatArray:
        leaves = {name: leaf.requires_grad_() for name, leaf in at(theta[:, None]).items()}
        found = torch.autograd.grad(predictor(leaves).sum(), tuple(leaves.values()), materialize_grads=True)
        return np.array([float(value) for value in found])

    first = np.array([start[name] for name in names], dtype=np.float64)
    length = float((slope(first) ** 2).sum())
    if not length > 0:
        raise CheckError("w does not move at the starting point: the slice is no curve there")
    w0 = float(predictor(at(first[:, None])))

    def rate(w: float, theta: FloatArray) -> FloatArray:
        direction = slope(theta)
        return np.asarray(direction / max(float(direction @ direction), FLAT * length))

    def turns(w: float, theta: FloatArray) -> float:
        return float((slope(theta) ** 2).sum()) - FLAT * length

    turns.terminal = True  # type: ignore[attr-defined]
    reach = np.sqrt(2 * NEGLIGIBLE * temperature)
    ends, curves = [], []
    for end in (min(target - reach, w0 - reach / 4), max(target + reach, w0 + reach / 4)):
        solved = solve_ivp(rate, (w0, end), first, rtol=ACCURACY, atol=ACCURACY, dense_output=True, events=turns)
        ends.append(float(solved.t[-1]))
        curves.append(solved.sol)
    grid = np.linspace(ends[0], ends[1], NODES)
    theta = np.where(grid < w0, curves[0](np.minimum(grid, w0)), curves[1](np.maximum(grid, w0)))
    factor = CubicSpline(grid, log_factor(at(theta))[:, 0].numpy())

    def log_density(w: FloatArray) -> FloatArray:
        return np.asarray(-((w - target) ** 2) / (2 * temperature) + factor(w))

    return NumericDensity(log_density, (ends[0], ends[1]))
