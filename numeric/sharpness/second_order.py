"""Whether a model can be differentiated twice with the kernels torch picks, and what is done where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from numeric.sharpness.batch import Batch
from numeric.sharpness.cost import GRADIENT
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point

# Samples on which differentiability is tried: kernels are chosen by shapes, masks and dtypes, not by the batch size.
PROBED = 2
# The graph node that torch puts in the place of a derivative that does not exist.
SEVERED = "torch::autograd::Error"


class Kernels(Enum):
    """The kernels with which second derivatives are taken."""

    DEFAULT = "default"  # whatever torch picks
    MATH = "math"  # attention written out in differentiable operations
    FIRST_ORDER = "first order"  # no double backward at all: differences of gradients


@dataclass(frozen=True)
class SecondOrder:
    """How the second derivatives of one objective are computed.

    kernels: which ones; notes: what had to be done differently, for the reader of the result.
    """

    kernels: Kernels
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether products with the Hessian come from automatic differentiation, not from differences of gradients."""
        return self.kernels is not Kernels.FIRST_ORDER

    @contextmanager
    def active(self) -> Iterator[None]:
        """A context in which the model is called with these kernels; torch's settings come back at its end."""
        if self.kernels is Kernels.MATH:
            with math_attention():
                yield
        else:
            yield


@contextmanager
def math_attention() -> Iterator[None]:
    """Attention in plain differentiable operations, without the fused fast path of nn.MultiheadAttention."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def second_order(objective: Objective) -> SecondOrder:
    """Try one product with the Hessian on a few samples: default kernels first, then plain attention.

    If neither has a double backward, the answer is differences of gradients, with a note that names the operation.
    Costs the passes over `PROBED` samples.
    """
    batch = next(objective.batches())
    few = batch.select(slice(0, min(PROBED, batch.size)))
    failure = _failure(objective, few)
    if failure is None:
        return SecondOrder(Kernels.DEFAULT)
    with math_attention():
        if _failure(objective, few) is None:
            return SecondOrder(
                Kernels.MATH,
                (f"the default attention kernel has no double backward: plain attention was used ({failure})",),
            )
    precision = "" if objective.dtype == torch.float64 else ", good to some per cent only: use float64"
    return SecondOrder(
        Kernels.FIRST_ORDER,
        (
            "the model has no double backward: Hessian products are central differences of gradients"
            f"{precision} ({failure})",
        ),
    )


def gradient_graph(objective: Objective, parameters: Point, batch: Batch) -> tuple[Tensor, Point, Point]:
    """(L_B(θ), the leaves θ, ∇L_B(θ) with its graph), to be differentiated again; counts one unit."""
    leaves = {name: leaf.detach().requires_grad_() for name, leaf in parameters.items()}
    with torch.enable_grad():
        value = objective.loss(objective.output(leaves, batch), batch.target)
        gradients = torch.autograd.grad(
            value, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
    objective.cost.add(GRADIENT, batch.size)
    return value, leaves, dict(zip(leaves, gradients, strict=True))


def second_derivative(
    leaves: Point, gradient: Point, direction: Point, *, retain: bool = True, differentiable: bool = False
) -> Point:
    """H·direction from the graph of `gradient_graph`, detached unless `differentiable`.

    Entries of the gradient that do not depend on the parameters contribute zero (a model linear in them).
    """
    bent = [name for name in gradient if gradient[name].requires_grad]
    if not bent:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    products = torch.autograd.grad(
        [gradient[name] for name in bent],
        list(leaves.values()),
        [direction[name] for name in bent],
        retain_graph=retain or differentiable,
        create_graph=differentiable,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(leaves, products, strict=True))


def _failure(objective: Objective, batch: Batch) -> str | None:
    """The first line of torch's complaint about a second derivative, None if there is none."""
    try:
        _, leaves, gradient = gradient_graph(objective, objective.parameters, batch)
        second_derivative(leaves, gradient, gradient, retain=False)
    except (RuntimeError, NotImplementedError) as error:
        return next(iter(str(error).splitlines()), type(error).__name__)
    return "one of its operations is marked once_differentiable" if _has_severed_node(gradient) else None


def _has_severed_node(gradient: Point) -> bool:
    """Whether the gradient's graph holds a node that only raises.

    torch leaves such a node behind for an operation without a second derivative, and never visits it when derivatives
    with respect to named leaves are asked for: the product would come out wrong and without a word.
    """
    stack = [leaf.grad_fn for leaf in gradient.values() if leaf.grad_fn is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node.name() == SEVERED:
            return True
        following = [parent for parent, _ in node.next_functions if parent is not None and parent not in seen]
        seen.update(following)
        stack.extend(following)
    return False
