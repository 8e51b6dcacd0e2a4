"""Training of designed parametrizations under the mechanism that they were designed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.design.constrained import smallest_divergence
from numeric.comparison.design.judge import judge_label_noise, judge_mirror, judge_norms, judge_weight_decay
from numeric.comparison.design.wanted import Wanted
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.verdict import Verdict
from numeric.datasets.orthonormal_rows import orthonormal_rows
from numeric.errors import CheckError, DataError, DivergedError, SizeError
from numeric.experiments import label_noise
from numeric.experiments.decide import Decision
from numeric.experiments.experiment import Experiment
from numeric.experiments.start import elementwise_model, filled, kernel, scale_where
from numeric.experiments.synthetic import UNBOUND
from numeric.losses import linear_regression
from numeric.row_space import row_space
from numeric.training import GradientDescent, Runs, train
from numeric.training.model import Model, as_model
from numeric.training.shapes import bound_shape

NEAR_ZERO = 1e-12
"""θ at which φ(0) is read off, where φ may be known for θ ≠ 0 only."""

SIDE = 8
"""Rows and columns into which the coefficients of a regression are laid out for groups and matrices."""


@dataclass(frozen=True)
class Plan:
    """Of gradient descent to a solution: units: η times the largest kernel JJᵀ on the way; time: η times the number of
    steps, times the smallest kernel; start: of every parameter; spread: of the logarithms of positive coefficients.
    Of weight decay: penalty: λ R(1)/2; lr: η times JJᵀ where each copy of φ is at one; size: of φ at the start, where
    |θ| is drawn evenly between the fractions `between` of that; steps, replicas. Of groups and matrices: norm_lr: η,
    start_deviation: of normal starts.
    """

    units: tuple[float, ...] = (0.08, 0.04, 0.02)
    time: float = 22.0
    start: float = 1.0
    spread: float = 0.3
    penalty: float = 0.2
    lr: float = 0.4
    size: float = 0.5
    between: tuple[float, float] = (0.7, 1.3)
    steps: int = 25_000
    replicas: int = 3
    norm_lr: float = 0.15
    start_deviation: float = 0.4


@dataclass(frozen=True)
class Design:
    """What the training is told: mechanism, of and signs as in the symbolic layer ("simplex" counts as a sign here);
    functions: design_penalty, design_slope, design_curvature of the target, and what the mechanism's own experiment
    reads of a prediction."""

    mechanism: str
    of: str
    signs: str
    functions: Any

    @property
    def wanted(self) -> Wanted:
        """The target with its signs."""
        return Wanted(self.functions, "simplex" if self.of == "simplex" else self.signs)


def decide_design(
    design: Design,
    module: Any,
    data: Mapping[str, Tensor],
    *,
    plan: Plan = Plan(),
    folder: str | Path | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Decision:
    """Train the design under its mechanism, and compare with explicit solutions for its target.

    data: regression {"x": (n, d), "y": (n,)} with d ≥ n; for targets of one sign the coefficients behind y are made
    positive, drawn by the seed. An experiment that cannot be carried out is inconclusive, with the reason.
    """
    options = {"seed": seed, "device": device, "progress": progress}
    try:
        experiment, verdict = _carry_out(design, module, dict(data), plan, options)
    except (CheckError, DataError, DivergedError, SizeError) as error:
        return Decision(undecided(design.mechanism, "the experiment could not be carried out", str(error)), None)
    if folder is not None:
        experiment.save(folder)
    return Decision(verdict, experiment)


def _carry_out(
    design: Design, module: Any, data: dict[str, Tensor], plan: Plan, options: dict[str, Any]
) -> tuple[Experiment, Verdict]:
    wanted = design.wanted
    if design.mechanism == "mirror":
        return _mirror(wanted, module, data, plan, options)
    if design.of in ("groups", "singular_values"):
        experiment = _norms(design, module, orthonormal_rows(data["x"], data["y"]), plan, options)
        return experiment, judge_norms(wanted, design.of, experiment.runs[0], experiment.data)
    if design.mechanism == "label_noise":
        # A penalty without a kink at zero relaxes exponentially: smaller steps keep its floor out of the way.
        is_smooth = wanted.is_convex and wanted.slope_at_zero == 0
        settings = label_noise.Plan(lr=0.04, steps=20_000) if is_smooth else label_noise.Plan()
        experiment = label_noise.run(module, design.functions, data, settings, **options)
        return experiment, judge_label_noise(wanted, design.functions, experiment.runs[0], experiment.data)
    if design.mechanism == "weight_decay":
        experiment = _decay(design, module, orthonormal_rows(data["x"], data["y"]), plan, options)
        return experiment, judge_weight_decay(wanted, design.functions, experiment.runs[0], experiment.data)
    raise CheckError(f"there is no training check of designs for {design.mechanism}")


def _mirror(
    wanted: Wanted, module: Any, data: dict[str, Tensor], plan: Plan, options: dict[str, Any]
) -> tuple[Experiment, Verdict]:
    """Gradient descent at three step sizes from one start."""
    model, size = as_model(module), data["x"].shape[1]
    if wanted.signs in ("positive", "simplex"):
        data = _of_positive_coefficients(data, wanted.signs == "simplex", plan.spread, options["seed"])
    regression = orthonormal_rows(data["x"], data["y"])
    entry = 0.0 if wanted.signs == "odd" else plan.start
    start = filled(dict.fromkeys(model.parameters, entry), size)
    w_start = _one_copy(model, start)
    smallest, largest = _kernels(wanted, model, start, w_start, regression)
    runs = []
    for unit in plan.units:
        lr = unit / largest
        runs.append(
            train(
                module,
                linear_regression,
                regression,
                optimizer=GradientDescent(lr=lr),
                steps=round(plan.time / smallest / lr),
                initial=start,
                dtype=torch.float64,
                **options,
            )
        )
    return Experiment(tuple(runs), regression), judge_mirror(wanted, runs, regression, w_start)


def _of_positive_coefficients(data: dict[str, Tensor], normalized: bool, spread: float, seed: int) -> dict[str, Tensor]:
    """The same features, with targets of log-normal coefficients, which add up to one if so asked."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(data["x"].shape[1], generator=generator, dtype=torch.float64).mul(spread).exp()
    return {**data, "y": data["x"] @ (w / w.sum() if normalized else w)}


def _one_copy(model: Model, start: Mapping[str, Tensor]) -> float:
    """φ at the start, for one copy: of a difference, half of what moves when the other copy's sign is turned."""
    if len(model.parameters) == 1:
        return float(model.predictor(dict(start)).flatten()[0])
    (first, second) = model.parameters
    zero = {**start, second: torch.zeros_like(start[second])}
    rest = {**zero, first: torch.zeros_like(start[first])}
    # φ(0) of the second copy cancels against that of the first.
    return float((model.predictor(zero) - model.predictor(rest)).flatten()[0])


def _kernels(
    wanted: Wanted, model: Model, start: Mapping[str, Tensor], w_start: float, data: Mapping[str, Tensor]
) -> tuple[float, float]:
    """The smallest and the largest JJᵀ of one coefficient, at the start and at the explicit solution."""
    size = data["x"].shape[1]
    if wanted.signs == "simplex":
        rows, target = row_space(
            torch.cat([data["x"], torch.ones(1, size, dtype=torch.float64)]),
            torch.cat([data["y"], torch.ones(1, dtype=torch.float64)]),
        )
        solution, _ = smallest_divergence(wanted, rows, target, w_start)
        speed = 4 / float(sum(leaf.square().sum() for leaf in start.values()))  # JJᵀ = 4 (diag(w) − wwᵀ)/‖u‖²
        return speed / 4 * min(w_start, float(solution.abs().min())), speed * max(w_start, float(solution.abs().max()))
    at_start = kernel(model, {name: leaf[:1] for name, leaf in start.items()})
    rows, target = row_space(data["x"], data["y"])
    solution, _ = smallest_divergence(wanted, rows, target, w_start)
    if wanted.signs == "difference":  # JJᵀ is smallest where the copies are alike
        ends = 1 / wanted.curvature(solution.abs() + w_start)
        return at_start, max(at_start, float(ends.max()))
    ends = 1 / wanted.curvature(solution.abs().clamp_min(1e-12))
    return min(at_start, float(ends.min())), max(at_start, float(ends.max()))


def _decay(design: Design, module: Any, data: dict[str, Tensor], plan: Plan, options: dict[str, Any]) -> Experiment:
    """Gradient descent with decay on coefficients, from evenly drawn starts away from zero, of both signs."""
    model, size = elementwise_model(module, data["x"].shape[1]), data["x"].shape[1]
    start, at_one = (_theta_where(model, value) for value in (plan.size, 1.0))
    unit = float(design.wanted.penalty(torch.ones((), dtype=torch.float64)))
    low, high = plan.between

    def initial(generator: torch.Generator) -> dict[str, Tensor]:
        def leaf() -> Tensor:
            sizes = low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)
            return start * sizes * torch.randn(size, generator=generator, dtype=torch.float64).sign()

        return {name: leaf() for name in model.parameters}

    finished = train(
        module,
        linear_regression,
        data,
        optimizer=GradientDescent(
            lr=plan.lr / kernel(model, filled(dict.fromkeys(model.parameters, at_one), 1)),
            weight_decay=2 * plan.penalty / unit,
        ),
        steps=plan.steps,
        replicas=plan.replicas,
        initial=initial,
        dtype=torch.float64,
        **options,
    )
    return Experiment((finished,), data)


def _theta_where(model: Model, value: float) -> float:
    """θ > 0 with φ(θ) − φ(0) = value: all factors of a product alike, the other copy of a difference at zero.

    CheckError where φ does not attain it.
    """
    names = list(model.parameters)
    is_difference = float(model.predictor(filled(dict.fromkeys(names, 1.0), 1))) == 0
    rest = model.predictor(filled(dict.fromkeys(names, NEAR_ZERO), 1))[0]

    def grown(theta: Tensor) -> Tensor:
        point = {name: theta.reshape(1) for name in names}
        if is_difference:
            point[names[-1]] = torch.zeros_like(point[names[-1]])
        return model.predictor(point)[0] - rest

    return scale_where(grown, value, f"φ(θ) − φ(0) of {model.name}")


def _norms(design: Design, module: Any, data: dict[str, Tensor], plan: Plan, options: dict[str, Any]) -> Experiment:
    """Gradient descent with decay; the d = SIDE² coefficients are the entries of the predictor, row by row."""
    model = as_model(module)
    if design.mechanism != "weight_decay":
        raise CheckError(f"there is no training check of {design.of} for {design.mechanism}")
    if data["x"].shape[1] != SIDE**2:
        raise CheckError(f"the data have {data['x'].shape[1]} columns: the experiment lays out {SIDE**2} of them")
    unit = float(design.wanted.penalty(torch.ones((), dtype=torch.float64)))

    shapes = {name: bound_shape(f"parameter {name!r}", s, UNBOUND) for name, s in model.parameters.items()}

    def start(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: plan.start_deviation * torch.randn(*shape, generator=generator, dtype=torch.float64)
            for name, shape in shapes.items()
        }

    finished: Runs = train(
        module,
        matrix_regression,
        data,
        optimizer=GradientDescent(lr=plan.norm_lr, weight_decay=2 * plan.penalty / unit),
        steps=plan.steps,
        replicas=plan.replicas,
        initial=start,
        dtype=torch.float64,
        **options,
    )
    return Experiment((finished,), data)


def matrix_regression(prediction: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Half the squared residual of a linear model whose coefficients are a matrix, (R, g, k) row by row."""
    return linear_regression(prediction.flatten(1), batch)
