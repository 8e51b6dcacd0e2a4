"""Time of a step of worst-case sharpness against one plain forward+backward pass, and a step in the published manner.

    python benchmarks/bench_ascent.py [--pairs N] [--batch N] [--model TEXT] [--json]

A perceptron of 1M parameters and a transformer of two layers, float32, one thread. Each pair times 20 plain gradients,
one ascent of 20 steps with its bookkeeping and last forward pass, and, for l2, 10 steps in the published manner,
one after the other, on the processor clock of the one thread: other load on the machine counts little. Reported is the
median over pairs of the ratio, with the extremes. --batch scales the samples: the step's own work does not depend on
them, so its share falls with larger batches.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import time
from typing import Any

import torch
from ascent_baselines import LOSS, plain_seconds, published_seconds
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from numeric.sharpness import Objective
from numeric.sharpness.ascent import AutoPGD
from numeric.sharpness.parameters import count
from numeric.sharpness.perturbation.adaptive import adaptive_weights
from numeric.sharpness.perturbation.weighted_ball import WeightedBall
from numeric.sharpness.walk import Walk

STEPS, PUBLISHED_STEPS, RADIUS = 20, 10, {"l2": 0.1, "linf": 1e-3}
VARIANTS = [("l2", "none"), ("l2", "element"), ("l2", "filter"), ("linf", "none"), ("linf", "element")]
Row = dict[str, Any]


class Classifier(nn.Module):
    """Two transformer layers over 32 tokens of 64 numbers, mean over tokens, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
        self.embed, self.head = nn.Linear(64, 128), nn.Linear(128, 10)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x)).mean(dim=1))


def problems(batch: int) -> list[tuple[str, nn.Module, tuple[Tensor, Tensor]]]:
    """Title, model and one batch; the transformer sees a quarter of the samples, 32 tokens each."""
    torch.manual_seed(0)
    widths = (784, 760, 512)
    hidden = [part for pair in itertools.pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
    perceptron, transformer = nn.Sequential(*hidden, nn.Linear(512, 10)), Classifier()
    few = max(batch // 4, 1)
    return [
        (f"perceptron, batch {batch}", perceptron, (torch.randn(batch, 784), torch.randint(10, (batch,)))),
        (f"transformer, batch {few}", transformer, (torch.randn(few, 32, 64), torch.randint(10, (few,)))),
    ]


def ascent_seconds(objective: Objective, ball: WeightedBall, walk: Walk, steps: int) -> float:
    """Seconds for one step of the ascent with its bookkeeping and last forward pass; the start is drawn before."""
    (batch,) = objective.batches()
    start = ball.sample(torch.Generator().manual_seed(0))
    begin = time.process_time()
    AutoPGD(steps)(objective, ball, batch, start, walk)
    return (time.process_time() - begin) / steps


def measure(title: str, model: nn.Module, data: tuple[Tensor, Tensor], norm: Any, adaptive: Any, pairs: int) -> Row:
    """One row: milliseconds of a plain gradient, and the ratios."""
    model.train()  # in eval mode the encoder leaves for a kernel without derivatives; there is no dropout
    objective = Objective.of(model, LOSS, data)
    ball = WeightedBall(objective.parameters, RADIUS[norm], norm, adaptive_weights(objective.parameters, adaptive))
    walk, clock, manner = ball.walk(), time.process_time, adaptive == "element"
    compared = norm == "l2" and adaptive != "filter"
    plain_seconds(model, data, clock, 3)
    ascent_seconds(objective, ball, walk, 3)
    plain, own, published = [], [], []
    for _ in range(pairs):
        plain.append(plain_seconds(model, data, clock, STEPS))
        own.append(ascent_seconds(objective, ball, walk, STEPS))
        if compared:
            seconds = published_seconds(model, data, clock, steps=PUBLISHED_STEPS, radius=RADIUS[norm], adaptive=manner)
            published.append(seconds)
    return {
        "model": title,
        "parameters": count(objective.parameters),
        "norm": norm,
        "adaptive": adaptive,
        "plain_ms": 1e3 * statistics.median(plain),
        "step": _ratios(own, plain),
        "published_step": _ratios(published, plain) if compared else None,
    }


def _ratios(times: list[float], plain: list[float]) -> dict[str, float]:
    ratios = [one / other for one, other in zip(times, plain, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def table(rows: list[Row]) -> Table:
    """The rows for a reader."""
    result = Table(title="time of a step over time of a plain forward+backward pass: median (extremes) over pairs")
    for heading in ("model", "parameters", "norm", "adaptive", "plain ms", "a step", "published manner"):
        result.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows:
        ratios = [
            f"{each['median']:.2f} ({each['low']:.2f}–{each['high']:.2f})" if each else ""
            for each in (row["step"], row["published_step"])
        ]
        plain = f"{row['plain_ms']:.2f}"
        result.add_row(row["model"], f"{row['parameters']:,}", row["norm"], row["adaptive"], plain, *ratios)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=9, help="timed pairs for each row")
    parser.add_argument("--batch", type=int, default=256, help="samples of the perceptron's batch")
    parser.add_argument("--model", default="", help="only models whose title contains this text")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(*problem, norm, adaptive, options.pairs)
        for problem in problems(options.batch)
        if options.model in problem[0]
        for norm, adaptive in VARIANTS
    ]
    if options.json:
        print(json.dumps({"torch": torch.__version__, "python": platform.python_version(), "rows": rows}, indent=2))
    else:
        Console().print(table(rows))


if __name__ == "__main__":
    main()
