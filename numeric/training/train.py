"""Training of an ensemble of replicas in one batched tensor program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from numeric.device import resolve
from numeric.errors import OptionError
from numeric.losses import Loss
from numeric.provenance import source_commit, versions
from numeric.training.backend import Backend, choose_block
from numeric.training.configuration import (
    optimizer_record,
    qualified_name,
    tensors_record,
)
from numeric.training.constants import fix_constants
from numeric.training.data import bind_inputs, floating_dtype, prepare_data
from numeric.training.divergence import DivergenceWatch
from numeric.training.initial import Initial, initial_point
from numeric.training.model import Model, Point, as_model
from numeric.training.optimizer import Optimizer
from numeric.training.program import build_program
from numeric.training.recorder import Observable, Recorder, steps_to_record
from numeric.training.run import Run
from numeric.training.runs import Runs
from numeric.training.state import start_state


def train(
    M: Any,
    loss: Loss,
    data: Mapping[str, Any],
    *,
    optimizer: Optimizer,
    steps: int,
    replicas: int = 1,
    seed: int = 0,
    initial: Initial = None,
    constants: Mapping[str, Any] | None = None,
    observables: Mapping[str, Observable] | None = None,
    record_every: int | None = None,
    record_at: Sequence[int] | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    progress: bool | None = None,
    on_divergence: Literal["raise", "keep"] = "raise",
    backend: Backend = "auto",
) -> Runs:
    """Train R = `replicas` independent copies of a model at once and record observables.

    M: what st.generate returns, or a module with predictor, PARAMETERS and INPUTS. loss: callable
    (prediction, batch) -> per-sample losses (R, B), see numeric.losses. data: tensors (n, ...), samples along
    the first axis, "y" the target. optimizer: SGD, GradientDescent or Langevin. Each replica has its own
    reproducible noise, a function of seed, replica and step only, so it does not depend on R.

    initial: leaves (*shape) or (R, *shape); or a callable that draws one replica's leaves (*shape) from a
    torch.Generator; or None for N(0, 1/d) with d the last size of each shape. constants: name -> array (*shape)
    for every st.constant of the declaration, the same for all replicas. observables: name -> callable(Step) ->
    (R, ...), recorded at steps 0, record_every, … or at record_at (default: about 100 times). device: see
    numeric.device.resolve. dtype: that of the data unless given. checkpoint: file that is written every
    checkpoint_every steps (default: a twentieth of the run) and at the end; the same call goes on from it, on the
    CPU to bit-identical results. progress: None shows a bar on a terminal only. on_divergence: "raise", or "keep"
    to go on with the other replicas and mark the diverged ones in Runs.diverged_steps. backend: "eager" takes steps one
    by one; "native" takes those that are not recorded in a C++ function made from the step, on torch.get_num_threads()
    threads, whose number changes no bit; "compiled" takes up to 8 of them at a time in one function made by
    torch.compile (checkpoints are then written at the end of such a block). All are the same up to rounding. "auto"
    chooses for long runs, see numeric.training.backend.

    Raises DataError (NaN, unequal lengths, a missing key), SizeError (unbound sizes, shapes that do not fit),
    OptionError (an option out of range), StoreError (a checkpoint of another configuration, or one that cannot be
    written), DivergedError (a loss stopped being finite; carries what was recorded before that step as .runs).
    """
    _check_options(steps, replicas, checkpoint_every, on_divergence)
    model, target = as_model(M), resolve(device)
    tensors = prepare_data(data, dtype, target)
    kind = floating_dtype(tensors, dtype)
    start, sizes = initial_point(model, initial, replicas=replicas, seed=seed, dtype=kind, device=target)
    model, sizes = fix_constants(model, constants, sizes, kind, target)
    bind_inputs(model, tensors, sizes)
    chosen = {
        "steps": steps,
        "replicas": replicas,
        "seed": seed,
        "device": target.type,
        "on_divergence": on_divergence,
        "observables": sorted(observables or {}),
    }
    record_steps = steps_to_record(steps, record_every, record_at)
    program, state = build_program(model, loss, optimizer, tensors, start, seed), start_state(start, optimizer)
    block = choose_block(backend, program, state, record_steps if observables else [], steps)
    if block is not None:
        chosen["backend"] = block.name
    run = Run(
        program=program,
        block=block,
        config={**chosen, **_parts_record(model, loss, optimizer, tensors, start, record_steps, steps)},
        initial=start,
        state=state,
        recorder=Recorder(observables or {}, record_steps, replicas),
        watch=DivergenceWatch(replicas, kind, target),
        steps=steps,
        keep_diverged=on_divergence == "keep",
    )
    path = None if checkpoint is None else Path(checkpoint)
    return run.complete(path, checkpoint_every or max(1, steps // 20), progress)


def _parts_record(
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: dict[str, Tensor],
    start: Point,
    record_steps: list[int],
    steps: int,
) -> dict[str, Any]:
    return {
        "model": model.name,
        "declaration_hash": model.declaration_hash,
        "loss": qualified_name(loss),
        "optimizer": optimizer_record(optimizer, steps),
        "data": tensors_record(data),
        "initial": tensors_record(start),
        "record": tensors_record({"steps": torch.tensor(record_steps)}),
        "versions": versions(),
        "commit": source_commit(),
        **({"constants": tensors_record(model.fixed)} if model.fixed else {}),
    }


def _check_options(steps: int, replicas: int, checkpoint_every: int | None, on_divergence: str) -> None:
    for name, count in (("steps", steps), ("replicas", replicas), ("checkpoint_every", checkpoint_every)):
        if count is not None and count < 1:
            raise OptionError(f"{name} = {count} is out of range: at least 1")
    if on_divergence not in ("raise", "keep"):
        raise OptionError(f"on_divergence = {on_divergence!r} is unknown: 'raise' or 'keep'")
