"""SGD without replacement: every sample once an epoch, in a uniformly random order that is reproducible."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from numeric.errors import DataError
from numeric.training import SGD
from numeric.training.batches import Batches

SAMPLES, SIZE = 6, 2
EPOCH = SAMPLES // SIZE


def drawn(replicas: int, steps: list[int], seed: int = 4) -> Tensor:
    """Indices of the samples, (steps, R, B)."""
    optimizer = SGD(lr=0.1, batch_size=SIZE, replacement=False)
    batches = Batches({"i": torch.arange(SAMPLES)}, optimizer, seed=seed, replicas=replicas)
    return torch.stack([batches.at(step)["i"].clone() for step in steps])


def test_every_sample_comes_once_in_every_epoch() -> None:
    epochs = drawn(5, list(range(40 * EPOCH))).unflatten(0, (40, EPOCH)).transpose(1, 2).flatten(2)
    assert bool((epochs.sort(-1).values == torch.arange(SAMPLES)).all())
    assert len(epochs.flatten(0, 1).unique(dim=0)) > 100  # of 200 orders drawn out of 720


def test_a_step_is_a_function_of_seed_replica_and_step() -> None:
    assert torch.equal(drawn(7, list(range(9)))[:, :3], drawn(3, list(range(9))))
    assert torch.equal(drawn(2, [1_000, 5])[0], drawn(2, [1_000])[0])
    assert not torch.equal(drawn(3, list(range(9)), seed=5), drawn(3, list(range(9))))


def test_the_order_is_uniform() -> None:
    """Each sample at each place in 1/6 of 20,000 epochs: five standard errors of a proportion."""
    replicas = 20_000
    epochs = drawn(replicas, list(range(EPOCH))).transpose(0, 1).flatten(1)
    share = (epochs[:, :, None] == torch.arange(SAMPLES)).double().mean(0)
    error = (1 / SAMPLES * (1 - 1 / SAMPLES) / replicas) ** 0.5
    assert float((share - 1 / SAMPLES).abs().max()) < 5 * error


def test_batches_have_to_use_up_the_samples() -> None:
    optimizer = SGD(lr=0.1, batch_size=4, replacement=False)
    with pytest.raises(DataError, match="batches of 4 do not use up 6 samples"):
        Batches({"i": torch.arange(SAMPLES)}, optimizer, seed=0, replicas=1)
