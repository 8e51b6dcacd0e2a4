"""Fisher–Riemannian sharpness of perceptrons and convolutional networks on digits (Ahmed et al. 2606.20469).

python examples/sharpness/digit_networks.py

Trains both populations by plain SGD with random step and batch sizes to one training loss, and asks whether
S_R = tr(F⁺H) follows generalization, beside η/B and plain measures. Then the rescaling attack: hidden units are scaled,
which leaves every function as it is, by the factor that makes the trace of the Hessian a hundred times as large. Models
and measurements stay in the output folder; a run that was cut off goes on. About 10 minutes of processor time, so 5 on
two quiet cores.

Sign: τ > 0 where sharper models generalize worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from measuring import Batches, Table, correlations, measure_population, orbit_changes, table
from networks import Convolutional, Perceptron
from population import Recipe, Schedule, losses, train_population
from scipy.optimize import brentq
from study import Findings, Options, main
from torch import nn
from torch.func import stack_module_state
from torch.nn import functional

from numeric.comparison import RankCorrelation, rank_correlation
from numeric.datasets import digits
from numeric.sharpness import Measure, Objective, Value
from numeric.sharpness.fisher.sharpness import FisherSharpness
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.trace import HessianTrace
from numeric.sharpness.measure import Move
from numeric.sharpness.parameters import Point
from numeric.sharpness.perturbation.worst_case import WorstCase

ATTACK = 100.0  # what the trace of the Hessian is multiplied with
PROBES = 60
S_R, TRACE = "S_R = tr(F⁺H)", "trace of the Hessian"


class SmallPerceptron(Perceptron):
    """967 parameters: fewer than the numbers the network puts out for the measured images, see `study`."""

    def __init__(self) -> None:
        super().__init__(width=11)


class SmallConvolutional(Convolutional):
    """920 parameters."""

    def __init__(self) -> None:
        super().__init__(channels=5)


@dataclass(frozen=True)
class Sizes:
    """members, and how many of them are attacked, of each kind; train: images; sample: those that measures see."""

    members: int = 24
    train: int = 500
    epochs: int = 200
    sample: int = 256
    attacked: int = 4
    target_loss: float = 0.05


QUICK = Sizes(members=5, train=60, epochs=3, sample=20, attacked=1, target_loss=10.0)
KINDS: dict[str, Callable[[], nn.Module]] = {"perceptrons": SmallPerceptron, "convolutional": SmallConvolutional}


def study(options: Options) -> Findings:
    """Kendall's τ of tr(F⁺H) and of η/B with generalization, and what a rescaling does to them.

    The sample has sample·9 > D free outputs. With fewer the range of F is all that the outputs can do, and S_R knows
    the probabilities p_i of the training labels alone, Σ (1/(2p_i) + (k − 2)/2) for k classes: the curvature of −log p
    on the sphere that Fisher's metric makes of the simplex.
    """
    sizes = QUICK if options.quick else Sizes()
    training, test = digits(sizes.train, seed=options.seed)
    batches: Batches = [(training["x"][: sizes.sample].double(), training["y"][: sizes.sample])]
    recipes = drawn(sizes.members, options.seed)
    schedule = Schedule("sgd", sizes.epochs, target_loss=sizes.target_loss)
    found: dict[str, dict[str, RankCorrelation]] = {}
    notes, panels, attacks = [], {}, {}
    for kind, build in KINDS.items():
        models = train_population(build, recipes, training, schedule, options.folder / kind, options.workers)
        state, _ = stack_module_state(models)
        (fit, _), (loss, error) = (losses(models[0], state, part) for part in (training, test))
        records = measure_population(
            [model.double() for model in models],
            batches,
            measures,
            options.folder / f"{kind}_measures",
            setting=f"{asdict(sizes)} seed {options.seed}",
            move=Attack(batches),
            moved=sizes.attacked,
            seed=options.seed,
            workers=options.workers,
        )
        reached = (fit <= 1.01 * sizes.target_loss).numpy()
        values = _chosen(table(records) | _details(records) | _settings(recipes, fit), reached)
        gap, failures = (np.asarray(part.double())[reached] for part in (loss - fit, error))
        found[f"gap in loss, {kind}"] = correlations(values, gap)
        found[f"test error, {kind}"] = correlations(values, failures)
        changes = orbit_changes(records)
        attacks[kind] = changes
        notes += _notes(kind, values, gap, failures, reached, changes)
        panels |= _panels(kind, values, gap, found[f"gap in loss, {kind}"])
    return Findings(
        title="Digits: Fisher–Riemannian sharpness, η/B and generalization",
        setting=f"{sizes.members} perceptrons and {sizes.members} convolutional networks, {sizes.train} training "
        f"images, SGD to a training loss of {sizes.target_loss:g}; measured on {sizes.sample} of them in float64",
        correlations=found,
        notes=tuple(notes),
        figures=_figures(found, panels),
        measured={"attack": attacks, "recipes": [asdict(recipe) for recipe in recipes]},
    )


def drawn(members: int, seed: int) -> list[Recipe]:
    """Recipes with log-uniform step size, 0.03 to 0.4, and independent batch size."""
    rng = np.random.default_rng(seed)
    return [
        Recipe(
            lr=float(np.exp(rng.uniform(math.log(0.03), math.log(0.4)))),
            batch_size=int(rng.choice([8, 16, 32])),
            seed=1000 * seed + k,
        )
        for k in range(members)
    ]


def measures(model: nn.Module) -> Mapping[str, Measure]:
    """S_R and what it is compared with, by the label of figures and tables."""
    return {
        S_R: FisherSharpness(),
        TRACE: HessianTrace(PROBES, "hutchinson"),
        "λ_max of the Hessian": TopEigenvalues(),
        "worst case, adaptive": WorstCase(0.3, adaptive="element"),
    }


@dataclass(frozen=True)
class Attack:
    """model -> its rescaling: the first layer times α and the second over α, with tr ∇²L times ATTACK."""

    batches: Batches

    def __call__(self, model: nn.Module) -> Move:
        objective = Objective.of(model, functional.cross_entropy, self.batches)
        before = _trace(objective)

        def excess(logarithm: float) -> float:
            moved = _rescaled(objective.parameters, math.exp(logarithm))
            return math.log(_trace(objective.at(moved)).value / before.value / ATTACK)

        # The trace grows like α² or α^-2 once one layer dominates, so the answer lies well within.
        factor = math.exp(brentq(excess, 0.0, 6.0, xtol=1e-6))
        return lambda point: _rescaled(point, factor)


def _trace(objective: Objective) -> Value:
    """With the same probes at every call, so that it is a smooth function of the point."""
    return HessianTrace(PROBES, "hutchinson")(objective, torch.Generator().manual_seed(0))


def _rescaled(point: Point, factor: float) -> Point:
    """ReLU units and channels of the first layer times `factor`, what reads them over it: the same function."""
    scales = {"first.weight": factor, "first.bias": factor, "second.weight": 1 / factor}
    return {name: scales.get(name, 1.0) * leaf for name, leaf in point.items()}


def _details(records: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]]) -> Table:
    ranks = np.array([record[S_R]["details"]["rank"] for record in records], dtype=np.float64)
    effective = np.array([record[S_R]["details"]["effective_rank"] for record in records])
    return {"rank of F": ranks, "effective rank of F": effective}


def _settings(recipes: Sequence[Recipe], fit: torch.Tensor) -> Table:
    ratio = np.array([recipe.lr / recipe.batch_size for recipe in recipes])
    return {"η over B": ratio, "training loss": fit.double().numpy()}


def _chosen(values: Table, rows: np.ndarray) -> Table:
    return {label: column[rows] for label, column in values.items()}


def _notes(
    kind: str,
    values: Table,
    gap: np.ndarray,
    failures: np.ndarray,
    reached: np.ndarray,
    changes: Mapping[str, float],
) -> list[str]:
    sharpness, ratio = values[S_R], values["η over B"]
    attack = ", ".join(f"{label} {change:.2g}" for label, change in changes.items())
    lines = [
        f"{kind}: {int(reached.sum())} of {len(reached)} reached the loss; gap {gap.min():.3g} to {gap.max():.3g}, "
        f"test error {failures.min():.3g} to {failures.max():.3g}; S_R {np.nanmin(sharpness):.4g} to "
        f"{np.nanmax(sharpness):.4g} at ranks {values['rank of F'].min():.0f} to {values['rank of F'].max():.0f}",
        f"{kind}, rescaled so that tr ∇²L grows {ATTACK:g} times: relative changes {attack}",
    ]
    if np.isfinite(sharpness).all() and len(gap) >= 4:
        lines += [
            f"{kind}: τ(S_R, η/B) = {rank_correlation(sharpness, ratio)}; "
            f"τ(S_R, gap) at fixed η/B = {rank_correlation(sharpness, gap, given=ratio)}; "
            f"τ(η/B, gap) at fixed S_R = {rank_correlation(ratio, gap, given=sharpness)}"
        ]
    return lines


def _panels(kind: str, values: Table, gap: np.ndarray, tau: Mapping[str, RankCorrelation]) -> dict[str, object]:
    return {
        f"{label}, {kind}": {"x": values[label], "y": gap, "label": f"τ = {tau[label]}"}
        for label in (S_R, "η over B", TRACE)
        if label in tau
    }


def _figures(
    found: Mapping[str, Mapping[str, RankCorrelation]], panels: Mapping[str, object]
) -> tuple[tuple[str, dict[str, object]], ...]:
    names = [label for label in next(iter(found.values())) if all(label in rows for rows in found.values())]
    intervals = {
        "names": names,
        "series": {
            target: {
                "middle": np.array([rows[label].tau for label in names]),
                "low": np.array([rows[label].low for label in names]),
                "high": np.array([rows[label].high for label in names]),
            }
            for target, rows in found.items()
        },
        "title": "Digits: rank correlation with generalization",
        "xlabel": "Kendall's τ with 95 % interval over models (dimensionless)",
    }
    scatter = {
        "panels": panels,
        "title": "Digits: S_R, η/B and the generalization gap",
        "ylabel": "gap in loss (dimensionless)",
    }
    return (("scatter", scatter), ("intervals", intervals))


if __name__ == "__main__":
    main(study, "digit_networks")
