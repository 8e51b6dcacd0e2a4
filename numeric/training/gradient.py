"""The gradient of every replica's batch loss: the one place where it is decided how it is computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from numeric.losses import Loss, ValueAndDerivative
from numeric.training.model import Model, Point

Batch = dict[str, Tensor]
Gradient = Callable[[Point, Batch], tuple[Tensor, Point]]
"""(point, batch) → the mean batch loss of each replica, (R,), and its gradient, leaves (R, *shape)."""


def gradient_of(model: Model, loss: Loss) -> Gradient:
    """In closed form where the model's module has `value_and_pullback`, by automatic differentiation elsewhere.

    A loss that has no `value_and_derivative` is differentiated automatically, by itself alone.
    """
    if model.value_and_pullback is None:
        return _automatic(model, loss)
    derivative = getattr(loss, "value_and_derivative", None)
    if derivative is None:
        return _closed(model, _derivative_of(loss), shared=False)
    return _closed(model, derivative, shared=True)


def is_closed_form(model: Model, loss: Loss) -> bool:
    """Whether no part of the gradient is differentiated automatically."""
    return model.value_and_pullback is not None and hasattr(loss, "value_and_derivative")


def _closed(model: Model, derivative: ValueAndDerivative, *, shared: bool) -> Gradient:
    value_and_pullback = model.value_and_pullback
    assert value_and_pullback is not None

    def gradient(point: Point, batch: Batch) -> tuple[Tensor, Point]:
        once = {key: _once(leaf) for key, leaf in batch.items()}
        value, pullback = value_and_pullback(point, **{name: once[name] for name in model.inputs}, **model.fixed)
        losses, cotangent = derivative(value, once if shared else batch)
        return losses.mean(-1), pullback(cotangent)

    return gradient


def _once(leaf: Tensor) -> Tensor:
    """A leaf (R, B, ...) that is the same for all replicas as (1, B, ...): one matrix product then serves them all."""
    return leaf[:1] if leaf.stride(0) == 0 else leaf


def _derivative_of(loss: Loss) -> ValueAndDerivative:
    def derivative(prediction: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = prediction.detach().requires_grad_()
            losses = loss(leaf, batch)
            (cotangent,) = torch.autograd.grad(losses.mean(-1).sum(), leaf, materialize_grads=True)
        return losses.detach(), cotangent

    return derivative


def _automatic(model: Model, loss: Loss) -> Gradient:
    """Replicas do not interact, so the gradient of the summed losses holds each replica's own in its rows.

    A parameter that the loss does not touch gets a zero gradient.
    """

    def gradient(point: Point, batch: Batch) -> tuple[Tensor, Point]:
        with torch.enable_grad():
            leaves = {name: leaf.detach().requires_grad_() for name, leaf in point.items()}
            mean = loss(model.predict(leaves, batch), batch).mean(-1)
            gradients = torch.autograd.grad(mean.sum(), tuple(leaves.values()), materialize_grads=True)
        return mean.detach(), dict(zip(leaves, gradients, strict=True))

    return gradient
