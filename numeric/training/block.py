"""Several steps in one compiled function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.training.gradient import Batch
from numeric.training.inner_step import InnerStep
from numeric.training.model import Point

UNROLLED = 8
"""Steps in one compiled function. The time of a call is spread over them; compile time grows in proportion."""

Block = Callable[[Point, Point, Sequence[Batch], Tensor, Sequence[Point | None]], Tensor]
"""(point, velocity, UNROLLED batches, rates (UNROLLED,), noises) → losses (UNROLLED, R); moves the point in place."""


def unrolled(step: InnerStep) -> Block:
    """UNROLLED steps one after the other, to be compiled."""

    def block(
        point: Point, velocity: Point, batches: Sequence[Batch], rates: Tensor, noises: Sequence[Point | None]
    ) -> Tensor:
        losses = [
            step(point, velocity, batch, rate, noise)[0]
            for batch, rate, noise in zip(batches, rates.unbind(0), noises, strict=True)
        ]
        return torch.stack(losses)

    return block


def compiled(
    step: InnerStep,
    point: Point,
    velocity: Point,
    batches: Sequence[Batch],
    rates: Tensor,
    noises: Sequence[Point | None],
) -> Block:
    """The unrolled steps through torch.compile, tried once on copies of what training starts with.

    Raises OptionError, with torch's reason, where they cannot be compiled, as without a C++ compiler.
    """
    function = torch.compile(_own_code(unrolled(step)), dynamic=False, fullgraph=True)
    copies = [{name: leaf.clone() for name, leaf in leaves.items()} for leaves in (point, velocity)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its own parts
            function(copies[0], copies[1], batches, rates, noises)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OptionError(f"the steps cannot be compiled ({reason}): leave backend at 'auto', or set 'eager'") from error
    return function


def _own_code(function: Block) -> Block:
    """The same function with a code object of its own.

    torch.compile keeps what it compiled with the code object, looks through all of it at every call and refuses more
    than a few versions; each training run has its own version.
    """
    assert isinstance(function, FunctionType)
    code: CodeType = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
