"""The whole job as one HTML file: declarations, what was derived, what was generated, and the verdicts."""

from __future__ import annotations

import html
import inspect
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symtheory import catalog
from symtheory.cli.battery import Checked, Trainable, choose_applicable, run_battery, trainable, writable_folder
from symtheory.cli.reasons import by_reason
from symtheory.description import describe
from symtheory.generation import generate
from symtheory.parametrization import Parametrization
from symtheory.rendering import mathml

INTRO = (
    "Each parametrization below was declared as a graph. Its symmetries, geometry and predictions were derived from "
    "the declaration, torch code was generated for them, and real training runs on the diabetes data (40 rows, "
    "degree-2 features, more coefficients than rows) decided each prediction by a test that was fixed beforehand. "
    "Settings were chosen by pilot runs on the same rows with other noise seeds. Mirror flow and label noise are "
    "trained on an orthonormal basis of the row space of the data, which has the same solutions and converges in "
    "affordable time."
)

SYNTHETIC = (
    "Where a verdict names synthetic data, the graph does not give linear coefficients and was trained itself, at the "
    "sizes named: on normal inputs, with what it says at another point plus noise as targets."
)

SEEDS_APART = 100
"""An experiment uses a few seeds in a row; parametrizations start this far from each other."""


@dataclass(frozen=True)
class ReportOutcome:
    """path of the HTML file; verdicts as JSON records with the parametrization's name."""

    path: Path
    verdicts: list[dict[str, Any]]


def run_report(
    parametrizations: Sequence[Parametrization],
    folder: Path,
    mechanisms: Sequence[str] = (),
    *,
    device: str,
    seed: int,
) -> ReportOutcome:
    """Derive, train, check and write ``report.html`` into ``folder``, beside the saved runs and figures.

    mechanisms: those to be checked where they apply, all when none is named. Each parametrization gets a seed of its
    own: some are one process in other coordinates and would share their noise.
    """
    from numeric.reporting import provenance, write_report

    writable_folder(folder)
    settings = [trainable(parametrization, {}, mechanisms) for parametrization in parametrizations]
    chosen = [choose_applicable(trained.parametrization, mechanisms) for trained in settings]
    started = time.monotonic()
    sections, verdicts = [], []
    for number, (declared, trained, predictions) in enumerate(zip(parametrizations, settings, chosen, strict=True)):
        _say(f"{declared.name}: derived {len(predictions)} predictions")
        shown = []
        for checked in run_battery(trained, predictions, folder, device=device, seed=seed + SEEDS_APART * number):
            shown.append(_verdict(checked, folder))
            verdicts.append(checked.record)
            _say(f"  {time.monotonic() - started:5.0f} s  {checked.decision.verdict}")
        sections.append(_section(declared, trained, shown))
    is_synthetic = any("data" in verdict["details"] for verdict in verdicts)
    record = {
        "title": "From declaration to verdict",
        "intro": f"{INTRO}\n\n{SYNTHETIC}" if is_synthetic else INTRO,
        "environment": {**provenance(), "device": device, "seed": seed, "machine": platform.machine()},
        "summary": verdicts,
        "parametrizations": sections,
    }
    return ReportOutcome(write_report(record, folder / "report.html"), verdicts)


def _say(line: str) -> None:
    """Progress on standard error, on a terminal only."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line


def _verdict(checked: Checked, folder: Path) -> dict[str, Any]:
    from numeric.reporting.mechanism_figures import mechanism_figures

    prediction, decision = checked.prediction, checked.decision
    place = folder / prediction.parametrization / prediction.mechanism / "figures"
    shown = mechanism_figures(decision.verdict, decision.experiment, prediction.load(), place)
    return {**decision.verdict.to_json(), "figures": [str(path) for path in shown.figures], "caption": shown.caption}


def _section(parametrization: Parametrization, trained: Trainable, verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """The declaration as it was written, at symbolic size, with the module that was trained."""
    record = describe(parametrization, mathml)
    return {
        "name": parametrization.name,
        "summary": catalog.summary(parametrization.name) if _is_from_catalog(parametrization) else "",
        "declaration": _declaration(parametrization, record["declaration"]),
        "graph": record["graph"],
        "symmetry": [
            {
                "kind": factor["kind"],
                "lives_on": factor["lives_on"],
                "dimension": factor["dimension"],
                "generators_mathml": [_as_formula(text) for text in factor["generators"]],
                "charge_mathml": list(factor["charges"].values()),
            }
            for factor in record["symmetry"]
        ],
        "geometry": [_geometry(entry) for entry in record["geometry"]],
        "predictions": [
            {**prediction, "statement_mathml": prediction["statement"]} for prediction in record["predictions"]
        ],
        "not_applicable": _left_out(record["not_applicable"]),
        "generated_source": generate(trained.parametrization).source,
        "verdicts": verdicts,
    }


def _left_out(not_applicable: list[dict[str, str]]) -> list[dict[str, str]]:
    """Mechanisms that share a reason in one entry."""
    reasons = by_reason({entry["mechanism"]: entry["reason"] for entry in not_applicable})
    return [{"mechanism": ", ".join(names), "reason": reason} for reason, names in reasons.items()]


def _as_formula(text: str) -> str:
    """MathML as it is; a generator that has no matrix expression is plain text."""
    return text if text.startswith("<math>") else f"<math><mtext>{html.escape(text)}</mtext></math>"


def _geometry(entry: dict[str, Any]) -> dict[str, Any]:
    kind = {"all": "Geodesics in closed form.", "horizontal": "Closed form of horizontal geodesics."}
    notes = [*entry["notes"], *([kind[entry["geodesic_kind"]]] if entry.get("geodesic_kind") else [])]
    return {
        "metric": entry["metric"],
        "invariant": entry["invariant"],
        "matrix_mathml": entry.get("matrix"),
        "christoffel_mathml": entry.get("christoffel"),
        "projection_mathml": entry.get("projection"),
        "equations_mathml": entry.get("equations"),
        "definitions_mathml": entry.get("definitions"),
        "geodesic_mathml": entry.get("geodesic"),
        "notes": notes,
    }


def _declaration(parametrization: Parametrization, lines: str) -> str:
    """The catalog file's own text, which is how one declares; the graph's lines for other declarations."""
    if not _is_from_catalog(parametrization):
        return lines
    return inspect.getsource(sys.modules[f"{catalog.__name__}.{parametrization.name}"])


def _is_from_catalog(parametrization: Parametrization) -> bool:
    """Whether it is the catalog's entry itself, not a declaration of one's own by the same name."""
    return parametrization.name in catalog.NAMES and catalog.load(parametrization.name) is parametrization
