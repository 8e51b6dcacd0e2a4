"""How steps are run: one at a time in eager torch, or several in one compiled function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from numeric.errors import OptionError
from numeric.training.block import Block, block_length, compiled_block
from numeric.training.gradient import is_closed_form
from numeric.training.program import Program
from numeric.training.state import State

Backend = Literal["auto", "eager", "compiled"]

REPLICA_STEPS = 10**8
"""Replica-steps in whole blocks from which "auto" compiles: a fixed number, so that the same call always runs the same.

Compiling takes 5 to 20 s on an idle machine. At 256 replicas a step of a small model takes 50 to 350 µs in eager torch,
of which compiling saves a tenth to a half: it pays from about 1e5 to 4e5 steps on.
"""


def steps_in_blocks(steps: int, length: int, recorded: Sequence[int]) -> int:
    """How many of `steps` lie in whole blocks of `length`, counted from step 0, in which no step is recorded."""
    whole = steps // length
    disturbed = {index // length for index in recorded if index // length < whole}
    return length * (whole - len(disturbed))


def choose_block(backend: str, program: Program, state: State, recorded: Sequence[int], steps: int) -> Block | None:
    """The compiled block to run with, or None to run step by step; recorded: the steps to be recorded.

    "auto" compiles on the CPU if the gradient is in closed form and REPLICA_STEPS or more lie in whole blocks, and goes
    on in eager torch where compiling fails; "compiled" raises OptionError there. Raises OptionError for another name.
    """
    if backend not in get_args(Backend):
        raise OptionError(f"backend = {backend!r} is unknown: {', '.join(map(repr, get_args(Backend)))}")
    if backend == "eager" or (backend == "auto" and not _may_pay(program, steps)):
        return None
    length = block_length(program, state)
    inside = steps_in_blocks(steps, length, recorded)
    if inside == 0 or (backend == "auto" and inside * program.replicas < REPLICA_STEPS):
        return None
    try:
        return compiled_block(program, state, length)
    except OptionError:
        if backend == "compiled":
            raise
        return None


def _may_pay(program: Program, steps: int) -> bool:
    is_long = steps * program.replicas >= REPLICA_STEPS
    return is_long and program.device.type == "cpu" and is_closed_form(program.model, program.loss)
