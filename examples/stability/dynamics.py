"""The predicted dynamics beside runs of a tanh network on digits: gradient descent, a batch size, and momentum.

    python examples/stability/dynamics.py [--folder results/dynamics] [--steps 150] [--seed 0] [--quick]

Each run is trained to where its sharpness nears the edge; what follows is predicted from the constrained trajectory.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from edge_cases import CASES, LOSSES

from numeric.comparison.verdict import jsonable
from numeric.reporting.figures import write_figure
from numeric.stability import Descent, Plan, predicted_dynamics, run_edge
from numeric.stability.picture import dynamics_picture

EDGE = 20.0


@dataclass(frozen=True)
class Run:
    """batch_size: None for gradient descent; before: steps up to where the prediction begins. The step is such that the
    edge is at `EDGE` whatever the momentum."""

    name: str
    batch_size: int | None
    before: int
    momentum: float = 0.0

    @property
    def descent(self) -> Descent:
        """How it is trained."""
        return Descent(2 * (1 + self.momentum) / EDGE, self.batch_size, self.momentum)


RUNS = (
    Run("gradient descent", None, 1000),
    Run("batches of 64", 64, 1500),
    Run("batches of 128, momentum 0.5", 128, 500, 0.5),
)


def main() -> None:
    """Train, predict, print how good the predictions are, and draw one figure for every run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("results/dynamics"))
    for name, value in (("--steps", 150), ("--seed", 0)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--quick", action="store_true", help="20 steps of training and 4 of prediction")
    options = parser.parse_args()
    steps = 4 if options.quick else options.steps
    case = CASES["digits, tanh, squared"]
    loss, data = LOSSES[case.loss], case.load()
    torch.set_num_threads(1)
    for run in RUNS:
        model = case.model(options.seed)
        before = 20 if options.quick else run.before
        plan = Plan(before, every=before, batches=0)
        start = run_edge(model, loss, data, run.descent, plan, seed=options.seed)
        found = predicted_dynamics(model, loss, data, run.descent, steps, seed=options.seed, start=start)
        print(f"{run.name}: {found.sentence}")
        folder = options.folder / run.name.replace(" ", "_").replace(",", "")
        print(write_figure("dynamics", dynamics_picture(found, f"tanh network on digits, {run.name}"), folder))
        (folder / "answer.json").write_text(json.dumps(jsonable(found.to_json()), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
