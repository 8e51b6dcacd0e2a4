"""Forty small vision transformers on handwritten digits: which measures of sharpness rank their generalization?

python examples/sharpness/vision_transformers.py

Trains the population in parallel (16 tokens, width 32, 2 layers, 2 heads; step size, batch size, weight decay,
augmentation and dropout drawn at random), measures every member, and reports Kendall's τ with the generalization gap
and the test error, with intervals over models, an ablation, and the matrix of correlations between measures. Models
and measurements stay in the output folder; a run that was cut off goes on. About 8 minutes of
processor time, so 4 on two quiet cores.

Sign: τ > 0 where sharper models generalize worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from ablation import SecondOrderOnly
from measuring import correlation_matrix, correlations, measure_population, orbit_changes, point_of, table
from networks import VisionTransformer
from population import Recipe, Schedule, losses, train_population
from study import Findings, Options, main
from torch import nn
from torch.func import stack_module_state

from numeric.comparison import RankCorrelation
from numeric.datasets import digits
from numeric.sharpness import Measure, Objective, Value
from numeric.sharpness.blocks import attention_blocks
from numeric.sharpness.fisher.sharpness import FisherSharpness
from numeric.sharpness.flatness.relative_flatness import RelativeFlatness
from numeric.sharpness.gradient_noise.batch_sharpness import BatchSharpness
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues
from numeric.sharpness.hessian.trace import HessianTrace
from numeric.sharpness.measure import Move
from numeric.sharpness.parameters import norm
from numeric.sharpness.perturbation.average import Average
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient.geodesic import Geodesic

FIT = "training loss"
CONDITION = 10.0  # of the group elements along whose orbit the change is measured


@dataclass(frozen=True)
class Sizes:
    """members; train: images; epochs; sample: training images that measures see, in batches of `batch`; moved: members
    whose change along an orbit is measured."""

    members: int = 40
    train: int = 500
    epochs: int = 30
    sample: int = 128
    batch: int = 64
    moved: int = 2


QUICK = Sizes(members=5, train=64, epochs=2, sample=32, batch=16, moved=1)


def study(options: Options) -> Findings:
    """Kendall's τ of every measure with generalization, over a population of vision transformers."""
    sizes = QUICK if options.quick else Sizes()
    training, test = digits(sizes.train, seed=options.seed)
    recipes = drawn(sizes.members, options.seed)
    schedule = Schedule("adamw", sizes.epochs, cosine=True)
    build = QuickTransformer if options.quick else VisionTransformer
    models = train_population(build, recipes, training, schedule, options.folder / "models", options.workers)
    state, _ = stack_module_state(models)
    base = models[0].train()  # no dropout of its own; in training mode attention takes no shortcut that vmap lacks
    (fit, fit_error), (loss, error) = (losses(base, state, part) for part in (training, test))
    targets = {"gap in loss": loss - fit, "gap in error": error - fit_error, "test error": error}
    batches = [
        (training["x"][k : k + sizes.batch], training["y"][k : k + sizes.batch])
        for k in range(0, sizes.sample, sizes.batch)
    ]
    records = measure_population(
        models,
        batches,
        quick_measures if options.quick else measures,
        options.folder / "measures",
        setting=f"{asdict(sizes)} seed {options.seed}",
        move=along_orbit,
        moved=sizes.moved,
        seed=options.seed,
        workers=options.workers,
    )
    values = table(records)
    plain = {
        "norm of the parameters": np.array([float(norm(point_of(model))) for model in models]),
        FIT: fit.double().numpy(),
        "η over B": np.array([recipe.lr / recipe.batch_size for recipe in recipes]),
    }
    everything = {**values, **plain}
    tau = {name: correlations(everything, target.tolist()) for name, target in targets.items()}
    # Members that fit less have a smaller gap, whatever their sharpness: so also with the training loss held fixed.
    fixed = {label: column for label, column in everything.items() if label != FIT}
    tau |= {"gap in loss, fit fixed": correlations(fixed, targets["gap in loss"].tolist(), everything[FIT].tolist())}
    changes = orbit_changes(records)
    return Findings(
        title="Vision transformers on digits: sharpness and generalization",
        setting=f"{sizes.members} transformers, {sizes.train} training images, {sizes.epochs} epochs of AdamW; "
        f"measured on {sizes.sample} training images in batches of {sizes.batch}",
        correlations=tau,
        notes=(
            f"training loss {_span(fit)}, test loss {_span(loss)}, test error {_span(error)}",
            "largest change along orbits of the attention heads (condition "
            f"{CONDITION:g}): " + ", ".join(f"{label} {change:.2g}" for label, change in changes.items()),
            *_failures(records),
        ),
        figures=_figures(everything, tau, {name: target.double().numpy() for name, target in targets.items()}),
        measured={
            "values": {label: column.tolist() for label, column in everything.items()},
            "targets": {name: target.tolist() for name, target in targets.items()},
            "recipes": [asdict(recipe) for recipe in recipes],
            "change_along_orbit": changes,
        },
    )


class QuickTransformer(VisionTransformer):
    """A smaller one, of one layer."""

    def __init__(self) -> None:
        super().__init__(width=8, heads=2, layers=1)


def drawn(members: int, seed: int) -> list[Recipe]:
    """Recipes with independent random settings: step size log-uniform, the others from a few values each."""
    rng = np.random.default_rng(seed)
    return [
        Recipe(
            lr=float(np.exp(rng.uniform(math.log(8e-4), math.log(8e-3)))),
            batch_size=int(rng.choice([16, 32, 64])),
            weight_decay=float(rng.choice([0.0, 0.03, 0.3])),
            shift=float(rng.choice([0.0, 0.25, 0.5])),
            dropout=float(rng.choice([0.0, 0.1, 0.2])),
            seed=1000 * seed + k,
        )
        for k in range(members)
    ]


def measures(model: nn.Module) -> Mapping[str, Measure]:
    """Every measure, by the label of figures and tables."""
    return _measures(model, steps=20)


def quick_measures(model: nn.Module) -> Mapping[str, Measure]:
    """The same with few steps."""
    return _measures(model, steps=2)


def along_orbit(model: nn.Module) -> Move:
    """A random change of basis of every attention head."""
    return attention_blocks(model).move(0, CONDITION)


def _measures(model: nn.Module, steps: int) -> Mapping[str, Measure]:
    blocks = attention_blocks(model)
    found: dict[str, Measure] = {
        "λ_max of the Hessian": TopEigenvalues(),
        "trace of the Hessian": HessianTrace(probes=max(steps, 6)),
        "tr(F⁺H)": OnFewer(FisherSharpness(probes=steps), FEW),
        "relative flatness": RelativeFlatness(),
        "batch sharpness": BatchSharpness(batch_size=16),
        "average, plain": Average(0.01, pairs=5),
        "average, adaptive": Average(0.1, adaptive="element", pairs=5),
        "worst case, plain": WorstCase(0.2, steps=steps),
        "worst case, adaptive": WorstCase(ADAPTIVE, adaptive="element", steps=steps),
        "worst case, adaptive by filter": WorstCase(0.25, adaptive="filter", steps=steps),
        "worst case, adaptive, unit logits": WorstCase(
            ADAPTIVE, adaptive="element", logit_normalized=True, steps=steps
        ),
        "worst case, adaptive ℓ∞": WorstCase(0.02, norm="linf", adaptive="element", steps=steps),
    }
    for metric, radius in RADII.items():
        found |= {
            f"geodesic {metric}": Geodesic(blocks, radius, metric, 2, steps=steps),
            f"geodesic {metric}, norm only": Geodesic(blocks, radius, metric, 1, steps=steps),
            f"geodesic {metric}, bending only": SecondOrderOnly(blocks, ADAPTIVE, metric, steps),
        }
    return found


# Radii fixed beforehand on models of another seed: the loss rises by about a half, so that the balls compare.
ADAPTIVE, RADII = 0.8, {"invariant": 0.2, "mixed": 0.2}
FEW = 32  # images for the Fisher information: its rank is nine times as many


@dataclass(frozen=True)
class OnFewer:
    """A measure on the first `samples` samples of the first batch, for one that costs too much on more."""

    measure: Measure
    samples: int

    @property
    def name(self) -> str:
        return self.measure.name

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        batch = next(objective.batches()).select(slice(self.samples))
        return self.measure(replace(objective, data=[(batch.inputs, batch.target)]), generator)


def _span(values: torch.Tensor) -> str:
    low, middle, high = (float(values.quantile(q)) for q in (0.0, 0.5, 1.0))
    return f"{low:.3g} to {high:.3g} (median {middle:.3g})"


def _failures(records: list[dict[str, dict[str, object]]]) -> list[str]:
    missing = {label: sum(record[label]["value"] is None for record in records) for label in records[0]}
    return [f"{label}: no value for {count} members" for label, count in missing.items() if count]


def _figures(
    values: Mapping[str, np.ndarray],
    tau: Mapping[str, Mapping[str, RankCorrelation]],
    targets: Mapping[str, np.ndarray],
) -> tuple[tuple[str, dict[str, object]], ...]:
    names = [label for label in values if all(label in rows for rows in tau.values())] + [FIT]
    intervals = {
        "names": names,
        "series": {
            target: {
                "middle": np.array([rows[label].tau if label in rows else np.nan for label in names]),
                "low": np.array([rows[label].low if label in rows else np.nan for label in names]),
                "high": np.array([rows[label].high if label in rows else np.nan for label in names]),
            }
            for target, rows in tau.items()
        },
        "title": "Vision transformers on digits: rank correlation of every measure with generalization",
        "xlabel": "Kendall's τ with 95 % interval over models (dimensionless)",
    }
    together = {**{label: values[label] for label in names}, **targets}
    matrix = {
        "names": list(together),
        "matrix": np.array(correlation_matrix(together)),
        "title": "Vision transformers on digits: Kendall's τ between measures, and with generalization",
    }
    first = next(iter(targets))
    shown = (
        "worst case, plain",
        "worst case, adaptive",
        "λ_max of the Hessian",
        "geodesic invariant",
        "geodesic mixed",
    )
    scatter = {
        "panels": {
            label: {"x": values[label], "y": targets[first], "label": f"τ = {tau[first][label]}"}
            for label in shown
            if label in tau[first]
        },
        "title": f"Vision transformers on digits: sharpness and {first}",
        "ylabel": f"{first} (dimensionless)",
        "logarithmic": "both",
    }
    return (("intervals", intervals), ("correlations", matrix), ("scatter", scatter))


if __name__ == "__main__":
    main(study, "vision_transformers")
