"""SGD with weight decay that starts from scales above and below the equilibrium, at several strengths of the decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments.experiment import Experiment
from numeric.experiments.synthetic import synthetic
from numeric.training import SGD, Runs, train
from numeric.training.model import Point, as_model
from numeric.training.step import Step


@dataclass(frozen=True)
class Plan:
    """lr: η; decays: ηλ, two runs each; batch_size, label_noise: of the training; sides: r⁴ at the start over its
    equilibrium; settling, length: steps of the run that finds the start and of those that are judged, times 4ηλ;
    samples, noise, deviation: of the synthetic data, see `synthetic`."""

    lr: float = 0.1
    decays: tuple[float, ...] = (0.003, 0.002, 0.0014, 0.001, 0.0007)
    batch_size: int = 8
    label_noise: float = 0.3
    sides: tuple[float, float] = (3.0, 1 / 3)
    settling: float = 3.0
    length: float = 13.0
    replicas: int = 32
    samples: int = 32
    noise: float = 0.1
    deviation: float = 1.0


def run(
    module: Any,
    functions: Any,
    data: Mapping[str, Tensor] | None = None,
    plan: Plan = Plan(),
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Experiment:
    """For each ηλ two runs with the same noise, one from above and one from below, on synthetic data.

    Both start from the end of a run that lets all but the scales settle, with every scale multiplied so that r⁴ is a
    given multiple of its predicted equilibrium. Observables, at every step: "square", r² of every scale, and
    "gradient_square", the squared gradient in its parameters. `data` are not used. Raises CheckError where the
    gradient in the scaled parameters vanishes.
    """
    model = as_model(module)
    problem = synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.deviation, seed=seed)

    def trained(decay: float, times: float, start: Any, noise_seed: int) -> Runs:
        weight_decay = decay / plan.lr
        return train(
            module,
            problem.loss,
            problem.data,
            optimizer=SGD(
                lr=plan.lr, batch_size=plan.batch_size, label_noise=plan.label_noise, weight_decay=weight_decay
            ),
            steps=round(times / (4 * decay)),
            replicas=plan.replicas,
            seed=noise_seed,
            initial=start,
            constants=problem.constants,
            observables=_observables(functions),
            record_every=1,
            device=device,
            dtype=torch.float64,
            progress=progress,
        )

    runs = []
    for number, decay in enumerate(plan.decays):
        settled = trained(decay, plan.settling, problem.initial, seed + 2 * number)
        for side in plan.sides:
            start = _scaled_start(functions, settled, side, decay / plan.lr, plan.lr)
            runs.append(trained(decay, plan.length, start, seed + 2 * number + 1))
    return Experiment(tuple(runs), problem.data, problem.constants)


def _observables(functions: Any) -> dict[str, Any]:
    def square(step: Step) -> Mapping[str, Tensor]:
        return functions.scale_equilibrium_square(step.point)

    def gradient_square(step: Step) -> Mapping[str, Tensor]:
        return functions.scale_equilibrium_square(step.gradient)

    return {"square": square, "gradient_square": gradient_square}


def _scaled_start(functions: Any, settled: Runs, side: float, weight_decay: float, lr: float) -> Point:
    """The end of the run with r⁴ at `side` times the equilibrium, from the mean over its second half and replicas."""
    half = len(settled.steps) // 2
    factor = {}
    for name, square in functions.scale_equilibrium_square(settled.final).items():
        history = settled.observables[f"square.{name}"][half:] * settled.observables[f"gradient_square.{name}"][half:]
        equilibrium = functions.scale_equilibrium_fourth_power(history.mean(), lr, weight_decay)
        if not equilibrium > 0:
            raise CheckError(f"the gradient in the parameters of the scale {name!r} vanishes: it has no equilibrium")
        factor[name] = (side * equilibrium / square.square()) ** 0.25
    return functions.scale_equilibrium_scaled(settled.final, factor)
