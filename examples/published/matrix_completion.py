"""A 20 × 20 matrix of rank 2 from a fifth of its entries, as a product of square factors: who makes it simple?

Setting of Aladrah et al. 2026 (2601.06597): singular values 15 and 5, 20 % of the entries seen, both factors 20 × 20,
starts N(0, 0.11²) and N(0, 0.1²), about half of the seen entries a step, 500,000 steps of size 1e-3 on the mean of the
masked squares over all entries. There a step sees each entry with probability one half; here it draws half as many
with replacement, which has the same mean.

    python examples/published/matrix_completion.py
"""

from __future__ import annotations

import torch
from report import CONSERVATION, NEITHER, NOISE, Forecast, Options, Outcome, main, normal
from torch import Tensor

import numeric
import symtheory as st
from numeric.training import Step

SIZE, SINGULAR_VALUES, SEEN = 20, (15.0, 5.0), 0.2
STEPS, PUBLISHED_LR, STARTS, RECORDS = 500_000, 1e-3, (0.11, 0.1), 100
SETTING = f"{SEEN:.0%} of the entries, half of them a step, {STEPS:,} steps of size {PUBLISHED_LR:g}"
SPLITTING, SOLVED = 20_000, 1e-9  # iterations of Douglas and Rachford at most, and the residual that ends them

G, H = st.param("G", SIZE, SIZE), st.param("H", SIZE, SIZE)
P = st.Parametrization(G @ H.T, name="matrix_completion_20")


def entry_error_and_derivative(prediction: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The losses, and the derivative of their mean by the matrix."""
    flat, entry = prediction.flatten(1), batch["entry"].expand(len(prediction), -1)
    residual = flat.gather(1, entry) - batch["y"]
    derivative = torch.zeros_like(flat).scatter_add(1, entry, residual / residual.shape[1])
    return 0.5 * residual.square(), derivative.view_as(prediction)


@numeric.losses.with_derivative(entry_error_and_derivative)
def entry_error(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """½ (W_ij − y)² at the entries of a batch: prediction (R, n, m); batch "entry" (R, B) int64, "y" (R, B)."""
    return entry_error_and_derivative(prediction, batch)[0]


def start(generator: torch.Generator) -> dict[str, Tensor]:
    """One replica's factors."""
    return {
        name: deviation * torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
        for name, deviation in zip("GH", STARTS, strict=True)
    }


def planted(seed: int) -> Tensor:
    """The matrix of rank 2, with orthonormal factors of normal matrices."""
    left, right = (torch.linalg.qr(normal(SIZE, 2, seed=seed + number))[0] for number in (1, 2))
    return left @ torch.diag(torch.tensor(SINGULAR_VALUES, dtype=torch.float64)) @ right.mT


def singular_values(step: Step) -> Tensor:
    """Singular values of the product, (R, n)."""
    return torch.linalg.svdvals(step.point["G"] @ step.point["H"].mT)


def least_nuclear_norm(entry: Tensor, y: Tensor) -> Tensor:
    """argmin ‖W‖_* among the matrices with the seen entries, by splitting: shrink singular values, then insert."""
    z = torch.zeros(SIZE * SIZE, dtype=torch.float64)
    for _ in range(SPLITTING):
        fitted = z.clone()
        fitted[entry] = y
        left, values, right = torch.linalg.svd((2 * fitted - z).view(SIZE, SIZE))
        shrunk = (left * (values - 1).clamp_min(0)) @ right
        residual = shrunk.flatten() - fitted
        z = z + residual
        if float(residual.norm()) <= SOLVED * float(y.norm()):
            return fitted.view(SIZE, SIZE)
    raise numeric.errors.CheckError("the least nuclear norm was not found: allow more iterations")


def experiment(options: Options) -> Outcome:
    """Matrix completion of Aladrah et al.: the matrix at the end, with and without minibatch noise."""
    M = st.generate(P).load()
    truth = planted(options.seed)
    chance = torch.rand(SIZE * SIZE, generator=torch.Generator().manual_seed(options.seed), dtype=torch.float64)
    entry = (chance < SEEN).nonzero().squeeze(1)
    data = {"entry": entry, "y": truth.flatten()[entry]}
    steps = options.steps(STEPS)
    # Their step moves along the sum over half of the entries, divided by all n²; ours along the mean over the batch.
    lr = PUBLISHED_LR * len(entry) / SIZE**2
    runs = {
        name: numeric.train(
            M,
            entry_error,
            data,
            optimizer=optimizer,
            steps=steps,
            replicas=options.replicas,
            seed=options.seed,
            initial=start,
            backend=options.backend,
            observables={"singular_values": singular_values, "loss": numeric.observables.loss},
            record_every=max(steps // RECORDS, 1),
        )
        for name, optimizer in {
            "noise": numeric.SGD(lr=lr, batch_size=len(entry) // 2),
            "no noise": numeric.GradientDescent(lr=lr),
        }.items()
    }
    return outcome_of(runs, truth, data)


def outcome_of(runs: dict[str, numeric.Runs], truth: Tensor, data: dict[str, Tensor]) -> Outcome:
    """Forecasts of the matrix at the end."""
    noisy, quiet = runs["noise"], runs["no noise"]
    end, twin = (run.final["G"] @ run.final["H"].mT for run in (noisy, quiet))
    convex = least_nuclear_norm(data["entry"], data["y"])
    charge, charge_start = (
        point["G"].mT @ point["G"] - point["H"].mT @ point["H"] for point in (noisy.final, noisy.initial)
    )
    moved = float(((charge - charge_start).flatten(1).norm(dim=1) / charge_start.flatten(1).norm(dim=1)).mean())
    begin = noisy.initial["G"] @ noisy.initial["H"].mT
    forecasts = {
        "the same start without noise": Forecast(
            "full-batch gradient descent keeps GᵀG − HᵀH", CONSERVATION, _distance(end, twin)
        ),
        "least nuclear norm": Forecast(
            "what weight decay or label noise would choose among the completions", NOISE, _distance(end, convex)
        ),
        "the matrix of rank 2": Forecast(
            "the completion where the volume of orbits vanishes", NOISE, _distance(end, truth)
        ),
        "no change": Forecast("the product at the start", NEITHER, _distance(end, begin)),
    }
    values = noisy.observables["singular_values"]
    reference = torch.linalg.svdvals(twin).mean(0)
    trajectories = {
        "steps": noisy.steps,
        "distances": {f"singular value {number + 1}": values[:, :, number].mT for number in range(4)}
        | {"without noise, singular value 1 at the end": reference[:1].expand(1, len(noisy.steps))}
        | {"without noise, singular value 2 at the end": reference[1:2].expand(1, len(noisy.steps))},
        "linear_steps": True,
        "ylabel": "singular value of G Hᵀ (units of the matrix)",
        "title": "Matrix completion: the same small start leads to the same matrix without noise",
    }
    nuclear = {
        name: float(torch.linalg.svdvals(matrix).sum(-1).mean())
        for name, matrix in {"end": end, "without noise": twin, "least": convex, "planted": truth}.items()
    }
    return Outcome(
        title="Matrix completion, 20 × 20 of rank 2",
        setting=SETTING,
        parametrization=P,
        observable="relative Frobenius distance of the matrix at the end",
        forecasts=forecasts,
        notes=(
            f"{len(data['y'])} entries seen; loss at the end {float(noisy.observables['loss'][-1].mean()):.2g}, "
            f"without noise {float(quiet.observables['loss'][-1].mean()):.2g}",
            f"the charge GᵀG − HᵀH moved by {moved:.2g} of its size",
            "nuclear norms: " + ", ".join(f"{name} {value:.3f}" for name, value in nuclear.items()),
            "minibatch noise vanishes where every entry is fitted, so no noise is left to choose among the completions",
        ),
        figures=(("trajectories", trajectories),),
        measured={"charge_change": moved, **{f"nuclear_norm_{name}": value for name, value in nuclear.items()}},
    )


def _distance(end: Tensor, forecast: Tensor) -> Tensor:
    return (end - forecast).flatten(1).norm(dim=1) / end.flatten(1).norm(dim=1)


if __name__ == "__main__":
    main(experiment, "matrix_completion")
