"""λ_max of the Hessian to a relative 1e-3, in forward+backward passes of the clock, against what people use today.

    python benchmarks/bench_sharpness.py [--json] [--threads N] [--pairs N] [--batch N] [--method NAME] [--cpu]

Two models of the digits data, trained for a few hundred steps: a perceptron with a million parameters and a
transformer of two layers with torch's own attention and LayerNorm. One unit is loss and gradient on the same batch
with torch's default kernels, timed in the same process just before and after each method; reported is the median over
pairs of the ratio, with its extremes. The error is against Lanczos with 60 products in float64. curvlinops is compared
where it is installed. --cpu counts processor time in place of the wall clock, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from rich.console import Console
from rich.table import Table
from sharpness_baselines import BASELINES
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from numeric.sharpness import Objective
from numeric.sharpness.hessian.eigenvalues import TopEigenvalues, lambda_max
from numeric.sharpness.hessian.operator import HessianOperator

TOLERANCE = 1e-3
OURS = "numeric.sharpness.lambda_max"
Row = dict[str, float | int | str]
Clock = Callable[[], float]


class DigitTransformer(nn.Module):
    """Eight rows of a digit as a sequence, two encoder layers, the mean to ten classes."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Linear(8, width)
        self.position = nn.Parameter(0.1 * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.encoder(self.embedding(x.reshape(-1, 8, 8)) + self.position).mean(1))
        return logits


def perceptron() -> nn.Module:
    """64-672-1024-256-10, 998 thousand parameters."""
    widths = (64, 672, 1024, 256, 10)
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


CASES: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "perceptron": (perceptron, 0.05),
    "transformer, 2 layers": (DigitTransformer, 0.02),
}


def digits() -> tuple[Tensor, Tensor]:
    """1797 images of 64 pixels in 0..1, and their labels."""
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


def trained(make: Callable[[], nn.Module], rate: float, steps: int) -> nn.Module:
    """The model after SGD with momentum on batches of 64."""
    torch.manual_seed(0)
    model = make()
    x, y = digits()
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.eval()


def ours(model: nn.Module, x: Tensor, y: Tensor, *, tolerance: float, seed: int) -> tuple[float, int]:
    """(λ, products) from this package, everything it does included: the border's checks, the probe of the kernels."""
    found = lambda_max(model, cross_entropy, (x, y), tolerance=tolerance, seed=seed)
    return found.value, found.details["products"]


def unit(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """One forward and backward pass."""
    torch.autograd.grad(cross_entropy(model(x), y), list(model.parameters()))


def seconds(work: Callable[[], object], clock: Clock) -> float:
    """How long some work takes."""
    begin = clock()
    work()
    return clock() - begin


def reference(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """λ_max in float64 to nine digits."""
    model = model.double()
    operator = HessianOperator(Objective.of(model, cross_entropy, (x, y)))
    found = TopEigenvalues(tolerance=1e-9, products=60).extremes(operator, torch.Generator().manual_seed(99))
    model.float()
    return found.largest[0].value


def measure(batch: int, pairs: int, chosen: str | None, clock: Clock) -> list[Row]:
    """One row for each model and method."""
    rows: list[Row] = []
    x, y = (part[:batch] for part in digits())
    for case, (make, rate) in CASES.items():
        model = trained(make, rate, 200)
        exact = reference(model, x, y)
        for name, method in {OURS: ours, **BASELINES}.items():
            if chosen is None or chosen in name:
                rows.append(timed(case, name, partial(method, model, x, y), partial(unit, model, x, y), pairs, clock))
                rows[-1]["error"] = float(rows[-1]["lambda_max"]) / exact - 1
                rows[-1]["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    return rows


def timed(
    case: str,
    name: str,
    method: Callable[..., tuple[float, int]],
    one_unit: Callable[[], None],
    pairs: int,
    clock: Clock,
) -> Row:
    """The method over the unit around it, `pairs` times."""
    ratios, products, value = [], [], 0.0
    for seed in range(pairs + 1):
        around = [seconds(one_unit, clock) for _ in range(5)]
        begin = clock()
        value, count = method(tolerance=TOLERANCE, seed=seed)
        taken = clock() - begin
        around += [seconds(one_unit, clock) for _ in range(5)]
        if seed:  # the first warms up
            ratios.append(taken / statistics.median(around))
            products.append(count)
    return {
        "model": case,
        "method": name,
        "lambda_max": value,
        "products": statistics.median(products),
        "units": statistics.median(ratios),
        "units_low": min(ratios),
        "units_high": max(ratios),
    }


def table(rows: list[Row], batch: int) -> Table:
    """The rows for a reader."""
    result = Table(title=f"λ_max to {TOLERANCE:g}, batch of {batch}, in forward+backward passes (time)")
    for heading in ("model", "method", "λ_max", "error", "products", "units", "lowest – highest"):
        result.add_column(heading, justify="left" if heading in ("model", "method") else "right")
    for row in rows:
        result.add_row(
            f"{row['model']} ({row['parameters']:,})",
            str(row["method"]),
            f"{row['lambda_max']:.4f}",
            f"{row['error']:.1e}",
            f"{row['products']:g}",
            f"{row['units']:.1f}",
            f"{row['units_low']:.1f} – {row['units_high']:.1f}",
        )
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=None, help="torch threads (default: torch's own choice)")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs for each row")
    parser.add_argument("--batch", type=int, default=512, help="samples in the batch, at most 1797")
    parser.add_argument("--method", default=None, help="only methods whose name contains this")
    parser.add_argument("--cpu", action="store_true", help="processor time in place of the wall clock")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    rows = measure(options.batch, options.pairs, options.method, clock)
    if options.json:
        about = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
            "batch": options.batch,
        }
        print(json.dumps({"about": about, "rows": rows}, indent=2))
    else:
        Console().print(table(rows, options.batch))


if __name__ == "__main__":
    main()
