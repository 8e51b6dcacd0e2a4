"""The Hessian of an objective as a linear operator on flat vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import HESSIAN_PRODUCT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, count, flatten, norm, scaled, unflatten
from numeric.sharpness.second_order import SecondOrder, gradient_graph, second_derivative, second_order
from numeric.sharpness.value import over_batches


class HessianOperator:
    """v -> ∇²L(θ) v over all samples, for flat vectors (D,) in the order of the parameters' names.

    With one batch its gradient's graph is kept, so that a product costs two units; with more of them the graph is
    built anew batch by batch (three units), and the memory stays that of one batch. `product` takes several vectors at
    once and pays for a batch's graph once.
    """

    def __init__(self, objective: Objective, how: SecondOrder | None = None) -> None:
        self.objective = objective
        self.how = second_order(objective) if how is None else how
        self.dimension = count(objective.parameters)
        self._alone = len(list(islice(objective.batches(), 2))) == 1
        self._kept: tuple[Batch, Point, Point] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be done differently for the second derivatives of this model."""
        return self.how.notes

    @property
    def one_batch(self) -> bool:
        """Whether the data are one batch, whose graph is kept."""
        return self._alone

    def product(self, block: Tensor) -> Tensor:
        """The mean over all samples of H_B times each row of `block` (m, D), shape (m, D).

        Raises SharpnessError where the result is not finite.
        """
        total = mean_over_samples(self.by_batch(block))
        if not bool(torch.isfinite(total.sum())):
            raise SharpnessError("a product with the Hessian is not finite: check the parameters, or use float64")
        return total

    def by_batch(self, block: Tensor) -> Iterator[tuple[Tensor, int]]:
        """(H_B times each row of `block` (m, D), the number of samples of B), one batch B after another."""
        for batch in self.objective.batches():
            with self.how.active():
                products = self._of_batch(batch, block)
            yield products, batch.size

    def gradient(self) -> Tensor:
        """∇L(θ) over all samples, flat (D,); free of charge where one batch's graph is kept."""
        with self.how.active():
            if self.how.exact and self._alone:
                return flatten(self._graph(next(self.objective.batches()))[1]).detach()
            return mean_over_samples(
                (flatten(self.objective.gradient(self.objective.parameters, batch)[1]), batch.size)
                for batch in self.objective.batches()
            )

    def along_gradient(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(∇L_B, H_B ∇L_B) of any batch, flat (D,) each; costs three units of it."""
        parameters = self.objective.parameters
        with self.how.active():
            if not self.how.exact:
                slope = self.objective.gradient(parameters, batch)[1]
                return flatten(slope), flatten(self._difference(batch, slope))
            _, leaves, graph = gradient_graph(self.objective, parameters, batch)
            slope = {name: leaf.detach() for name, leaf in graph.items()}
            product = second_derivative(leaves, graph, slope, retain=False)
        self.objective.cost.add(HESSIAN_PRODUCT, batch.size)
        return flatten(slope), flatten(product)

    def curvature(self, direction: Tensor) -> tuple[float, float | None]:
        """uᵀHu for the flat direction u (D,), and its standard error over the batches (None with one)."""
        values, sizes = [], []
        for products, size in self.by_batch(direction[None]):
            values.append(float(products[0] @ direction))
            sizes.append(size)
        return over_batches(values, sizes)

    def point(self, vector: Tensor) -> Point:
        """A flat vector (D,) under the parameters' names."""
        return unflatten(vector, self.objective.parameters)

    def _of_batch(self, batch: Batch, block: Tensor) -> Tensor:
        if not self.how.exact:
            return torch.stack([flatten(self._difference(batch, self.point(row))) for row in block])
        leaves, gradient = self._graph(batch)
        last = len(block) - 1
        result = torch.empty_like(block)
        for index, row in enumerate(block):
            keep = self._alone or index < last
            products = second_derivative(leaves, gradient, self.point(row), retain=keep)
            torch.cat([leaf.reshape(-1) for leaf in products.values()], out=result[index])
            self.objective.cost.add(HESSIAN_PRODUCT, batch.size)
        return result

    def _graph(self, batch: Batch) -> tuple[Point, Point]:
        if self._kept is None:
            _, leaves, gradient = gradient_graph(self.objective, self.objective.parameters, batch)
            if not self._alone:
                return leaves, gradient
            self._kept = (batch, leaves, gradient)
        return self._kept[1:]

    def _difference(self, batch: Batch, direction: Point) -> Point:
        """(∇L(θ + εv) − ∇L(θ − εv))/2ε with ε = epsilon^⅓ (1 + ‖θ‖)/‖v‖, epsilon that of the dtype.

        The error is of order ε² in float64; in float32 the rounding of the gradients leaves some per cent.
        """
        theta = self.objective.parameters
        length = float(norm(direction))
        if length == 0:
            return direction
        epsilon = torch.finfo(self.objective.dtype).eps ** (1 / 3) * (1 + float(norm(theta))) / length
        ahead, behind = (
            self.objective.gradient(add(theta, direction, sign * epsilon), batch)[1] for sign in (1.0, -1.0)
        )
        return scaled(add(ahead, behind, -1.0), 0.5 / epsilon)


def mean_over_samples(parts: Iterable[tuple[Tensor, int]]) -> Tensor:
    """The mean of tensors over batches, each weighted by its number of samples, one batch at a time."""
    parts = iter(parts)
    mean, samples = next(parts)
    for part, size in parts:
        samples += size
        mean = torch.lerp(mean, part, size / samples)
    return mean
