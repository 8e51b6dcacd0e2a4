"""The tensor program of a training run: all that a step needs and no step changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from numeric.errors import DataError, SizeError
from numeric.losses import Loss
from numeric.training.batches import Batches
from numeric.training.gradient import Batch
from numeric.training.inner_step import InnerStep, inner_step
from numeric.training.learning_rate import learning_rate_at
from numeric.training.model import Model, Point
from numeric.training.optimizer import Optimizer
from numeric.training.stream import Stream, normal_stream


@dataclass(frozen=True)
class Program:
    """Model, per-sample loss, update rule, batches and, for Langevin, the noise of the parameters.

    shapes: one replica's leaves. step: what takes a step, of all these parts but batches and noise.
    """

    model: Model
    loss: Loss
    optimizer: Optimizer
    batches: Batches
    noise: Stream | None
    shapes: dict[str, tuple[int, ...]]
    replicas: int
    device: torch.device
    step: InnerStep

    def rate_at(self, step: int) -> float:
        """The step size η of one step."""
        return learning_rate_at(self.optimizer.lr, step)

    def noise_at(self, step: int) -> Point | None:
        """Standard normal leaves (R, *shape) of one step, or None if the update rule wants none."""
        if self.noise is None:
            return None
        numbers = self.noise.at(step)
        parts = numbers.split([prod(shape) for shape in self.shapes.values()], dim=1)
        return {
            name: part.reshape(len(numbers), *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def drawn(self, step: int) -> list[Tensor]:
        """Copies of the random numbers of one step, those that there are.

        In this order: indices of samples (R, B), noise of the target (R, B, ...), noise of all parameters (R, D).
        """
        numbers = (*self.batches.drawn(step), None if self.noise is None else self.noise.at(step))
        return [each.clone(memory_format=torch.contiguous_format) for each in numbers if each is not None]

    def block_inputs(self, first: int, count: int) -> tuple[list[Batch], Tensor, list[Point | None]]:
        """Batches, step sizes (count,) in float64 and noise of `count` steps from `first` on.

        A stream's numbers are valid until it moves on; so those of several steps are copied. Batches are copies.
        """
        steps = range(first, first + count)
        batches = [self.batches.at(step) for step in steps]
        rates = torch.tensor([self.rate_at(step) for step in steps], dtype=torch.float64, device=self.device)
        return batches, rates, [_copied(self.noise_at(step)) for step in steps]


def _copied(noise: Point | None) -> Point | None:
    return None if noise is None else {name: leaf.clone() for name, leaf in noise.items()}


def build_program(
    model: Model, loss: Loss, optimizer: Optimizer, data: dict[str, Tensor], point: Point, seed: int
) -> Program:
    """Put the parts together and try the loss once at the starting point.

    Raises DataError if the loss asks for a key that the data lack, SizeError if prediction and data do not
    fit or the loss is not one number a sample, (R, B).
    """
    first = next(iter(point.values()))
    replicas = len(first)
    shapes = {name: tuple(leaf.shape[1:]) for name, leaf in point.items()}
    noise = None
    if optimizer.draws_noise:
        count = sum(prod(shape) for shape in shapes.values())
        noise = normal_stream(
            "langevin", (count,), seed=seed, replicas=replicas, dtype=first.dtype, device=first.device
        )
    batches = Batches(data, optimizer, seed=seed, replicas=replicas)
    step = inner_step(model, loss, optimizer)
    program = Program(model, loss, optimizer, batches, noise, shapes, replicas, first.device, step)
    _check_loss(program, point)
    return program


def _check_loss(program: Program, point: Point) -> None:
    batch = program.batches.at(0)
    with torch.no_grad():
        prediction = program.model.predict(point, batch)
        try:
            losses = program.loss(prediction, batch)
        except KeyError as error:
            raise DataError(f"the loss needs data[{error}], but the data hold {sorted(batch)}") from error
        except RuntimeError as error:
            leaves = ", ".join(f"{key} {tuple(leaf.shape)}" for key, leaf in batch.items())
            raise SizeError(
                f"the prediction {tuple(prediction.shape)} does not fit the batch ({leaves}): {error}"
            ) from error
    expected = (program.replicas, program.batches.size)
    if tuple(losses.shape) != expected:
        raise SizeError(
            f"the loss has shape {tuple(losses.shape)}, not {expected} (replicas, samples): return one number a sample"
        )
