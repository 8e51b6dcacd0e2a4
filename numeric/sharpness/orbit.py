"""The symmetry along which a measure is asked to stay the same."""

from __future__ import annotations

from typing import Protocol

from numeric.sharpness.measure import Move

# How far gauge changes stretch their space: an attack that plain sharpness cannot survive, and float32 can.
CONDITION = 10.0


class Blocks(Protocol):
    """Parts of a model bound to a parametrization whose symmetries are known."""

    def move(self, seed: int, condition: float) -> Move:
        """A random function-preserving map θ -> gθ; condition: the condition number of every matrix in g."""
        ...


def orbit_move(blocks: Blocks | None, seed: int) -> Move | None:
    """The map that `evaluate` moves the parameters by, None without blocks."""
    return None if blocks is None else blocks.move(seed, CONDITION)
