"""The diabetes regression that ships with scikit-learn, with more coefficients than training rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numeric.errors import DataError

CONSTANT = 1e-9  # standard deviation, in standardized units, below which a column says nothing
DUPLICATE = 1e-9  # 1 − |correlation| below which two columns are the same one


def diabetes(rows: int = 40, seed: int = 0) -> dict[str, Tensor]:
    """{"x": (rows, d), "y": (rows,)} in float64: standardized features of degree 1 and 2, standardized target.

    The 10 measurements are standardized over all 442 patients and completed by their 55 products. Then `rows`
    patients are drawn without replacement by `seed`; on them every column and the target get mean 0 and standard
    deviation 1 (so all numbers are dimensionless), and constant columns and later copies of a column are
    dropped (the square of sex is a copy of sex): d = 64 for 40 rows. As the columns have mean 0, x has rank
    rows − 1 at most.

    Raises DataError if scikit-learn is not installed or rows is not between 2 and 442. Source of the data:
    Efron et al. 2004, Least Angle Regression, as distributed with scikit-learn.
    """
    measurements, target = _load()
    if not 2 <= rows <= len(target):
        raise DataError(f"rows = {rows} is out of range: the diabetes data have {len(target)} rows, take 2 or more")
    chosen = np.random.default_rng(seed).permutation(len(target))[:rows]
    features = _with_products(_standardized(measurements))[chosen]
    features = features[:, features.std(axis=0) > CONSTANT]
    features = _without_copies(_standardized(features))
    return {"x": torch.from_numpy(features), "y": torch.from_numpy(_standardized(target[chosen]))}


def _load() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise DataError("the diabetes data need scikit-learn: install symtheory with its extra 'data'") from error
    measurements, target = load_diabetes(return_X_y=True)
    return np.asarray(measurements, dtype=np.float64), np.asarray(target, dtype=np.float64)


def _standardized(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


def _with_products(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    left, right = np.triu_indices(columns.shape[1])
    return np.concatenate([columns, columns[:, left] * columns[:, right]], axis=1)


def _without_copies(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardized columns without those that equal an earlier one up to sign."""
    correlation = np.abs(columns.T @ columns) / len(columns)
    kept: list[int] = []
    for column in range(columns.shape[1]):
        if (correlation[column, kept] < 1 - DUPLICATE).all():
            kept.append(column)
    return np.ascontiguousarray(columns[:, kept])
