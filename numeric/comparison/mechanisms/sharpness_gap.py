"""Check of the sharpness gap: measured over forecast at ever smaller steps, with the balance that makes an edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.leading_order import LeadingOrder
from numeric.comparison.mechanisms.combine import undecided
from numeric.comparison.mechanisms.reading import observable, setting, step_size
from numeric.comparison.statistics import drift_of_halves, replica_mean
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.training.runs import Runs

MECHANISM = "sharpness_gap"
TEST = LeadingOrder(z_threshold=3.5, largest_error=0.1)
BALANCE = 1.25  # factor within which the oscillation has to balance the sharpening
STEADY = 5.0  # standard errors between the first and the second half of the snapshots
SECOND = 0.5  # the largest part of the edge that the next eigenvalue may reach

CRITERION = (
    "gap 2/η − S over its forecast with noise along u and along ∇S, per-replica time averages first, errors over "
    f"replicas: {TEST.criterion}; inconclusive, not at the edge, unless E βx²/2 is within a factor {BALANCE:g} of E α, "
    f"the second half of the gap within {STEADY:g} standard errors of the first, and the next eigenvalue below "
    f"{SECOND:.0%} of 2/η"
)


def sharpness_gap(functions: Any, runs: Sequence[Runs], data: Mapping[str, Tensor] | None = None) -> Verdict:
    """The ratio of the measured gap to the forecast tends to one with η, at fixed temperature.

    Needs Langevin runs at three or more step sizes with the observables edge.sharpness, edge.second, edge.alpha,
    edge.beta and edge.position, (T, R), recorded at the edge. details: ratios, balance and gap by η.
    """
    rows = [_read(functions, run) for run in runs]
    details: dict[str, Any] = {key: [row[key] for row in rows] for key in rows[0]}
    for row in rows:
        reason = _not_at_edge(row)
        if reason:
            return undecided(MECHANISM, CRITERION, f"not at the edge at η = {row['eta']:.3g}: {reason}", details)
    verdict = TEST.judge(MECHANISM, details["eta"], details["ratio"], details["ratio_error"], details["n"][0])
    return Verdict(
        verdict.mechanism,
        verdict.verdict,
        verdict.predicted,
        verdict.measured,
        verdict.standard_error,
        verdict.z,
        verdict.n,
        CRITERION,
        {**details, **verdict.details},
    )


def _read(functions: Any, run: Runs) -> dict[str, float]:
    """Time averages of one run, means over replicas."""
    if run.config["optimizer"]["name"] != "Langevin":
        raise CheckError("the check of sharpness_gap reads Langevin runs: train with optimizer=Langevin(…)")
    eta = step_size(run)
    values = {name: observable(run, f"edge.{name}").double() for name in NAMES}
    alpha, beta = values["alpha"].mean(0), values["beta"].mean(0)
    noise = torch.full_like(alpha, 2 * setting(run, "temperature") / eta)
    forecast = functions.sharpness_gap(alpha, beta, noise, eta, 0.0)
    forecast = forecast + functions.sharpness_gap_of_drift_noise(alpha, beta * noise, eta, 0.0)
    gap = -functions.sharpness_gap_distance(values["sharpness"], eta, 0.0)
    ratio = replica_mean(gap.mean(0) / forecast)
    taken_back = (values["beta"] * values["position"].square() / 2).mean(0)
    return {
        "eta": eta,
        "ratio": ratio.value,
        "ratio_error": ratio.standard_error,
        "gap": float(gap.mean()),
        "forecast": float(forecast.mean()),
        "balance": float(taken_back.mean() / alpha.mean()),
        "drift": drift_of_halves(gap.numpy()),
        "second": float(values["second"].mean()) * eta / 2,
        "n": len(alpha),
    }


NAMES = ("sharpness", "second", "alpha", "beta", "position")


def _not_at_edge(row: Mapping[str, float]) -> str:
    if not 1 / BALANCE <= row["balance"] <= BALANCE:
        return f"the oscillation takes back {row['balance']:.0%} of the sharpening"
    if abs(row["drift"]) > STEADY:
        return f"the gap still moves, by {row['drift']:+.1f} standard errors between the halves of the snapshots"
    if row["second"] > SECOND:
        return f"a second eigenvalue comes to {row['second']:.0%} of 2/η"
    return ""
