"""Metrics pulled back from the predictor's values: Gauss–Newton and Fisher for the usual losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import MetricError
from symtheory.geometry.metrics.pullback import Pullback

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel

VALUE = sp.Symbol("phi", real=True)
SCALAR_CURVATURES: dict[str, sp.Expr] = {
    "squared": sp.S.One,
    "logistic": 1 / (1 + sp.exp(-VALUE)) / (1 + sp.exp(VALUE)),
    "poisson": sp.exp(VALUE),
}
"""Second derivative of a loss of one value φ: ½(φ − y)², log(1 + e^φ) − yφ, e^φ − yφ."""

LOSSES = (*SCALAR_CURVATURES, "softmax")


class GaussNewton(Pullback):
    """Jᵀ H J with the Hessian H of a loss in the predictor's value φ, averaged over samples.

    loss: "squared" (H = 1), "logistic" (φ a logit, H = p(1 − p)), "poisson" (φ a log rate, H = e^φ) or "softmax" (φ
    logits along the last axis, H = diag(p) − ppᵀ). For these losses H does not depend on the target, and it is the
    Fisher information of the likelihood whose negative logarithm the loss is. Invariant always, and degenerate along
    orbits. Raises ``MetricError`` for another loss.
    """

    def __init__(self, loss: str = "squared") -> None:
        if loss not in LOSSES:
            raise MetricError(f"the loss {loss!r} has no Gauss-Newton metric here: choose one of {', '.join(LOSSES)}")
        self.loss = loss
        self.name = f"gauss_newton_{loss}"

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """The k×k matrix H(φ) (∂φ/∂θ_i)(∂φ/∂θ_j). Raises MetricError for softmax, which is no loss of one value."""
        if self.loss not in SCALAR_CURVATURES:
            raise MetricError(f"the {self.loss} loss takes several values, and the graph acts on single coordinates")
        curvature = SCALAR_CURVATURES[self.loss].xreplace({VALUE: model.predictor})
        return sp.ImmutableMatrix(super().on(model) * curvature)


class Fisher(GaussNewton):
    """The Fisher metric E_x E_{y∼p(·|φ)} ∇log p ∇log pᵀ of the likelihood that belongs to a loss.

    "squared" is the Gaussian of unit variance, "logistic" the Bernoulli, "poisson" the Poisson and "softmax" the
    categorical likelihood; for these it equals the Gauss–Newton metric. The labels are the model's own, not the data's.
    """

    def __init__(self, loss: str = "softmax") -> None:
        super().__init__(loss)
        self.name = f"fisher_{loss}"
