"""The edge of stability: what a point of a training run says about it, and how a forecast fares against the run."""

from __future__ import annotations

from numeric.stability.answer import Answer, answer
from numeric.stability.descent import Descent
from numeric.stability.edge_point import EdgePoint, measure_edge
from numeric.stability.edge_run import EdgeRun, load_edge_run
from numeric.stability.forecast import Forecast, forecast
from numeric.stability.predicted import Predicted, predicted_dynamics
from numeric.stability.run import Plan, run_edge
from numeric.stability.third_order import third_order

__all__ = [
    "Answer",
    "Descent",
    "EdgePoint",
    "EdgeRun",
    "Forecast",
    "Plan",
    "Predicted",
    "answer",
    "forecast",
    "load_edge_run",
    "measure_edge",
    "predicted_dynamics",
    "run_edge",
    "third_order",
]
