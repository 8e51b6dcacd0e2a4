"""Isotropic Langevin dynamics with the charges held near constants, at ever smaller steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.slice_geometry import SliceGeometry, radius
from numeric.errors import CheckError
from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.problem import Problem
from numeric.experiments.start import elementwise_model, kernel
from numeric.experiments.synthetic import synthetic
from numeric.flat_points import flattened
from numeric.losses import coefficient_error, squared_error
from numeric.training import Langevin, train
from numeric.training.model import Model, as_model
from numeric.training.program import Loss
from numeric.training.stream_seed import stream_seed

MOST_STEPS = 100_000
"""Of all runs together."""

MOST_CHARGES = 60
"""Independent ones; beyond this an experiment takes minutes."""

NEAR = 0.2
"""A start of one coordinate has w nearer to 0 than this, or pays for it in time."""


@dataclass(frozen=True)
class Plan:
    """width: of the slice at scale 1, over the radius to which it bends; stiffness: η κ times the largest eigenvalue of
    ∇c ∇cᵀ there; scales: s, one run each; burn, gap: time η × steps before the first snapshot and between snapshots,
    in relaxation times. The names with coordinate are for the runs on one coordinate: their law is that of a thin
    slice, so κ ∝ 1/s and η ∝ s² there. What is compared elsewhere holds on every slice, so at any κ: η ∝ s alone.

    temperature, target: of the runs on one coordinate; they start with w near 0, where slices bend most, at a
    given kernel JJᵀ. lr: largest η at scale 1, replicas (fewer, down to fewest_replicas, where charges are
    many), snapshots, samples, deviation, noise: of the runs on synthetic data, whose loss has a weight decay of 1.
    candidates: draws of a start, of which the one with the fewest steps to
    take is kept.
    """

    width: float = 0.2
    stiffness: float = 0.2
    scales: tuple[float, ...] = (1.0, 0.6, 0.4, 0.25)
    burn: float = 4.0
    gap: float = 0.6
    snapshots: int = 20
    lr: float = 0.02
    replicas: int = 1_500
    fewest_replicas: int = 200
    candidates: int = 200
    samples: int = 4
    deviation: float = 1.0
    noise: float = 0.5
    coordinate_width: float = 0.1
    coordinate_stiffness: float = 0.3
    coordinate_scales: tuple[float, ...] = (1.0, 0.6, 0.4)
    coordinate_burn: float = 5.0
    coordinate_gap: float = 0.6
    coordinate_snapshots: int = 6
    coordinate_replicas: int = 5_000
    temperature: float = 0.5
    target: float = 1.0
    kernel: float = 2.0


@dataclass(frozen=True)
class _Setting:
    """What is trained: κ at scale 1 is the largest that a width and a step η (0: any) ask for; temperature, the time in
    which it relaxes, weight decay, how many numbers w has, and times of the snapshots over that time. thins: κ ∝ 1/s.
    """

    problem: Problem
    width: float
    stiffness: float
    lr: float
    scales: tuple[float, ...]
    thins: bool
    temperature: float
    relaxation: float
    decay: float
    replicas: int
    outputs: int
    times: tuple[float, ...]

    def schedule(self, values: Tensor) -> list[tuple[float, float]]:
        """κ and η of every run, for eigenvalues (m,) of ∇c ∇cᵀ: η κ times the largest falls with the scale."""
        largest = float(values.max())
        kappa = self.temperature / (self.width * float(radius(values))) ** 2
        if self.lr:
            kappa = max(kappa, self.stiffness / (self.lr * largest))
        kappas = [kappa / scale if self.thins else kappa for scale in self.scales]
        return [(kappa, self.stiffness * s / (kappa * largest)) for kappa, s in zip(kappas, self.scales, strict=True)]


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
    """One run for each scale from one start, whose charges are those held, with the observables "point" and "gradient".

    A module that acts coordinate by coordinate is trained on one coefficient with a scalar target, any other on the
    data of `synthetic`; `data` are not used. The loss trained is L(w) + λ‖θ‖²/2 + κ‖c − c₀‖²/2, λ = 0 for one
    coefficient; its gradient is what is recorded. Raises CheckError where there is no charge to hold.
    """
    if not hasattr(functions, "orbit_volume_charges"):
        raise CheckError("there is no charge to hold: the law is one of marginals, and has no experiment")
    model = as_model(module)
    setting = (
        _coefficient(module, functions, plan, seed)
        if hasattr(functions, "orbit_volume_slope")
        else _network(model, functions, plan, seed)
    )
    start = setting.problem.initial
    assert isinstance(start, dict)
    geometry = SliceGeometry.at(functions.orbit_volume_charges, start)
    values = torch.linalg.eigvalsh((rows := geometry.gradients({k: v[None] for k, v in start.items()})[0]) @ rows.mT)
    _require_time(setting, values)
    runs = []
    for number, (kappa, lr) in enumerate(setting.schedule(values)):
        unit = setting.relaxation / lr
        at = [round(time * unit) for time in setting.times]
        held = _Held(model, functions.orbit_volume_charges, start)
        runs.append(
            train(
                held.module(),
                held.loss(setting, kappa),
                setting.problem.data,
                optimizer=Langevin(lr=lr, temperature=setting.temperature),
                steps=at[-1] + 1,
                replicas=setting.replicas,
                seed=seed + number,
                initial=start,
                constants=setting.problem.constants,
                observables={"point": observables.point, "gradient": observables.gradient},
                record_at=at,
                device=device,
                dtype=torch.float64,
                progress=progress,
            )
        )
    return Experiment(
        tuple(replace(run, module=module) for run in runs), setting.problem.data, setting.problem.constants
    )


def _require_time(setting: _Setting, values: Tensor) -> None:
    if len(values) > MOST_CHARGES:
        raise CheckError(f"{len(values)} charges take too long to hold in thousands of runs: choose smaller sizes")
    if not float(radius(values)) > 0:
        raise CheckError("the charges' gradients depend on each other at the start: the slice is no manifold there")
    needed = sum(setting.times[-1] * setting.relaxation / lr for _, lr in setting.schedule(values))
    if needed > MOST_STEPS:
        raise CheckError(f"so unlike charges take {needed:,.0f} steps to hold: choose other sizes")


def _coefficient(module: Any, functions: Any, plan: Plan, seed: int) -> _Setting:
    model = elementwise_model(module, 1)

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        numbers = torch.randn(len(model.parameters), 1, generator=generator, dtype=torch.float64)
        return _scaled_to_kernel(model, dict(zip(model.parameters, numbers, strict=True)), plan.kernel)

    def cost(start: Mapping[str, Tensor]) -> float:
        return 1 + (float(model.predictor(dict(start))) / NEAR) ** 2

    target = torch.full((1, 1), plan.target, dtype=torch.float64)
    start = _best_start(draw, functions, seed, plan.candidates, cost)
    problem = Problem({"y": target}, {}, coefficient_error, start)
    times = tuple(plan.coordinate_burn + plan.coordinate_gap * place for place in range(plan.coordinate_snapshots))
    return _Setting(
        problem,
        plan.coordinate_width,
        plan.coordinate_stiffness,
        0.0,
        plan.coordinate_scales,
        True,
        plan.temperature,
        1 / kernel(model, start),
        0.0,
        plan.coordinate_replicas,
        1,
        times,
    )


def _network(model: Model, functions: Any, plan: Plan, seed: int) -> _Setting:
    problem = synthetic(model, samples=plan.samples, noise=plan.noise, deviation=plan.deviation, seed=seed)
    assert callable(problem.initial)
    start = _best_start(problem.initial, functions, seed, plan.candidates, _squared_length)
    numbers = flattened(start)
    outputs = problem.data["y"][0].numel()
    # Without the loss of w this is the temperature at which a decay of 1 keeps ‖θ‖² where it starts.
    temperature = float(numbers.square().mean())
    times = tuple(plan.burn + plan.gap * place for place in range(plan.snapshots))
    # The virial's noise is of order √D, its effect of order m.
    charges = SliceGeometry.at(functions.orbit_volume_charges, start).charges
    enough = round(plan.replicas * len(numbers) / (2 * charges**2))
    replicas = min(plan.replicas, max(plan.fewest_replicas, enough))
    return _Setting(
        replace(problem, initial=start),
        plan.width,
        plan.stiffness,
        plan.lr,
        plan.scales,
        False,
        temperature,
        1.0,
        1.0,
        replicas,
        outputs,
        times,
    )


def _scaled_to_kernel(model: Model, point: Mapping[str, Tensor], wanted: float) -> dict[str, Tensor]:
    """A multiple of a point with a kernel near the one wanted, exactly so where w is homogeneous."""
    value = kernel(model, point)
    degree = math.log2(kernel(model, {name: 2 * leaf for name, leaf in point.items()}) / value)
    scale = (wanted / value) ** (1 / degree) if degree > 0 else 1.0
    return {name: scale * leaf for name, leaf in point.items()}


def _squared_length(start: Mapping[str, Tensor]) -> float:
    return sum(float(leaf.square().sum()) for leaf in start.values())


def _best_start(
    draw: Callable[[torch.Generator], Mapping[str, Any]],
    functions: Any,
    seed: int,
    candidates: int,
    cost: Callable[[Mapping[str, Tensor]], float],
) -> dict[str, Tensor]:
    """Of several draws the one that takes the fewest steps: `cost` times what holding its charges takes."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "slice", 0, 0))
    starts = [dict(draw(generator)) for _ in range(candidates)]
    geometry = SliceGeometry.at(functions.orbit_volume_charges, starts[0])
    rows = geometry.gradients({name: torch.stack([start[name] for start in starts]) for name in starts[0]})
    values = torch.linalg.eigvalsh(rows @ rows.mT)
    costs = torch.tensor([cost(start) for start in starts], dtype=torch.float64)
    return starts[int((costs * values[:, -1] / radius(values) ** 2).argmin())]


@dataclass(frozen=True)
class _Held:
    """A model that gives w, its charges and ‖θ‖² in one vector, and the loss that holds the charges at the start's."""

    model: Model
    charges: Callable[..., Mapping[str, Tensor]]
    start: Mapping[str, Tensor]

    def module(self) -> SimpleNamespace:
        model = self.model
        axes = 2 if model.inputs else 1  # replicas, and samples where there are inputs

        def listed(value: Tensor) -> Tensor:
            return value.reshape(*value.shape[:axes], -1)

        def predictor(point: dict[str, Tensor], **inputs: Tensor) -> Tensor:
            w = listed(model.predictor(point, **inputs))
            norm = torch.stack([listed(leaf).square().sum(-1) for leaf in point.values()]).sum(0)
            parts = [w, *map(listed, self.charges(point).values()), norm[..., None]]
            return torch.cat([part.expand(*w.shape[:-1], -1) for part in parts], -1)

        return SimpleNamespace(
            NAME=model.name,
            PARAMETERS=dict(model.parameters),
            INPUTS=dict(model.inputs),
            CONSTANTS=dict(model.constants),
            DECLARATION_HASH=model.declaration_hash,
            predictor=predictor,
        )

    def loss(self, setting: _Setting, kappa: float) -> Loss:
        held_at = flattened(self.charges(dict(self.start)))
        plain = squared_error if self.model.inputs else coefficient_error
        outputs = setting.outputs

        def confining(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
            w, charges, norm = prediction[..., :outputs], prediction[..., outputs:-1], prediction[..., -1]
            flat = {"y": batch["y"].reshape(*batch["y"].shape[:2], -1)}
            holding = 0.5 * kappa * (charges - held_at.to(charges.device)).square().sum(-1)
            extra = holding + 0.5 * setting.decay * norm
            value = plain(w, flat)
            return value + (extra if self.model.inputs else extra[:, None])

        return confining
