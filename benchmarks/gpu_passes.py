"""What sharpness measures and ensembles cost on a GPU: time in passes, and peak memory in gradients.

    python benchmarks/gpu_passes.py [--device cuda] [--pairs N] [--small] [--json]

Two models in float32, with random data: a tanh perceptron of a million parameters, and a BERT of MiniLM's sizes (22M
parameters, 6 layers, 12 heads) with its own random weights. One unit is loss and gradient on the same batch. Each pair
times units, the method and units again, the device waited for before the clock is read; reported is the median over
pairs, with its extremes. Memory is what the method's peak lies above what was allocated before, in units of one
gradient (4 bytes a parameter); that of the unit itself, mostly activations, stands beside it. Last, 256 and 4096
replicas of the models of bench_ensembles.py are trained against its plain loop of one run. --device cpu and --small
try the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from bench_ensembles import ensemble_seconds, plain_seconds
from ensemble_problems import Problem, problems
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from numeric.models.bert import Bert, BertSizes
from numeric.sharpness import Objective
from numeric.sharpness.ascent import AutoPGD
from numeric.sharpness.ball import Ball
from numeric.sharpness.blocks import attention_blocks
from numeric.sharpness.hessian.eigenvalues import lambda_max
from numeric.sharpness.parameters import count, scaled
from numeric.sharpness.perturbation.weighted_ball import WeightedBall
from numeric.sharpness.quotient import GeodesicBall
from numeric.stability import Descent, measure_edge, third_order

Row = dict[str, Any]
Work = Callable[[], object]
RADIUS, STEPS = 0.1, 6


class Sentences(nn.Module):
    """A BERT with a readout of ten classes."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.encoder, self.out = Bert(sizes), nn.Linear(sizes.hidden_size, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.out(self.encoder(tokens, torch.ones_like(tokens)))
        return logits


class Bench:
    """Times work on one device."""

    def __init__(self, device: str, pairs: int) -> None:
        self.device, self.pairs = torch.device(device), pairs

    def clock(self) -> float:
        """Seconds, once the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def seconds(self, work: Work, times: int = 1) -> float:
        """Of one call, the mean over several."""
        begin = self.clock()
        for _ in range(times):
            work()
        return (self.clock() - begin) / times

    def peak(self, work: Work) -> float | None:
        """Bytes by which the peak lies above what was allocated before; None where torch does not count them."""
        if self.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before

    def row(self, model: str, method: str, work: Work, unit: Work, gradient: float, per: float = 1.0) -> Row:
        """Of a method that takes `per` steps; gradient: bytes of one."""
        work()
        ratios = []
        for _ in range(self.pairs):
            around = self.seconds(unit, 10)
            spent = self.seconds(work)
            around += self.seconds(unit, 10)
            ratios.append(2 * spent / around / per)
        peaks = {name: self.peak(each) for name, each in (("method", work), ("unit", unit))}
        return {
            "model": model,
            "method": method,
            "unit_ms": 1e3 * self.seconds(unit, 10),
            **{"units": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
            "gradients": {name: None if peak is None else peak / gradient for name, peak in peaks.items()},
        }


def models(bench: Bench, small: bool) -> dict[str, Objective]:
    """Title -> objective on one batch."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    width, batch, length = (32, 16, 8) if small else (800, 4096, 128)
    perceptron = nn.Sequential(
        nn.Linear(512, width), nn.Tanh(), nn.Linear(width, width - 10), nn.Tanh(), nn.Linear(width - 10, 10)
    )
    sizes = BertSizes(100, 24, 2, 2, 48) if small else BertSizes(30522, 384, 6, 12, 1536)
    texts = max(batch // 64, 4)
    tokens = torch.randint(0, sizes.vocab_size, (texts, length), generator=generator)
    data = {
        f"perceptron, {batch} samples": (perceptron, torch.randn(batch, 512, generator=generator)),
        f"BERT, {texts} texts of {length} tokens": (Sentences(sizes).eval(), tokens),
    }
    found = {}
    for title, (model, inputs) in data.items():
        target = torch.randint(0, 10, (len(inputs),), generator=generator)
        found[title] = Objective.of(
            model.to(bench.device), cross_entropy, (inputs.to(bench.device), target.to(bench.device))
        )
    return found


def passes(bench: Bench, title: str, objective: Objective) -> list[Row]:
    """λ_max, the measurement at the edge, and steps of adaptive and geodesic ascent."""
    (batch,) = objective.batches()
    point = objective.parameters
    gradient = float(count(point) * objective.dtype.itemsize)

    def unit() -> object:
        return objective.gradient(point, batch)

    def climb(ball: Ball) -> Work:
        start = ball.sample(torch.Generator(objective.device).manual_seed(0))
        return lambda: AutoPGD(STEPS)(objective, ball, batch, start)

    how, descent = third_order(objective), Descent(0.05)
    generator = torch.Generator(objective.device).manual_seed(0)
    start = measure_edge(objective, how, generator, descent.edge).vectors
    _, moved, _ = descent.step(objective, batch, point, scaled(point, 0.0))
    after = objective.at(moved)
    methods: dict[str, tuple[Work, float]] = {
        "λ_max to 1e-3": (lambda: lambda_max(objective.model, cross_entropy, objective.data), 1.0),
        "measurement at the edge, warm": (lambda: measure_edge(after, how, generator, descent.edge, start=start), 1.0),
        "step of adaptive ascent": (climb(WeightedBall(point, RADIUS, "l2", dict(point))), STEPS),
    }
    if title.startswith("BERT"):
        for metric in ("mixed", "invariant"):
            ball = GeodesicBall.of(point, attention_blocks(objective.model), RADIUS, metric=metric)
            methods[f"step of geodesic ascent, {metric}"] = (climb(ball), STEPS)
    return [bench.row(title, name, work, unit, gradient, per) for name, (work, per) in methods.items()]


def ensembles(bench: Bench, small: bool) -> list[Row]:
    """Replica-steps per second over those of the plain loop of one run, step by step in eager torch."""
    rows = []
    for problem in problems():
        here = _on(problem, bench.device)
        plain_seconds(here, bench.clock, 20)
        alone = plain_seconds(here, bench.clock, 50 if small else 300)
        for replicas in (16,) if small else (256, 4096):
            ensemble_seconds(here, bench.clock, 16, "eager", replicas, bench.device)
            step, _ = ensemble_seconds(here, bench.clock, 34 if small else 200, "eager", replicas, bench.device)
            rows.append(
                {"model": problem.title, "replicas": replicas, "ratio": replicas * alone / step, "step_us": 1e6 * step}
            )
    return rows


def _on(problem: Problem, device: torch.device) -> Problem:
    def plain() -> nn.Module:
        return problem.plain().to(device)

    return replace(problem, plain=plain, data={name: leaf.to(device) for name, leaf in problem.data.items()})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs for each row")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    bench = Bench(options.device, options.pairs)
    rows = [row for title, each in models(bench, options.small).items() for row in passes(bench, title, each)]
    trained = ensembles(bench, options.small)
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "cpu"
    if options.json:
        print(json.dumps({"torch": torch.__version__, "device": name, "passes": rows, "ensembles": trained}, indent=2))
        return
    console = Console(width=max(140, Console().width))
    console.print(_passes_table(rows, name), _ensembles_table(trained))


def _passes_table(rows: list[Row], device: str) -> Table:
    result = Table(title=f"{device}, torch {torch.__version__}")
    for heading in ("model", "method", "unit ms", "units", "lowest – highest", "gradients at peak", "of a unit"):
        result.add_column(heading)
    for row in rows:
        gradients = ["" if each is None else f"{each:.1f}" for each in row["gradients"].values()]
        numbers = (f"{row['unit_ms']:.2f}", f"{row['units']:.2f}", f"{row['least']:.2f} – {row['most']:.2f}")
        result.add_row(row["model"], row["method"], *numbers, *gradients)
    return result


def _ensembles_table(rows: list[Row]) -> Table:
    result = Table("model", "replicas", "replica-steps over those of a plain loop", "µs a step")
    for row in rows:
        result.add_row(row["model"], f"{row['replicas']:,}", f"{row['ratio']:,.0f}", f"{row['step_us']:.0f}")
    return result


if __name__ == "__main__":
    main()
