"""Relative flatness: the curvature of the loss in one layer's weights, in units of their inner products."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT, HESSIAN_PRODUCT
from numeric.sharpness.flatness.layer import Layer, watched
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import Blocks, orbit_move
from numeric.sharpness.second_order import Kernels, gradient_graph, second_derivative, second_order
from numeric.sharpness.value import Value, over_batches


@dataclass(frozen=True)
class RelativeFlatness:
    """κ = Σ_{s,s'} ⟨w_s, w_{s'}⟩ tr H_{s,s'}, with the rows w_s of a layer's weight W and the blocks H of ∇²L there.

    With W Wᵀ = Σ_k c_k c_kᵀ and unit vectors e_j of the inputs, κ = Σ_{k,j} (c_k ⊗ e_j)ᵀ H (c_k ⊗ e_j): min(m, n)·n
    products with the Hessian for W of shape (m, n). A layer called once, with one vector φ_i a sample, needs min(m, n):
    L depends on W through z_i = W φ_i alone, so κ = Σ_k Σ_i |φ_i|² c_kᵀ (∂²L/∂z_i²) c_k, exactly, and the products run
    only through what lies above the layer. Elsewhere, where the exact sum takes more than `probes` products, random
    ones (W u) ⊗ z, u and z of signs, estimate it without bias.
    Invariant where W is scaled by λ and another layer by 1/λ; not under scaling single units of the layer before.
    layer: a name from model.named_modules(); the nn.Linear that is called last if None. Biases do not enter.
    The unit is the loss's. Petzka et al. 2001.00939.
    """

    layer: str | None = None
    probes: int = 100

    def __post_init__(self) -> None:
        if self.probes < 2:
            raise OptionError(f"probes={self.probes}: an estimate with a standard error needs at least two")

    @property
    def name(self) -> str:
        return "relative_flatness"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        layer = Layer.of(objective, self.layer)
        differentiation = second_order(objective)
        if differentiation.kernels is Kernels.FIRST_ORDER:
            raise SharpnessError(f"relative flatness needs second derivatives: {differentiation.notes[0]}")
        weight = objective.parameters[layer.weight].flatten(1)
        with differentiation.active():
            if not layer.shared and _by_sample(objective, layer):
                return self._through_outputs(objective, layer, weight, differentiation.notes)
            return self._through_weights(objective, layer, weight, generator, differentiation.notes)

    def _through_outputs(self, objective: Objective, layer: Layer, weight: Tensor, notes: tuple[str, ...]) -> Value:
        factors = _factors(weight)
        found, sizes = [], []
        for batch in objective.batches():
            found.append(_form_of_outputs(objective, layer, factors, batch))
            sizes.append(batch.size)
        return Value(*over_batches(found, sizes), self._details(layer, "outputs", len(factors)), notes)

    def _through_weights(
        self, objective: Objective, layer: Layer, weight: Tensor, generator: torch.Generator, notes: tuple[str, ...]
    ) -> Value:
        directions, exact = self._directions(weight, generator)
        forms, sizes = [], []
        for batch in objective.batches():
            forms.append(_quadratic_forms(objective, layer.weight, directions, batch))
            sizes.append(batch.size)
        scale = 1.0 if exact else 1 / len(directions)
        value, spread = over_batches([scale * math.fsum(each) for each in forms], sizes)
        details = self._details(layer, "weights" if exact else "probes", len(directions))
        if exact:
            return Value(value, spread, details, notes)
        by_probe = [over_batches(column, sizes)[0] for column in zip(*forms, strict=True)]
        error = statistics.stdev(by_probe) / math.sqrt(len(by_probe))
        details |= {"standard_error_of_probes": error, "standard_error_of_batches": spread}
        note = f"the exact sum takes more than {self.probes} Hessian products: estimated with {self.probes} random ones"
        return Value(value, math.hypot(error, spread or 0.0), details, (*notes, note), error)

    def _directions(self, weight: Tensor, generator: torch.Generator) -> tuple[list[Tensor], bool]:
        """Matrices V like W whose vᵀHv sum (exact) or average to κ, and whether they are exact."""
        factors = _factors(weight)
        inputs = weight.shape[1]
        if len(factors) * inputs <= self.probes:
            units = torch.eye(inputs, dtype=weight.dtype, device=weight.device)
            return [torch.outer(factor, unit) for factor in factors for unit in units], True
        u, z = (_signs(self.probes, inputs, weight, generator) for _ in range(2))
        return [torch.outer(weight @ left, right) for left, right in zip(u, z, strict=True)], False

    @staticmethod
    def _details(layer: Layer, method: str, products: int) -> dict[str, Any]:
        return {"layer": layer.name, "method": method, "products": products}


def relative_flatness(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    *,
    layer: str | None = None,
    probes: int = 100,
    keep: Callable[[str], bool] | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Measurement:
    """Relative flatness of one layer, see `RelativeFlatness`; costs 1 + 2·products forward+backward units at most.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. keep: picks
    parameters by name. blocks: a bound symmetry, along which the change of the value is measured too.
    Raises OptionError for options out of range, SharpnessError for a loss of which no sharpness can be measured or a
    model without second derivatives.
    """
    objective = Objective.of(model, loss, data, keep=keep)
    return evaluate(RelativeFlatness(layer, probes), objective, seed=seed, move=orbit_move(blocks, seed))


def _factors(weight: Tensor) -> Tensor:
    """Rows c_k, (min(m, n), m), with Σ_k c_k c_kᵀ = W Wᵀ: left singular vectors times singular values."""
    left, values, _ = torch.linalg.svd(weight, full_matrices=False)
    return (left * values).T


def _by_sample(objective: Objective, layer: Layer) -> bool:
    batch = next(objective.batches())
    with watched(layer) as passage, torch.no_grad():
        objective.value(objective.parameters, batch)
    return passage.by_sample(batch.size)


def _form_of_outputs(objective: Objective, layer: Layer, factors: Tensor, batch: Batch) -> float:
    """Σ_k Σ_i |φ_i|² c_kᵀ (∂²L_B/∂z_i²) c_k; samples do not act on each other, so one product serves all of them."""
    with watched(layer) as passage, torch.enable_grad():
        value = objective.loss(objective.output(objective.parameters, batch), batch.target)
    outputs, lengths = passage.outputs[0], passage.inputs[0].square().sum(dim=1)
    (slope,) = torch.autograd.grad(value, outputs, create_graph=True)
    objective.cost.add(GRADIENT, batch.size)
    total = 0.0
    for factor in factors:
        direction = factor.expand_as(outputs)
        bent = second_derivative({"z": outputs}, {"z": slope}, {"z": direction})["z"]
        total += float(((bent @ factor) * lengths).sum())
        objective.cost.add(HESSIAN_PRODUCT, batch.size)
    return total


def _quadratic_forms(objective: Objective, name: str, directions: list[Tensor], batch: Batch) -> list[float]:
    """vᵀHv for each direction v of one weight, on one retained graph."""
    _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
    leaf, slope = {name: leaves[name]}, {name: gradient[name]}
    forms = []
    for direction in directions:
        shaped = direction.reshape(leaf[name].shape)
        bent = second_derivative(leaf, slope, {name: shaped})[name]
        forms.append(float((bent * shaped).sum()))
        objective.cost.add(HESSIAN_PRODUCT, batch.size)
    return forms


def _signs(rows: int, length: int, like: Tensor, generator: torch.Generator) -> Tensor:
    draws = torch.randint(0, 2, (rows, length), generator=generator, device=generator.device)
    return (2 * draws - 1).to(like)
