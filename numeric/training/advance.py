"""Training goes on, by one step of all replicas or by a compiled block of steps."""

from __future__ import annotations

from torch import Tensor

from numeric.training.block import Block
from numeric.training.program import Program
from numeric.training.recorder import Recorder
from numeric.training.state import State
from numeric.training.step import Step


def advance(program: Program, state: State, recorder: Recorder, block: Block | None, stop: int) -> Tensor:
    """Take one step, or a block if one fits, in place; return the losses before each step, (steps taken, R).

    A block ends at `stop` or before and holds no step that is due to be recorded; it begins at a multiple of its
    unit, so that the same steps are taken together whatever came before. Call under torch.no_grad().
    """
    due = recorder.next_due()
    room = (stop if due is None else min(stop, due)) - state.step
    if block is not None and state.step % block.unit == 0 and room >= block.unit:
        return block.take(program, state, room)
    return _one_step(program, state, recorder).unsqueeze(0)


def _one_step(program: Program, state: State, recorder: Recorder) -> Tensor:
    """Take step `state.step` in place, record it if it is due, and return the loss before it, (R,)."""
    index, point, optimizer = state.step, state.point, program.optimizer
    batch, eta = program.batches.at(index), program.rate_at(index)
    due = recorder.next_due() == index
    before = {name: leaf.clone() for name, leaf in point.items()} if due else {}
    loss, gradient = program.step(point, state.velocity, batch, eta, program.noise_at(index))
    if due:
        recorder.record(Step(index, before, gradient, dict(point), eta, optimizer.weight_decay, loss, batch))
    state.step = index + 1
    return loss
