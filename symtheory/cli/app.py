"""The command line: ``symtheory list | derive | generate | check | design | report | sharpness | gap``.

The composition root: the one module that knows both layers. It imports torch and ``numeric`` only inside the
commands that train.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symtheory.cli.gap_command import gap
from symtheory.cli.options import DEFAULT_SEED, Device, Json, Mechanism, Metric, Name, Seed, Size
from symtheory.cli.output import console, print_json
from symtheory.errors import DeclarationError, SymtheoryError

if TYPE_CHECKING:
    from symtheory.parametrization import Parametrization

DONE, REFUTED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
"""What typer raises for wrong arguments; it keeps the class itself to itself."""

app = typer.Typer(
    help="From a declared parametrization to derived geometry, predictions, torch code and checked training runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_catalog(as_json: Json = False) -> None:
    """Show the catalog: name, symmetry group, dimension, one line."""
    from symtheory import catalog

    rows = []
    for name in catalog.NAMES:
        group = catalog.load(name).symmetries()
        rows.append(
            {
                "name": name,
                "group": _counted([factor.kind for factor in group]) or "none",
                "dimension": str(group.dimension),
                "summary": catalog.summary(name),
            }
        )
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("name", "group", "dimension", "what it is", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    console().print(table)


def _counted(kinds: list[str]) -> str:
    """Kinds in order, with a number where one occurs several times: 2 GL, translation."""
    counts = {kind: kinds.count(kind) for kind in kinds}
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in counts.items())


@app.command()
def derive(
    name: Name,
    as_json: Json = False,
    latex: Annotated[bool, typer.Option("--latex", help="Write formulas as LaTeX.")] = False,
    certify: Annotated[
        bool, typer.Option("--certify", help="Check the group by linear algebra at small sizes.")
    ] = False,
    size: Size = None,
) -> None:
    """Derive symmetries, charges, geometry and predictions; --certify: is the group all there is?

    --size binds free sizes, for the derivation too; a certificate chooses small values for those that are left.
    """
    from symtheory import rendering
    from symtheory.cli.sizes import parse_sizes, show_sizes, sizes_for_certificate
    from symtheory.description import describe

    declared = load_parametrization(name)
    given = parse_sizes(size or [])
    record = describe(declared.bind(**given) if given else declared, rendering.latex if latex else rendering.plain)
    certificate = None
    if certify:
        sizes = sizes_for_certificate(declared, given)
        certificate = declared.certify(**sizes)
        record["certificate"] = {"sizes": sizes, **json.loads(certificate.to_json())}
    if as_json:
        print_json(record)
        return
    from symtheory.cli.terminal import print_description

    print_description(record, console())
    if certificate is not None:
        typer.echo(f"\nAt sizes {show_sizes(record['certificate']['sizes'])}: {certificate}")


@app.command()
def generate(
    name: Name,
    metric: Metric = "mixed",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write instead of printing.")] = None,
    size: Size = None,
    as_json: Json = False,
) -> None:
    """Generate a plain torch module; heads that share an axis need --size, since no tensor tells their number."""
    from symtheory.cli.sizes import parse_sizes
    from symtheory.generation import generate as generate_module

    declared, given = load_parametrization(name), parse_sizes(size or [])
    module = generate_module(declared.bind(**given) if given else declared, metric)
    saved = None if output is None else str(module.save(output))
    if as_json:
        print_json({"name": module.name, "source": module.source, "omitted": module.omitted, "path": saved})
    elif saved is None:
        typer.echo(module.source, nl=False)
    else:
        typer.echo(saved)


@app.command()
def check(
    name: Name,
    mechanism: Mechanism = None,
    size: Size = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder that keeps the runs.")] = None,
    device: Device = "cpu",
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Train, and let the runs confirm or refute each prediction; exit status 1 when one is refuted.

    Linear coefficients are trained on the diabetes data; any other graph is trained itself, on synthetic data.
    """
    from symtheory.cli.battery import choose, run_battery, trainable, writable_folder
    from symtheory.cli.sizes import parse_sizes

    trained = trainable(load_parametrization(name), parse_sizes(size or []), mechanism or [])
    parametrization = trained.parametrization
    predictions = choose(parametrization, mechanism or [])
    folder = None if output is None else writable_folder(output)
    verdicts = [checked.record for checked in run_battery(trained, predictions, folder, device=device, seed=seed)]
    if as_json:
        from numeric.reporting import verdict_records

        print_json(verdict_records(verdicts))
    else:
        _show_verdicts(verdicts, {} if mechanism else parametrization.predictions().not_applicable)
    _exit_for(verdicts)


@app.command()
def design(
    target: Annotated[str, typer.Argument(help="The bias that is wanted, a formula of w such as 'sqrt(abs(w))'.")],
    mechanism: Annotated[
        str, typer.Option("--mechanism", "-m", help="mirror, label_noise, weight_decay or orbit_volume.")
    ] = "mirror",
    of: Annotated[
        str, typer.Option(help="What w is: coordinates, groups, singular_values or simplex.")
    ] = "coordinates",
    after: Annotated[str | None, typer.Option(help="differences: the target is of the jumps of a signal.")] = None,
    products: Annotated[bool, typer.Option("--products", help="Products of parameters instead of powers.")] = False,
    numeric: Annotated[bool, typer.Option("--numeric", help="A monotone spline where no closed form exists.")] = False,
    radial: Annotated[int, typer.Option(help="orbit_volume: number of parameters of each coordinate.")] = 2,
    name: Annotated[str, typer.Option(help="Name of the parametrization and of its variable.")] = "designed",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Python file to write it to.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Train it, and compare with the explicit problem for the target.")
    ] = False,
    device: Device = "cpu",
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Design a parametrization whose bias is the target, confirmed by deriving it forward; exit 1 when refuted."""
    from symtheory.cli.design import check_design, design_record, write_source
    from symtheory.inverse_design import design as make

    designed = make(target, mechanism, of=of, after=after, products=products, radial=radial, numeric=numeric, name=name)
    record = design_record(designed)
    if output is not None:
        record["path"] = str(write_source(designed, output))
    decision = check_design(designed, device=device, seed=seed) if check else None
    if decision is not None:
        record["verdict"] = {"parametrization": designed.name, **decision.verdict.to_json()}
    if as_json:
        print_json(record)
    else:
        typer.echo(designed)
        typer.echo(f"\n{record['source']}" if output is None else f"  Written to {output}, as {name}")
        if decision is not None:
            _show_verdicts([record["verdict"]], {})
    if decision is not None:
        _exit_for([record["verdict"]])


@app.command()
def report(
    names: Annotated[list[str] | None, typer.Argument(help="Names; default: the three products.")] = None,
    mechanism: Mechanism = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report and its runs.")] = Path(
        "results/report"
    ),
    device: Device = "cpu",
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Do the whole job: declare, derive, generate, train, check, and write one HTML report."""
    from symtheory.cli.report import run_report

    chosen = names or ["hadamard", "squared_difference", "depth_product"]
    declared = [load_parametrization(name) for name in chosen]
    outcome = run_report(declared, output, mechanism or [], device=device, seed=seed)
    if as_json:
        print_json({"report": str(outcome.path), "verdicts": outcome.verdicts})
    else:
        _show_verdicts(outcome.verdicts, {})
        typer.echo(f"Report: {outcome.path}")
    _exit_for(outcome.verdicts)


@app.command()
def sharpness(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="State dict (.safetensors, or from torch.save); none: the model as it is.")
    ] = None,
    model: Annotated[str, typer.Option(help="module:function or file.py:function that returns the torch module.")] = "",
    data: Annotated[str, typer.Option(help="The same, for batches (inputs, target).")] = "",
    loss: Annotated[
        str, typer.Option(help="cross_entropy, squared_error, binary_cross_entropy, or module:function.")
    ] = "cross_entropy",
    measures: Annotated[
        list[str] | None, typer.Option(help="Names with commas between, repeatable; default: all.")
    ] = None,
    blocks: Annotated[
        str, typer.Option(help="auto: found by the kind of module; none; or module:function of the model.")
    ] = "auto",
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    rho: Annotated[
        float, typer.Option(help="Radius of every ball; dimensionless in adaptive and geodesic ones.")
    ] = 0.1,
    lr: Annotated[float | None, typer.Option(help="Step of the training, for measures that ask for it.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Its batch size.")] = None,
    prior_variance: Annotated[float | None, typer.Option(help="Of the PAC-Bayes prior.")] = None,
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Measure the sharpness of a trained model: values, errors, costs, and whether a symmetry moves them."""
    from symtheory.cli.sharpness import Asked, measure, show

    for option, value in (("--model", model), ("--data", data)):
        if not value:
            raise DeclarationError(f"symtheory sharpness needs {option} module:function")
    given = [name.strip() for part in measures or () for name in part.split(",") if name.strip()]
    names = () if "all" in given else tuple(given)
    asked = Asked(
        checkpoint, model, data, loss, blocks, names, device, dtype, seed, rho, lr, batch_size, prior_variance
    )
    rows = list(measure(asked))
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        show(rows, console())


app.command()(gap)


def _show_verdicts(verdicts: list[dict[str, Any]], left_out: Mapping[str, str]) -> None:
    """One table a parametrization, then why a check could not decide or a mechanism was not checked."""
    from numeric.reporting import verdict_table
    from symtheory.cli.reasons import by_reason

    terminal = console()
    for name in dict.fromkeys(verdict["parametrization"] for verdict in verdicts):
        rows = [
            {key: value for key, value in verdict.items() if key != "parametrization"}
            for verdict in verdicts
            if verdict["parametrization"] == name
        ]
        terminal.print(verdict_table(rows, title=name))
        for row in rows:
            if "data" in row["details"]:
                typer.echo(_origin(row["details"]))
            if "reason" in row["details"]:
                typer.echo(f"{row['mechanism']} undecided: {row['details']['reason']}")
    for reason, names in by_reason(left_out).items():
        typer.echo(f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not apply: {reason}")


def _origin(details: Mapping[str, Any]) -> str:
    """Where the data came from, with the sizes at which the graph was trained."""
    from symtheory.cli.sizes import show_sizes

    sizes = f"sizes {show_sizes(details['sizes'])}; " if details["sizes"] else ""
    return f"{sizes}{details['data']} data"


def _exit_for(verdicts: list[dict[str, Any]]) -> None:
    if any(verdict["verdict"] == "refuted" for verdict in verdicts):
        raise typer.Exit(REFUTED)


def load_parametrization(name: str) -> Parametrization:
    """A catalog entry, or the variable of a file given as ``path/to/file.py:variable``."""
    if ":" not in name and not name.endswith(".py"):
        from symtheory import catalog

        return catalog.load(name)
    from symtheory.cli.user_file import load_variable

    path, _, variable = name.rpartition(":")
    if not path:
        raise DeclarationError(f"'{name}' names no variable: write path/to/file.py:variable")
    return load_variable(Path(path), variable)


def main() -> None:
    """Run the command line; errors of the toolkit become one line on standard error and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except USAGE_ERROR as error:
        if error.format_message():
            _fail(f"{error.format_message().rstrip('.')} ('symtheory --help' lists what there is)")
        sys.exit(BAD_INPUT)  # no command was given, and the help has been printed
    except typer.Abort as stop:
        _fail(str(stop) or "interrupted", INTERRUPTED)
    except _own_errors() as error:
        _fail(str(error))
    sys.exit(status or DONE)


def _own_errors() -> tuple[type[Exception], ...]:
    """What the toolkit raises on purpose; asked when something was raised, so the torch layer is not imported."""
    numeric_errors = sys.modules.get("numeric.errors")
    return (SymtheoryError,) if numeric_errors is None else (SymtheoryError, numeric_errors.NumericError)


def _fail(message: str, status: int = BAD_INPUT) -> None:
    typer.echo(f"symtheory: {' '.join(message.split())}", err=True)
    sys.exit(status)
