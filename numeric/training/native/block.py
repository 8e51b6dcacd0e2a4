"""Steps taken by generated C++, the replicas shared out among threads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.training.block import copies
from numeric.training.native.compiler import library
from numeric.training.native.source import Source, native_source
from numeric.training.program import Program
from numeric.training.state import State

LONGEST, BYTES = 32, 1 << 22
"""Steps in one call: at most LONGEST, and as few as keep what is drawn for them below BYTES, at least one."""


@dataclass(frozen=True)
class NativeBlock:
    """Any number of steps up to `longest`, beginning anywhere: how they are cut into calls changes no bit of them."""

    name: ClassVar[str] = "native"
    unit: ClassVar[int] = 1
    source: Source
    code: ctypes.CDLL
    longest: int
    pool: Executor

    def take(self, program: Program, state: State, room: int) -> Tensor:
        """Take at most `room` steps from `state.step` on, in place; return the losses before each, (steps, R).

        A thread works on a range of replicas. What a replica computes depends on no other one, and so not on the number
        of threads.
        """
        steps = range(state.step, state.step + min(room, self.longest))
        drawn = [each for step in steps for each in program.drawn(step)]
        losses = next(iter(state.point.values())).new_empty((len(steps), program.replicas))
        arguments = (
            _pointers([*state.point.values(), *state.velocity.values()]),
            _pointers(self.source.data),
            _pointers(drawn),
            (ctypes.c_double * len(steps))(*map(program.rate_at, steps)),
            ctypes.c_void_p(losses.data_ptr()),
            ctypes.c_int64(len(steps)),
            ctypes.c_int64(program.replicas),
        )

        def run(first: int, last: int) -> None:
            work = losses.new_empty(self.source.workspace * self.code.lanes())
            place = ctypes.c_void_p(work.data_ptr())
            self.code.steps(*arguments, ctypes.c_int64(first), ctypes.c_int64(last), place)

        mine, *others = _shares(program.replicas, self.code.lanes(), torch.get_num_threads())
        waiting = [self.pool.submit(run, *share) for share in others]
        try:
            run(*mine)
        finally:  # an interrupt too must leave no thread behind that reads these tensors
            wait(waiting)
        for each in waiting:
            each.result()
        state.step = steps.stop
        return losses


def native_block(program: Program, state: State) -> NativeBlock:
    """Generate and compile the steps, and take one of them on a copy of the state, beside one in eager torch.

    Raises OptionError where an operation has no native form or the two steps differ by more than rounding, and
    NoCompilerError.
    """
    leaves = [*state.point.values(), *state.velocity.values()]
    if program.device.type != "cpu" or not all(leaf.is_contiguous() for leaf in leaves):
        raise OptionError("native steps are for contiguous parameters on the CPU: set backend to 'auto' or 'eager'")
    source = native_source(program, state)
    size = sum(each.numel() * each.element_size() for each in program.drawn(0))
    longest = max(1, min(LONGEST, BYTES // max(1, size)))
    block = NativeBlock(source, library(source.text), longest, ThreadPoolExecutor(thread_name_prefix="native steps"))
    _check(block, program, state)
    return block


def _check(block: NativeBlock, program: Program, state: State) -> None:
    trial, (point, velocity) = State(0, *copies(state)), copies(state)
    found = [block.take(program, trial, 1)[0], *trial.point.values(), *trial.velocity.values()]
    (batch,), (rate,), (noise,) = program.block_inputs(0, 1)
    with torch.no_grad():
        loss, _ = program.step(point, velocity, batch, rate, noise)
    for mine, theirs in zip(found, [loss, *point.values(), *velocity.values()], strict=True):
        # Half the digits: sums in another order keep more, a wrong operation keeps none.
        tolerance = torch.finfo(mine.dtype).eps ** 0.5
        scale = theirs.nan_to_num(0.0, 0.0, 0.0).abs().max().item()
        if not torch.allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            raise OptionError("a native step is not the step that eager torch takes: set backend to 'auto' or 'eager'")


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(each.data_ptr() for each in tensors))


def _shares(replicas: int, lanes: int, workers: int) -> list[tuple[int, int]]:
    """Ranges of replicas, whole vectors of them but for the last, one for each worker that there is work for."""
    vectors = -(-replicas // lanes)
    workers = min(workers, vectors)
    ends = [min(replicas, vectors * each // workers * lanes) for each in range(workers + 1)]
    return list(pairwise(ends))
