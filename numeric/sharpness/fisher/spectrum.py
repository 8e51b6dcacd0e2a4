"""Trace and largest eigenvalue of a Hessian in Fisher coordinates, exact or by products with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from numeric.sharpness.fisher.hessian_form import HessianForm, mean_of
from numeric.sharpness.value import over_batches

# Up to this rank the form is computed whole (rank Hessian products), above it by probes and Lanczos iterations.
EXACT_RANK = 1024
# Relative accuracy at which the Lanczos iterations stop.
LANCZOS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Statistic:
    """A number read from the form, its standard error (over batches, or over probes), and by-products by name."""

    value: float
    standard_error: float | None
    details: dict[str, float]


def trace(form: HessianForm, probes: int | None, generator: torch.Generator) -> Statistic:
    """tr(F⁺H): the sum of the form's diagonal, or Hutchinson's mean of zᵀ(Wᵀ H W)z over `probes` random z, E zzᵀ = 1.

    The exact one has its standard error over batches, at the F of all data; the other one over probes.
    """
    if probes is None:
        traces: list[tuple[int, float]] = []
        eigenvalues = torch.linalg.eigvalsh(mean_of(_watched(form.batch_matrices(), traces)))
        value, error = over_batches([number for _, number in traces], [size for size, _ in traces])
        return Statistic(value, error, {"lambda_max": float(eigenvalues[-1]), "lambda_min": float(eigenvalues[0])})
    z = form.root.probes(probes, generator)
    found = (z * form.products(z)).sum(1).double()
    error = float(found.std() / math.sqrt(probes)) if probes > 1 else None
    return Statistic(float(found.mean()), error, {"probes": probes})


def lambda_max(form: HessianForm, probes: int | None, generator: torch.Generator) -> Statistic:
    """λ_max(F⁺H) on the range of F; with `probes`, by Lanczos iterations to relative 1e-3 instead of the whole form.

    Its standard error is that of uᵀ(Wᵀ H_B W)u over batches, u the eigenvector of the mean.
    """
    if probes is None or form.root.rank == 1:
        values, vectors = torch.linalg.eigh(form.matrix())
        details = {"trace": float(values.sum()), "lambda_min": float(values[0])}
        value, vector = float(values[-1]), vectors[:, -1]
    else:
        details = {}
        value, vector = _lanczos(form, generator)
    if sum(1 for _ in form.objective.batches()) < 2:
        return Statistic(value, None, details)
    found = [(float((vector * row).sum()), size) for size, row in form.batch_products(vector.unsqueeze(0))]
    _, error = over_batches([number for number, _ in found], [size for _, size in found])
    return Statistic(value, error, details)


def _watched(matrices: Iterable[tuple[int, Tensor]], traces: list[tuple[int, float]]) -> Iterator[tuple[int, Tensor]]:
    """The same matrices, their traces written down on the way."""
    for size, matrix in matrices:
        traces.append((size, float(matrix.trace())))
        yield size, matrix


def _lanczos(form: HessianForm, generator: torch.Generator) -> tuple[float, Tensor]:
    leaf = next(iter(form.objective.parameters.values()))
    rank = form.root.rank

    def product(vector: np.ndarray) -> np.ndarray:
        z = torch.as_tensor(np.asarray(vector).reshape(1, rank), dtype=leaf.dtype, device=leaf.device)
        return form.products(z)[0].double().cpu().numpy()

    start = torch.randn(rank, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    operator = LinearOperator((rank, rank), matvec=product, dtype=np.float64)
    values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=LANCZOS_TOLERANCE)
    return float(values[0]), torch.as_tensor(vectors[:, 0]).to(leaf)
