"""A derived description on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from symtheory.cli.reasons import by_reason

LONGEST_FORMULA = 200
OTHER_DYNAMICS = (
    "Conserved is meant for gradient flow. Weight decay lambda shrinks a quadratic charge by exp(-2*lambda*t) and a "
    "linear one by exp(-lambda*t), so that zero is kept. Momentum with friction tau keeps no quadratic charge: "
    "C'' + tau*C' = 2*C(velocity); it keeps the momenta named above, with v_W the velocity of W."
)


def print_description(record: dict[str, Any], console: Console) -> None:
    """Print what ``describe`` returned: declaration, symmetries, geometry, predictions."""
    _heading(console, record["name"])
    if len(record["formula"]) <= LONGEST_FORMULA:
        _lines(console, [f"f = {record['formula']}"])
    _lines(console, record["declaration"].splitlines())
    _print_symmetries(console, record)
    for geometry in record["geometry"]:
        _print_geometry(console, geometry)
    if "no_geometry" in record:
        _heading(console, "Geometry")
        _lines(console, [f"not derived: {record['no_geometry']}"])
    _print_predictions(console, record)


def _print_symmetries(console: Console, record: dict[str, Any]) -> None:
    _heading(console, f"Symmetries, dimension {record['dimension']}")
    for factor in record["symmetry"]:
        place = f"{factor['kind']} on {factor['lives_on']}, dimension {factor['dimension']}"
        _lines(console, [place if factor["name"] == factor["kind"] else f"{factor['name']}: {place}"])
        _lines(console, [f"generator {generator}" for generator in factor["generators"]], 4)
        _lines(console, [f"conserved {name} = {charge}" for name, charge in factor["charges"].items()], 4)
        _lines(console, [f"with momentum, conserved {kept}" for kept in factor["momentum"].values()], 4)
    if not record["symmetry"]:
        _lines(console, ["no continuous affine symmetry was found"])
    _lines(console, [f"discrete: {symmetry}" for symmetry in record["discrete"]])
    _lines(console, [f"lower bound: {reason} was not searched" for reason in record["lower_bound"]])
    if any(factor["charges"] for factor in record["symmetry"]):
        _lines(console, [OTHER_DYNAMICS])


def _print_geometry(console: Console, geometry: dict[str, Any]) -> None:
    invariant = "invariant under the group" if geometry["invariant"] else "not invariant under the group"
    _heading(console, f"Metric {geometry['metric']} ({invariant})")
    for key, word in (("matrix", "g"), ("projection", "horizontal projection")):
        if geometry.get(key):
            _lines(console, [f"{word} = {geometry[key]}"])
    for equation in geometry.get("equations", []):
        _lines(console, [f"horizontal projection: xi minus the field of the solution of {equation}"])
    _lines(console, geometry.get("christoffel", []))
    if geometry.get("definitions"):
        _lines(console, ["with", *(f"  {line}" for line in geometry["definitions"])])
    if geometry.get("geodesic"):
        which = "all" if geometry["geodesic_kind"] == "all" else "horizontal"
        _lines(console, [f"geodesics ({which}):", *(f"  {curve}" for curve in geometry["geodesic"])])
    _lines(console, geometry["notes"])


def _print_predictions(console: Console, record: dict[str, Any]) -> None:
    """First what applies and what does not, each reason once; then the statements, which are long."""
    names = [prediction["mechanism"] for prediction in record["predictions"]]
    left_out = by_reason({entry["mechanism"]: entry["reason"] for entry in record["not_applicable"]})
    _heading(console, f"Predictions, {len(names)} of {len(names) + len(record['not_applicable'])} mechanisms")
    _lines(console, [f"derived: {', '.join(names)}"] * bool(names))
    _lines(console, [f"no {', '.join(mechanisms)}: {reason}" for reason, mechanisms in left_out.items()])
    for prediction in record["predictions"]:
        _print_prediction(console, prediction)


def _print_prediction(console: Console, prediction: dict[str, Any]) -> None:
    _heading(console, f"{prediction['title']} ({prediction['mechanism']})")
    for number, assumption in enumerate(prediction["assumptions"], 1):
        word = "checkable" if assumption["checkable"] else "not checkable by a run"
        _lines(console, [f"assume ({number}) {assumption['text']} [{word}]"])
    for relation in prediction["statement"]:
        _lines(console, [relation], 4)
    _lines(console, [f"note: {note}" for note in prediction["notes"]])
    _lines(console, [f"order: {prediction['order']}"])
    _lines(console, [f"measure: {prediction['measure']}"] * bool(prediction["measure"]))
    _lines(console, [f"observable: {prediction['observable']}", f"source: {prediction['source']}"])


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{escape(text)}[/bold]")


def _lines(console: Console, lines: list[str], indent: int = 2) -> None:
    for line in lines:
        if console.is_terminal:
            console.print(Padding(Text(line), (0, 0, 0, indent), expand=False))
        else:
            console.print(Text(" " * indent + line), soft_wrap=True)  # a pipe gets each formula on one line
