"""Discrete Noether law: its residual on every step."""

from __future__ import annotations

from typing import Any

from numeric.experiments.experiment import Experiment
from numeric.reporting.mechanisms.drawing import Drawing


def discrete_noether(details: dict[str, Any], experiment: Experiment, functions: Any) -> Drawing:
    """Residual on every step, with and without weight decay."""
    if "residual" not in details:
        return [], ""
    data = {
        "steps": details["steps"],
        "residual": details["residual"],
        "tolerance": details["tolerance"],
        "title": "Residual of the discrete Noether law on every step of minibatch SGD",
    }
    return [("residual", data)], (
        "Largest relative residual of C' = (1 − ηλ)²C + η²C(g), or C' = (1 − ηλ)C where C is linear, over charges, "
        "their entries and replicas, on every step, with and without weight decay λ."
    )
