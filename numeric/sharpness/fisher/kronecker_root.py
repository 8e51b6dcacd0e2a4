"""K-FAC: the Fisher information of each layer as a Kronecker product, computed by curvlinops."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, count, unflatten
from numeric.sharpness.sketch import random_signs


@dataclass(frozen=True)
class Layer:
    """One layer's factors, F ≈ G ⊗ A: eigenvalues and eigenvectors of both where they do not vanish.

    outputs: (g (r_G,), U_G (out, r_G)). inputs: (a (r_A,), U_A (in, r_A)), the bias as the last input.
    weight, bias: the parameters' names, None where the layer has none that is measured.
    """

    outputs: tuple[Tensor, Tensor]
    inputs: tuple[Tensor, Tensor]
    weight: str | None
    bias: str | None

    @property
    def eigenvalues(self) -> Tensor:
        """(r_G, r_A)."""
        return self.outputs[0].unsqueeze(1) * self.inputs[0]


@dataclass(frozen=True)
class KroneckerRoot:
    """W = ⊕ G^{-1/2} ⊗ A^{-1/2} over the layers, pseudo-inverses. shapes: the measured parameters, for their order."""

    layers: tuple[Layer, ...]
    shapes: Point
    gap: float

    @property
    def rank(self) -> int:
        return sum(layer.eigenvalues.numel() for layer in self.layers)

    @property
    def effective_rank(self) -> float:
        """(tr F)²/tr F² of the estimate."""
        eigenvalues = torch.cat([layer.eigenvalues.flatten() for layer in self.layers])
        return float(eigenvalues.sum().square() / eigenvalues.square().sum())

    @property
    def condition(self) -> float:
        eigenvalues = torch.cat([layer.eigenvalues.flatten() for layer in self.layers])
        return float((eigenvalues.max() / eigenvalues.min()).sqrt())

    def lift(self, coordinates: Tensor) -> Tensor:
        found: dict[str, Tensor] = {}
        pieces = coordinates.split([layer.eigenvalues.numel() for layer in self.layers], dim=1)
        for layer, piece in zip(self.layers, pieces, strict=True):
            scaled = piece.unflatten(1, layer.eigenvalues.shape) / layer.eigenvalues.sqrt()
            joint = layer.outputs[1] @ scaled @ layer.inputs[1].mT
            if layer.bias is not None:
                found[layer.bias] = joint[..., -1]
                joint = joint[..., :-1]
            if layer.weight is not None:
                found[layer.weight] = joint
        return torch.cat([found[name].flatten(1) for name in self.shapes], 1)

    def lower(self, covectors: Tensor) -> Tensor:
        rows = [unflatten(row, self.shapes) for row in covectors]
        pieces = []
        for layer in self.layers:
            weight = [] if layer.weight is None else [torch.stack([row[layer.weight].flatten(1) for row in rows])]
            bias = [] if layer.bias is None else [torch.stack([row[layer.bias].unsqueeze(1) for row in rows])]
            joint = layer.outputs[1].mT @ torch.cat([*weight, *bias], -1) @ layer.inputs[1]
            pieces.append((joint / layer.eigenvalues.sqrt()).flatten(1))
        return torch.cat(pieces, 1)

    def probes(self, number: int, generator: torch.Generator) -> Tensor:
        """Random signs, (number, r)."""
        eigenvalues = torch.cat([layer.eigenvalues.flatten() for layer in self.layers])
        return random_signs(number, eigenvalues.numel(), eigenvalues, generator)


def kronecker_root(objective: Objective, tolerance: float | None = None) -> KroneckerRoot:
    """K-FAC (exact over labels, weight and bias of a layer jointly) of nn.Linear and nn.Conv2d layers.

    Raises OptionError without curvlinops, and where it does not take the model or loss: it wants nn.MSELoss,
    nn.CrossEntropyLoss or nn.BCEWithLogitsLoss, tensors as inputs, and no measured parameter outside those layers.
    """
    factors = _curvlinops()
    model = copy.deepcopy(objective.model)
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        parameter.requires_grad_(name in objective.parameters)
        if name in objective.parameters:
            parameter.data = objective.parameters[name].clone()
    params = [named[name] for name in objective.parameters]
    try:
        operator = factors(
            model,
            objective.loss,
            params,
            [_pair(batch) for batch in objective.batches()],
            check_deterministic=False,
            fisher_type="type-2",
            separate_weight_and_bias=False,
        )
        operator.compute_kronecker_factors()
    except (NotImplementedError, ValueError) as error:
        raise OptionError(f"estimator 'kfac' does not take this model or loss: {error}") from None
    state = operator.state_dict()
    mapping = operator.compute_parameter_mapping(params, model)
    names = list(objective.parameters)
    layers = [
        _layer(
            state["gradient_covariances"][module],
            state["input_covariances"].get(module),
            {kind: names[position] for kind, position in positions.items()},
            tolerance,
        )
        for module, positions in mapping.items()
    ]
    root = KroneckerRoot(tuple(layer for layer, _ in layers), objective.parameters, min(gap for _, gap in layers))
    if sum(count({name: objective.parameters[name]}) for name in _covered(root)) != count(objective.parameters):
        raise OptionError("estimator 'kfac' leaves out some measured parameters: choose layers with keep=")
    return root


def _curvlinops() -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = importlib.import_module("curvlinops").KFACLinearOperator
    except ImportError:
        raise OptionError("estimator 'kfac' needs curvlinops: pip install \"symtheory[curvature]\"") from None
    return found


def _pair(batch: Batch) -> tuple[Tensor, Any]:
    if not isinstance(batch.inputs, Tensor):
        raise OptionError(f"estimator 'kfac' needs tensors as inputs, not a {type(batch.inputs).__name__}")
    return batch.inputs, batch.target


def _layer(
    outputs: Tensor, inputs: Tensor | None, names: Mapping[str, str], tolerance: float | None
) -> tuple[Layer, float]:
    one = torch.ones(1, 1, dtype=outputs.dtype, device=outputs.device)
    (g, g_gap), (a, a_gap) = _range(outputs, tolerance), _range(one if inputs is None else inputs, tolerance)
    return Layer(g, a, names.get("weight"), names.get("bias")), min(g_gap, a_gap)


def _range(factor: Tensor, tolerance: float | None) -> tuple[tuple[Tensor, Tensor], float]:
    """Eigenvalues and vectors of a factor above tolerance² (default: size·eps) of the largest, and √ of the gap."""
    values, vectors = torch.linalg.eigh(factor)
    relative = values.numel() * torch.finfo(values.dtype).eps if tolerance is None else tolerance**2
    kept = values > relative * values[-1].clamp_min(torch.finfo(values.dtype).tiny)
    dropped = float(values[~kept].abs().max()) if bool((~kept).any()) else 0.0
    gap = math.sqrt(float(values[kept].min()) / dropped) if dropped > 0 and bool(kept.any()) else math.inf
    return (values[kept], vectors[:, kept]), gap


def _covered(root: KroneckerRoot) -> list[str]:
    return [name for layer in root.layers for name in (layer.weight, layer.bias) if name is not None]
