"""One attention head on 8 tokens, width 16, head 8, that learns a teacher: does noise balance queries and keys?

Setting of Aladrah et al. 2026 (2601.06597): starts N(0, 0.1²), columns of queries and keys put off balance by factors
from e^-1.2 to e^1.2, batches of 16 fresh sequences, 50,000 steps of size 1e-3 on the mean squared error.

    python examples/published/attention_head.py
"""

from __future__ import annotations

import sympy as sp
import torch
from noise import noise_equilibrium
from report import CONSERVATION, NEITHER, NOISE, Forecast, Options, Outcome, main, normal
from torch import Tensor

import numeric
import symtheory as st
from numeric.training import Step

TOKENS, WIDTH, HEAD, SAMPLES = 8, 16, 8, 16_384
STEPS, BATCH, LABEL_NOISE = 50_000, 16, 0.02
LR = 2 * 1e-3 / (TOKENS * HEAD)  # the published loss is the mean of r² over the outputs, ours the sum of ½ r²
TEACHER, START, IMBALANCE = 0.75, 0.1, 1.2
RECORDS = 100
SETTING = f"fresh batches of {BATCH}, teacher noise {LABEL_NOISE}, {STEPS:,} steps of 1e-3 on the mean squared error"

X = st.input("X", TOKENS, WIDTH)
Wq, Wk, Wv = (st.param(name, WIDTH, HEAD) for name in ("Wq", "Wk", "Wv"))
P = st.Parametrization(st.softmax((X @ Wq) @ (X @ Wk).T / sp.sqrt(HEAD)) @ (X @ Wv), name="attention_head_8_16_8")


def start(generator: torch.Generator) -> dict[str, Tensor]:
    """One replica: columns of Wq times s_j, of Wk over s_j; Wq as a whole times (1 + |z|)/4, z standard normal."""
    scale = torch.exp(torch.linspace(-IMBALANCE, IMBALANCE, HEAD, dtype=torch.float64))
    leaves = {
        name: START * torch.randn(WIDTH, HEAD, generator=generator, dtype=torch.float64) for name in ("Wq", "Wk", "Wv")
    }
    whole = (1 + torch.randn((), generator=generator, dtype=torch.float64).abs()) / 4
    return {**leaves, "Wq": leaves["Wq"] * scale * whole, "Wk": leaves["Wk"] / scale}


def teacher(seed: int) -> dict[str, Tensor]:
    """Wq of the teacher is larger by 4 (1 + |z|), z standard normal."""
    leaves = {
        name: normal(1, WIDTH, HEAD, seed=seed + number, deviation=TEACHER)
        for number, name in enumerate(("Wq", "Wk", "Wv"), 1)
    }
    return {**leaves, "Wq": leaves["Wq"] * 4 * (1 + normal(1, seed=seed + 4).abs())}


def norms(step: Step) -> dict[str, Tensor]:
    """Norms of the columns of queries and keys, (R, head)."""
    return {"q": step.point["Wq"].norm(dim=-2), "k": step.point["Wk"].norm(dim=-2)}


def experiment(options: Options) -> Outcome:
    """Attention head of Aladrah et al.: the ratio ‖q_j‖ / ‖k_j‖ of every column."""
    M = st.generate(P).load()
    data = {"X": normal(SAMPLES, TOKENS, WIDTH, seed=options.seed)}
    data["y"] = M.predictor(teacher(options.seed), data["X"])
    steps = options.steps(STEPS)
    runs = numeric.train(
        M,
        numeric.losses.squared_error,
        {name: leaf.float() for name, leaf in data.items()},
        optimizer=numeric.SGD(lr=LR, batch_size=BATCH, label_noise=LABEL_NOISE),
        steps=steps,
        replicas=options.replicas,
        seed=options.seed,
        initial=start,
        observables={"norm": norms, "loss": numeric.observables.loss},
        record_every=max(steps // RECORDS, 1),
    )
    noisy, time = noise_equilibrium(P, runs, data, lr=LR, sigma=LABEL_NOISE, batch=BATCH)
    return outcome_of(runs, noisy, time)


def outcome_of(runs: numeric.Runs, noisy: dict[str, Tensor], time: float) -> Outcome:
    """Forecasts of log ‖q_j‖ / ‖k_j‖ at the end; noisy, time: where noise alone would lead, and in how many steps."""
    equilibrium = (noisy["Wq"].norm(dim=-2) / noisy["Wk"].norm(dim=-2)).log()
    final, initial = ({name: leaf.double() for name, leaf in point.items()} for point in (runs.final, runs.initial))
    q, k = final["Wq"].norm(dim=-2), final["Wk"].norm(dim=-2)
    q_start, k_start = initial["Wq"].norm(dim=-2), initial["Wk"].norm(dim=-2)
    end, begin = (q / k).log(), (q_start / k_start).log()
    kept = torch.asinh((q_start.square() - k_start.square()) / (2 * q * k))
    charge, charge_start = (point["Wq"].mT @ point["Wq"] - point["Wk"].mT @ point["Wk"] for point in (final, initial))
    moved = float(((charge - charge_start).flatten(1).norm(dim=1) / charge_start.flatten(1).norm(dim=1)).mean())
    loss = runs.observables["loss"] * 2 / (TOKENS * HEAD)
    forecasts = {
        "charges kept": Forecast(
            "WqᵀWq − WkᵀWk as at the start, and the ‖q_j‖ ‖k_j‖ that training reached", CONSERVATION, _miss(end, kept)
        ),
        "balanced": Forecast("ratio 1 (isotropic noise)", NEITHER, _miss(end, torch.zeros_like(end))),
        "noise equilibrium": Forecast(
            "where the derived noise equilibrium lies for the function that training reached",
            NOISE,
            _miss(end[: len(equilibrium)], equilibrium),
        ),
        "no change": Forecast("the ratio of the start", NEITHER, _miss(end, begin)),
    }
    norm_q, norm_k = runs.observables["norm.q"], runs.observables["norm.k"]
    ratio = (norm_q / norm_k).flatten(1)
    forecast = torch.asinh((q_start.square() - k_start.square()) / (2 * norm_q * norm_k)).exp().flatten(1)
    trajectories = {
        "steps": runs.steps,
        "distances": {
            "ratio of a column, over columns and replicas": ratio.mT,
            "forecast from the charges of the start": forecast.mT,
            "balanced (isotropic noise)": torch.ones(1, len(runs.steps)),
        },
        "linear_steps": True,
        "ylabel": "‖q‖ / ‖k‖ of a column (dimensionless)",
        "title": "Queries and keys of an attention head: norms outgrow the charge that training keeps",
    }
    return Outcome(
        title="Attention head, 8 tokens, width 16, head 8",
        setting=SETTING,
        parametrization=P,
        observable="mean |Δ log(‖q_j‖/‖k_j‖)| over columns",
        forecasts=forecasts,
        notes=(
            f"the charge WqᵀWq − WkᵀWk moved by {moved:.2g} of its size",
            f"median ratio {float(end.exp().median()):.3f} at the end, "
            f"middle 80 % {float(end.exp().quantile(0.1)):.3f} to {float(end.exp().quantile(0.9)):.3f}",
            f"noise alone would need some {time:.1g} steps, and would end at a median ratio of "
            f"{float(equilibrium.exp().median()):.3f}",
            f"mean squared error from {float(loss[0].mean()):.3g} to {float(loss[-1].mean()):.3g}",
        ),
        figures=(("trajectories", trajectories),),
        measured={"charge_change": moved, "median_ratio": float(end.exp().median())},
    )


def _miss(end: Tensor, forecast: Tensor) -> Tensor:
    return (end - forecast).abs().mean(-1)


if __name__ == "__main__":
    main(experiment, "attention_head")
