"""Several steps in one compiled function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from numeric.errors import OptionError
from numeric.training.gradient import Batch
from numeric.training.inner_step import InnerStep
from numeric.training.model import Point
from numeric.training.program import Program
from numeric.training.state import State

LONGEST = 8
OPERATIONS = 600
"""A block has at most LONGEST steps, a power of two, and about this many operations, on which compile time depends."""

Steps = Callable[[Point, Point, Sequence[Batch], Tensor, Sequence[Point | None]], Tensor]
"""(point, velocity, batches, step sizes, noises), of as many steps → losses (steps, R). Moves the point in place."""


class Block(Protocol):
    """Several steps in one function.

    name: of the backend. unit: blocks begin at multiples of it and have at least as many steps, so that the same steps
    are taken together wherever a run stops in between.
    """

    @property
    def name(self) -> str:
        """As in `numeric.training.backend.Backend`."""

    @property
    def unit(self) -> int:
        """Steps."""

    def take(self, program: Program, state: State, room: int) -> Tensor:
        """Take steps from `state.step` on, at most `room`, in place; return the losses before each, (steps, R)."""


@dataclass(frozen=True)
class CompiledBlock:
    """`unit` steps of a program in one function made by torch.compile."""

    name: ClassVar[str] = "compiled"
    unit: int
    function: Steps

    def take(self, program: Program, state: State, room: int) -> Tensor:
        """Take `unit` steps, which is at most `room`; return the losses before each, (unit, R)."""
        losses = self.function(state.point, state.velocity, *program.block_inputs(state.step, self.unit))
        state.step += self.unit
        return losses


def block_length(program: Program, state: State) -> int:
    """How many steps go into one block: LONGEST, or fewer where a step has many operations."""
    point, velocity = copies(state)
    (batch,), (rate,), (noise,) = program.block_inputs(0, 1)
    with torch.no_grad(), _Counter() as counter:
        program.step(point, velocity, batch, rate, noise)
    length = LONGEST
    while length > 1 and length * counter.count > OPERATIONS:
        length //= 2
    return length


THREADS = 1
"""Of the loops that are compiled. A step has many small ones; a second thread is called for each, and a ReLU net then
takes twenty times as long (benchmarks/bench_ensembles.py on two cores)."""


def compiled_block(program: Program, state: State, length: int) -> CompiledBlock:
    """A block through torch.compile, tried once on a copy of the state.

    Raises OptionError, with torch's reason, where the steps cannot be compiled, as without a C++ compiler.
    """
    function: Steps = torch.compile(
        _own_code(_unrolled(program.step)), dynamic=False, fullgraph=True, options={"cpp.threads": THREADS}
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its own parts
            point, velocity = copies(state)
            function(point, velocity, *program.block_inputs(0, length))
    except (RuntimeError, OSError) as error:
        reason = next(iter(str(error).split("\n")), "") or type(error).__name__
        raise OptionError(f"the steps cannot be compiled ({reason}): set backend to 'auto' or 'eager'") from error
    return CompiledBlock(length, function)


def _unrolled(step: InnerStep) -> Steps:
    def block(
        point: Point, velocity: Point, batches: Sequence[Batch], rates: Tensor, noises: Sequence[Point | None]
    ) -> Tensor:
        losses = [
            step(point, velocity, batch, rate, noise)[0]
            for batch, rate, noise in zip(batches, rates.unbind(0), noises, strict=True)
        ]
        return torch.stack(losses)

    return block


def _own_code(function: Steps) -> Steps:
    """The same function with a code object of its own.

    torch.compile keeps what it compiled with the code object, looks through all of it at every call and refuses more
    than a few versions; each training run has its own version.
    """
    assert isinstance(function, FunctionType)
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)


def copies(state: State) -> tuple[Point, Point]:
    """Copies of point and velocity, to try steps on."""
    point, velocity = (
        {name: leaf.clone() for name, leaf in leaves.items()} for leaves in (state.point, state.velocity)
    )
    return point, velocity


class _Counter(TorchDispatchMode):
    """Counts the operations that torch runs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))
