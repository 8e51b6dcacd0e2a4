"""The loss of a user's model as a function of its parameters, over data that come in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from numeric.errors import DataError, OptionError
from numeric.sharpness.batch import Batch, is_single_batch, make_batch
from numeric.sharpness.cost import FORWARD, GRADIENT, Cost
from numeric.sharpness.parameters import Point, trainable

ModelLoss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Objective:
    """L(θ), the mean over all samples of a loss, and its derivatives one batch at a time.

    model: any module; its mode and buffers are left as they are. loss: (output, target) -> the mean over the
    samples of a batch, a scalar tensor. parameters: the point θ at which to measure, D entries in all, detached.
    cost counts the passes made through this objective, notes what had to be done differently on the way (`remark`).
    Losses carry the unit of the user's loss.
    """

    model: nn.Module
    loss: ModelLoss
    data: Iterable[Any]
    parameters: Point
    cost: Cost = field(default_factory=Cost)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, model: nn.Module, loss: ModelLoss, data: Any, *, keep: Callable[[str], bool] | None = None
    ) -> Objective:
        """The objective at the model's present parameters.

        data: one batch, or an iterable of batches that can be gone through again (a list, a DataLoader). A batch is
        (inputs, target), or a mapping of the model's keyword arguments with the target under "labels".
        keep: a predicate that picks parameters by name.
        Raises DataError for a one-shot iterator, OptionError for no parameters or a loss that is no callable.
        """
        if not callable(loss):
            raise OptionError(f"the loss is a {type(loss).__name__}: pass a callable (output, target) -> mean loss")
        batches = [data] if is_single_batch(data) else data
        if isinstance(batches, Iterator):
            raise DataError("the data are an iterator that can be read once: pass a list of batches or a DataLoader")
        return cls(model, loss, batches, trainable(model, keep))

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.parameters.values())).dtype

    @property
    def device(self) -> torch.device:
        return next(iter(self.parameters.values())).device

    def batches(self) -> Iterator[Batch]:
        """The batches one after another, on the model's device and in its dtype. Raises DataError for none."""
        found = False
        for item in self.data:
            found = True
            yield make_batch(item).to(self.device, self.dtype)
        if not found:
            raise DataError("the data hold no batch: pass at least one")

    def output(self, parameters: Mapping[str, Tensor], batch: Batch) -> Any:
        """The model's output for a batch, at any parameters (names left out keep the model's own)."""
        positional, named = batch.arguments()
        return functional_call(self.model, dict(parameters), positional, named, tie_weights=True)

    def value(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """L_B(θ), a differentiable scalar; counts a forward pass."""
        self.cost.add(FORWARD, batch.size)
        return self.loss(self.output(parameters, batch), batch.target)

    def gradient(self, parameters: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Point]:
        """(L_B(θ), ∇L_B(θ)), detached; counts one unit."""
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in parameters.items()}
        with torch.enable_grad():
            value = self.loss(self.output(leaves, batch), batch.target)
        gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        self.cost.add(GRADIENT, batch.size)
        return value.detach(), dict(zip(leaves, gradients, strict=True))

    def remark(self, note: str) -> None:
        """Say once, for the reader of the result, what had to be done differently: one sentence."""
        if note not in self.notes:
            self.notes.append(note)

    def at(self, parameters: Point) -> Objective:
        """The same objective at another point, counting into the same cost, with the same notes."""
        return replace(self, parameters=parameters)
