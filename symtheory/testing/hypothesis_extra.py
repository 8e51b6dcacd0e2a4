"""Hypothesis, which is an extra: the one place that says what to install when it is missing."""

from __future__ import annotations

try:
    from hypothesis import strategies
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "symtheory.testing needs Hypothesis: pip install 'symtheory[testing]'", name="hypothesis"
    ) from None

__all__ = ["SEEDS", "strategies"]

SEEDS = strategies.integers(0, 2**32 - 1)
"""Seeds of numpy Generators: arrays of generic values are drawn whole, so that no two entries agree by accident."""
