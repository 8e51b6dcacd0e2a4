"""How large the leading eigenvalue may still be, given that the start of the Lanczos iteration was random."""

from __future__ import annotations

import math

from torch import Tensor

# Halvings of the interval in the logarithm of the distance from the largest Ritz value: to 1e-12 of its ends.
HALVINGS = 80


def upper_bound(values: Tensor, log_couplings: float, dimension: int, share: float, risk: float) -> float:
    """A number that the largest eigenvalue exceeds with probability at most `risk` over the random start.

    values: the j Ritz values, largest first. log_couplings: Σ log β_i of the j steps. share: the random part's length
    in the start of length one. The component of the eigenvector u in v_{j+1} is χ(λ)·uᵀv_1/Πβ_i, χ(λ) = Π(λ − θ_i),
    and at most 1; χ grows beyond the largest Ritz value. So an eigenvalue beyond λ needs |uᵀv_1| ≤ Πβ_i/χ(λ) =: w. One
    coordinate of a random direction is so small with probability at most w·√(2(D−1)/π)/share. No gap is assumed.
    Derived here.
    """
    top = float(values[0])
    if dimension == len(values) or log_couplings == -math.inf:
        return top
    goal = log_couplings + 0.5 * math.log(2 * (dimension - 1) / math.pi) - math.log(share * risk)
    below = [top - value for value in values.tolist()]
    spread = max(max(below), abs(top), math.exp(goal / len(below)))
    low, high = math.log(spread) - 60, math.log(spread)

    def excess(log_distance: float) -> float:
        return math.fsum(math.log(math.exp(log_distance) + gap) for gap in below) - goal

    while excess(high) < 0:
        high += 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return top + math.exp(high)


def risk_beyond(bound: float, values: Tensor, log_couplings: float, dimension: int, share: float) -> float:
    """The probability over the random start, at most, that the largest eigenvalue exceeds `bound`, above all values.

    The arguments and the reasoning are those of `upper_bound`.
    """
    if dimension == len(values) or log_couplings == -math.inf:
        return 0.0
    log_share = log_couplings - math.fsum(math.log(bound - value) for value in values.tolist())
    log_risk = log_share + 0.5 * math.log(2 * (dimension - 1) / math.pi) - math.log(share)
    return math.exp(min(0.0, log_risk))
