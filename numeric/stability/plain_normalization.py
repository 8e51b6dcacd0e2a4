"""Normalizations written out in differentiable operations.

torch's own backward of layer, batch and instance normalization differentiates right twice and wrong three times: in
torch 2.13 the third derivative of `layer_norm` is off by a third in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class PlainNormalization(TorchFunctionMode):
    """A context in which normalizations are computed from means and squares.

    Running statistics are read in evaluation mode and never written.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        plain = PLAIN.get(func)
        return func(*args, **(kwargs or {})) if plain is None else plain(*args, **(kwargs or {}))


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_standardized(input, axes, eps), weight, bias)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    shape = (-1, *(1,) * (input.ndim - 2))
    if training or running_mean is None or running_var is None:
        standardized = _standardized(input, (0, *range(2, input.ndim)), eps)
    else:
        standardized = (input - running_mean.reshape(shape)) / (running_var.reshape(shape) + eps).sqrt()
    return _affine(standardized, *(leaf if leaf is None else leaf.reshape(shape) for leaf in (weight, bias)))


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats:
        return _batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = (-1, *(1,) * (input.ndim - 2))
    standardized = _standardized(input, tuple(range(2, input.ndim)), eps)
    return _affine(standardized, *(leaf if leaf is None else leaf.reshape(shape) for leaf in (weight, bias)))


def _standardized(input: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = input - input.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + eps).sqrt()


def _affine(standardized: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = standardized if weight is None else standardized * weight
    return scaled if bias is None else scaled + bias


PLAIN: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
}
"""The public functions that modules call; each replacement takes the same arguments."""
