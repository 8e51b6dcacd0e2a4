"""The sizes of the parameters, in units of which an adaptive norm measures a perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.parameters import Point

Adaptive = Literal["none", "element", "filter"]


def adaptive_weights(point: Mapping[str, Tensor], adaptive: Adaptive) -> Point | None:
    """The diagonal T_θ of the norm |T_θ^{-1} δ|, in shapes that broadcast to the parameters'; None for T = 1.

    "element": θ_i, invariant under every rescaling of single parameters that leaves the function as it is. The sign
    only mirrors the ball, so that no copy of the parameters is kept.
    "filter": the Euclidean norm of all weights into one output unit (a row of a matrix, a filter of a convolution),
    and θ_i for vectors (biases, gains), as Kwon et al. 2102.11600 define it; invariant where such a rescaling is
    one factor per filter, so for whole layers, not for single hidden units (they scale columns of the next layer).
    No constant is added: a parameter that is zero stays zero.
    Raises OptionError for another word.
    """
    if adaptive == "none":
        return None
    if adaptive == "element":
        return dict(point)
    if adaptive == "filter":
        return {name: _filter_norms(leaf) for name, leaf in point.items()}
    raise OptionError(f"adaptive={adaptive!r}: choose one of {', '.join(get_args(Adaptive))}")


def _filter_norms(leaf: Tensor) -> Tensor:
    if leaf.ndim < 2:
        return leaf
    return torch.linalg.vector_norm(leaf, dim=tuple(range(1, leaf.ndim)), keepdim=True)
