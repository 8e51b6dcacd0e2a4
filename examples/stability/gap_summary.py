"""What the runs of the study say together: a table of each case, series for the figures, fitted powers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from numeric.errors import CheckError
from numeric.stability.power_law import power_law

Record = Mapping[str, Any]
HEADS = ("b", "answer", "gap", "leading order", "corrected", "measured/corrected", "over the identity")
PUBLISHED = "published on CIFAR-10: exponent 1.27, R² = 0.98"


def series(records: list[Record]) -> dict[str, dict[str, list[float]]]:
    """Case → columns of the figures "gap" and "collapse": its runs with noise that are at the edge."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        if not at_edge(record) or "corrected" not in record["forecasts"]:
            continue
        row = {
            "inverse_batch": 1 / record["batch_size"],
            "edge": record["edge"],
            "holds": float(record["answer"] == "forecast holds"),
        }
        estimates = {"gap": record["gap"], **{name: record["forecasts"][name] for name in ("leading", "corrected")}}
        for name, estimate in estimates.items():
            error = "error" if name == "gap" else f"{name}_error"
            row |= {name: estimate["value"], error: estimate["standard_error"] or 0.0}
        columns = found.setdefault(record["case"], {})
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return found


def fits(found: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Case → the power of 1/b that its gaps follow, where there are points enough above zero."""
    powers = {}
    for case, columns in found.items():
        kept = [(x, y) for x, y in zip(columns["inverse_batch"], columns["gap"], strict=True) if y > 0]
        try:
            powers[case] = asdict(power_law([x for x, _ in kept], [y for _, y in kept]))
        except CheckError:
            continue
    return powers


def against_forecast(found: Mapping[str, Mapping[str, list[float]]], name: str) -> dict[str, float] | None:
    """The power of a forecast, both over the edge, that the gaps of all cases together follow: 1 where it is right."""
    points = [
        (forecast / edge, gap / edge)
        for columns in found.values()
        for forecast, gap, edge in zip(columns[name], columns["gap"], columns["edge"], strict=True)
        if forecast > 0 and gap > 0
    ]
    try:
        return asdict(power_law([x for x, _ in points], [y for _, y in points]))
    except CheckError:
        return None


def show(console: Console, records: list[Record]) -> None:
    """A table of each case, and the exponents."""
    found = series(records)
    powers = fits(found)
    console.print("± are standard errors of one run; numbers where the run is at the edge.\n", markup=False)
    for case in dict.fromkeys(record["case"] for record in records):
        rows = [record for record in records if record["case"] == case]
        title = f"{case}, η = {rows[0]['lr']:g}, edge {2 / rows[0]['lr']:.4g}"
        table = Table(*HEADS, title=title, title_justify="left", box=None, pad_edge=False)
        for record in rows:
            table.add_row(str(record["batch_size"]), *_cells(record))
        console.print(table)
        if case in powers:
            console.print(f"gap ∝ (1/b)^{_power(powers[case])}; {PUBLISHED}", markup=False)
        console.print()
    for name in ("leading", "corrected"):
        fit = against_forecast(found, name)
        if fit is not None:
            console.print(f"all cases: gap/edge ∝ (forecast/edge)^{_power(fit)}, forecast {name}", markup=False)


def at_edge(record: Record) -> bool:
    """Whether the run was found at the edge, whatever was said of the forecast."""
    return bool(record["sentence"].startswith("at the edge"))


def _cells(record: Record) -> list[str]:
    if not at_edge(record):
        return [record["answer"], *["–"] * (len(HEADS) - 2)]
    forecasts, ratios = record["forecasts"], record["measured_over_forecast"]
    estimates = [record["gap"], forecasts["leading"], forecasts.get("corrected")]
    numbers = [_shown(one) for one in (*estimates, ratios.get("corrected"), ratios.get("identity"))]
    return [f"at the edge, {record['answer']}", *numbers]


def _shown(estimate: Mapping[str, float] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "–"
    error = estimate["standard_error"]
    return f"{estimate['value']:.3g} ± " + ("?" if error is None else f"{error:.2g}")


def _power(fit: Mapping[str, float]) -> str:
    return f"{fit['slope']:.2f} ± {fit['half_width']:.2f} (95 %, {fit['n']} runs, R² = {fit['r_squared']:.2f})"
