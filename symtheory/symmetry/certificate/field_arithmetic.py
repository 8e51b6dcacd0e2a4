"""What the search for affine fields asks of linear algebra and of random points, in either arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from symtheory.symmetry.certificate.gradient_source import GradientSource
from symtheory.symmetry.certificate.numerical_rank import RankGap
from symtheory.symmetry.certificate.truncated_algebra import TruncatedAlgebra


class FieldArithmetic(ABC):
    """Random points as numerators (see ``GradientSource``), and matrices over the numbers of ``algebra``."""

    def __init__(self, source: GradientSource) -> None:
        self.source = source

    @property
    def algebra(self) -> TruncatedAlgebra:
        return self.source.algebra

    @property
    @abstractmethod
    def gap(self) -> RankGap | None:
        """The narrowest gap that decided a rank so far; None where ranks are exact."""

    @abstractmethod
    def directions(self) -> np.ndarray:
        """An invertible matrix (D, D) of random directions, one a row."""

    @abstractmethod
    def steps(self, count: int, width: int) -> np.ndarray:
        """Random coefficients of directions as numerators, shape (count, width)."""

    @abstractmethod
    def equations(self, unknowns: int) -> int:
        """How many random equations decide a system with so many unknowns."""

    @abstractmethod
    def rows(self, points: np.ndarray) -> np.ndarray:
        """One random gradient at each of the points (count, D), of a length that suits linear algebra."""

    @abstractmethod
    def factors(self, coefficients: np.ndarray) -> np.ndarray:
        """Rows of any scale, of a length that suits linear algebra."""

    @abstractmethod
    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """left @ right."""

    @abstractmethod
    def inverse(self, matrix: np.ndarray) -> np.ndarray:
        """Of an invertible matrix."""

    @abstractmethod
    def row_echelon(self, matrix: np.ndarray) -> np.ndarray:
        """Reduced row echelon form of independent rows."""

    @abstractmethod
    def tidied(self, rows: np.ndarray) -> np.ndarray:
        """A basis of the same span that suits linear algebra."""

    @abstractmethod
    def compressed(self, rows: np.ndarray) -> np.ndarray:
        """Rows with the same linear relations, no longer than is needed for so many."""

    @abstractmethod
    def complement(self, rows: np.ndarray, dimension: int) -> np.ndarray:
        """Basis (D − k, D) of a complement in R^D of the span of k independent rows, one vector a row."""

    @abstractmethod
    def roughly_kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        """Basis of a space that contains {x : matrix · x = 0}, one vector a row, as small as is easily told.

        usual: the length of a column that is far from zero.
        """

    @abstractmethod
    def kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        """Basis of {x : matrix · x = 0}; raises ``CertificateError`` where that cannot be told from rounding."""
