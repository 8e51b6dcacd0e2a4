"""Small models in float64, their function-preserving maps, and dense oracles of the Fisher geometry."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from numeric.sharpness import Objective
from numeric.sharpness.parameters import Point, flatten, unflatten


def tanh_network(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, outputs)).double()


def relu_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)).double()


def linear_pair() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 3)).double()


def inputs(n: int, d: int, seed: int = 1) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rescale(point: Point) -> Point:
    """ReLU units rescaled: the function stays."""
    scale = torch.tensor([3.0, 0.2, 1.0, 5.0], dtype=torch.float64)
    return {
        "0.weight": scale.unsqueeze(1) * point["0.weight"],
        "0.bias": scale * point["0.bias"],
        "2.weight": point["2.weight"] / scale,
        "2.bias": point["2.bias"],
    }


def change_basis(point: Point) -> Point:
    """A general linear change of the hidden basis of a linear pair: the function stays."""
    basis = torch.tensor([[2.0, 1.0], [-1.0, 0.5]], dtype=torch.float64)
    moved = {"0.weight": basis @ point["0.weight"], "1.weight": point["1.weight"] @ torch.linalg.inv(basis)}
    return {**point, **moved}


class Reparametrized(nn.Module):
    """The same functions in other coordinates: θ = ψ(φ), entrywise sinh after a mixing of all parameters with all."""

    def __init__(self, inner: nn.Module, stretch: float = 1.5) -> None:
        super().__init__()
        self.inner = inner.requires_grad_(False)
        self.point = {name: leaf.detach() for name, leaf in inner.named_parameters()}
        self.stretch = stretch
        theta = flatten(self.point)
        mixing = torch.randn(theta.numel(), theta.numel(), generator=torch.Generator().manual_seed(5)).to(theta)
        self.mixing = torch.eye(theta.numel()).to(theta) + 0.3 * mixing / theta.numel() ** 0.5
        self.phi = nn.Parameter(torch.linalg.solve(self.mixing, torch.asinh(2 * theta) / stretch))

    def forward(self, *arguments: Tensor) -> Tensor:
        theta = torch.sinh(self.stretch * (self.mixing @ self.phi)) / 2
        out: Tensor = functional_call(self.inner, unflatten(theta, self.point), arguments)
        return out


def outputs_of(objective: Objective, x: Tensor) -> Callable[[Tensor], Tensor]:
    """θ (D,) -> all outputs (n, k)."""

    def function(theta: Tensor) -> Tensor:
        out: Tensor = functional_call(objective.model, unflatten(theta, objective.parameters), (x,))
        return out

    return function


def dense_fisher(outputs: Callable[[Tensor], Tensor], family: str, scale: float) -> Callable[[Tensor], Tensor]:
    """θ -> F (D, D) as the expectation over labels of scores' outer products, written out for each family."""

    def fisher(theta: Tensor) -> Tensor:
        out, jacobian = outputs(theta), jacrev(outputs)(theta)
        n, k = out.shape
        if family == "categorical":
            probabilities = out.softmax(1)
            total = torch.zeros_like(jacobian[0, 0].unsqueeze(1) * jacobian[0, 0])
            for label in range(k):
                residual = torch.eye(k, dtype=out.dtype)[label] - probabilities
                score = torch.einsum("nk,nkd->nd", residual, jacobian)
                total = total + torch.einsum("n,nd,ne->de", probabilities[:, label], score, score)
            return scale * total / n
        weight = torch.ones_like(out) if family == "gaussian" else out.sigmoid() * (1 - out.sigmoid())
        return scale * torch.einsum("nk,nkd,nke->de", weight, jacobian, jacobian) / n

    return fisher


def dense_covariant_hessian(
    loss: Callable[[Tensor], Tensor], fisher: Callable[[Tensor], Tensor], theta: Tensor, inverse: Tensor
) -> Tensor:
    """∇²L − ∂_l L F^{lk} Γ_{k,ij} with Γ_{k,ij} = ½(∂_i F_jk + ∂_j F_ik − ∂_k F_ij), by automatic derivatives."""
    slope = jacrev(fisher)(theta)  # [j, k, i] = ∂_i F_jk
    first_kind = 0.5 * (slope.permute(1, 2, 0) + slope.permute(1, 0, 2) - slope.permute(2, 0, 1))
    raised = inverse @ jacrev(loss)(theta)
    return jacrev(jacrev(loss))(theta) - torch.einsum("k,kij->ij", raised, first_kind)


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """F⁺; the eigenvalues of these small F below 1e-11 of the largest are rounding."""
    return torch.linalg.pinv(matrix, rtol=1e-11, hermitian=True)
