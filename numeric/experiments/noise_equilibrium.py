"""SGD with label noise at zero residual, from a point moved along its orbit away from the noise equilibrium."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.drift_beside_orbit import drift_beside_orbit
from numeric.comparison.label_noise_gradients import label_noise_gradients, predictions, predictor_gradients
from numeric.comparison.mechanisms.noise_equilibrium_assumptions import progress, settling
from numeric.comparison.orbit_relaxation import relaxation_path
from numeric.errors import CheckError
from numeric.experiments import observables
from numeric.experiments.experiment import Experiment
from numeric.experiments.synthetic import UNBOUND, scaled_start, synthetic
from numeric.training import SGD, train
from numeric.training.model import Model, Point, as_model
from numeric.training.shapes import bound_shape
from numeric.training.stream_seed import stream_seed

FEWEST_SAMPLES = 256

BESIDE = 1e-3
"""Largest part of the drift of label noise across the orbit."""

MOVING = 1e-6
"""Rates below this part of the fastest belong to generators that move nothing."""

GRID, FAR = 24, 3
"""Points of a predicted path over the slowest relaxation, and how many of those it takes to arrive."""

MOST_STEPS = 400_000
"""Of all runs together: more would not fit into the time that a check may take."""


@dataclass(frozen=True)
class Plan:
    """Settings in units of the model itself.

    lrs: η K, K = E‖J‖⁴/E‖J‖² over samples, at which squared deviations of the predictor grow when η K = 2. temperature:
    ησ² at the largest η over the mean square of the entries that the group moves. displacement: of the start from the
    equilibrium, in every coordinate of the group, halved until E‖∇φ‖² is at most `steepest` of its least value.
    arrived: part of the way that the predicted path has gone when half of a run is over. close_lrs: instead of lrs
    where those would take more than `many_steps`. deviation:
    scale of the teachers, see `scaled_start`; teachers: drawn, of which one is used; coordinates: value of a free size
    where there are no inputs; entries: about how many numbers the gradients of all samples may have.
    """

    lrs: tuple[float, ...] = (0.24, 0.14, 0.09, 0.06)
    close_lrs: tuple[float, ...] = (0.24, 0.17, 0.12, 0.085)
    many_steps: int = 120_000
    temperature: float = 0.1
    displacement: float = 0.5
    steepest: float = 1.6
    arrived: float = 0.92
    replicas: int = 128
    records: int = 96
    deviation: float = 1.0
    teachers: int = 32
    coordinates: int = 4
    entries: int = 4_000_000
    most_samples: int = 65_536


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
    """Four runs at one label noise σ and batch size 1, with the observable "point".

    Normal inputs, and targets that a teacher meets without noise; the start is the teacher, moved along its orbit, so
    that noise is all that moves it. `data` are not used. Raises CheckError where the orbit has no equilibrium, or where
    it takes too many steps to get there.
    """
    model = _bound(as_model(module), plan.coordinates)
    samples = _samples(model, plan)
    problem = synthetic(model, samples=samples, noise=0.0, deviation=plan.deviation, seed=seed)
    known = {**problem.data, **problem.constants}
    centre = _best_teacher(functions, model, known, plan, seed)
    start = _displaced(functions, centre, plan, seed)
    few = {name: known[name][:FEWEST_SAMPLES] if name in model.inputs else known[name] for name in known}
    if (beside := drift_beside_orbit(functions, model, start, few)) > BESIDE:
        raise CheckError(
            f"noise moves {model.name} along zero loss beside the orbit of its rescalings, changes of basis, rotations "
            f"and shifts, {beside:.0%} of the drift: the prediction does not say how"
        )
    known["y"] = problem.data["y"] = predictions(model, centre.point, known)
    top = plan.lrs[0] / _kernel(model, centre.point, known)
    sigma = math.sqrt(plan.temperature * float(functions.noise_equilibrium_vector(start).square().mean()) / top)
    unit = _length(functions, model, start, few, plan.arrived, centre.slowest)
    for choice in (plan.lrs, plan.close_lrs):
        lrs = [top * lr / plan.lrs[0] for lr in choice]
        lengths = [math.ceil(unit / (lr * sigma) ** 2) for lr in lrs]
        if sum(lengths) <= plan.many_steps:
            break
    if sum(lengths) > MOST_STEPS:
        raise CheckError(f"the equilibrium of {model.name} is reached in {sum(lengths):,} steps: choose smaller sizes")
    runs = [
        train(
            module,
            problem.loss,
            problem.data,
            optimizer=SGD(lr=lr, batch_size=1, label_noise=sigma),
            steps=steps + 1,
            replicas=plan.replicas,
            seed=seed + number,
            initial=start,
            constants=problem.constants,
            observables={"point": observables.point},
            record_every=max(1, steps // plan.records),
            device=device,
            dtype=torch.float64,
            progress=progress,
        )
        for number, (lr, steps) in enumerate(zip(lrs, lengths, strict=True))
    ]
    return Experiment(tuple(runs), known, problem.constants)


@dataclass(frozen=True)
class _Centre:
    """A point in noise equilibrium, its label noise gradients and its slowest rate per step, for η = σ = 1."""

    point: Point
    gradients: Point
    slowest: float


def _bound(model: Model, size: int) -> Model:
    """The model with a value for every free size where there are no inputs to tell them."""
    if model.inputs or model.constants:
        return model
    shapes = {
        name: tuple(size if isinstance(axis, str) else axis for axis in shape)
        for name, shape in model.parameters.items()
    }
    return replace(model, parameters=shapes)


def _samples(model: Model, plan: Plan) -> int:
    """As many as the gradients of all samples may take; one where samples would differ by their noise alone."""
    if not model.inputs:
        return 1
    point = scaled_start(model, plan.deviation)(torch.Generator())
    inputs = {
        name: torch.zeros(bound_shape(f"input {name!r} of {model.name}", shape, UNBOUND), dtype=torch.float64)
        for name, shape in model.inputs.items()
    }
    constants = {
        name: torch.zeros(bound_shape(f"constant {name!r} of {model.name}", shape, UNBOUND), dtype=torch.float64)
        for name, shape in model.constants.items()
    }
    outputs = model.predictor(point, **inputs, **constants).numel()
    size = sum(leaf.numel() for leaf in point.values())
    return max(FEWEST_SAMPLES, min(plan.most_samples, plan.entries // (outputs * size)))


def _best_teacher(functions: Any, model: Model, known: Mapping[str, Tensor], plan: Plan, seed: int) -> _Centre:
    """The noise equilibrium on the orbit of one teacher: of those drawn, the one whose generators are most alike in how
    far they move the point and how fast noise drives them, so that no part of it is lost in its own fluctuation, and
    along whose orbit noise drives them more slowly than w relaxes, which the predicted path takes for granted."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "teacher", 0, 0))
    few = {name: known[name][:FEWEST_SAMPLES] if name in model.inputs else known[name] for name in known}
    start, spreads = scaled_start(model, plan.deviation), []
    for _ in range(plan.teachers):
        point = start(generator)
        centre, gradients = _equilibrium(functions, model, point, few)
        gram, rates = functions.noise_equilibrium_gram(centre), _rates(functions, centre, gradients)
        noise = plan.temperature * float(functions.noise_equilibrium_vector(centre).square().mean())
        apart = settling(gradients) / (noise * float(rates.max()))
        spread = _evenness(rates) * _evenness(torch.linalg.eigvalsh(gram)) * min(1.0, apart)
        spreads.append((spread, point))
    point = max(spreads, key=lambda pair: pair[0])[1]
    centre, gradients = _equilibrium(functions, model, point, known)
    return _Centre(centre, gradients, float(_moving(_rates(functions, centre, gradients)).min()))


def _equilibrium(functions: Any, model: Model, point: Point, known: Mapping[str, Tensor]) -> tuple[Point, Point]:
    """The point of the orbit in noise equilibrium, and its label noise gradients for σ = 1."""
    centre = functions.noise_equilibrium(point, label_noise_gradients(model, point, known, 1.0))
    return centre, label_noise_gradients(model, centre, known, 1.0)


def _rates(functions: Any, point: Point, gradients: Point) -> Tensor:
    return functions.noise_equilibrium_rates(point, gradients, 1.0, 0.0)


def _moving(values: Tensor) -> Tensor:
    """Values that belong to generators which move the point at all."""
    return values[values > MOVING * values.max()]


def _evenness(values: Tensor) -> float:
    return float(_moving(values).min() / values.max())


def _displaced(functions: Any, centre: _Centre, plan: Plan, seed: int) -> Point:
    """The point moved along its orbit, by the displacement with a random sign in every coordinate that noise moves;
    of shifts in units of the root mean square of the entries that the group moves."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "displacement", 0, 0))
    curvature = functions.noise_equilibrium_curvature(centre.point, centre.gradients, 1.0, 0.0)
    felt = curvature.diagonal(dim1=-2, dim2=-1) > 0
    signs = torch.randint(0, 2, felt.shape, generator=generator).to(curvature.dtype) * 2 - 1
    unit = functions.noise_equilibrium_vector(centre.point).square().mean().sqrt()
    lengths = torch.where(functions.noise_equilibrium_signs(centre.point) == 0, unit, 1.0)
    t = plan.displacement * felt * lengths * signs
    least = _second_moment(functions, centre.gradients)
    while True:
        moved = functions.noise_equilibrium_move_gradients(centre.gradients, t.unsqueeze(0))
        if _second_moment(functions, moved) <= plan.steepest * least:
            return functions.noise_equilibrium_move(centre.point, t)
        t = t / 2


def _second_moment(functions: Any, gradients: Point) -> float:
    return float(functions.noise_equilibrium_vector(gradients).square().sum())


def _length(
    functions: Any, model: Model, start: Point, few: Mapping[str, Tensor], arrived: float, slowest: float
) -> float:
    """Steps, for η = σ = 1, after half of which the predicted path has gone `arrived` of each of its ways."""
    gradients = label_noise_gradients(model, start, few, 1.0)
    end = -math.log(1 - arrived) / slowest
    times = [end * number / GRID for number in range(1, GRID + 1)]
    path = relaxation_path(functions, start, gradients, 1.0, 0.0, [*times, FAR * end])
    longest = 0.0
    for name in ("charges", "position"):
        of = getattr(functions, f"noise_equilibrium_{name}", None)
        if of is not None:
            *along, target = of(path).flatten(1)
            gone = progress(torch.stack(along), of(start).flatten(), target)
            late = [time for time, part in zip(times, gone.tolist(), strict=True) if part < arrived]
            longest = max(longest, late[-1] if late else times[0])
    return 2 * longest


def _kernel(model: Model, point: Point, known: Mapping[str, Tensor]) -> float:
    """E‖J‖⁴/E‖J‖² over samples: a step η with η K = 2 lets squared deviations of the predictor grow."""
    gradients = predictor_gradients(model, point, known)
    samples = len(known["y"])
    squares = sum(leaf.square().reshape(samples, -1).sum(1) for leaf in gradients.values())
    assert isinstance(squares, Tensor)
    return float(squares.square().mean() / squares.mean())
