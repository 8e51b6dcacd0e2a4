"""Statistics of runs, criteria fixed before a run, and the verdicts they give."""

from __future__ import annotations

from numeric.comparison.approach import Approach
from numeric.comparison.autocorrelation import autocorrelation, integrated_autocorrelation_time, series_mean
from numeric.comparison.convergence_order import ConvergenceOrder
from numeric.comparison.density import NumericDensity
from numeric.comparison.estimate import Estimate
from numeric.comparison.exact_law import ExactLaw
from numeric.comparison.goodness_of_fit import GoodnessOfFit, kolmogorov_smirnov
from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.least_squares import LeastSquares, straight_line, weighted_least_squares
from numeric.comparison.mean_test import MeanTest
from numeric.comparison.rank_correlation import (
    RankCorrelation,
    kendall,
    partial_kendall,
    rank_correlation,
    rank_correlation_of_studies,
)
from numeric.comparison.rivals import RivalOutcome, Rivals
from numeric.comparison.statistics import bootstrap, replica_mean, replica_variance
from numeric.comparison.time_stretch import time_stretch
from numeric.comparison.verdict import Outcome, Verdict

__all__ = [
    "Approach",
    "ConvergenceOrder",
    "Estimate",
    "ExactLaw",
    "GoodnessOfFit",
    "LeadingOrder",
    "LeastSquares",
    "MeanTest",
    "NumericDensity",
    "Outcome",
    "RankCorrelation",
    "RivalOutcome",
    "Rivals",
    "Verdict",
    "autocorrelation",
    "bootstrap",
    "integrated_autocorrelation_time",
    "kendall",
    "kolmogorov_smirnov",
    "partial_kendall",
    "rank_correlation",
    "rank_correlation_of_studies",
    "replica_mean",
    "replica_variance",
    "series_mean",
    "straight_line",
    "time_stretch",
    "weighted_least_squares",
]
