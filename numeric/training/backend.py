"""How steps are run: one at a time in eager torch, or several in one compiled function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from numeric.errors import OptionError
from numeric.training.block import UNROLLED, Block, compiled
from numeric.training.gradient import is_closed_form
from numeric.training.program import Program
from numeric.training.state import State

Backend = Literal["auto", "eager", "compiled"]
BACKENDS = ("auto", "eager", "compiled")

REPLICA_STEPS = 10**8
"""Replica-steps in whole blocks from which "auto" compiles: a fixed number, so that the same call always runs the same.

Compiling takes 5 to 20 s; at 256 replicas a step in eager torch takes 40 to 250 µs, of which it saves about half: it
pays from 1e5 to 4e5 steps on, which are 3e7 to 1e8 replica-steps.
"""


def steps_in_blocks(steps: int, recorded: Sequence[int]) -> int:
    """How many of `steps` lie in blocks of UNROLLED, counted from step 0, without a recorded step in them."""
    disturbed = {index // UNROLLED for index in recorded}
    return UNROLLED * (steps // UNROLLED - len([block for block in disturbed if block < steps // UNROLLED]))


def choose_block(
    backend: Backend, program: Program, state: State, recorded: Sequence[int], steps: int
) -> Block | None:
    """The compiled block to run with, or None to run step by step.

    "auto" compiles on the CPU if the gradient is in closed form and REPLICA_STEPS or more lie in whole blocks, and
    goes on in eager torch where compiling fails; "compiled" raises OptionError there.
    """
    if backend not in BACKENDS:
        raise OptionError(f"backend = {backend!r} is unknown: {', '.join(map(repr, BACKENDS))}")
    inside = steps_in_blocks(steps, recorded)
    if backend == "eager" or inside == 0 or (backend == "auto" and not _pays(program, inside)):
        return None
    try:
        with torch.no_grad():
            return compiled(program.step, state.point, state.velocity, *program.block_inputs(0, UNROLLED))
    except OptionError:
        if backend == "compiled":
            raise
        return None


def _pays(program: Program, steps: int) -> bool:
    is_large = steps * program.replicas >= REPLICA_STEPS
    return is_large and program.device.type == "cpu" and is_closed_form(program.model, program.loss)
