"""Data for a module that is trained itself: normal inputs, and as targets what it says at another point, with noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.experiments.problem import Problem
from numeric.losses import coefficient_error, squared_error
from numeric.training.model import Model
from numeric.training.shapes import bound_shape
from numeric.training.stream_seed import stream_seed

UNBOUND = "bind it with P.bind({size}=…)"


def synthetic(model: Model, *, samples: int, noise: float, deviation: float, seed: int) -> Problem:
    """n = `samples` of a teacher: inputs N(0, 1), target y = φ(θ*; x) + noise · N(0, 1), all float64.

    The loss is half the squared distance to the target. θ* and the constants are drawn as `scaled_start` draws, which
    is the start. Without inputs the samples differ by their noise alone.
    Raises SizeError for a size without a value, and CheckError for an input that is called "y", as the target is, or
    for a predictor that is not finite.
    """
    if "y" in model.inputs:
        raise CheckError(f"{model.name} has an input 'y', which is what losses call the target: rename it")
    generator = torch.Generator().manual_seed(stream_seed(seed, "synthetic data", 0, 0))
    inputs = {
        name: _normal((samples, *bound_shape(f"input {name!r} of {model.name}", shape, UNBOUND)), generator)
        for name, shape in model.inputs.items()
    }
    constants = {
        name: _scaled(f"constant {name!r} of {model.name}", shape, deviation, generator)
        for name, shape in model.constants.items()
    }
    start = scaled_start(model, deviation)
    drawn = start(generator)
    teacher = {name: leaf.unsqueeze(0) for name, leaf in drawn.items()}
    batch = {name: leaf.unsqueeze(0) for name, leaf in inputs.items()}
    clean = replace(model, fixed=constants).predict(teacher, batch)[0]
    if not bool(torch.isfinite(clean).all()):
        raise CheckError(f"{model.name} is not finite at normal parameters and inputs of these sizes: choose others")
    target = clean if inputs else clean.expand(samples, *clean.shape)
    target = target + noise * _normal(tuple(target.shape), generator)
    return Problem({**inputs, "y": target}, constants, squared_error if inputs else coefficient_error, start, drawn)


def scaled_start(model: Model, deviation: float) -> Callable[[torch.Generator], dict[str, Tensor]]:
    """One replica's start: independent N(0, deviation² / f) numbers, f the number of terms in the longest sum over a
    parameter's entries that leaves one axis (over all of them for a vector).

    Whichever axes a layer sums over, its output then has entries of order `deviation` at most. Raises SizeError for a
    size without a value.
    """

    def start(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: _scaled(f"parameter {name!r} of {model.name}", shape, deviation, generator)
            for name, shape in model.parameters.items()
        }

    return start


def _scaled(owner: str, declared: tuple[int | str, ...], deviation: float, generator: torch.Generator) -> Tensor:
    shape = bound_shape(owner, declared, UNBOUND)
    terms = math.prod(shape) / min(shape) if len(shape) > 1 else math.prod(shape)
    return deviation / math.sqrt(terms) * _normal(shape, generator)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
