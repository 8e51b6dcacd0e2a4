"""All affine vector fields X(θ) = Mθ + b with Dφ(θ; x)[X(θ)] = 0, modulo the prime or in float64.

Constant fields come first: a translation b brings its products ℓ(θ) b with all linear functions ℓ along. They add
nothing to the orbits, so the search goes on for fields with values in a complement of the translations.

The unknown field is restricted to affine subspaces θ_0 + span(v_j, j in a block), where it is X_0 + Σ_j s_j M v_j. On
a line it has 2D unknowns; solutions on two blocks that agree at θ_0 are joined, and gradients at random points of the
joined block cut the result down. So no system has many more unknowns than twice the solutions of a block, where the
direct system would have D(D + 1). The directions v_j are random: along one parameter alone many fields that are no
symmetries look affine, and the blocks would be large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtheory.symmetry.certificate.affine_family import AffineFamily
from symtheory.symmetry.certificate.exact_arithmetic import ExactArithmetic
from symtheory.symmetry.certificate.field_arithmetic import FieldArithmetic
from symtheory.symmetry.certificate.float_arithmetic import FloatArithmetic
from symtheory.symmetry.certificate.gradient_source import GradientSource

# Points of the whole space for each parameter, in checks that are repeated until they change nothing.
EVERYWHERE, SPARE = 6, 10


def affine_fields(source: GradientSource) -> AffineFamily:
    """Every solution; an upper bound that more random equations can only lower, and they are added until they do not.

    Raises ``CertificateError`` where rounding hides a rank.
    """
    arithmetic = FloatArithmetic(source) if source.algebra.modulus is None else ExactArithmetic(source)
    translations = _translations(arithmetic)
    search = _Search(arithmetic, source.numerators(1, source.dimension), translations)
    return AffineFamily(translations, search.fields(), arithmetic)


def _translations(arithmetic: FieldArithmetic) -> np.ndarray:
    """All constant fields, row-reduced, shape (count, D)."""
    source = arithmetic.source
    basis: np.ndarray = np.eye(source.dimension, dtype=source.algebra.dtype)
    while len(basis):
        count = EVERYWHERE * source.dimension + SPARE
        rows = arithmetic.rows(source.numerators(count, source.dimension))
        usual = float(np.sqrt(count / source.dimension))
        smaller = arithmetic.multiply(arithmetic.kernel(arithmetic.multiply(rows, basis.T), usual), basis)
        if len(smaller) == len(basis):
            break
        basis = smaller
    return arithmetic.row_echelon(basis)


@dataclass(frozen=True)
class _Block:
    """Directions (count, D), and a basis (fields, 1 + count, D') of X_0 and the vectors M v_j in the complement."""

    directions: np.ndarray
    basis: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        fields, vectors, dimension = self.basis.shape
        return self.basis.reshape(fields, vectors * dimension)


class _Search:
    """Fields with values in a complement of dimension D' of the translations (k, D); origin: θ_0 as numerators."""

    def __init__(self, arithmetic: FieldArithmetic, origin: np.ndarray, translations: np.ndarray) -> None:
        self.arithmetic, self.origin = arithmetic, origin
        self.source = arithmetic.source
        self.complement = arithmetic.complement(translations, self.source.dimension)

    def fields(self) -> np.ndarray:
        """Basis (fields, D, D + 1): columns of M, then b; row-reduced."""
        dimension = self.source.dimension
        if not len(self.complement):
            return np.zeros((0, dimension, dimension + 1), dtype=self.source.algebra.dtype)
        free = self._on_a_line()
        directions = self.arithmetic.directions()
        blocks = self._restrict_all([_Block(row[None], free) for row in directions])
        while len(blocks) > 1:
            joined = [self._join(left, right) for left, right in zip(blocks[::2], blocks[1::2], strict=False)]
            blocks = self._restrict_all(joined) + blocks[2 * len(joined) :]
        whole = blocks[0]
        while len(whole.basis):
            smaller = self._restrict_everywhere(whole)
            if len(smaller.basis) == len(whole.basis):
                break
            whole = smaller
        return self._as_affine(whole)

    def _on_a_line(self) -> np.ndarray:
        """All X_0 + s X_1 with X_0 in the kernel of the differential at θ_0, as a basis (unknowns, 2, D')."""
        size = len(self.complement)
        rows = self._rows(np.repeat(self.origin, self.arithmetic.equations(self.source.dimension), axis=0))
        kernel = self.arithmetic.roughly_kernel(rows, self._usual(len(rows), 1))
        basis = np.zeros((len(kernel) + size, 2, size), dtype=kernel.dtype)
        basis[: len(kernel), 0] = kernel
        basis[len(kernel) :, 1] = np.eye(size, dtype=kernel.dtype)
        return basis

    def _restrict_all(self, blocks: list[_Block]) -> list[_Block]:
        """Each block cut down by gradients at random points of its own subspace; all evaluated in one batch."""
        counts = [self.arithmetic.equations(len(block.basis)) for block in blocks]
        steps = [
            self.arithmetic.steps(count, len(block.directions)) for count, block in zip(counts, blocks, strict=True)
        ]
        points = [self.origin + step @ block.directions for step, block in zip(steps, blocks, strict=True)]
        rows = np.split(self._rows(np.concatenate(points)), np.cumsum(counts)[:-1])
        return [
            _Block(block.directions, self._combine(self.arithmetic.roughly_kernel(*self._system(block, *given)), block))
            for block, *given in zip(blocks, rows, map(self.source.values, steps), strict=True)
        ]

    def _restrict_everywhere(self, whole: _Block) -> _Block:
        """All directions, cut down at points of the whole space: near θ_0 a unit may be off for all data."""
        count = EVERYWHERE * self.source.dimension + self.arithmetic.equations(len(whole.basis))
        theta = self.source.numerators(count, self.source.dimension)
        moved = self.source.algebra.reduce(self.source.values(theta) - self.source.values(self.origin))
        steps = self.arithmetic.multiply(moved, self.arithmetic.inverse(whole.directions))
        kernel = self.arithmetic.kernel(*self._system(whole, self._rows(theta), steps))
        return _Block(whole.directions, self._combine(kernel, whole))

    def _rows(self, points: np.ndarray) -> np.ndarray:
        """One random gradient at each point, as it acts on the complement; shape (count, D')."""
        return self.arithmetic.multiply(self.arithmetic.rows(points), self.complement.T)

    def _system(self, block: _Block, rows: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, float]:
        """The matrix whose kernel solves the equations ⟨row, X_0 + Σ_j s_j M v_j⟩ = 0, and its usual scale."""
        ones = np.ones((len(rows), 1), dtype=steps.dtype)
        factors = self.arithmetic.factors(np.concatenate([ones, steps], axis=1))
        products = self.source.algebra.reduce(factors[:, :, None] * rows[:, None, :])
        unknowns = products.reshape(len(rows), factors.shape[1] * rows.shape[1])
        return self.arithmetic.multiply(unknowns, block.flat.T), self._usual(len(rows), factors.shape[1])

    def _usual(self, count: int, vectors: int) -> float:
        """Length of a column of ``count`` unit rows in R^{vectors · D'} that point anywhere."""
        return float(np.sqrt(count / (vectors * len(self.complement))))

    def _join(self, left: _Block, right: _Block) -> _Block:
        """Pairs of solutions with the same X_0."""
        reduce = self.source.algebra.reduce
        agreement = np.concatenate([left.basis[:, 0], reduce(-right.basis[:, 0])]).T
        pairs = self.arithmetic.roughly_kernel(agreement, 1.0)
        directions = np.concatenate([left.directions, right.directions])
        first = self._combine(pairs[:, : len(left.basis)], left)
        second = self._combine(pairs[:, len(left.basis) :], right)[:, 1:]
        joined = _Block(directions, np.concatenate([first, second], axis=1))
        return _Block(directions, self.arithmetic.tidied(joined.flat).reshape(joined.basis.shape))

    def _combine(self, coefficients: np.ndarray, block: _Block) -> np.ndarray:
        """Linear combinations, one a row of ``coefficients``, of the members of a basis."""
        return self.arithmetic.multiply(coefficients, block.flat).reshape(len(coefficients), *block.basis.shape[1:])

    def _as_affine(self, block: _Block) -> np.ndarray:
        """From X_0 and M v_j in the complement to M and b = X_0 − Mθ_0."""
        multiply, reduce = self.arithmetic.multiply, self.source.algebra.reduce
        fields, vectors, size = block.basis.shape
        dimension = self.source.dimension
        embedded = multiply(block.basis.reshape(fields * vectors, size), self.complement)
        embedded = embedded.reshape(fields, vectors, dimension)
        inverse = self.arithmetic.inverse(block.directions)  # rows of the directions are the v_j
        transposed = embedded[:, 1:].transpose(0, 2, 1).reshape(fields * dimension, dimension)
        linear = multiply(transposed, inverse.T).reshape(fields, dimension, dimension)
        moved = reduce(linear * self.source.values(self.origin)[0]).sum(axis=-1)
        shift = reduce(embedded[:, 0] - moved)
        result = np.concatenate([linear, shift[:, :, None]], axis=2).reshape(fields, dimension * (dimension + 1))
        return self.arithmetic.row_echelon(result).reshape(-1, dimension, dimension + 1)
