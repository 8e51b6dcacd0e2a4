"""The batch of a step: all samples, or some of them, with or without fresh label noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from numeric.errors import DataError
from numeric.training.optimizer import Optimizer
from numeric.training.stream import Stream, index_stream, normal_stream, permutation_stream


class Batches:
    """Every replica's batch at a step, leaves (R, B, ...).

    B is the optimizer's batch size, drawn for each replica by itself, with replacement or dealt out from a shuffled
    epoch of n/B steps; or the number of samples n if that is None. Label noise adds label_noise · N(0, 1) to "y",
    fresh for each step, sample and replica. Raises DataError if there is label noise and no floating "y", or if B
    does not divide n where it has to.
    """

    def __init__(self, data: Mapping[str, Tensor], optimizer: Optimizer, *, seed: int, replicas: int) -> None:
        first = next(iter(data.values()))
        self.size = optimizer.batch_size or len(first)
        self.data, self._replicas = data, replicas
        self._full = {key: leaf.unsqueeze(0).expand(replicas, *leaf.shape) for key, leaf in data.items()}
        self._index = None
        self._steps_per_epoch = 1
        if optimizer.batch_size is not None and optimizer.replacement:
            self._index = index_stream(
                "minibatch", self.size, len(first), seed=seed, replicas=replicas, device=first.device
            )
        elif optimizer.batch_size is not None:
            self._steps_per_epoch = _whole_batches(len(first), self.size)
            self._index = permutation_stream("epoch", len(first), seed=seed, replicas=replicas, device=first.device)
        self.label_noise = optimizer.label_noise
        self._noise = None
        if self.label_noise > 0:
            target = _floating_target(data)
            shape = (self.size, *target.shape[1:])
            self._noise = normal_stream(
                "label noise", shape, seed=seed, replicas=replicas, dtype=target.dtype, device=target.device
            )

    def at(self, step: int) -> dict[str, Tensor]:
        """The batch of one step. Leaves of a full batch are expanded, not copied: do not write into them."""
        index, noise = self.drawn(step)
        batch = dict(self._full) if index is None else self._gather(index)
        if noise is not None:
            batch["y"] = torch.add(batch["y"], noise, alpha=self.label_noise)
        return batch

    def drawn(self, step: int) -> tuple[Tensor | None, Tensor | None]:
        """What chance has to say of one step: indices of the samples (R, B), standard normal numbers for "y"."""
        index = None if self._index is None else self._indices(self._index, step)
        return index, None if self._noise is None else self._noise.at(step)

    def _indices(self, stream: Stream, step: int) -> Tensor:
        """(R, B): all that the stream gives for the step, or the step's part of what it gives for the epoch."""
        epoch, position = divmod(step, self._steps_per_epoch)
        return stream.at(epoch).narrow(1, position * self.size, self.size)

    def _gather(self, index: Tensor) -> dict[str, Tensor]:
        flat = index.reshape(-1)
        return {
            key: leaf.index_select(0, flat).view(self._replicas, self.size, *leaf.shape[1:])
            for key, leaf in self.data.items()
        }


def _whole_batches(samples: int, size: int) -> int:
    if samples % size:
        raise DataError(f"batches of {size} do not use up {samples} samples: without replacement B has to divide n")
    return samples // size


def _floating_target(data: Mapping[str, Tensor]) -> Tensor:
    if "y" not in data:
        raise DataError(f"label noise needs a target: the data hold {sorted(data)}, add 'y' or set label_noise=0")
    if not data["y"].is_floating_point():
        raise DataError(f"label noise needs a floating target, but data['y'] is {data['y'].dtype}")
    return data["y"]
