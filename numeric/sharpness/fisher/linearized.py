"""A batch's outputs with the graph that differentiates them: J v, Jᵀ y and y·∇²f v, many v at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import flatten, unflatten


class Linearized:
    """f(θ) of one batch about the objective's point, and its first two derivatives in reverse mode alone.

    natural: f, the natural parameters (n, p, c), with their graph. output: the model's own output.
    """

    def __init__(self, objective: Objective, predictive: Predictive, batch: Batch) -> None:
        self.leaves = {name: leaf.detach().requires_grad_() for name, leaf in objective.parameters.items()}
        with torch.enable_grad():
            self.output = objective.output(self.leaves, batch)
            self.natural = predictive.natural(self.output)
            self.covector = torch.zeros_like(self.natural, requires_grad=True)
            self.pullback = differentiable_pull(self.natural, self._point, self.covector)
        objective.cost.add(GRADIENT, batch.size)

    def push(self, directions: Tensor) -> Tensor:
        """J v for rows v: (k, D) -> (k, n, p, c), by differentiating the pullback by its covector."""
        return pulled(self.pullback, [self.covector], self._tangents(directions))[0]

    def pull(self, covectors: Tensor) -> Tensor:
        """Jᵀ y: (k, n, p, c) -> (k, D)."""
        return _joined(pulled([self.natural], self._point, [covectors]))

    def contracted(self, covector: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> (y·∇²f) v, rows (k, D) -> (k, D), for one y (n, p, c)."""
        if not bool(covector.any()):
            return torch.zeros_like
        slope = differentiable_pull(self.natural, self._point, covector)
        return lambda directions: _joined(pulled(slope, self._point, self._tangents(directions)))

    @property
    def _point(self) -> list[Tensor]:
        return list(self.leaves.values())

    def _tangents(self, directions: Tensor) -> list[Tensor]:
        rows = [unflatten(row, self.leaves) for row in directions]
        return [torch.stack([row[name] for row in rows]) for name in self.leaves]


def differentiable_pull(outputs: Tensor, point: Sequence[Tensor], covector: Tensor) -> list[Tensor]:
    """One vector–Jacobian product with its graph; zero for what the outputs do not depend on."""
    return list(
        torch.autograd.grad(outputs, point, covector, create_graph=True, allow_unused=True, materialize_grads=True)
    )


def pulled(outputs: Sequence[Tensor], point: Sequence[Tensor], covectors: Sequence[Tensor]) -> list[Tensor]:
    """Vector–Jacobian products of k covectors at once, each (k, ...) for its output; zero where nothing depends."""
    zeros = [torch.zeros(len(covectors[0]), *leaf.shape).to(leaf) for leaf in point]
    bent = [index for index, output in enumerate(outputs) if output.requires_grad]
    if not bent:
        return zeros
    chosen, rows = [outputs[index] for index in bent], [covectors[index] for index in bent]
    options = {"retain_graph": True, "allow_unused": True}
    try:
        found = torch.autograd.grad(chosen, point, rows, is_grads_batched=True, **options)
    except RuntimeError:  # no batching rule
        options["materialize_grads"] = True
        single = [torch.autograd.grad(chosen, point, list(row), **options) for row in zip(*rows, strict=True)]
        found = tuple(torch.stack(leaf) for leaf in zip(*single, strict=True))
    return [zero if leaf is None else leaf for leaf, zero in zip(found, zeros, strict=True)]


def _joined(leaves: Sequence[Tensor]) -> Tensor:
    return torch.cat([leaf.flatten(1) for leaf in leaves], 1)


def gradient(objective: Objective) -> Tensor:
    """∇L over all batches, (D,)."""
    samples = sum(batch.size for batch in objective.batches())
    total = torch.zeros_like(flatten(objective.parameters))
    for batch in objective.batches():
        total += flatten(objective.gradient(objective.parameters, batch)[1]) * (batch.size / samples)
    return total
