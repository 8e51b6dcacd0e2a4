"""The command ``symtheory gap``: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symtheory.cli.options import DEFAULT_SEED, Device, Json, Seed
from symtheory.cli.output import print_json
from symtheory.errors import DeclarationError


def gap(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="State dict to start from; none: the model as its function returns it.")
    ] = None,
    model: Annotated[str, typer.Option(help="module:function or file.py:function that returns the torch module.")] = "",
    data: Annotated[str, typer.Option(help="The same, for all samples: (inputs, target), or batches of them.")] = "",
    lr: Annotated[float | None, typer.Option(help="Step η of the training.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Batch size; default: all samples.")] = None,
    loss: Annotated[
        str, typer.Option(help="cross_entropy, squared_error, binary_cross_entropy, or module:function.")
    ] = "cross_entropy",
    momentum: Annotated[float, typer.Option(help="Heavy-ball momentum.")] = 0.0,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 0.0,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 4000,
    every: Annotated[int, typer.Option(help="Steps between measurements; an odd number sees every phase.")] = 21,
    window: Annotated[float, typer.Option(help="The part of the run, from its end, that is judged.")] = 0.5,
    directions: Annotated[
        int, typer.Option(help="Critical directions measured and, without momentum, forecast together.")
    ] = 1,
    dynamics: Annotated[
        int, typer.Option(min=0, help="Go on for so many steps beside the predicted dynamics; default: none.")
    ] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the run and its figures.")] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """Forecast how far below its edge the sharpness settles, train, and say whether that holds, and if not, why."""
    from symtheory.cli.gap import Asked, forecast_gap

    for option, given in (("--model", model), ("--data", data)):
        if not given:
            raise DeclarationError(f"symtheory gap needs {option} module:function")
    if lr is None:
        raise DeclarationError("symtheory gap needs --lr STEP")
    asked = Asked(
        model=model,
        data=data,
        loss=loss,
        checkpoint=checkpoint,
        lr=lr,
        batch_size=batch_size,
        momentum=momentum,
        weight_decay=weight_decay,
        steps=steps,
        every=every,
        window=window,
        directions=directions,
        dynamics=dynamics,
        output=output,
        device=device,
        dtype=dtype,
        seed=seed,
    )
    try:
        record = forecast_gap(asked)
    except KeyboardInterrupt:
        how = "with -o FOLDER it could go on" if output is None else f"the same call goes on from {output}"
        raise typer.Abort(f"interrupted: {how}") from None
    if as_json:
        from numeric.comparison.verdict import jsonable

        print_json(jsonable(record))
        return
    said = [record["sentence"], *record["notes"]]
    if "dynamics" in record:
        said.append(record["dynamics"]["sentence"])
    for line in (*said, *record.get("files", ())):
        typer.echo(line)
