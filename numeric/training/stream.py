"""Noise for every replica and step, without a generator state to carry along."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from numeric.training.stream_seed import stream_seed

NUMBERS_PER_BLOCK = 1024
STEPS_PER_BLOCK = 512
REPLICAS_PER_TILE = 16
"""Few enough that a tile has less than the 32768 numbers for which torch calls a second thread."""

Draw = Callable[[Tensor, torch.Generator], object]


class Stream:
    """The tensor (R, *shape) of random numbers that belongs to a step, R the number of replicas.

    Numbers are drawn for a block of steps at once, each replica's from a generator of its own whose seed
    depends on seed, purpose, replica and block only. So a replica sees the same numbers whatever R is, and
    any step can be asked for at any time. The block's length depends on `shape` alone: long enough that
    drawing outweighs seeding, short enough to stay within about 8 KB a replica. CPU and CUDA generators give
    different numbers.
    """

    def __init__(
        self,
        purpose: str,
        shape: tuple[int, ...],
        draw: Draw,
        *,
        seed: int,
        replicas: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._purpose, self._draw, self._seed = purpose, draw, seed
        self._length = max(1, min(STEPS_PER_BLOCK, NUMBERS_PER_BLOCK // max(1, math.prod(shape))))
        self._tile = torch.empty((REPLICAS_PER_TILE, self._length, *shape), dtype=dtype, device=device)
        self._numbers = torch.empty((self._length, replicas, *shape), dtype=dtype, device=device)
        self._by_step = self._numbers.unbind(0)
        self._generator = torch.Generator(device=device)
        self._block = -1

    def at(self, step: int) -> Tensor:
        """The numbers of one step, (R, *shape); valid until a step of another block is asked for."""
        block, position = divmod(step, self._length)
        if block != self._block:
            self._load(block)
        return self._by_step[position]

    def _load(self, block: int) -> None:
        replicas = self._numbers.shape[1]
        # Drawn replica by replica, read step by step: transposing a tile at a time stays in the cache.
        for first in range(0, replicas, REPLICAS_PER_TILE):
            last = min(first + REPLICAS_PER_TILE, replicas)
            for replica, row in zip(range(first, last), self._tile.unbind(0), strict=False):
                self._generator.manual_seed(stream_seed(self._seed, self._purpose, replica, block))
                self._draw(row, self._generator)
            self._numbers[:, first:last] = self._tile[: last - first].transpose(0, 1)
        self._block = block


def normal_stream(
    purpose: str,
    shape: tuple[int, ...],
    *,
    seed: int,
    replicas: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Stream:
    """Independent standard normal numbers, (R, *shape) a step."""

    def draw(row: Tensor, generator: torch.Generator) -> None:
        row.normal_(generator=generator)

    return Stream(purpose, shape, draw, seed=seed, replicas=replicas, dtype=dtype, device=device)


def index_stream(purpose: str, count: int, samples: int, *, seed: int, replicas: int, device: torch.device) -> Stream:
    """`count` independent uniform indices below `samples`, (R, count) a step: drawing with replacement."""

    def draw(row: Tensor, generator: torch.Generator) -> None:
        row.random_(0, samples, generator=generator)

    return Stream(purpose, (count,), draw, seed=seed, replicas=replicas, dtype=torch.int64, device=device)


def permutation_stream(purpose: str, samples: int, *, seed: int, replicas: int, device: torch.device) -> Stream:
    """A uniformly random order of all samples, (R, samples) for every epoch: drawing without replacement."""

    def draw(row: Tensor, generator: torch.Generator) -> None:
        keys = torch.rand(row.shape, generator=generator, dtype=torch.float64, device=device)
        row.copy_(keys.argsort(dim=-1))

    return Stream(purpose, (samples,), draw, seed=seed, replicas=replicas, dtype=torch.int64, device=device)
