"""What a noise equilibrium rests on, measured at the start and at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from numeric.comparison.drift_beside_orbit import drift_beside_orbit
from numeric.comparison.label_noise_gradients import label_noise_gradients, predictions, predictor_gradients
from numeric.comparison.mechanisms.reading import common_start, setting
from numeric.flat_points import flattened
from numeric.training.model import Model, Point
from numeric.training.runs import Runs

PROBED = 32  # replicas at whose end the assumptions are measured
PROBES = 1_024  # samples on which they are
FLAT = 1e-10  # part of the largest eigenvalue of H below which one is rounding
FEW = 256  # samples for the direction of a drift, which they all agree on where it stays on the orbit


def assumptions(functions: Any, runs: Runs, model: Model, known: Mapping[str, Tensor]) -> dict[str, float]:
    """Dimensionless numbers by name.

    residual: mean square residual over σ²; dependence: correlation of the squared residual with the squared gradient of
    φ over the samples, 0 when noise does not depend on inputs; turning: ‖HΣ − ΣH‖/(‖H‖ ‖Σ‖) of the Hessian and the
    noise, 0 when fluctuations enclose no area; beside: part of the drift along zero loss, at the start, that leaves the
    orbit; growth: squared norm at the end over that at the start.
    """
    sigma = setting(runs, "label_noise")
    vector, start = functions.noise_equilibrium_vector, common_start(runs)
    probes, few = _first(model, known, PROBES), _first(model, known, FEW)
    measured = [_noise(model, end, probes, sigma) for end in _ends(runs)]
    growth = vector(runs.final).square().flatten(1).sum(1) / vector(runs.initial).square().flatten(1).sum(1)
    return {
        **{name: float(np.mean([each[name] for each in measured])) for name in measured[0]},
        "beside": drift_beside_orbit(functions, model, start, few),
        "growth": float(growth.mean()),
    }


def equilibria(functions: Any, runs: Runs, model: Model, known: Mapping[str, Tensor]) -> tuple[Point, Point]:
    """The equilibrium on the start's orbit, leaves (*shape), and on those where replicas end, leaves (R, *shape)."""
    sigma, probes = setting(runs, "label_noise"), _first(model, known, PROBES)
    ends = {name: leaf.to(torch.float64) for name, leaf in runs.final.items()}
    found = [
        label_noise_gradients(model, {name: leaf[replica] for name, leaf in ends.items()}, probes, sigma)
        for replica in range(len(next(iter(ends.values()))))
    ]
    gradients = {name: torch.stack([each[name] for each in found]) for name in ends}
    start = common_start(runs)
    centre = functions.noise_equilibrium(start, label_noise_gradients(model, start, probes, sigma))
    return dict(centre), dict(functions.noise_equilibrium(ends, gradients))


def settling(gradients: Point) -> float:
    """The smallest eigenvalue of H = E ∇φ ∇φᵀ that is not zero, the rate for η = 1 at which w relaxes last; gradients:
    leaves (S, *shape) of mean square H."""
    flat = flattened(gradients, 1)
    values = torch.linalg.eigvalsh(flat.mT @ flat) / len(flat)
    return float(values[values > FLAT * values[-1]].min())


def progress(values: Tensor, first: Tensor, target: Tensor) -> Tensor:
    """Part of the way from `first` (C,) to `target` (C,), of values (..., C)."""
    way = target - first
    return (values - first) @ way / way.square().sum()


def _first(model: Model, known: Mapping[str, Tensor], samples: int) -> dict[str, Tensor]:
    return {name: leaf if name in model.constants else leaf[:samples] for name, leaf in known.items()}


def _ends(runs: Runs) -> list[Point]:
    count = min(PROBED, len(next(iter(runs.final.values()))))
    return [{name: leaf[replica] for name, leaf in runs.final.items()} for replica in range(count)]


def _noise(model: Model, point: Point, known: Mapping[str, Tensor], sigma: float) -> dict[str, float]:
    gradients = flattened(predictor_gradients(model, point, known), 1)
    residuals = predictions(model, point, known) - known["y"]
    squares, slopes = residuals.square().flatten(), gradients.square().sum(1)
    samples = len(residuals)
    hessian = gradients.mT @ gradients / samples
    # One sample's gradient is Σ_c (r_c + σ ξ_c) ∇φ_c over the outputs c.
    steps = (residuals.reshape(samples, -1, 1) * gradients.reshape(samples, -1, gradients.shape[1])).sum(1)
    steps = steps - steps.mean(0)
    noise = sigma**2 * hessian + steps.mT @ steps / samples
    product = hessian @ noise
    return {
        "residual": float(squares.mean()) / sigma**2,
        "dependence": _correlation(squares, slopes),
        "turning": float((product - product.mT).norm() / (hessian.norm() * noise.norm())),
    }


def _correlation(left: Tensor, right: Tensor) -> float:
    if len(left) < 3 or float(left.std()) == 0 or float(right.std()) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])
