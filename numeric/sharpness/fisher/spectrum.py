"""Trace and largest eigenvalue of a Hessian in Fisher coordinates, exact or by products with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from numeric.sharpness.fisher.hessian_form import HessianForm

# Up to this rank the form is computed whole (rank Hessian products), above it by probes and Lanczos iterations.
EXACT_RANK = 1024
# Relative accuracy at which the Lanczos iterations stop.
LANCZOS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Statistic:
    """A number read from the form, its standard error over random probes, and by-products by name."""

    value: float
    standard_error: float | None
    details: dict[str, float]


def trace(form: HessianForm, probes: int | None, generator: torch.Generator) -> Statistic:
    """tr(F⁺H): that of the whole form, or Hutchinson's mean of zᵀ(Wᵀ H W)z over `probes` random z, E zzᵀ = 1."""
    if probes is None:
        eigenvalues = torch.linalg.eigvalsh(form.matrix())
        details = {"lambda_max": float(eigenvalues[-1]), "lambda_min": float(eigenvalues[0])}
        return Statistic(float(eigenvalues.sum()), None, details)
    z = form.root.probes(probes, generator)
    found = (z * form.products(z)).sum(1).double()
    error = float(found.std() / math.sqrt(probes)) if probes > 1 else None
    return Statistic(float(found.mean()), error, {"probes": probes})


def lambda_max(form: HessianForm, probes: int | None, generator: torch.Generator) -> Statistic:
    """λ_max(F⁺H) on the range of F; with `probes`, by Lanczos iterations to relative 1e-3 instead of the whole form."""
    if probes is not None and form.root.rank > 1:
        return Statistic(_lanczos(form, generator), None, {})
    eigenvalues = torch.linalg.eigvalsh(form.matrix())
    details = {"trace": float(eigenvalues.sum()), "lambda_min": float(eigenvalues[0])}
    return Statistic(float(eigenvalues[-1]), None, details)


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
