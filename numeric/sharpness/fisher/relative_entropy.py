"""The relative entropy of two coins and its upper inverse."""

from __future__ import annotations

import math

# Halvings of [q, 1]: far below the rounding of the bound's other terms.
HALVINGS = 60


def relative_entropy(q: float, p: float) -> float:
    """kl(q‖p) = q log(q/p) + (1 − q) log((1 − q)/(1 − p)), nats; infinite where p excludes what q allows."""
    terms = ((q, p), (1 - q, 1 - p))
    if any(left > 0 and right <= 0 for left, right in terms):
        return math.inf
    return math.fsum(left * math.log(left / right) for left, right in terms if left > 0)


def largest_mean(q: float, budget: float) -> float:
    """The largest p in [q, 1] with kl(q‖p) ≤ budget, rounded up."""
    low, high = q, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if relative_entropy(q, middle) <= budget:
            low = middle
        else:
            high = middle
    return high
