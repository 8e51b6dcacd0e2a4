"""The affine vector fields that leave a predictor as it is, with the products of its translations left implicit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtheory.symmetry.certificate.field_arithmetic import FieldArithmetic
from symtheory.symmetry.certificate.numerical_rank import RankGap


@dataclass(frozen=True)
class AffineFamily:
    """All solutions X are sums of ``transverse`` fields and of ℓ(θ) b, with b a translation and ℓ an affine function.

    translations: constant fields (k, D), row-reduced; transverse: (fields, D, D + 1), columns of M, then b, with values
    in a complement of the translations.
    """

    translations: np.ndarray
    transverse: np.ndarray
    arithmetic: FieldArithmetic

    @property
    def gap(self) -> RankGap | None:
        """Between what was found and everything else; None where ranks are exact."""
        return self.arithmetic.gap

    @property
    def products(self) -> int:
        """Number of independent products of a translation and a linear function, k D."""
        return int(self.translations.size)

    def basis(self) -> np.ndarray:
        """Translations and transverse fields, shape (k + fields, D, D + 1); of every product, one is left out."""
        dimension = self.translations.shape[1]
        constant = np.zeros((len(self.translations), dimension, dimension + 1), dtype=self.translations.dtype)
        constant[:, :, -1] = self.translations
        return np.concatenate([constant, self.transverse])

    def everything(self) -> np.ndarray:
        """The basis, and all products of a translation and a coordinate, shape (fields, D, D + 1)."""
        count, dimension = self.translations.shape
        products = np.zeros((count, dimension, dimension, dimension + 1), dtype=self.translations.dtype)
        for column in range(dimension):
            products[:, column, :, column] = self.translations
        return np.concatenate([self.basis(), products.reshape(count * dimension, dimension, dimension + 1)])

    def scaled(self, fields: np.ndarray) -> np.ndarray:
        """The same fields (count, D, D + 1), of a length that suits linear algebra."""
        return self.arithmetic.factors(fields.reshape(len(fields), int(np.prod(fields.shape[1:])))).reshape(
            fields.shape
        )

    def without_products(self, fields: np.ndarray) -> np.ndarray:
        """Fields (count, D, D + 1) minus those products that bring the values of M into the complement."""
        if not len(self.translations):
            return fields
        multiply = self.arithmetic.multiply
        count, dimension, _ = fields.shape
        frame = np.concatenate([self.translations, self.arithmetic.complement(self.translations, dimension)])
        kept = self.arithmetic.inverse(frame)
        kept[:, : len(self.translations)] = 0
        projection = multiply(frame.T, kept.T)  # onto the complement, along the translations
        columns = fields[:, :, :-1].transpose(0, 2, 1).reshape(count * dimension, dimension)
        linear = multiply(columns, projection.T).reshape(count, dimension, dimension).transpose(0, 2, 1)
        return np.concatenate([linear, fields[:, :, -1:]], axis=2)
