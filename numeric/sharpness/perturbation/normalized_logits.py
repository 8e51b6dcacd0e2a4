"""Losses that see the direction of the logits alone, so that confidence does not pass for flatness."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.objective import Objective

FEWEST_CLASSES = 3
SMALLEST_NORM = 1e-10


def normalize_logits(logits: Tensor) -> Tensor:
    """(z − z̄)/|z − z̄| along the last axis, the classes: centred, of Euclidean length one; same shape.

    As the published code of Andriushchenko et al. 2302.07011 computes it. Lengths below 1e-10 count as 1e-10.
    Raises SharpnessError for fewer than three classes: two normalized logits are ±1/√2 and have no derivative.
    """
    if logits.ndim < 2 or logits.shape[-1] < FEWEST_CLASSES:
        raise SharpnessError(
            f"logits of shape {tuple(logits.shape)} cannot be normalized: the last axis needs at least "
            f"{FEWEST_CLASSES} classes; use logit_normalized=False"
        )
    centred = logits - logits.mean(dim=-1, keepdim=True)
    return centred / torch.linalg.vector_norm(centred, dim=-1, keepdim=True).clamp_min(SMALLEST_NORM)


def with_normalized_logits(objective: Objective) -> Objective:
    """The same model and data with the loss of the normalized logits, counting into the same cost.

    The model's output is a tensor of logits, or a mapping with one under "logits" as Hugging Face models give it.
    """

    def loss(output: Any, target: Any) -> Tensor:
        return objective.loss(_normalized_output(output), target)

    return replace(objective, loss=loss)


def _normalized_output(output: Any) -> Any:
    if isinstance(output, Tensor):
        return normalize_logits(output)
    if isinstance(output, MutableMapping) and isinstance(output.get("logits"), Tensor):
        changed = copy.copy(output)
        changed["logits"] = normalize_logits(output["logits"])
        return changed
    raise OptionError(f"the output is a {type(output).__name__} without logits: use logit_normalized=False")
