"""The criterion for a law that holds to leading order: the ratio measured/predicted tends to one with eta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.least_squares import LeastSquares, weighted_least_squares
from numeric.comparison.samples import FloatArray, Samples, as_array, same_length
from numeric.comparison.verdict import Outcome, Verdict


@dataclass(frozen=True)
class LeadingOrder:
    """Extrapolation of an effect's ratio measured/predicted to eta = 0.

    z_threshold: standard errors (dimensionless) beyond which an intercept other than one refutes.
    largest_error: the intercept's standard error must be smaller, or the check could not have told a wrong
    factor 2 from the truth (at one half, 0.5/largest_error must well exceed z_threshold). degree: of the
    polynomial in eta, 1 or 2. The fit needs one value of eta more than coefficients, so that its own scatter
    can enlarge an error that was stated too small or a polynomial too short.
    """

    z_threshold: float = 3.0
    largest_error: float = 0.1
    degree: int = 1

    @property
    def criterion(self) -> str:
        shape = "a + b eta" if self.degree == 1 else "a + b eta + c eta^2"
        return (
            f"leading order: fit measured/predicted = {shape} at {self.degree + 2} or more values of eta; "
            "refuted if "
            f"|a - 1| exceeds {self.z_threshold:g} standard errors, confirmed otherwise, provided that the "
            "standard "
            f"error of a is below {self.largest_error:g} (a wrong factor 2 would have been seen)"
        )

    def judge(self, mechanism: str, eta: Samples, ratio: Samples, ratio_error: Samples, n: int) -> Verdict:
        """eta: (k,) values of the small parameter; ratio: (k,) measured/predicted effect, with standard
        errors (k,), all dimensionless. The effect is what the mechanism adds, not a quantity that is large
        without it. n: replicas behind each ratio. CheckError when lengths differ or an error is zero or
        negative.
        """
        etas, ratios = as_array(eta, "eta"), as_array(ratio, "the ratios")
        errors = as_array(ratio_error, "the errors of the ratios")
        same_length(eta=etas, ratio=ratios, ratio_error=errors)
        details: dict[str, object] = {"eta": etas, "ratio": ratios, "ratio_error": errors}
        reason = self._unusable(etas, ratios, errors)
        if reason:
            details["reason"] = reason
            nan = float("nan")
            return Verdict(mechanism, "inconclusive", 1.0, nan, None, None, n, self.criterion, details)
        fit = weighted_least_squares(np.vander(etas, self.degree + 1, increasing=True), ratios, errors)
        return self._decide(mechanism, fit, n, details)

    def _decide(self, mechanism: str, fit: LeastSquares, n: int, details: dict[str, object]) -> Verdict:
        intercept, error = float(fit.coefficients[0]), float(fit.standard_errors[0])
        z = (intercept - 1.0) / error
        details |= {
            "coefficients": fit.coefficients,
            "coefficient_errors": fit.standard_errors,
            "chi_square": fit.chi_square,
            "degrees_of_freedom": fit.degrees_of_freedom,
        }
        outcome: Outcome
        if error >= self.largest_error:
            outcome = "inconclusive"
            details["reason"] = (
                f"the intercept's error {error:.2g} is not below {self.largest_error:g}: "
                "use more replicas or smaller eta"
            )
        else:
            outcome = "refuted" if abs(z) > self.z_threshold else "confirmed"
        return Verdict(mechanism, outcome, 1.0, intercept, error, z, n, self.criterion, details)

    def _unusable(self, eta: FloatArray, ratio: FloatArray, error: FloatArray) -> str:
        if not (np.isfinite(eta).all() and np.isfinite(ratio).all() and np.isfinite(error).all()):
            return "a ratio, its error or eta is not a finite number"
        if len(np.unique(eta)) < self.degree + 2:
            return f"{self.degree + 2} distinct values of eta are needed and {len(np.unique(eta))} were given"
        return ""
