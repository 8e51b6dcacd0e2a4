"""What the published experiments share: forecasts beside outcomes, a rule that was fixed beforehand, and the report."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import symtheory as st
from numeric.comparison import Estimate, replica_mean
from numeric.files import write_whole
from numeric.reporting import provenance, write_figure
from numeric.training.backend import Backend

FITS = 0.25
"""A forecast fits if it misses by at most this part of what the worst forecast misses."""

CLEARLY = 4.0
"""Standard errors, over replicas, by which the best forecast must beat each other one."""

NOISE, CONSERVATION, NEITHER = "noise", "deterministic conservation", "neither"

RULE = (
    f"supported: the forecast with the smallest error, if it is smaller than that of every other one by {CLEARLY:g} "
    f"standard errors over replicas and at most {FITS:g} of the largest; neither otherwise"
)


@dataclass(frozen=True)
class Options:
    """replicas: independent runs; shorten: every run has 1/shorten of its published number of steps; backend: how
    ``numeric.train`` takes its steps."""

    replicas: int
    shorten: int
    seed: int
    folder: Path
    backend: Backend = "eager"

    def steps(self, published: int) -> int:
        return max(published // self.shorten, 1)


@dataclass(frozen=True)
class Forecast:
    """cause: NOISE, CONSERVATION or neither of them; misses: how far it is from the outcome of each replica, (R,), or
    of the first few where the forecast takes long to find."""

    text: str
    cause: str
    misses: Tensor


@dataclass(frozen=True)
class Outcome:
    """observable: what is compared, with its unit; forecasts by name; notes: further measured numbers, in words;
    figures: kind and data for ``write_figure``."""

    title: str
    setting: str
    parametrization: st.Parametrization
    observable: str
    forecasts: Mapping[str, Forecast]
    notes: tuple[str, ...]
    figures: tuple[tuple[str, Mapping[str, Any]], ...]
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def supported(self) -> str:
        """Name of the forecast that the training supports by the rule, or NEITHER."""
        errors = {name: float(forecast.misses.mean()) for name, forecast in self.forecasts.items()}
        best = min(errors, key=lambda name: errors[name])
        rivals = [forecast for name, forecast in self.forecasts.items() if name != best]
        gaps = [_gap(self.forecasts[best].misses, rival.misses) for rival in rivals]
        clear = all(gap.value > CLEARLY * gap.standard_error for gap in gaps)
        return best if clear and errors[best] <= FITS * max(errors.values()) else NEITHER

    @property
    def cause(self) -> str:
        """The mechanism that the outcome supports."""
        return self.forecasts[self.supported].cause if self.supported in self.forecasts else NEITHER


def _gap(best: Tensor, rival: Tensor) -> Estimate:
    """By how much a forecast beats another, over the replicas for which both were made."""
    shared = min(len(best), len(rival))
    return replica_mean(rival[:shared] - best[:shared])


def main(experiment: Callable[[Options], Outcome], name: str) -> None:
    """Run one experiment from the command line and write its report."""
    parser = argparse.ArgumentParser(description=(experiment.__doc__ or name).splitlines()[0])
    add_options(parser)
    options = options_of(parser.parse_args())
    carry_out(experiment, name, options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all experiments share."""
    parser.add_argument("--replicas", type=int, default=64, help="independent runs (default 64)")
    parser.add_argument("--shorten", type=int, default=1, help="divide the published number of steps by this")
    parser.add_argument("--seed", type=int, default=0, help="seed of data, starts and noise")
    parser.add_argument("--eager", action="store_true", help="take steps one by one; needs no C++ compiler")
    parser.add_argument("--output", type=Path, default=Path("results/published"), help="folder of the reports")


def options_of(parsed: argparse.Namespace) -> Options:
    """Options from the command line."""
    backend: Backend = "eager" if parsed.eager else "auto"
    return Options(parsed.replicas, parsed.shorten, parsed.seed, parsed.output, backend)


def carry_out(experiment: Callable[[Options], Outcome], name: str, options: Options) -> dict[str, Any]:
    """Run, print, and write figures and report.json below the folder; returns the record of the report."""
    begin = time.perf_counter()
    outcome = experiment(options)
    folder = options.folder / name
    figures = [
        str(write_figure(kind, data, folder / f"{number}_{kind}"))
        for number, (kind, data) in enumerate(outcome.figures, 1)
    ]
    predictions = outcome.parametrization.predictions()
    record = {
        "name": name,
        "title": outcome.title,
        "setting": outcome.setting,
        "replicas": options.replicas,
        "shortened_by": options.shorten,
        "seed": options.seed,
        "observable": outcome.observable,
        "rule": RULE,
        "forecasts": {key: _forecast_record(forecast) for key, forecast in outcome.forecasts.items()},
        "supported": outcome.supported,
        "cause": outcome.cause,
        "measured": outcome.measured,
        "notes": list(outcome.notes),
        "predictions": {mechanism: prediction.title for mechanism, prediction in predictions.items()},
        "not_applicable": dict(predictions.not_applicable),
        "figures": figures,
        "seconds": time.perf_counter() - begin,
        "environment": provenance(),
    }
    write_whole(folder / "report.json", json.dumps(record, indent=2, ensure_ascii=False).encode())
    _show(record)
    return record


def _forecast_record(forecast: Forecast) -> dict[str, Any]:
    miss = replica_mean(forecast.misses)
    return {
        "text": forecast.text,
        "cause": forecast.cause,
        "miss": miss.value,
        "standard_error": miss.standard_error,
        "n": miss.n,
    }


def _show(record: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"\n[bold]{record['title']}[/bold]\n{record['setting']}")
    table = Table("forecast", "what it says", "miss", box=None, pad_edge=False)
    for name, forecast in record["forecasts"].items():
        table.add_row(name, forecast["text"], f"{forecast['miss']:.3g} ± {forecast['standard_error']:.1g}")
    console.print(f"{record['observable']}; {record['replicas']} replicas")
    console.print(table)
    for note in record["notes"]:
        console.print(f"  {note}")
    console.print(f"Supported: {record['supported']} ({record['cause']}); {record['seconds']:.0f} s")


def normal(*shape: int, seed: int, deviation: float = 1.0) -> Tensor:
    """Normal numbers in float64 from a generator of their own."""
    return deviation * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
