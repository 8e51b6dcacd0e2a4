"""Steps taken by generated C++, the replicas shared out among threads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
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
"""Steps in one call: at most LONGEST, and as few as keep the inputs of their batches below BYTES, at least one."""


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
        """Take at most `room` steps from `state.step` on, in place; return the losses before each, (steps, R)."""
        count = min(room, self.longest)
        batches, rates, noises = program.block_inputs(state.step, count)
        inputs = [
            _packed(leaf, same)
            for batch, noise in zip(batches, noises, strict=True)
            for leaf, same in zip([*batch.values(), *(noise or {}).values()], self.source.uniform, strict=True)
        ]
        losses = next(iter(state.point.values())).new_empty((count, program.replicas))
        held = _pointers([*state.point.values(), *state.velocity.values()])
        given, constants = _pointers(inputs), _pointers(self.source.constants)

        def run(first: int, last: int) -> None:
            work = losses.new_empty(self.source.workspace * self.code.lanes())
            self.code.steps(
                held,
                given,
                constants,
                ctypes.c_void_p(rates.data_ptr()),
                ctypes.c_void_p(losses.data_ptr()),
                *map(ctypes.c_int64, (count, program.replicas, first, last)),
                ctypes.c_void_p(work.data_ptr()),
            )

        mine, *others = _shares(program.replicas, self.code.lanes(), torch.get_num_threads())
        waiting = [self.pool.submit(run, *share) for share in others]
        run(*mine)
        for each in waiting:
            each.result()
        state.step += count
        return losses


def native_block(program: Program, state: State) -> NativeBlock:
    """Generate and compile the steps, and take one of them on a copy of the state, beside one in eager torch.

    Raises OptionError where an operation has no native form, without a compiler, or if both steps differ by more
    than rounding.
    """
    leaves = [*state.point.values(), *state.velocity.values()]
    if program.device.type != "cpu" or not all(leaf.is_contiguous() for leaf in leaves):
        raise OptionError("native steps are for contiguous tensors on the CPU: set backend to 'auto' or 'eager'")
    source = native_source(program, state)
    (batch,), _, (noise,) = program.block_inputs(0, 1)
    size = sum(
        0 if leaf.stride(0) == 0 else leaf.numel() * leaf.element_size()
        for leaf in (*batch.values(), *(noise or {}).values())
    )
    longest = max(1, min(LONGEST, BYTES // max(1, size)))
    block = NativeBlock(source, library(source.text), longest, ThreadPoolExecutor(thread_name_prefix="native steps"))
    _check(block, program, state)
    return block


def _check(block: NativeBlock, program: Program, state: State) -> None:
    trial, (point, velocity) = State(0, *copies(state)), copies(state)
    losses = [block.take(program, trial, 1)[0]]
    (batch,), (rate,), (noise,) = program.block_inputs(0, 1)
    with torch.no_grad():
        losses.append(program.step(point, velocity, batch, rate, noise)[0])
    pairs = [losses, *zip([*trial.point.values(), *trial.velocity.values()], [*point.values(), *velocity.values()])]
    tolerance = torch.finfo(losses[0].dtype).eps ** 0.5
    for found, expected in pairs:
        scale = expected[expected.isfinite()].abs().max().item() if expected.isfinite().any() else 1.0
        if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            raise OptionError("a native step is not the step that eager torch takes: set backend to 'auto' or 'eager'")


def _packed(leaf: Tensor, same: bool) -> Tensor:
    return leaf[0].contiguous() if same else leaf.contiguous()


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(each.data_ptr() for each in tensors))


def _shares(replicas: int, lanes: int, workers: int) -> list[tuple[int, int]]:
    """Ranges of replicas, whole vectors of them, one for each worker that there is work for."""
    vectors = -(-replicas // lanes)
    workers = min(workers, vectors)
    ends = [min(replicas, vectors * each // workers * lanes) for each in range(workers + 1)]
    return list(zip(ends, ends[1:], strict=False))
