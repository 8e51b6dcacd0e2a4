"""The Hessian of the loss as a symmetric form in Fisher coordinates, plain or covariant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import FORWARD, GRADIENT, HESSIAN_PRODUCT
from numeric.sharpness.fisher.likelihoods import Family
from numeric.sharpness.fisher.predictive import Predictive, fisher_product
from numeric.sharpness.fisher.root import Root
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import flatten, unflatten
from numeric.sharpness.second_order import SecondOrder, second_order

# Hessian products that are taken in one vectorized backward pass.
CHUNK = 32


@dataclass(frozen=True)
class HessianForm:
    """z -> Wᵀ H W z, whose trace is tr(F⁺H) and whose eigenvalues are those of F⁺H on the range of F.

    H = ∇²L − Γ·∇L where `natural_gradient` = F⁺∇L (D,) is given, Γ the Levi-Civita connection of the exact F; the
    plain ∇²L where it is None. The covariant one is the Hessian of L restricted to the manifold of functions, pulled
    back, so that it vanishes on the kernel of F and its form changes as a tensor under every smooth map of parameters.

    How it is computed (derived here): with c_i = J_i F⁺∇L, S = ∇²A and T = ∇³A in natural parameters, F = (s/n) Σ JᵀSJ
    gives Γ·∇L = (s/n) Σ_i [c_i·S ∇²f_i + ½ J_iᵀ T(c_i) J_i], which is the ordinary Hessian of
    q(θ) = (s/n) Σ_i ½ c_i·(∇A(f_i(θ)) + S_i f_i(θ)) with c and S held fixed. So H is the Hessian of L − q.
    """

    objective: Objective
    root: Root
    predictive: Predictive | None = None
    natural_gradient: Tensor | None = None
    kernels: SecondOrder = field(init=False)

    def __post_init__(self) -> None:
        kernels = second_order(self.objective)
        if not kernels.exact:
            raise SharpnessError(f"Fisher sharpness needs second derivatives of the model: {kernels.notes[0]}")
        object.__setattr__(self, "kernels", kernels)

    def batch_products(self, coordinates: Tensor) -> Iterator[tuple[int, Tensor]]:
        """For every batch its size and the rows Wᵀ H_B W z (k, r) of the rows z (k, r), on one retained graph.

        Costs k Hessian products and a gradient, six passes forward more where the form is covariant.
        """
        with self.kernels.active():
            for batch in self.objective.batches():
                product = self._batch_product(batch)
                chunks = [self.root.lower(product(self.root.lift(chunk))) for chunk in coordinates.split(CHUNK)]
                yield batch.size, torch.cat(chunks)

    def products(self, coordinates: Tensor) -> Tensor:
        """Rows z (k, r) as rows Wᵀ H W z (k, r)."""
        samples = sum(batch.size for batch in self.objective.batches())
        total = torch.zeros_like(coordinates)
        for size, rows in self.batch_products(coordinates):
            total += rows * (size / samples)
        return total

    def batch_matrices(self) -> Iterator[tuple[int, Tensor]]:
        """Every batch's size and Wᵀ H_B W, (r, r), symmetric. Costs r Hessian products."""
        leaf = next(iter(self.objective.parameters.values()))
        identity = torch.eye(self.root.rank, dtype=leaf.dtype, device=leaf.device)
        for size, rows in self.batch_products(identity):
            yield size, (rows + rows.mT) / 2

    def matrix(self) -> Tensor:
        """Wᵀ H W, (r, r), symmetric."""
        return mean_of(self.batch_matrices())

    def _batch_product(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Rows v (k, D) -> rows H_B v, on one retained graph."""
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in self.objective.parameters.items()}
        point = list(leaves.values())
        with torch.enable_grad():
            potential = self._potential(leaves, batch)
            gradient = torch.autograd.grad(
                potential, point, create_graph=True, allow_unused=True, materialize_grads=True
            )
        self.objective.cost.add(GRADIENT, batch.size)
        bent = [index for index, leaf in enumerate(gradient) if leaf.requires_grad]

        def product(directions: Tensor) -> Tensor:
            self.objective.cost.add(HESSIAN_PRODUCT * directions.shape[0], batch.size)
            if not bent:
                return torch.zeros_like(directions)
            tangents = [unflatten(row, leaves) for row in directions]
            stacked = [torch.stack([tangent[name] for tangent in tangents]) for name in leaves]
            chosen = [stacked[index] for index in bent]
            return torch.cat([leaf.flatten(1) for leaf in _pull([gradient[i] for i in bent], point, chosen)], 1)

        return product

    def _potential(self, leaves: dict[str, Tensor], batch: Batch) -> Tensor:
        """L_B − q_B, a scalar with its graph."""
        output = self.objective.output(leaves, batch)
        loss = self.objective.loss(output, batch.target)
        if self.natural_gradient is None or self.predictive is None:
            return loss
        natural = self.predictive.natural(output)
        velocity = along(natural, leaves, self.natural_gradient)
        self.objective.cost.add(FORWARD * 4, batch.size)
        correction = _connection(self.predictive.family, natural, velocity)
        return loss - self.predictive.scale * correction / batch.size


def covariant_form(objective: Objective, predictive: Predictive, root: Root, exact: Root, slope: Tensor) -> HessianForm:
    """The covariant Hessian in the coordinates of `root`; exact: of the exact F. slope: ∇L, (D,)."""
    return HessianForm(objective, root, predictive, exact.lift(exact.lower(slope.unsqueeze(0)))[0])


def mean_of(matrices: Iterable[tuple[int, Tensor]]) -> Tensor:
    """The mean of matrices weighted by the sizes beside them, one held at a time."""
    samples, total = 0, torch.zeros(())
    for size, matrix in matrices:
        samples, total = samples + size, total.to(matrix) + size * matrix
    return total / samples


def gradient(objective: Objective) -> Tensor:
    """∇L over all batches, (D,)."""
    samples = sum(batch.size for batch in objective.batches())
    parts: Iterator[Tensor] = (
        flatten(objective.gradient(objective.parameters, batch)[1]) * (batch.size / samples)
        for batch in objective.batches()
    )
    return torch.stack(list(parts)).sum(0)


def along(natural: Tensor, leaves: dict[str, Tensor], direction: Tensor) -> Tensor:
    """J·direction, (n, p, c), by differentiating the pullback by its covector: reverse mode alone."""
    covector = torch.zeros_like(natural, requires_grad=True)
    pulled = torch.autograd.grad(
        natural, list(leaves.values()), covector, create_graph=True, allow_unused=True, materialize_grads=True
    )
    tangent = unflatten(direction, leaves)
    paired = torch.stack([(leaf * tangent[name]).sum() for name, leaf in zip(leaves, pulled, strict=True)]).sum()
    (velocity,) = torch.autograd.grad(paired, covector, retain_graph=True)
    return velocity.detach()


def _connection(family: Family, natural: Tensor, velocity: Tensor) -> Tensor:
    """Σ_i ½ c_i·(∇A(f_i) + S_i f_i): the mean of the potentials of the family's two flat connections."""
    flat = fisher_product(family.root(natural.detach()), velocity)
    return 0.5 * ((velocity * family.mean(natural)).sum() + (flat * natural).sum())


def _pull(outputs: list[Tensor], point: list[Tensor], covectors: list[Tensor]) -> tuple[Tensor, ...]:
    """Vector–Jacobian products of k covectors at once, one by one where torch has no batching rule."""
    options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    try:
        return torch.autograd.grad(outputs, point, covectors, is_grads_batched=True, **options)
    except RuntimeError:
        rows = [torch.autograd.grad(outputs, point, list(row), **options) for row in zip(*covectors, strict=True)]
        return tuple(torch.stack(leaves) for leaves in zip(*rows, strict=True))
