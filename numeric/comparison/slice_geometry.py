"""Level sets of quadratic charges: their tangent projection, and the identity that the law on one obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import CheckError
from numeric.flat_points import flattened, shapes_of, unflattened

Leaves = Mapping[str, Tensor]

RANK = 1e-9  # singular values of the charges' Jacobian below this part of the largest count as dependence
MOST_NUMBERS = 30_000_000  # in the matrices of one chunk of points


@dataclass(frozen=True)
class SliceGeometry:
    """c(θ) = ½ θᵀHθ + bᵀθ + const for independent charges of D parameters in one vector.

    Parameters stand in the vector in the order of the point. hessians: H, (m, D, D); slopes: b, (m, D).
    """

    hessians: Tensor
    slopes: Tensor

    @classmethod
    def at(cls, charges: Callable[..., Mapping[str, Tensor]], point: Leaves) -> SliceGeometry:
        """From a function of a point that gives charges, quadratic or linear, some of which may repeat others; point:
        leaves (*shape), where they are told apart. CheckError where there is none."""
        shapes, vector = shapes_of(point), flattened(point)

        def listed(theta: Tensor) -> Tensor:
            return flattened(charges(unflattened(theta, shapes)))

        rows = _independent(torch.func.jacrev(listed)(vector))
        if not rows:
            raise CheckError("no charge changes at the starting point: there is no slice")
        index = torch.tensor(rows)
        slope_of = torch.func.jacrev(lambda theta: listed(theta)[index])
        slopes = slope_of(torch.zeros_like(vector))
        # Gradients of quadratic charges are linear in θ: one unit after the other gives H, with little memory.
        units = torch.eye(len(vector), dtype=vector.dtype)
        return cls(torch.stack([slope_of(unit) - slopes for unit in units], -1), slopes)

    @property
    def charges(self) -> int:
        """m, the number of independent charges."""
        return len(self.slopes)

    def values(self, point: Leaves) -> Tensor:
        """The charges (N, m) at points with leaves (N, *shape)."""
        theta = flattened(point, 1)
        halves = torch.stack([0.5 * ((theta @ hessian) * theta).sum(-1) for hessian in self.hessians], -1)
        return halves + theta @ self.slopes.mT

    def gradients(self, point: Leaves) -> Tensor:
        """∇c, (N, m, D), at points with leaves (N, *shape)."""
        return self._moved(flattened(point, 1)) + self.slopes

    def _moved(self, theta: Tensor) -> Tensor:
        return torch.einsum("mde,ne->nmd", self.hessians, theta)

    def virial(
        self, point: Leaves, gradient: Leaves, volume_gradient: Leaves, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Both sides (N,) of what the law exp(−L/T − V) on the slice implies for f = ½‖θ‖²:

        E[Δf − ∇f·∇L/T] = E[∇f·∇V], with the gradient and the Laplacian of the slice. There Δf = (D − m) − tr(P K),
        where P is the projection onto tangents and K = Σ v_a H_a for the normal part Σ v_a ∇c_a of θ. What holds the
        charges may be part of the gradient of L: it is normal. All leaves (N, *shape).
        """
        size = sum(leaf[0].numel() for leaf in point.values())
        chunk = max(1, MOST_NUMBERS // (size * (size + self.charges)))
        theta, slope, bias = (flattened(leaves, 1) for leaves in (point, gradient, volume_gradient))
        parts = [
            self._virial(theta[rows], slope[rows], bias[rows], temperature)
            for rows in torch.arange(len(theta)).split(chunk)
        ]
        return torch.cat([first for first, _ in parts]), torch.cat([second for _, second in parts])

    def _virial(self, theta: Tensor, gradient: Tensor, bias: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        normals = self._moved(theta) + self.slopes
        gram = normals @ normals.mT
        v = torch.linalg.solve(gram, (normals @ theta[..., None]))[..., 0]
        tangent = theta - torch.einsum("nm,nmd->nd", v, normals)
        bent = torch.einsum("nm,mde->nde", v, self.hessians)
        inside = torch.linalg.solve(gram, normals @ bent @ normals.mT).diagonal(dim1=-2, dim2=-1).sum(-1)
        laplacian = theta.shape[1] - self.charges - (bent.diagonal(dim1=-2, dim2=-1).sum(-1) - inside)
        return laplacian - (tangent * gradient).sum(-1) / temperature, (tangent * bias).sum(-1)


def radius(values: Tensor) -> Tensor:
    """The length in c, for eigenvalues (*batch, m) of ∇c ∇cᵀ, over which a slice of quadratic charges bends: half their
    geometric mean, as for c = u² − v² where ∇c ∇cᵀ = 4(u² + v²)."""
    return values.clamp(min=0).log().mean(-1).exp() / 2


def _independent(rows: Tensor) -> list[int]:
    """Indices of rows (m, D) that span all of them, by Gram–Schmidt in their order."""
    kept: list[int] = []
    basis = rows.new_zeros(0, rows.shape[1])
    largest = float(rows.norm(dim=1).max()) if len(rows) else 0.0
    for place, row in enumerate(rows):
        rest = row - basis.mT @ (basis @ row)
        rest = rest - basis.mT @ (basis @ rest)
        if float(rest.norm()) > RANK * largest:
            kept.append(place)
            basis = torch.cat([basis, (rest / rest.norm())[None]])
    return kept
