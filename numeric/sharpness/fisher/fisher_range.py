"""The range of the Fisher information: its eigenvectors with a nonzero eigenvalue, without ever forming F."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.fisher.estimators import Covectors
from numeric.sharpness.fisher.predictive import Predictive
from numeric.sharpness.fisher.rows import pulled_rows
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import count
from numeric.sharpness.sketch import random_signs

# Entries of the rows that are computed in one go: 2^24 are 128 MiB in float64.
CHUNK_ENTRIES = 2**24
# Entries of the factor that is held: 2^28 are 2 GiB in float64.
FACTOR_ENTRIES = 2**28
# Columns of the factor shorter than so many roundings of the longest may be rounding alone, and keep their length.
SHORT_COLUMNS = 1e3


@dataclass(frozen=True)
class FisherRange:
    """F = Σ_i s_i² v_i v_iᵀ on its range, in parameters measured in `units`: F itself is that between two units⁻¹.

    vectors: (r, D), orthonormal rows v_i. singular: (r,), s_i > 0, descending: those of the factor A with F = AᵀA, so
    that F itself is resolved to the square of the rounding. units: (D,), ones unless asked for. gap: s_r / s_{r+1},
    infinite where the next is zero or there is none: the rank is a matter of the threshold when this is near 1.
    fills_outputs: whether the rows of A are independent (False where a tolerance was asked for). projections: (k, D),
    random combinations ζA of the rows. margin: s_r over the threshold below which singular values count as zero.
    effective_rank: (tr F)²/tr F² of F itself: how many directions carry it; unlike the rank it depends on the
    parametrization.
    """

    vectors: Tensor
    singular: Tensor
    gap: float
    fills_outputs: bool
    projections: Tensor
    units: Tensor
    margin: float
    effective_rank: float

    @property
    def rank(self) -> int:
        return self.singular.numel()

    def lift(self, coordinates: Tensor) -> Tensor:
        """W z for the root W = V/s of F⁺ = W Wᵀ: rows z (k, r) as tangents (k, D) of Fisher length |z|.

        In other units W Wᵀ is another generalized inverse of F: the same on all forms that vanish where F does.
        """
        return (coordinates / self.singular) @ self.vectors * self.units

    def lower(self, covectors: Tensor) -> Tensor:
        """Wᵀ g: rows (k, D) as (k, r)."""
        return (covectors * self.units) @ self.vectors.mT / self.singular

    @property
    def condition(self) -> float:
        return float(self.singular[0] / self.singular[-1])

    def probes(self, number: int, generator: torch.Generator) -> Tensor:
        """z = Wᵀ Aᵀζ, (number, r), with E zzᵀ = 1. Made in output space, they are the same along an orbit."""
        return self.lower(self.projections[:number])


def fisher_range(
    objective: Objective,
    predictive: Predictive,
    covectors: Covectors,
    generator: torch.Generator,
    *,
    tolerance: float | None = None,
    probes: int = 0,
    equilibrated: bool = False,
) -> FisherRange:
    """The range of F at the objective's point.

    tolerance: singular values below this fraction of the largest count as zero (default: max(rows, D)·eps).
    probes: how many random projections to keep. equilibrated: measure every parameter in the unit in which its column
    of the factor has length one, so that no digits are lost to parameters of different size; for covariant forms
    alone, see `FisherRange.lift`.
    Raises SharpnessError where F vanishes, and where its factor (min(rows, D) × D entries) is too large to hold.
    """
    leaf = next(iter(objective.parameters.values()))
    projections = leaf.new_zeros(probes, count(objective.parameters))
    parts = factor_parts(objective, predictive, covectors, generator)
    factor, rows = compressed(_projected(parts, projections, generator), projections.shape[1])
    fills = tolerance is None and rows <= factor.shape[1] and _independent(factor)
    gram = factor @ factor.mT
    effective_rank = float(gram.trace().square() / gram.square().sum().clamp_min(torch.finfo(gram.dtype).tiny))
    units = _units(factor, rows) if equilibrated else torch.ones_like(factor[0])
    _, singular, vectors = torch.linalg.svd(factor.mul_(units), full_matrices=False)
    relative = max(rows, factor.shape[1]) * torch.finfo(factor.dtype).eps if tolerance is None else tolerance
    rank = int((singular > relative * singular[0]).sum())
    if rank == 0:
        raise SharpnessError("the Fisher information vanishes: the outputs depend on no measured parameter")
    following = float(singular[rank]) if rank < singular.numel() else 0.0
    gap = float(singular[rank - 1]) / following if following > 0 else math.inf
    margin = float(singular[rank - 1] / (relative * singular[0]))
    return FisherRange(vectors[:rank], singular[:rank], gap, fills, projections, units, margin, effective_rank)


def _units(factor: Tensor, rows: int) -> Tensor:
    """One over the lengths of the columns (D,); those that may be rounding count as long as the longest."""
    lengths = torch.linalg.vector_norm(factor, dim=0)
    longest = lengths.max().clamp_min(torch.finfo(factor.dtype).tiny)
    short = lengths <= SHORT_COLUMNS * max(rows, factor.shape[1]) * torch.finfo(factor.dtype).eps * longest
    return 1 / lengths.where(~short, longest)


def _independent(factor: Tensor) -> bool:
    """Whether the rows, brought to one length, are independent: a confident model's short rows count like others."""
    lengths = torch.linalg.vector_norm(factor, dim=1, keepdim=True)
    singular = torch.linalg.svdvals(factor / lengths.clamp_min(torch.finfo(factor.dtype).tiny))
    return bool(singular[-1] > max(factor.shape) * torch.finfo(factor.dtype).eps * singular[0])


def _projected(parts: Iterator[Tensor], projections: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """The same parts; every one is added into the projections with random signs on its rows."""
    for part in parts:
        projections += random_signs(projections.shape[0], len(part), part, generator) @ part
        yield part


def factor_parts(
    objective: Objective, predictive: Predictive, covectors: Covectors, generator: torch.Generator
) -> Iterator[Tensor]:
    """The factor's rows (k, D), a few samples at a time, so that memory does not grow with the batch."""
    samples = sum(batch.size for batch in objective.batches())
    dimension = count(objective.parameters)
    for batch in objective.batches():
        one = covectors(objective, predictive, batch.select(slice(0, 1)), generator)[0]
        chunk = max(1, CHUNK_ENTRIES // (len(one) * max(dimension, one[0].numel())))
        for start in range(0, batch.size, chunk):
            part = batch.select(slice(start, min(start + chunk, batch.size)))
            pulled = covectors(objective, predictive, part, generator) / math.sqrt(samples)
            yield pulled_rows(objective, predictive, part, pulled)


def compressed(parts: Iterator[Tensor], dimension: int) -> tuple[Tensor, int]:
    """(A, rows) with AᵀA the sum over parts of BᵀB, B (k, D): stacked, and a QR decomposition where rows exceed D."""
    held: list[Tensor] = []
    rows = 0
    for part in parts:
        rows += part.shape[0]
        held.append(part)
        if sum(piece.shape[0] for piece in held) > 2 * dimension:
            held = [torch.linalg.qr(torch.cat(held), mode="r").R]
        _check_size(sum(piece.shape[0] for piece in held), dimension)
    stacked = torch.cat(held)
    if stacked.shape[0] > dimension:
        stacked = torch.linalg.qr(stacked, mode="r").R
    return stacked, rows


def _check_size(rows: int, dimension: int) -> None:
    if rows * dimension > FACTOR_ENTRIES:
        raise SharpnessError(
            f"the Fisher factor has {rows} × {dimension} entries and more to come, above {FACTOR_ENTRIES}: measure "
            "fewer samples, fewer parameters (keep=), or take estimator='sampled', 'diagonal' or 'kfac'"
        )
