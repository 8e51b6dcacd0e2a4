"""A step signal of 200 points from 60 normal measurements, as cumsum(p ⊙ q): what keeps it piecewise constant?

Setting of Aladrah et al. 2026 (2601.06597): levels 1, −1.5, 0.5, 2 on 50, 70, 40 and 40 points, measurement noise 0.1,
starts N(0, 0.3²), 500,000 steps of full-batch gradient descent of size 1e-3 on the mean squared error.

    python examples/published/step_signal.py
"""

from __future__ import annotations

import math

import torch
from report import Options, Outcome, main, normal
from sparse_recovery import recover
from torch import Tensor

import symtheory as st

SEGMENTS = ((1.0, 50), (-1.5, 70), (0.5, 40), (2.0, 40))
POINTS, MEASUREMENTS, MEASUREMENT_NOISE = 200, 60, 0.1
STEPS, START = 500_000, 0.3
LR = 2 * 1e-3  # the published loss is r², ours is ½ r²
SETTING = f"{MEASUREMENTS} measurements with noise {MEASUREMENT_NOISE}, {STEPS:,} full-batch steps of size 1e-3"

p, q = st.param("p", POINTS), st.param("q", POINTS)
P = st.Parametrization(st.cumsum(p * q), name="step_signal_200")


def data_of(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Normal measurements with noise; and the true signal."""
    levels, lengths = zip(*SEGMENTS, strict=True)
    signal = torch.tensor(levels, dtype=torch.float64).repeat_interleave(torch.tensor(lengths))
    x = normal(MEASUREMENTS, POINTS, seed=seed + 1) / math.sqrt(MEASUREMENTS)
    return {"x": x, "y": x @ signal + normal(MEASUREMENTS, seed=seed + 2, deviation=MEASUREMENT_NOISE)}, signal


def experiment(options: Options) -> Outcome:
    """Step signal of Aladrah et al.: the jumps at the end of full-batch training."""
    data, signal = data_of(options.seed)
    found = recover(P, data, options, deviation=START, lr=LR, steps=STEPS)
    variation, true_variation = found.end[:, 1:].abs().sum(-1), signal.diff().abs().sum()
    coefficients = {
        "reference": signal,
        "reference_label": "true signal",
        "estimates": {"full-batch training of cumsum(p ⊙ q), one replica": found.end[0].cumsum(-1)},
        "title": "Step signal: deterministic training keeps most jumps near those of the start",
        "ylabel": "signal",
        "xlabel": "point",
    }
    return Outcome(
        title="Step signal of 200 points",
        setting=SETTING,
        parametrization=P,
        observable="relative ℓ1 distance of the jumps at the end",
        forecasts=found.forecasts,
        notes=(
            "training is full-batch: there is no noise that could be the cause",
            f"root mean square misfit of the measurements {float(found.misfit.mean()):.3g}; total variation "
            f"{float(variation.mean()):.3g} against {float(true_variation):.3g} of the true signal",
        ),
        figures=(("coefficients", coefficients),),
        measured={"misfit": float(found.misfit.mean()), "total_variation": float(variation.mean())},
    )


if __name__ == "__main__":
    main(experiment, "step_signal")
