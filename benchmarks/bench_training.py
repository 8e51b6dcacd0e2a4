"""Replica-steps per second of an ensemble against a plain torch.nn loop over one run of the same model.

    python benchmarks/bench_training.py [--json] [--threads N] [--pairs N]

The model is linear regression through w = u ⊙ v, d = 64 coefficients, n = 40 samples, one sample a step, fresh label
noise. Both sides train it with SGD of the same step size in the same process. Each pair times the loop and the
ensemble one after the other, so that a change in the machine's load meets both; reported is the median over pairs of
the ratio, with its extremes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from types import SimpleNamespace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import numeric

COEFFICIENTS, SAMPLES, LR, LABEL_NOISE = 64, 40, 1e-3, 0.5
REPLICAS = (1, 16, 256, 4096)
PLAIN_STEPS = 1500
# Multiples of 512, the block of noise drawn at once, so that no numbers are drawn in vain.
ENSEMBLE_STEPS = {1: 1536, 16: 1536, 256: 1536, 4096: 512}

HADAMARD = SimpleNamespace(
    NAME="hadamard",
    PARAMETERS={"u": (COEFFICIENTS,), "v": (COEFFICIENTS,)},
    INPUTS={},
    predictor=lambda point: point["u"] * point["v"],
)


class PlainHadamard(torch.nn.Module):
    """The same model as people write it: two parameters and a forward pass."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.u, self.v = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v)


def problem(dtype: torch.dtype) -> tuple[dict[str, Tensor], Tensor]:
    """Data and the common starting vector."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, COEFFICIENTS, generator=generator, dtype=dtype)
    return {"x": x, "y": x[:, 0].clone()}, torch.full((COEFFICIENTS,), 0.3, dtype=dtype)


def plain_seconds(dtype: torch.dtype) -> float:
    """Seconds for one step of one run in the plain loop."""
    data, start = problem(dtype)
    model = PlainHadamard(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    generator = torch.Generator().manual_seed(1)
    begin = time.perf_counter()
    for _ in range(PLAIN_STEPS):
        index = torch.randint(SAMPLES, (1,), generator=generator)
        noise = torch.randn(1, generator=generator, dtype=dtype)
        loss = (0.5 * (model(data["x"][index]) - data["y"][index] - LABEL_NOISE * noise) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - begin) / PLAIN_STEPS


def ensemble_seconds(replicas: int, dtype: torch.dtype) -> float:
    """Seconds for one replica-step of the ensemble, preparation included."""
    data, start = problem(dtype)
    begin = time.perf_counter()
    numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.SGD(lr=LR, batch_size=1, label_noise=LABEL_NOISE),
        steps=ENSEMBLE_STEPS[replicas],
        replicas=replicas,
        initial={"u": start, "v": start},
        progress=False,
    )
    return (time.perf_counter() - begin) / (ENSEMBLE_STEPS[replicas] * replicas)


def measure(pairs: int) -> list[dict[str, float | int | str]]:
    """One row for each dtype and number of replicas."""
    rows: list[dict[str, float | int | str]] = []
    for dtype in (torch.float32, torch.float64):
        plain_seconds(dtype), ensemble_seconds(1, dtype)  # warm up
        for replicas in REPLICAS:
            plain, ensemble = zip(
                *((plain_seconds(dtype), ensemble_seconds(replicas, dtype)) for _ in range(pairs)), strict=True
            )
            ratios = [a / b for a, b in zip(plain, ensemble, strict=True)]
            rows.append(
                {
                    "dtype": str(dtype).removeprefix("torch."),
                    "replicas": replicas,
                    "plain_per_second": 1 / statistics.median(plain),
                    "ensemble_per_second": 1 / statistics.median(ensemble),
                    "ratio": statistics.median(ratios),
                    "ratio_low": min(ratios),
                    "ratio_high": max(ratios),
                }
            )
    return rows


def table(rows: list[dict[str, float | int | str]]) -> Table:
    """The rows for a reader."""
    result = Table(title="replica-steps per second, w = u ⊙ v, d = 64, n = 40, batch 1, label noise")
    for heading in ("dtype", "replicas", "plain torch.nn loop", "numeric.train", "ratio", "lowest – highest"):
        result.add_column(heading, justify="right")
    for row in rows:
        result.add_row(
            str(row["dtype"]),
            f"{row['replicas']:,}",
            f"{row['plain_per_second']:,.0f}",
            f"{row['ensemble_per_second']:,.0f}",
            f"{row['ratio']:.1f}",
            f"{row['ratio_low']:.1f} – {row['ratio_high']:.1f}",
        )
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (default: torch's own choice)")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs for each row")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    rows = measure(options.pairs)
    if options.json:
        about = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        }
        print(json.dumps({"about": about, "rows": rows}, indent=2))
    else:
        Console().print(table(rows))


if __name__ == "__main__":
    main()
