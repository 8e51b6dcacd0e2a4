"""Whether a model's third derivatives are right with the kernels torch picks, and what is done where they are not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.cost import Cost
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point, add, dot, flatten, norm, random_tangent, scaled
from numeric.sharpness.second_order import (
    PROBED,
    SecondOrder,
    gradient_graph,
    second_derivative,
    second_order,
)
from numeric.stability.plain_normalization import PlainNormalization

# Relative step of the difference in float64: rounding leaves about 1e-9 and so few samples rarely cross a kink.
STEP = 1e-6
# Relative deviation at which a third derivative counts as wrong; wrong kernels were off by 3 to 40 %.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class ThirdOrder:
    """How third derivatives of one objective are computed: the kernels of its second ones, and plain normalizations
    where torch's own are wrong. notes: what had to be done differently."""

    second: SecondOrder
    plain: bool
    notes: tuple[str, ...]

    @contextmanager
    def active(self) -> Iterator[None]:
        """A context in which the model is called with these kernels."""
        with ExitStack() as stack:
            stack.enter_context(self.second.active())
            if self.plain:
                stack.enter_context(PlainNormalization())
            yield


def third_order(objective: Objective) -> ThirdOrder:
    """Compare ∇³L(u, u) on a few samples in float64 with differences of Hessian products: torch's normalizations
    first, then plain ones.

    Raises SharpnessError where the model has no second derivative, or where both are wrong.
    """
    second = second_order(objective)
    if not second.exact:
        raise SharpnessError(f"there are no third derivatives of this model: {'; '.join(second.notes)}")
    probe = _double(objective)
    how = ThirdOrder(second, False, second.notes)
    if _deviation(probe, how) <= TOLERANCE:
        return how
    note = "torch's normalization kernels give wrong third derivatives here: plain operations were used"
    how = ThirdOrder(second, True, (*second.notes, note))
    deviation = _deviation(probe, how)
    if deviation > TOLERANCE:
        raise SharpnessError(
            f"third derivatives deviate from differences of second ones by {deviation:.2g}: an operation of the model "
            "has a wrong derivative; write it out in elementary operations"
        )
    return how


def third_derivative(leaves: Point, gradient: Point, direction: Point) -> tuple[Tensor, Point]:
    """(uᵀHu, ∇³L(u, u)) from the graph of `gradient_graph`, for the direction u; detached."""
    product = second_derivative(leaves, gradient, direction, differentiable=True)
    curvature = dot(product, direction)
    if not curvature.requires_grad:
        return curvature.detach(), {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    slopes = torch.autograd.grad(curvature, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return curvature.detach(), dict(zip(leaves, slopes, strict=True))


def _double(objective: Objective) -> Objective:
    """The objective on a few samples in float64, on a copy of the model."""
    batch = next(objective.batches())
    few = batch.select(slice(0, min(PROBED, batch.size)))
    model = copy.deepcopy(objective.model).double()
    parameters = {name: leaf.double() for name, leaf in objective.parameters.items()}
    return replace(objective, model=model, data=[(few.inputs, few.target)], parameters=parameters, cost=Cost())


def _deviation(objective: Objective, how: ThirdOrder) -> float:
    """‖∇³L(u, u) − difference quotient of H u along u‖ over the latter's norm, for a random u of the size of θ."""
    theta = objective.parameters
    direction = random_tangent(theta, torch.Generator(objective.device).manual_seed(0))
    direction = scaled(direction, (1 + norm(theta)) / norm(direction))
    (batch,) = objective.batches()
    with how.active():
        _, leaves, gradient = gradient_graph(objective, theta, batch)
        found = flatten(third_derivative(leaves, gradient, direction)[1])
        sides = []
        for sign in (1.0, -1.0):
            _, leaves, gradient = gradient_graph(objective, add(theta, direction, sign * STEP), batch)
            sides.append(flatten(second_derivative(leaves, gradient, direction, retain=False)))
    wanted = (sides[0] - sides[1]) / (2 * STEP)
    # Where the third derivative vanishes (piecewise linear models far from kinks), rounding is all there is.
    floor = sum(float(torch.linalg.vector_norm(side)) for side in sides) * torch.finfo(wanted.dtype).eps / STEP
    error = float(torch.linalg.vector_norm(found - wanted))
    return 0.0 if error <= 10 * floor else error / float(torch.linalg.vector_norm(wanted))
