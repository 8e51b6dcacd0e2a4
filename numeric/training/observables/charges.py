"""Conserved quantities of gradient flow, watched under discrete steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from numeric.errors import OptionError
from numeric.training.model import as_model
from numeric.training.step import Step

Where = Literal["point", "next_point", "gradient"]


def charges(M: Any, at: Where = "point") -> Callable[[Step], dict[str, Tensor]]:
    """Observable: every charge C_A(θ) = θᵀAθ of the generated module, a dict of tensors (R, ...).

    at: "point" for θ, "next_point" for θ', "gradient" for C_A(g) = gᵀAg: charges are quadratic forms, so the
    same function gives it. The three meet in the exact law of a step of SGD without momentum and with weight
    decay λ, C_A(θ') = (1 − ηλ)² C_A(θ) + η² gᵀAg. Source: Kunin et al. 2012.04728.
    Raises OptionError if the module has no function `conserved`.
    """
    module = as_model(M).module
    if not hasattr(module, "conserved"):
        raise OptionError("the module has no function conserved(point): generate it from a model with symmetries")

    def observe(step: Step) -> dict[str, Tensor]:
        return module.conserved(getattr(step, at))

    return observe
