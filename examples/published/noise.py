"""Where noise alone would take the points that training ended at, and how long it would need."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

import numeric
import symtheory as st
from numeric.comparison.label_noise_gradients import label_noise_gradients
from numeric.training.model import as_model

SAMPLES, REPLICAS = 64, 4
"""Inputs over which the second moment of the gradient is taken, and replicas for which the equilibrium is sought."""

MOVING = 1e-6
"""Rates below this part of the fastest belong to shifts that nothing moves."""


def noise_equilibrium(
    P: st.Parametrization, runs: numeric.Runs, data: Mapping[str, Tensor], *, lr: float, sigma: float, batch: int
) -> tuple[dict[str, Tensor], float]:
    """The derived equilibrium on the orbit of the first replicas' last points, leaves (R, *shape) up to rotations; and
    the median number of steps in which the slowest deviation from it shrinks by e."""
    functions, model = P.predictions()["noise_equilibrium"].load(), as_model(st.generate(P))
    inputs = {name: data[name][:SAMPLES].double() for name in model.inputs}
    ends, steps = [], []
    for replica in range(min(REPLICAS, len(next(iter(runs.final.values()))))):
        point = {name: leaf[replica].double() for name, leaf in runs.final.items()}
        gradients = label_noise_gradients(model, point, inputs, sigma, batch)
        end = functions.noise_equilibrium(point, gradients)
        there = label_noise_gradients(model, end, inputs, sigma, batch)
        rates = functions.noise_equilibrium_rates(end, there, lr, 0.0)
        moving = rates[rates > MOVING * rates.max()]
        ends.append(end)
        steps.append(1 / float(moving.min()) if len(moving) else math.inf)
    return {name: torch.stack([end[name] for end in ends]) for name in ends[0]}, float(torch.tensor(steps).median())
