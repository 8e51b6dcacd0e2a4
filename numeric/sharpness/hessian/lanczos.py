"""The largest eigenvalues of a symmetric operator by the Lanczos method, with a bound on what is left of the error.

Full reorthogonalization; the basis is restarted with the Ritz vectors that matter when it is full (thick restart), so
memory is bounded. Derived here from the projected matrix VᵀAV, which is kept whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.hessian.upper_bound import risk_beyond
from numeric.sharpness.symmetric_operator import SymmetricOperator

# Vectors held before the basis is restarted. Networks' leading eigenvalue takes 6 to 12 products.
BASIS = 33
# Rows of memory taken at a time, and columns rotated at a time.
ROWS, COLUMNS = 12, 2**16

# Under stop="risk": how probable it may be that an eigenvalue lies above the one found by more than the tolerance.
RISK = 0.05

Stop = Literal["residual", "gap", "risk"]
STOPS = ("residual", "gap", "risk")


@dataclass(frozen=True)
class RitzValue:
    """An approximate eigenvalue and what bounds its error.

    residual: ‖Av − value·v‖ of its unit vector v; some eigenvalue lies within it. error: the smaller of the residual
    and, where the neighbouring Ritz values (widened by their own residuals) leave a gap, residual²/gap (Kato and
    Temple); bound names which one it is.
    """

    value: float
    residual: float
    error: float
    bound: str


@dataclass(frozen=True)
class RitzPair(RitzValue):
    """The same with its unit vector (D,)."""

    vector: Tensor


@dataclass(frozen=True)
class Extremes:
    """The k largest eigenvalues in falling order, and the smallest one as far as the same basis knows it.

    converged: whether every bound came below the tolerance. products: with the operator, all told. values: all Ritz
    values, largest first; log_couplings: the sum of the logarithms of the couplings β_i, None after a restart.
    """

    largest: tuple[RitzPair, ...]
    smallest: RitzValue
    converged: bool
    products: int
    values: Tensor
    log_couplings: float | None

    @property
    def spectral_radius(self) -> float:
        """The largest |eigenvalue| as far as the basis knows it: a lower bound up to the errors."""
        return max(abs(self.largest[0].value), abs(self.smallest.value))


def lanczos(
    operator: SymmetricOperator,
    start: Tensor,
    redraw: Callable[[], Tensor],
    *,
    k: int = 1,
    tolerance: float = 1e-3,
    products: int = 100,
    stop: Stop = "residual",
    vectors: int | None = None,
    share: float = 1.0,
) -> Extremes:
    """The k algebraically largest eigenvalues, each to the relative `tolerance`, in at most `products` products.

    start: (D,), not zero. redraw: another random vector (D,), taken where the basis spans an invariant subspace.
    stop: what is held against the tolerance. "residual" is blind to eigenvalues that the start has little of: of
    spectra with gaps it missed the tolerance in at most 1 of 100 runs, of clusters of leading eigenvalues, 1.5 to 10
    tolerances wide, in 9 to 37, by up to three tolerances. "gap", the bound of Kato and Temple, saves about two
    products in nine and believes the gap it sees: it missed in 2 to 11 of 100 with gaps and in most clusters. "risk"
    goes on until besides an eigenvalue beyond the tolerance has at most the probability `RISK` over the random start,
    for every spectrum: one product more where there are gaps, three to five on networks of 1e5 to 1e6 parameters, nine
    in clusters; for the largest eigenvalue alone.
    share: the length of the random part in the start of length one.
    vectors: how many (D,) the basis may hold, at least k + 2; by default `BASIS`, or what k needs.
    Raises OptionError for k outside 1..D, and for too few vectors.
    """
    if not 1 <= k <= operator.dimension:
        raise OptionError(f"k={k} eigenvalues of a {operator.dimension}-dimensional operator: choose 1 to that many")
    capacity = max(BASIS, 2 * k + 9) if vectors is None else vectors
    if capacity < k + 2:
        raise OptionError(f"vectors={vectors}: a basis for k={k} eigenvalues needs at least {k + 2}")
    basis = _Basis(operator, start, capacity)
    del start  # the basis has a copy
    while True:
        basis.extend(redraw)
        spectrum = basis.spectrum()
        settled = basis.settled(spectrum, k, tolerance, stop, share)
        if settled or basis.products >= max(products, k):
            pairs = basis.pairs(spectrum, k)
            smallest = spectrum.ritz_value(-1)
            return Extremes(pairs, smallest, settled, basis.products, spectrum.values, basis.log_couplings)
        if basis.full:
            # One row for the next vector, one for the vector after it.
            basis.restart(spectrum, [*range(k + 4), -1][: capacity - 2])


@dataclass(frozen=True)
class _Spectrum:
    """Ritz values (j,) in falling order, their vectors in the basis (j, j) by columns, their residuals (j,)."""

    values: Tensor
    vectors: Tensor
    residuals: Tensor

    def ritz_value(self, index: int) -> RitzValue:
        """The Ritz value at a place in the order."""
        return RitzValue(float(self.values[index]), float(self.residuals[index]), *self.error(index))

    def bound(self, index: int, by_gap: bool) -> float:
        """What is held against the tolerance."""
        return self.error(index)[0] if by_gap else float(self.residuals[index])

    def error(self, index: int) -> tuple[float, str]:
        """A bound on the error of one Ritz value, and its name."""
        residual = float(self.residuals[index])
        count = len(self.values)
        at = index % count
        gaps = [
            abs(float(self.values[at] - self.values[other])) - float(self.residuals[other])
            for other in (at - 1, at + 1)
            if 0 <= other < count
        ]
        gap = min(gaps, default=0.0)
        return (residual**2 / gap, "residual²/gap") if gap > residual else (residual, "residual")


class _Basis:
    """Orthonormal v_1 … v_j with the next v_{j+1}, and the projected matrix T = VᵀAV (j, j) in float64.

    A V = V T + coupling · v_{j+1} e_jᵀ holds after each extension, also after a restart. The vectors are the first
    rows of one matrix of at most (capacity, D).
    """

    def __init__(self, operator: SymmetricOperator, start: Tensor, capacity: int) -> None:
        self.operator = operator
        self.capacity = capacity
        self.rows = torch.empty(min(ROWS, capacity), len(start), dtype=start.dtype, device=start.device)
        self.filled = 0
        self._append(start)
        self.projected = torch.zeros(0, 0, dtype=torch.float64)
        self.coupling = 0.0
        self.log_couplings: float | None = 0.0
        self.products = 0
        self.redrawn_at = 0
        self.rounding = 10 * torch.finfo(start.dtype).eps

    def extend(self, redraw: Callable[[], Tensor]) -> None:
        """One product: T grows by a row and a column, the basis by the normalized remainder."""
        if self.projected.numel() and self.coupling == 0.0:
            self.redrawn_at = len(self.projected)
        image = self.operator.product(self.rows[self.filled - 1 : self.filled])[0]
        self.products += 1
        column, remainder = self._orthogonalize(image)
        grown = torch.zeros(len(column), len(column), dtype=torch.float64)
        grown[:-1, :-1] = self.projected
        grown[-1, :] = grown[:, -1] = column
        self.projected = grown
        self.coupling = float(torch.linalg.vector_norm(remainder))
        complete = len(column) == self.operator.dimension
        if complete or self.coupling <= self.rounding * float(torch.linalg.matrix_norm(grown)):
            self.coupling = 0.0
        if self.log_couplings is not None:
            self.log_couplings += math.log(self.coupling) if self.coupling else -math.inf
        if not complete:
            self._append(remainder if self.coupling else self._orthogonalize(redraw())[1])

    def spectrum(self) -> _Spectrum:
        """The eigenvalues of T, largest first."""
        return _spectrum(self.projected, self.coupling)

    def settled(self, spectrum: _Spectrum, k: int, tolerance: float, stop: Stop, share: float) -> bool:
        """Whether the k largest Ritz values stand to the tolerance, or to rounding, and no copy of one is hidden."""
        count = len(spectrum.values)
        if count == self.operator.dimension:
            return True
        if count < k:
            return False
        floor = self.rounding * float(spectrum.values.abs().max())
        allowed = [max(tolerance * abs(float(value)), floor) for value in spectrum.values[:k]]
        # After a restart the risk is not known, and the residual is the more careful of the others.
        by_gap = stop == "gap" or (stop == "risk" and self.log_couplings is not None)
        if any(spectrum.bound(index, by_gap) > limit for index, limit in enumerate(allowed)):
            return False
        if stop == "risk" and self._risk(spectrum, allowed[0], share) > RISK:
            return False
        return k == 1 or not self._hides_a_copy(float(spectrum.values[k - 1]) + allowed[-1])

    def _risk(self, spectrum: _Spectrum, beyond: float, share: float) -> float:
        """Of an eigenvalue beyond the largest Ritz value by so much; 0 after a restart, where it is not known."""
        if self.log_couplings is None:
            return 0.0
        bound = float(spectrum.values[0]) + beyond
        return risk_beyond(bound, spectrum.values, self.log_couplings, self.operator.dimension, share)

    def _hides_a_copy(self, kth: float) -> bool:
        """Whether a random vector outside the invariant subspace found may still bring an eigenvalue above `kth`.

        One vector's Krylov space holds one eigenvector of each eigenvalue. Where that space is exhausted, the space of
        the next random vector shows whether there is a second: its largest Ritz value, widened by its residual.
        """
        if self.redrawn_at == 0:
            return self.coupling == 0.0
        fresh = _spectrum(self.projected[self.redrawn_at :, self.redrawn_at :], self.coupling)
        return float(fresh.values[0] + fresh.residuals[0]) > kth

    @property
    def full(self) -> bool:
        """Whether there is no row left for the vector that a product brings."""
        return self.filled == self.capacity

    def pairs(self, spectrum: _Spectrum, k: int) -> tuple[RitzPair, ...]:
        """The k largest Ritz pairs; their vectors take the place of the basis, which ends here."""
        self._rotate(spectrum.vectors[:, :k])
        vectors = self.rows[:k].clone()
        self.rows = vectors[:0]
        return tuple(RitzPair(**vars(spectrum.ritz_value(index)), vector=row) for index, row in enumerate(vectors))

    def restart(self, spectrum: _Spectrum, kept: list[int]) -> None:
        """Replace the basis by the kept Ritz vectors and the next vector (thick restart)."""
        following = self.filled - 1
        self._rotate(spectrum.vectors[:, kept])
        self.rows[len(kept)] = self.rows[following]
        self.filled = len(kept) + 1
        self.projected = torch.diag(spectrum.values[kept])
        self.redrawn_at = 0
        self.log_couplings = None

    def _rotate(self, weights: Tensor) -> None:
        """Put unit vectors Σ_i weights[i, a] v_i, weights (j, p), in the place of the first p rows."""
        weights = weights.mT.to(self.rows)
        count, members = weights.shape
        for columns in self.rows.split(COLUMNS, dim=1):
            columns[:count] = weights @ columns[:members]
        for row in self.rows[:count]:
            row /= torch.linalg.vector_norm(row)

    def _append(self, vector: Tensor) -> None:
        if self.filled == len(self.rows):
            more = min(ROWS, self.capacity - self.filled)
            self.rows = torch.cat([self.rows, self.rows.new_empty(more, self.rows.shape[1])])
        torch.div(vector, torch.linalg.vector_norm(vector), out=self.rows[self.filled])
        self.filled += 1

    def _orthogonalize(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """The components along the basis (j,), and what is left of the vector, in its own memory.

        Twice is enough. In the first pass, before any restart, an image has components along the last two vectors only.
        """
        components = torch.zeros(self.filled, dtype=torch.float64)
        neighbours = max(0, self.filled - 2) if self.log_couplings is not None else 0
        for first in (neighbours, 0):
            members = self.rows[first : self.filled]
            parts = members @ vector
            vector.addmv_(members.mT, parts, alpha=-1)
            components[first:] += parts.to(components)
        return components, vector


def _spectrum(projected: Tensor, coupling: float) -> _Spectrum:
    values, vectors = torch.linalg.eigh(projected)
    values, vectors = values.flip(0), vectors.flip(1)
    return _Spectrum(values, vectors, coupling * vectors[-1].abs())
