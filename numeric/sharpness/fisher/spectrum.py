"""Trace and largest eigenvalue of a Hessian in Fisher coordinates, exact or by products with it."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from numeric.sharpness.fisher.hessian_form import HessianForm

# Up to this rank the form is computed whole (rank Hessian products), above it by probes and Lanczos iterations.
EXACT_RANK = 1024
# Relative accuracy at which the Lanczos iterations stop.
LANCZOS_TOLERANCE = 1e-3


def of_eigenvalues(eigenvalues: Tensor) -> dict[str, float]:
    """The trace, the largest and the smallest of all eigenvalues (r,) of F⁺H on the range of F."""
    return {
        "trace": float(eigenvalues.sum()),
        "lambda_max": float(eigenvalues.max()),
        "lambda_min": float(eigenvalues.min()),
    }


def trace(form: HessianForm, probes: int, generator: torch.Generator) -> tuple[float, float | None]:
    """tr(F⁺H) as Hutchinson's mean of zᵀ(Wᵀ H W)z over random z, E zzᵀ = 1, and its standard error."""
    z = form.root.probes(probes, generator)
    found = (z * form.products(z)).sum(1).double()
    return float(found.mean()), float(found.std() / math.sqrt(probes)) if probes > 1 else None


def lambda_max(form: HessianForm, probes: int, generator: torch.Generator) -> tuple[float, float | None]:
    """λ_max(F⁺H) on the range of F by Lanczos iterations to relative 1e-3."""
    if form.root.rank == 1:
        return float(form.matrix()), None
    return _lanczos(form, generator), None


# How each statistic is found without the whole form.
STATISTICS = {"trace": trace, "lambda_max": lambda_max}


def _lanczos(form: HessianForm, generator: torch.Generator) -> float:
    leaf = next(iter(form.objective.parameters.values()))
    rank = form.root.rank

    def product(vector: np.ndarray) -> np.ndarray:
        z = torch.as_tensor(np.asarray(vector).reshape(1, rank), dtype=leaf.dtype, device=leaf.device)
        return form.products(z)[0].double().cpu().numpy()

    start = torch.randn(rank, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    operator = LinearOperator((rank, rank), matvec=product, dtype=np.float64)
    values = eigsh(operator, k=1, which="LA", v0=start, tol=LANCZOS_TOLERANCE, return_eigenvectors=False)
    return float(values[0])
