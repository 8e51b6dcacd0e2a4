"""Starting points of elementwise parametrizations, found from their functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.mechanisms.monotone_inverse import monotone_inverse
from numeric.errors import CheckError
from numeric.training.model import Model, as_model

PROBE = 3
"""Value of a free size where only the way in which the predictor acts is asked for."""


def acts_on_coefficients(model: Model) -> bool:
    """Whether θ gives a vector of linear coefficients, each w_j from the entries j of the leaves alone: no inputs and
    no constants, one axis of one size for all leaves, and a predictor of that shape in which coordinates do not mix."""
    shapes = set(model.parameters.values())
    if model.inputs or model.constants or len(shapes) != 1 or len(next(iter(shapes))) != 1:
        return False
    ((declared,),) = shapes
    size = declared if isinstance(declared, int) else PROBE
    point = {name: torch.linspace(0.5, 1.5, size, dtype=torch.float64) for name in model.parameters}
    moved = {name: leaf.clone() for name, leaf in point.items()}
    for leaf in moved.values():
        leaf[size // 2] += 0.25
    try:
        w, w_moved = model.predictor(point), model.predictor(moved)
    except RuntimeError:  # operations that need longer leaves, such as windows, also mix them
        return False
    if tuple(w.shape) != (size,):
        return False
    others = torch.arange(size) != size // 2
    return torch.equal(w[others], w_moved[others])


def elementwise_model(M: Any, size: int) -> Model:
    """The model, checked to have a leaf of `size` numbers for every parameter and no inputs.

    Raises CheckError otherwise: the experiments train one coefficient w_j = φ(θ_j) for every column of the data.
    """
    model = as_model(M)
    for name, shape in model.parameters.items():
        if len(shape) != 1 or (isinstance(shape[0], int) and shape[0] != size):
            raise CheckError(f"parameter {name!r} has shape {shape}: the experiment needs ({size},) or a free size")
    if model.inputs or model.constants:
        kind = "inputs" if model.inputs else "constants"
        raise CheckError(f"{model.name} has {kind}: the experiment is about linear coefficients, w = φ(θ)")
    return model


def zero_pattern(model: Model) -> dict[str, float]:
    """Entries 1 or 0, as many ones as possible, where φ = 0 and ∇φ ≠ 0: starts are multiples of it.

    Raises CheckError when there is none.
    """
    names = list(model.parameters)
    patterns = sorted(product((1.0, 0.0), repeat=len(names)), key=lambda entries: -sum(entries))
    for pattern in patterns:
        point = {
            name: torch.tensor([entry], dtype=torch.float64, requires_grad=True)
            for name, entry in zip(names, pattern, strict=True)
        }
        w = model.predictor(point).sum()
        slopes = torch.autograd.grad(w, tuple(point.values()), materialize_grads=True)
        if float(w.detach()) == 0 and any(float(slope) != 0 for slope in slopes):
            return dict(zip(names, pattern, strict=True))
    raise CheckError(f"{model.name} has no start with entries 0 or 1 where w = 0 and its gradient is not zero")


def scale_where(function: Callable[[Tensor], Tensor], value: float, what: str) -> float:
    """The scale α > 0 with function(α) = value, for a function that grows from 0. CheckError if there is none."""
    alpha = float(monotone_inverse(function, torch.tensor(value, dtype=torch.float64)))
    if not alpha > 0:
        raise CheckError(f"no start scale makes {what} equal to {value:g}")
    return alpha


def filled(entries: Mapping[str, Any], size: int) -> dict[str, Tensor]:
    """A point whose leaves (size,) repeat one number each."""
    return {name: torch.full((size,), float(entry), dtype=torch.float64) for name, entry in entries.items()}


def normal_start(model: Model, size: int, deviation: float) -> Callable[[torch.Generator], dict[str, Tensor]]:
    """One replica's start: independent normal leaves (size,) with mean 0 and the given standard deviation."""

    def start(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: deviation * torch.randn(size, generator=generator, dtype=torch.float64) for name in model.parameters
        }

    return start


def kernel(model: Model, point: Mapping[str, Tensor]) -> float:
    """JJᵀ, the squared gradient of w in θ, of one coefficient; point: leaves (1,). CheckError if it vanishes."""
    leaves = {name: leaf.clone().requires_grad_() for name, leaf in point.items()}
    slopes = torch.autograd.grad(model.predictor(leaves).sum(), tuple(leaves.values()), materialize_grads=True)
    squared = float(torch.stack([slope.square().sum() for slope in slopes]).sum())
    if not squared > 0:
        raise CheckError(f"w of {model.name} does not move from the point where the experiment starts or ends")
    return squared
