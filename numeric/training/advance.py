"""One training step of all replicas at once: the one function a faster backend would replace."""

from __future__ import annotations

import torch
from torch import Tensor

from numeric.training.learning_rate import learning_rate_at
from numeric.training.model import Point
from numeric.training.program import Program
from numeric.training.recorder import Recorder
from numeric.training.state import State
from numeric.training.step import Step


def advance(program: Program, state: State, recorder: Recorder) -> Tensor:
    """Take step `state.step` in place, record it if it is due, and return the loss before it, (R,).

    Call under torch.no_grad().
    """
    index, point, optimizer = state.step, state.point, program.optimizer
    batch = program.batches.at(index)
    loss, gradient = loss_and_gradient(program, point, batch)
    eta = learning_rate_at(optimizer.lr, index)
    due = recorder.is_due(index)
    before = {name: leaf.clone() for name, leaf in point.items()} if due else {}
    optimizer.update(point, gradient, state.velocity, eta, program.noise_at(index))
    if due:
        after = {name: leaf.detach() for name, leaf in point.items()}
        recorder.record(Step(index, before, gradient, after, eta, optimizer.weight_decay, loss, batch))
    state.step = index + 1
    return loss


def loss_and_gradient(program: Program, point: Point, batch: dict[str, Tensor]) -> tuple[Tensor, Point]:
    """Mean batch loss of each replica, (R,), and its gradient, leaves (R, *shape).

    Replicas do not interact, so the gradient of the summed losses holds each replica's own in its rows. A
    parameter that the loss does not touch gets a zero gradient.
    """
    with torch.enable_grad():
        loss = program.loss(program.model.predict(point, batch), batch).mean(-1)
        leaves = torch.autograd.grad(loss, tuple(point.values()), program.seed_gradient, materialize_grads=True)
    return loss.detach(), dict(zip(point, leaves, strict=True))
