"""Seconds of a step of geodesic ascent against one of adaptive ascent, on MiniLM.

    pip install "symtheory[models]"
    python benchmarks/bench_geodesic.py [--json] [--threads N] [--pairs N] [--batches 64x1 64x3]

Both climb the same loss with the same Auto-PGD, in this process: one in the element-wise adaptive ball, one in the
geodesic ball of the attention blocks (order 2), with all encoder layers perturbed. Each pair times the two one after
the other, so that a change in the machine's load meets both; reported is the median over pairs of the ratio, with its
extremes. A batch 64x3 holds 64 texts of three sentences each.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from numeric.datasets.paraphrases import PAIRS
from numeric.models import load_minilm
from numeric.models.sentence_matching import sentence_matching
from numeric.sharpness import Objective
from numeric.sharpness.ascent import AutoPGD
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.blocks import attention_blocks
from numeric.sharpness.parameters import Point
from numeric.sharpness.perturbation.weighted_ball import WeightedBall
from numeric.sharpness.quotient import GeodesicBall

STEPS = 4
RADIUS = 0.1


def main() -> None:
    """Measure, and print a table or JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = [row for size in options.batches for row in measure(size, options.pairs)]
    if options.json:
        print(json.dumps({"machine": platform.processor(), "torch": torch.__version__, "rows": rows}, indent=2))
        return
    table = Table("batch", "tokens", "metric", "adaptive step (s)", "geodesic step (s)", "ratio", "from", "to")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)


def measure(size: str, pairs: int) -> list[dict[str, object]]:
    """Rows for both metrics at one size of batch."""
    count, length = map(int, size.split("x"))
    encoder, tokenizer = load_minilm()
    texts = [first for pair in PAIRS for first in pair]
    long = [" ".join(texts[(place + step) % len(texts)] for step in range(length)) for place in range(count)]
    model, data = sentence_matching(encoder, tokenizer, [(text, text) for text in long], batch=count)
    objective = Objective.of(model, nn.CrossEntropyLoss(), data, keep=lambda name: "encoder.layer" in name)
    point = objective.parameters
    batch = next(objective.batches())
    blocks = attention_blocks(model)
    adaptive = WeightedBall(point, RADIUS, "l2", dict(point))
    found: list[dict[str, object]] = []
    for metric in ("mixed", "invariant"):
        geodesic = GeodesicBall.of(point, blocks, RADIUS, metric=metric)
        starts = [ball.sample(torch.Generator().manual_seed(0)) for ball in (adaptive, geodesic)]
        times = []
        for number in range(pairs + 1):
            pair = [
                seconds(objective, ball, batch, start) for ball, start in zip((adaptive, geodesic), starts, strict=True)
            ]
            if number:  # the first pair warms up
                times.append(pair)
        ratios = [theirs / own for own, theirs in times]
        own, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        found.append(
            {
                "batch": size,
                "tokens": _tokens(batch),
                "metric": metric,
                "adaptive": own,
                "geodesic": theirs,
                "ratio": statistics.median(ratios),
                "least": min(ratios),
                "most": max(ratios),
            }
        )
    return found


def seconds(objective: Objective, ball: Ball, batch: Batch, start: Point) -> float:
    """Seconds of one step, the mean over one ascent."""
    begin = time.perf_counter()
    AutoPGD(STEPS)(objective, ball, batch, start)
    return (time.perf_counter() - begin) / STEPS


def _tokens(batch: Batch) -> int:
    ids: Tensor = batch.inputs["input_ids"]
    return ids.numel()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--batches", nargs="+", default=["32x1", "64x1", "64x3"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
