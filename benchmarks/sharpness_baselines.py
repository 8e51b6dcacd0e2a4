"""λ_max of a loss by the roads people take today, for benchmarks/bench_sharpness.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from numeric.sharpness.second_order import math_attention

HAVE_CURVLINOPS = importlib.util.find_spec("curvlinops") is not None


def power_iteration(model: nn.Module, x: Tensor, y: Tensor, *, tolerance: float, seed: int) -> tuple[float, int]:
    """(λ, products): products on a retained graph until the Rayleigh quotient changes by less than the tolerance."""
    parameters = list(model.parameters())
    with math_attention():
        gradient = torch.autograd.grad(cross_entropy(model(x), y), parameters, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(leaf.shape, generator=generator) for leaf in parameters]
    value = float("inf")
    for iteration in range(1, 201):
        length = torch.stack([(leaf**2).sum() for leaf in vector]).sum().sqrt()
        vector = [leaf / length for leaf in vector]
        product = torch.autograd.grad(gradient, parameters, vector, retain_graph=True)
        previous, value = value, float(torch.stack([(a * b).sum() for a, b in zip(product, vector, strict=True)]).sum())
        if abs(value - previous) <= tolerance * abs(value):
            return value, iteration
        vector = list(product)
    return value, 200


def curvlinops_eigsh(model: nn.Module, x: Tensor, y: Tensor, *, tolerance: float, seed: int) -> tuple[float, int]:
    """(λ, products) from curvlinops' Hessian operator in scipy's eigsh."""
    import numpy as np
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator, eigsh

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hessian = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False)
    dense = hessian.to_scipy(dtype=np.float32)
    count = 0

    def product(vector: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        result: np.ndarray = dense @ vector.reshape(-1)
        return result

    counted = LinearOperator(dense.shape, matvec=product, dtype=np.float32)
    start = np.random.default_rng(seed).standard_normal(dense.shape[0]).astype(np.float32)
    with math_attention():
        return float(eigsh(counted, k=1, which="LA", tol=tolerance, v0=start)[0][0]), count


BASELINES: dict[str, Callable[..., tuple[float, int]]] = {"power iteration, retained graph": power_iteration}
if HAVE_CURVLINOPS:
    BASELINES["curvlinops + scipy eigsh"] = curvlinops_eigsh
