"""Ready observables: callables (Step) -> tensor (R, ...), or dict of such tensors, for `numeric.train`."""

from __future__ import annotations

from numeric.training.observables.charges import charges
from numeric.training.observables.loss import loss
from numeric.training.observables.predictor import predictor

__all__ = ["charges", "loss", "predictor"]
