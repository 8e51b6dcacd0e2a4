"""A shallow ReLU net, 3-16-1, that learns a teacher with noise 0.1: does noise balance its units?

Setting of Aladrah et al. 2026 (2601.06597): starts N(0, 0.05²) whose units were put off balance by factors from e^-1.2
to e^1.2, batches of 8 fresh samples, 40,000 steps of size 5e-5 on the mean squared error.

    python examples/published/shallow_relu.py
"""

from __future__ import annotations

import torch
from noise import noise_equilibrium
from report import CONSERVATION, NEITHER, NOISE, Forecast, Options, Outcome, main, normal
from torch import Tensor

import numeric
import symtheory as st
from numeric.training import Step

INPUTS, UNITS, SAMPLES = 3, 16, 65_536
STEPS, BATCH, LABEL_NOISE = 40_000, 8, 0.1
LR = 2 * 5e-5  # the published loss is r², ours is ½ r²
TEACHER, START, IMBALANCE = 1.5, 0.05, 1.2
RECORDS = 100
SETTING = (
    f"fresh batches of {BATCH}, teacher noise {LABEL_NOISE}, {STEPS:,} steps of size 5e-5 on the mean squared error"
)

x = st.input("x", INPUTS)
W, V = st.param("W", UNITS, INPUTS), st.param("V", 1, UNITS)
P = st.Parametrization(V @ st.relu(W @ x), name="shallow_relu_3_16_1")


def start(generator: torch.Generator) -> dict[str, Tensor]:
    """One replica: row j of W times s_j, column j of V over s_j."""
    scale = torch.exp(torch.linspace(-IMBALANCE, IMBALANCE, UNITS, dtype=torch.float64))
    rows, columns = (
        START * torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((UNITS, INPUTS), (1, UNITS))
    )
    return {"W": rows * scale.unsqueeze(-1), "V": columns / scale}


def norms(step: Step) -> dict[str, Tensor]:
    """Norms of the two sides of every unit, (R, units)."""
    return {"v": step.point["V"].norm(dim=-2), "w": step.point["W"].norm(dim=-1)}


def experiment(options: Options) -> Outcome:
    """Shallow ReLU net of Aladrah et al.: the ratio |v_j| / ‖w_j‖ of every unit."""
    M = st.generate(P).load()
    data = {"x": normal(SAMPLES, INPUTS, seed=options.seed)}
    teacher = {
        "W": normal(UNITS, INPUTS, seed=options.seed + 1, deviation=TEACHER),
        "V": normal(1, UNITS, seed=options.seed + 2, deviation=TEACHER),
    }
    data["y"] = M.predictor({name: leaf.unsqueeze(0) for name, leaf in teacher.items()}, data["x"])
    steps = options.steps(STEPS)
    runs = numeric.train(
        M,
        numeric.losses.squared_error,
        data,
        optimizer=numeric.SGD(lr=LR, batch_size=BATCH, label_noise=LABEL_NOISE),
        steps=steps,
        replicas=options.replicas,
        seed=options.seed,
        initial=start,
        observables={"norm": norms},
        record_every=max(steps // RECORDS, 1),
    )
    noisy, time = noise_equilibrium(P, runs, data, lr=LR, sigma=LABEL_NOISE, batch=BATCH)
    return outcome_of(runs, noisy, time)


def outcome_of(runs: numeric.Runs, noisy: dict[str, Tensor], time: float) -> Outcome:
    """Forecasts of log |v_j| / ‖w_j‖ at the end; noisy, time: where noise alone would lead, and in how many steps."""
    v, w = runs.final["V"].norm(dim=-2), runs.final["W"].norm(dim=-1)
    v_start, w_start = runs.initial["V"].norm(dim=-2), runs.initial["W"].norm(dim=-1)
    charge, charge_start = v.square() - w.square(), v_start.square() - w_start.square()
    end, begin = (v / w).log(), (v_start / w_start).log()
    kept = torch.asinh(charge_start / (2 * v * w))  # |v|² − ‖w‖² = 2 |v| ‖w‖ sinh of the logarithm of the ratio
    equilibrium = (noisy["V"].norm(dim=-2) / noisy["W"].norm(dim=-1)).log()
    forecasts = {
        "charges kept": Forecast(
            "|v|² − ‖w‖² as at the start, and the |v| ‖w‖ that training reached", CONSERVATION, _miss(end, kept)
        ),
        "balanced": Forecast("ratio 1 (isotropic noise)", NEITHER, _miss(end, torch.zeros_like(end))),
        "noise equilibrium": Forecast(
            "where the derived noise equilibrium lies for the function that training reached",
            NOISE,
            _miss(end[: len(equilibrium)], equilibrium),
        ),
        "no change": Forecast("the ratio of the start", NEITHER, _miss(end, begin)),
    }
    moved = ((charge - charge_start).norm(dim=-1) / charge_start.norm(dim=-1)).mean()
    norm_v, norm_w = runs.observables["norm.v"], runs.observables["norm.w"]
    ratio = (norm_v / norm_w).flatten(1)
    forecast = torch.asinh(charge_start / (2 * norm_v * norm_w)).exp().flatten(1)
    trajectories = {
        "steps": runs.steps,
        "distances": {
            "ratio of a unit, over units and replicas": ratio.mT,
            "forecast from the charges of the start": forecast.mT,
            "balanced (isotropic noise)": torch.ones(1, len(runs.steps)),
            "noise equilibrium (median)": equilibrium.exp().median().expand(1, len(runs.steps)),
        },
        "linear_steps": True,
        "ylabel": "|v| / ‖w‖ of a unit (dimensionless)",
        "title": "Units of a ReLU net: norms outgrow the charge that training keeps",
    }
    return Outcome(
        title="Shallow ReLU net, 3-16-1",
        setting=SETTING,
        parametrization=P,
        observable="mean |Δ log(|v|/‖w‖)| over units",
        forecasts=forecasts,
        notes=(
            f"the charges |v|² − ‖w‖² moved by {float(moved):.2g} of their size",
            f"median ratio {float((end).exp().median()):.3f} at the end, "
            f"middle 80 % {float(end.exp().quantile(0.1)):.3f} to {float(end.exp().quantile(0.9)):.3f}",
            f"noise alone would need some {time:.1g} steps, and would end at a median ratio of "
            f"{float(equilibrium.exp().median()):.3f}",
            f"norms grew: |v| ‖w‖ by a factor of {float((v * w).median() / (v_start * w_start).median()):.3g}",
        ),
        figures=(("trajectories", trajectories),),
        measured={"charge_change": float(moved), "median_ratio": float(end.exp().median())},
    )


def _miss(end: Tensor, forecast: Tensor) -> Tensor:
    return (end - forecast).abs().mean(-1)


if __name__ == "__main__":
    main(experiment, "shallow_relu")
