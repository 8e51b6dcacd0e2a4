"""A density known only by its logarithm, against laws that scipy knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from numeric.comparison import NumericDensity, kolmogorov_smirnov
from numeric.errors import CheckError

# The mean on the grid agrees with the closed form to this, relative.
ACCURACY = 1e-8

LAWS = [
    # shape below one: the density is unbounded at 0; the last is 1e-3 wide, as with a small step
    (stats.gamma(19.5, scale=0.05), (0.0, np.inf)),
    (stats.gamma(0.4, scale=2.0), (0.0, np.inf)),
    (stats.gamma(1e6, scale=1e-6), (0.0, np.inf)),
    (stats.norm(-300.0, 0.01), (-np.inf, np.inf)),
    (stats.norm(2.0, 5.0), (-np.inf, np.inf)),
    (stats.beta(2.0, 5.0), (0.0, 1.0)),
    (stats.beta(0.5, 0.7), (0.0, 1.0)),
    (stats.uniform(2.0, 3.0), (2.0, 5.0)),
    (stats.gamma(3.0, loc=10.0), (10.0, np.inf)),
]


@pytest.mark.parametrize(("law", "support"), LAWS)
def test_known_laws(law: stats.rv_continuous, support: tuple[float, float]) -> None:
    density = NumericDensity(lambda w: law.logpdf(w) + 1234.5, support)  # the constant must not matter
    assert density.mean == pytest.approx(law.mean(), rel=ACCURACY)
    assert density.variance == pytest.approx(law.var(), rel=1e-6)  # the square of a small difference
    points = law.ppf(np.linspace(0.001, 0.999, 101))
    np.testing.assert_allclose(density.cdf(points), law.cdf(points), atol=1e-7)
    np.testing.assert_allclose(density.pdf(points), law.pdf(points), rtol=1e-6)


def test_lower_half_line_is_the_mirror_image() -> None:
    law = stats.gamma(2.5)
    density = NumericDensity(lambda w: law.logpdf(-w), (-np.inf, 0.0))
    points = np.array([-9.0, -3.0, -1.0, -0.01, 0.0, 1.0])
    assert density.mean == pytest.approx(-2.5, rel=ACCURACY)
    np.testing.assert_allclose(density.cdf(points), law.sf(-points), atol=1e-8)


def test_outside_the_support() -> None:
    density = NumericDensity(np.zeros_like, (2.0, 5.0))
    np.testing.assert_array_equal(density.cdf(np.array([1.0, 2.0, 5.0, 6.0])), [0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(density.pdf(np.array([1.0, 6.0])), [0.0, 0.0])


def test_distance_against_scipy() -> None:
    law = stats.gamma(19.5, scale=0.05)
    density = NumericDensity(law.logpdf, (0.0, np.inf))
    samples = law.rvs(500, random_state=np.random.default_rng(1))
    ours, theirs = kolmogorov_smirnov(samples, density), stats.kstest(samples, law.cdf)
    assert ours.distance == pytest.approx(theirs.statistic, abs=1e-7)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-4)
    assert ours.n == 500


def test_distance_by_counting() -> None:
    # Uniform law, samples 0.1, 0.2, 0.9: F_n − F is largest just at 0.2, where 2/3 − 0.2.
    density = NumericDensity(np.zeros_like, (0.0, 1.0))
    assert kolmogorov_smirnov([0.9, 0.1, 0.2], density).distance == pytest.approx(2 / 3 - 0.2, abs=1e-7)


def test_p_values_are_uniform_under_the_law_and_small_beside_it() -> None:
    rng = np.random.default_rng(2)
    density = NumericDensity(stats.gamma(3.0).logpdf, (0.0, np.inf))
    p_values = [kolmogorov_smirnov(rng.gamma(3.0, size=200), density).p_value for _ in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3  # fixed seed; a wrong p-value gives far less
    assert kolmogorov_smirnov(rng.gamma(3.6, size=2000), density).p_value < 1e-6


@pytest.mark.parametrize(
    ("log_density", "support", "words"),
    [
        (lambda w: -1.0 * np.log(w), (0.0, np.inf), "infinite mass"),
        (lambda w: -1.5 * np.log(w) - w, (0.0, np.inf), "infinite mass"),
        (np.zeros_like, (-np.inf, np.inf), "infinite mass"),
        (lambda w: np.full_like(w, np.nan), (0.0, 1.0), "NaN"),
        (lambda w: np.full_like(w, -np.inf), (0.0, 1.0), "vanishes"),
        (np.zeros_like, (1.0, 0.0), "support"),
    ],
)
def test_unusable_densities_are_named(log_density: object, support: tuple[float, float], words: str) -> None:
    with pytest.raises(CheckError, match=words):
        NumericDensity(log_density, support)  # type: ignore[arg-type]


def test_samples_must_be_numbers() -> None:
    density = NumericDensity(np.zeros_like, (0.0, 1.0))
    for samples in ([], [0.5, float("nan")]):
        with pytest.raises(CheckError, match="at least one sample and no NaN"):
            kolmogorov_smirnov(samples, density)
