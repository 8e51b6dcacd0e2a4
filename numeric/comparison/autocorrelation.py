"""Time averages of correlated series: the integrated autocorrelation time and the error it implies."""

from __future__ import annotations

import numpy as np

from numeric.comparison.estimate import Estimate
from numeric.comparison.samples import FloatArray, Samples, as_array
from numeric.errors import CheckError

# The window ends at the first lag M >= WINDOW * max(tau(M), 1), where an exponential autocorrelation has fallen to
# exp(-2 WINDOW): the bias of the cut, balanced against noise. An even number, so that a series of
# alternating sign, cut there, gets an error too large rather than too small.
WINDOW = 6


def autocorrelation(series: Samples) -> FloatArray:
    """Dimensionless autocorrelation at lags 0..T-1 of a series (T,), or of replicas (R, T) about one mean.

    1 at lag 0; all zero afterwards for a constant series. CheckError below two steps.
    """
    array = _rows(series)
    length = array.shape[1]
    centred = array - array.mean()
    # Zero padding to twice the length keeps the circular correlation of the transform from wrapping around.
    spectrum = np.fft.rfft(centred, n=2 * length, axis=1)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, n=2 * length, axis=1)[:, :length].mean(axis=0)
    if sums[0] <= 0:
        return np.concatenate([[1.0], np.zeros(length - 1)])
    return np.asarray(sums / sums[0], dtype=np.float64)


def integrated_autocorrelation_time(series: Samples) -> float:
    """tau = 1 + 2 Σ ρ(k), in recorded steps, summed up to a self-consistent window (Sokal's rule).

    series: (T,) or independent replicas (R, T), whose autocorrelations are averaged. The variance of the
    time average is variance * tau / T. Samples of white noise have tau = 1; AR(1) with coefficient a has
    (1+a)/(1-a).
    """
    rho = autocorrelation(series)
    times = 2.0 * np.cumsum(rho) - 1.0
    inside = np.arange(len(rho)) < WINDOW * np.maximum(times, 1.0)
    window = len(rho) - 1 if inside.all() else int(np.argmin(inside))
    return float(max(times[window], 1.0 / len(rho)))


def series_mean(series: Samples) -> Estimate:
    """Time average of a stationary series (T,) or of independent replicas (R, T) with its standard error.

    The error uses the integrated autocorrelation time. It is too small for series shorter than about 50 of
    these times, so such a series gets an infinite error rather than a wrong one. Unit: that of the series.
    """
    array = _rows(series)
    replicas, length = array.shape
    time = integrated_autocorrelation_time(array)
    error = float(np.sqrt(array.var() * time / (replicas * length)))
    if length < 50 * time:
        error = float("inf")
    return Estimate(float(array.mean()), error, replicas * length)


def _rows(series: Samples) -> FloatArray:
    array = np.atleast_2d(as_array(series, "the series", (1, 2)))
    if array.shape[1] < 2:
        raise CheckError(f"an autocorrelation needs at least 2 recorded steps, and the series has {array.shape[1]}")
    return array
