"""Random points, samples and output weights, and the gradients of the predictor there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import sympy as sp

from symtheory.errors import CertificateError
from symtheory.graph.shapes import Shape
from symtheory.symmetry.certificate.circuit import Circuit
from symtheory.symmetry.certificate.gradient import Evaluation, Gates, pieces
from symtheory.symmetry.certificate.truncated_algebra import PRIME, TruncatedAlgebra

# A random value is an integer of up to 21 bits over 2^20: exact in float64, and a full residue modulo the prime. Where
# rounding matters one bit less: then fewer units are saturated and exponentials stay moderate.
FRACTION_BITS = 20
LARGEST, LARGEST_ROUNDED = 2**21, 2**20
# Inputs of piecewise linear graphs vary in size by this power of two, so that biases and products both decide pieces.
SCALES = 8
CHUNK = 4096
POOL = 4096


@dataclass(frozen=True)
class Functionals:
    """Functions θ ↦ Σ_i y_i φ_i(θ; x), one per member of a batch, on the pieces of the point they were drawn at."""

    evaluation: Evaluation
    data: np.ndarray
    constants: np.ndarray
    weights: np.ndarray
    gates: Gates

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Shape (batch, D, 2^k) at points (batch or 1, D, 2^k)."""
        return self.evaluation.gradients(theta, self.data, self.constants, self.weights, self.gates)


@dataclass(frozen=True)
class SamplePool:
    """Samples (numerators) and the probabilities with which they are drawn."""

    data: np.ndarray
    probabilities: np.ndarray

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        return self.data[rng.choice(len(self.data), size=count, p=self.probabilities)]


class GradientSource:
    """Seeded random gradients of one circuit, modulo the prime where the circuit is exact, else in float64.

    Values are dimensionless. Raises ``CertificateError`` when the predictor is not finite at random points.
    """

    def __init__(self, circuit: Circuit, seed: int) -> None:
        self.circuit = circuit
        self.algebra = TruncatedAlgebra(PRIME if circuit.is_exact else None)
        self.dimension = len(circuit.parameter_names)
        self._rng = np.random.default_rng(seed)
        self._pools: dict[bytes, SamplePool] = {}
        self.needs_positive = False
        if not self._is_finite():
            self.needs_positive = True
            if not self._is_finite():
                raise CertificateError("the predictor is not finite at random points: check its domain")

    def numerators(self, *shape: int) -> np.ndarray:
        """Integers that stand for random values in [−2, 2], or in [−1, 1] in float64; positive ones where the predictor
        needs it."""
        largest = LARGEST if self.circuit.is_exact else LARGEST_ROUNDED
        return self._rng.integers(1 if self.needs_positive else -largest, largest + 1, size=shape)

    def nonzero_integers(self, largest: int, *shape: int) -> np.ndarray:
        """Between −largest and largest without 0; positive where the predictor needs it."""
        signs = 1 if self.needs_positive else self._rng.choice([-1, 1], size=shape)
        return np.asarray(self._rng.integers(1, largest + 1, size=shape) * signs)

    def gaussians(self, *shape: int) -> np.ndarray:
        """Normally distributed floats, and their absolute values where the predictor needs it."""
        drawn = self._rng.standard_normal(shape)
        return np.abs(drawn) if self.needs_positive else drawn

    def values(self, numerators: np.ndarray) -> np.ndarray:
        """What the integers stand for, in the algebra."""
        if self.algebra.modulus is None:
            return np.asarray(numerators / 2.0**FRACTION_BITS)
        return np.asarray(numerators % PRIME * self.algebra.number(sp.Rational(1, 2**FRACTION_BITS)) % PRIME)

    def functionals(self, theta: np.ndarray, count: int, pool: SamplePool | None = None) -> Functionals:
        """Random functionals at points (count or 1, D) given as numerators; ``pool``: samples to choose from."""
        data = self._data(count) if pool is None else pool.draw(count, self._rng)
        gates, clear = self._pieces(theta, data)
        weights = self.numerators(count, len(self.circuit.outputs)) * clear[:, None]
        return Functionals(
            Evaluation(self.circuit, self.algebra),
            self.values(data)[..., None],
            self.values(self._constants)[..., None],
            self.values(weights)[..., None],
            gates,
        )

    def rows(self, theta: np.ndarray) -> np.ndarray:
        """One random gradient at each of the points (batch, D), given as numerators; shape (batch, D)."""
        parts = []
        for start in range(0, len(theta), CHUNK):
            part = theta[start : start + CHUNK]
            parts.append(self.functionals(part, len(part)).gradients(self.values(part)[..., None])[..., 0])
        return np.concatenate(parts)

    def regular_point(
        self, rank: Callable[[np.ndarray], int], candidates: int = 64, tried: int = 8
    ) -> tuple[np.ndarray, int]:
        """Of several random points one where the gradients span most and most pieces are seen; and their rank.

        Pieces that no sample reaches (a unit that is off for all data) leave parameters without any gradient: such
        points form open sets, and say nothing about the others.
        """
        drawn = [self.numerators(1, self.dimension) for _ in range(candidates)]
        if self.circuit.has_gates:
            drawn = sorted(drawn, key=self._pieces_seen, reverse=True)
        usable = list(islice((theta for theta in drawn if self._is_usable(theta)), tried))
        if not usable:
            raise CertificateError(
                "at random points every sample lies on a kink of the predictor: no piece can be told"
            )
        ranks = [rank(self._rows_at(theta)) for theta in usable]
        return usable[ranks.index(max(ranks))], max(ranks)

    def _is_usable(self, theta: np.ndarray) -> bool:
        """Whether some sample keeps clear of the kinks there."""
        pool = self.sample_pool(theta)
        return pool is None or len(pool.data) > 0

    def constant_values(self, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
        """The values drawn for the constants, exact in float64: name → array, in the graph's order."""
        values, start = {}, 0
        for name, shape in shapes.items():
            sizes = tuple(int(size) for size in shape)
            count = int(np.prod(sizes))
            values[name] = self._constants[0, start : start + count].reshape(sizes) / 2.0**FRACTION_BITS
            start += count
        return values

    def _pieces_seen(self, theta: np.ndarray) -> int:
        gates, _ = self._pieces(theta, self._data(512))
        return sum(len(np.unique(piece)) for piece in gates.values())

    def _rows_at(self, theta: np.ndarray) -> np.ndarray:
        count = self.dimension * (3 if self.circuit.has_gates else 1) + 10
        pool = self.sample_pool(theta)
        return self.functionals(theta, count, pool).gradients(self.values(theta)[..., None])[..., 0]

    def sample_pool(self, theta: np.ndarray) -> SamplePool | None:
        """Samples for one point, of which those on rare pieces are drawn as often as the others; kept, so that every
        question about the point sees the same pieces."""
        if not self.circuit.has_gates:
            return None
        key = theta.tobytes()
        if key not in self._pools:
            self._pools[key] = self._new_pool(theta)
        return self._pools[key]

    def _new_pool(self, theta: np.ndarray) -> SamplePool:
        data = self._data(POOL)
        gates, clear = self._pieces(theta, data)
        patterns = np.stack(list(gates.values()), axis=1)[clear]
        _, inverse, counts = np.unique(patterns, axis=0, return_inverse=True, return_counts=True)
        weights = 1 / counts[inverse.ravel()]
        return SamplePool(data[clear], weights / max(weights.sum(), 1.0 / POOL))

    def _data(self, count: int) -> np.ndarray:
        data = self.numerators(count, self.circuit.input_count)
        if not self.circuit.has_gates:
            return data
        return np.asarray(data // 2 ** self._rng.integers(SCALES, size=(count, 1)))

    @cached_property
    def _constants(self) -> np.ndarray:
        return self.numerators(1, self.circuit.constant_count)

    def _float_forward(self, theta: np.ndarray, data: np.ndarray) -> list[np.ndarray]:
        leaves = [np.asarray(part / 2.0**FRACTION_BITS)[..., None] for part in (theta, data, self._constants)]
        return Evaluation(self.circuit, TruncatedAlgebra(None)).forward(leaves[0], leaves[1], leaves[2], None)

    def _pieces(self, theta: np.ndarray, data: np.ndarray) -> tuple[Gates, np.ndarray]:
        if not self.circuit.has_gates:
            return {}, np.ones(len(data), dtype=bool)
        gates, clear = pieces(self.circuit, self._float_forward(theta, data))
        clear = np.broadcast_to(clear, (len(data),))
        return {place: np.broadcast_to(piece, (len(data),)) for place, piece in gates.items()}, clear

    def _is_finite(self) -> bool:
        with np.errstate(all="ignore"):
            values = self._float_forward(self.numerators(64, self.dimension), self._data(64))
            return all(bool(np.isfinite(value).all()) for value in values)
