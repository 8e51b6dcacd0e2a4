"""How steps are run: one at a time in eager torch, or several in one function."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

from numeric.errors import NoCompilerError, OptionError
from numeric.training.block import Block, block_length, compiled_block
from numeric.training.gradient import is_closed_form
from numeric.training.native import native_block
from numeric.training.program import Program
from numeric.training.state import State

Backend = Literal["auto", "eager", "native", "compiled"]

NATIVE_REPLICA_STEPS, REPLICA_STEPS = 10**7, 10**8
"""Replica-steps from which "auto" takes native and compiled blocks: fixed numbers, so that the same call always runs
the same.

Fewer than FULL replicas count as FULL, since a step of them takes no less time. On an idle machine a native block takes
1 to 3 s to make and saves 40 µs or more of each step of FULL replicas; torch.compile takes 5 to 20 s, and saves a tenth
to a half of them.
"""
FULL = 256


def steps_in_blocks(steps: int, length: int, recorded: Sequence[int]) -> int:
    """How many of `steps` lie in whole blocks of `length`, counted from step 0, in which no step is recorded."""
    whole = steps // length
    disturbed = {index // length for index in recorded if index // length < whole}
    return length * (whole - len(disturbed))


def choose_block(backend: str, program: Program, state: State, recorded: Sequence[int], steps: int) -> Block | None:
    """The block to run with, or None to run step by step; recorded: the steps to be recorded.

    "auto" looks for a block on the CPU, for a gradient in closed form, if enough of the steps can lie in blocks: first
    for a native one, then for one of torch.compile, and goes on in eager torch where there is neither. "native" and
    "compiled" raise OptionError there. Raises OptionError for another name.
    """
    if backend not in get_args(Backend):
        raise OptionError(f"backend = {backend!r} is unknown: {', '.join(map(repr, get_args(Backend)))}")
    if backend == "native":
        return native_block(program, state)
    if backend == "compiled":
        return _compiled(program, state, recorded, steps, least=1)
    if backend == "eager" or program.device.type != "cpu" or not is_closed_form(program.model, program.loss):
        return None
    if (steps - len(recorded)) * max(program.replicas, FULL) < NATIVE_REPLICA_STEPS:
        return None
    return _automatic(program, state, recorded, steps)


def _automatic(program: Program, state: State, recorded: Sequence[int], steps: int) -> Block | None:
    try:
        return native_block(program, state)
    except NoCompilerError as error:
        warnings.warn(f"{error}: training goes on in eager torch, which is slower", stacklevel=2)
        return None
    except OptionError:
        pass
    try:
        return _compiled(program, state, recorded, steps, least=REPLICA_STEPS)
    except OptionError:
        return None


def _compiled(program: Program, state: State, recorded: Sequence[int], steps: int, least: int) -> Block | None:
    if steps * program.replicas < least:
        return None
    length = block_length(program, state)
    inside = steps_in_blocks(steps, length, recorded)
    return compiled_block(program, state, length) if inside and inside * program.replicas >= least else None
