"""The layer whose flatness is measured, and what goes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.objective import Objective
from numeric.sharpness.second_order import math_attention


@dataclass(frozen=True)
class Layer:
    """A module with one weight W: its first axis are the output units s, all others together the inputs of w_s."""

    name: str
    module: nn.Module
    shared: bool

    @classmethod
    def of(cls, objective: Objective, name: str | None) -> Layer:
        """The named module, or the linear one that is called last in a forward pass of one sample.

        Raises OptionError where there is none with a weight matrix among the measured parameters.
        """
        modules = dict(objective.model.named_modules())
        if name is None:
            found = [key for key, module in modules.items() if _is_measured_linear(key, module, objective)]
            if not found:
                raise OptionError("the model has no nn.Linear among the measured parameters: name a layer")
            name = _last_called(objective, found)
        if name not in modules:
            raise OptionError(f"the model has no layer {name!r}: take a name from model.named_modules()")
        weight = objective.parameters.get(_weight(name))
        if weight is None or weight.ndim < 2:
            raise OptionError(
                f"layer {name!r} has no weight matrix among the measured parameters (tied ones go by the first name)"
            )
        return cls(name, modules[name], _is_shared(objective.model, _weight(name)))

    @property
    def weight(self) -> str:
        """The name of the weight among the parameters."""
        return _weight(self.name)


@dataclass
class Passage:
    """What one forward pass of the model sent through the layer: inputs φ and outputs z of each call."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def by_sample(self, size: int) -> bool:
        """Whether the layer was called once, with one vector for each of the `size` samples."""
        return len(self.inputs) == 1 and self.inputs[0].ndim == 2 and len(self.inputs[0]) == size


@contextmanager
def watched(layer: Layer) -> Iterator[Passage]:
    """Notes what goes through the layer; each output is replaced by a leaf from which derivatives can be taken."""
    passage = Passage()

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if not isinstance(output, Tensor) or not inputs or not isinstance(inputs[0], Tensor):
            return None
        leaf = output.detach().requires_grad_()
        passage.inputs.append(inputs[0].detach())
        passage.outputs.append(leaf)
        return leaf.clone()  # what follows may write into it

    handle = layer.module.register_forward_hook(note)
    try:
        yield passage
    finally:
        handle.remove()


def _last_called(objective: Objective, names: list[str]) -> str:
    """The one that is called last; the last of the names where none is called as a module."""
    called = names[-1:]

    def note(name: str) -> Callable[..., None]:
        return lambda *_: called.append(name)

    handles = [objective.model.get_submodule(name).register_forward_hook(note(name)) for name in names]
    try:
        with torch.no_grad(), math_attention():  # the fused path of encoders calls none of its layers
            objective.value(objective.parameters, next(objective.batches()).select(slice(0, 1)))
    finally:
        for handle in handles:
            handle.remove()
    return called[-1]


def _weight(name: str) -> str:
    return f"{name}.weight" if name else "weight"


def _is_measured_linear(name: str, module: nn.Module, objective: Objective) -> bool:
    return isinstance(module, nn.Linear) and _weight(name) in objective.parameters


def _is_shared(model: nn.Module, name: str) -> bool:
    every = dict(model.named_parameters(remove_duplicate=False))
    return sum(parameter is every[name] for parameter in every.values()) > 1
