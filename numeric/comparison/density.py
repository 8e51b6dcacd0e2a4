"""A one-dimensional law given by an unnormalised log-density: mean, variance and distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

from numeric.comparison.samples import FloatArray
from numeric.errors import CheckError

LogDensity = Callable[[FloatArray], FloatArray]

POINTS = 20_001  # grid points of the stretched coordinate; the spline's error then lies near 1e-10
# Logarithms of the largest and smallest |w| on the first grid: powers up to w^7 and w^-2 stay finite there.
LONGEST, SHORTEST = 100.0, -300.0
NEGLIGIBLE = 60.0  # exp(-60) of the peak is below rounding in every sum
ZOOMS = 6  # at most so many refinements until the grid covers the mass and little else
END_MASS = 1e-6  # integrand at the ends of the grid, relative to its peak, above which the mass is infinite


class NumericDensity:
    """The law with density proportional to exp(log_density(w)) dw on the interval `support`.

    log_density: maps a float64 array of points to an array of logarithms, up to one additive constant; it
    may be −inf. support: (a, b) with a < b, either end may be infinite. Integrable singularities at the ends
    are fine. A second peak narrower than about 1e-3 of its distance to the ends can be missed by the first
    grid. The moments are right to eight digits for tails that fall at least like |w|^-4. Raises CheckError
    when the density is NaN inside the support, vanishes, or has infinite mass.
    """

    mean: float
    variance: float

    def __init__(self, log_density: LogDensity, support: tuple[float, float] = (-np.inf, np.inf)) -> None:
        lower, upper = support
        if not lower < upper:
            raise CheckError(f"the support ({lower}, {upper}) is empty; give its lower end first")
        self.support = (float(lower), float(upper))
        self._log_density = log_density
        grid, logs = self._locate()
        self._peak = float(logs.max())
        mass = np.exp(logs - self._peak)
        points = self._point(grid)
        antiderivative = CubicSpline(grid, mass).antiderivative()
        self._mass = float(antiderivative(grid[-1]))
        self._ends = (float(grid[0]), float(grid[-1]))
        self._cumulative = antiderivative
        self.mean = self._expectation(grid, mass, points)
        self.variance = self._expectation(grid, mass, (points - self.mean) ** 2)

    def pdf(self, points: FloatArray) -> FloatArray:
        """The normalised density (per unit of w) at `points`; zero outside the support."""
        points = np.asarray(points, dtype=np.float64)
        inside = self._inside(points)
        values = np.zeros_like(points)
        values[inside] = np.exp(self._log_density(points[inside]) - self._peak) / self._mass
        return values

    def cdf(self, points: FloatArray) -> FloatArray:
        """Probability of lying below each of `points`, dimensionless, in [0, 1]."""
        points = np.asarray(points, dtype=np.float64)
        values = np.where(points >= self.support[1], 1.0, 0.0)
        inside = self._inside(points)
        stretched = np.clip(self._stretched(points[inside]), *self._ends)
        values[inside] = np.clip(self._cumulative(stretched) / self._mass, 0.0, 1.0)
        return values

    def _inside(self, points: FloatArray) -> np.ndarray:
        return (points > self.support[0]) & (points < self.support[1])

    def _expectation(self, grid: FloatArray, mass: FloatArray, values: FloatArray) -> float:
        return float(CubicSpline(grid, mass * values).integrate(grid[0], grid[-1])) / self._mass

    def _locate(self) -> tuple[FloatArray, FloatArray]:
        """The grid of the stretched coordinate s narrowed to the mass, and log(density dw/ds) on it."""
        grid = np.linspace(*self._reach(), POINTS)
        logs = self._log_integrand(grid)
        self._check_ends(grid, logs)
        for _ in range(ZOOMS):
            kept = np.flatnonzero(logs > logs.max() - NEGLIGIBLE)
            first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, POINTS - 1)
            grid = np.linspace(grid[first], grid[last], POINTS)
            logs = self._log_integrand(grid)
            if last - first > POINTS // 2:
                break
        return grid, logs

    def _check_ends(self, grid: FloatArray, logs: FloatArray) -> None:
        inside = np.flatnonzero(self._inside(self._point(grid)))
        if max(logs[inside[0]], logs[inside[-1]]) >= logs.max() + np.log(END_MASS):
            raise CheckError(
                f"the density has infinite mass on its support {self.support}; "
                "the law exists only where it is integrable (a smaller step or less noise may restore it)"
            )

    def _log_integrand(self, grid: FloatArray) -> FloatArray:
        points = self._point(grid)
        logs = np.full_like(points, -np.inf)
        # Rounding can put a stretched point onto the end of the support, where the density need not exist.
        inside = self._inside(points) & np.isfinite(points)
        # Far in the tails powers of w overflow to the -inf that they stand for.
        with np.errstate(over="ignore", divide="ignore"):
            logs[inside] = self._log_density(points[inside]) + self._log_stretch(grid)[inside]
        if np.isnan(logs).any() or (logs == np.inf).any():
            bad = float(points[np.isnan(logs) | (logs == np.inf)][0])
            raise CheckError(f"the log-density is NaN or +inf at {bad:.6g}, inside its support {self.support}")
        if logs.max() == -np.inf:
            raise CheckError(f"the density vanishes everywhere on its support {self.support}")
        return logs

    # The stretched coordinate s runs over the whole line, rising with w:
    # w = sinh s, a + e^s, b − e^−s, or a + (b−a)/(1+e^−s).

    def _reach(self) -> tuple[float, float]:
        lower, upper = np.isinf(self.support)
        return (-LONGEST if lower else SHORTEST), (LONGEST if upper else -SHORTEST)

    def _point(self, s: FloatArray) -> FloatArray:
        lower, upper = self.support
        if np.isinf(lower) and np.isinf(upper):
            return np.asarray(np.sinh(s))
        if np.isinf(upper):
            return np.asarray(lower + np.exp(s))
        if np.isinf(lower):
            return np.asarray(upper - np.exp(-s))
        return np.asarray(lower + (upper - lower) / (1.0 + np.exp(-s)))

    def _stretched(self, w: FloatArray) -> FloatArray:
        lower, upper = self.support
        if np.isinf(lower) and np.isinf(upper):
            return np.asarray(np.arcsinh(w))
        if np.isinf(upper):
            return np.asarray(np.log(w - lower))
        if np.isinf(lower):
            return np.asarray(-np.log(upper - w))
        return np.asarray(np.log(w - lower) - np.log(upper - w))

    def _log_stretch(self, s: FloatArray) -> FloatArray:
        """log |dw/ds|."""
        lower, upper = self.support
        if np.isinf(lower) and np.isinf(upper):
            return np.asarray(np.logaddexp(s, -s) - np.log(2.0))
        if np.isinf(upper):
            return s
        if np.isinf(lower):
            return -s
        return np.asarray(np.log(upper - lower) - np.logaddexp(0.0, s) - np.logaddexp(0.0, -s))
