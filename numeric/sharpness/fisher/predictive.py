"""Which likelihood a loss is the negative logarithm of, and at which scale: asked of the loss itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.sharpness.batch import Batch
from numeric.sharpness.fisher.likelihoods import FAMILIES, Family
from numeric.sharpness.objective import Objective

PROBE_SEED = 0  # of the outputs at which the loss is compared with the families; any other does as well


@dataclass(frozen=True)
class Predictive:
    """The model's predictive distribution, and how the loss is read as its negative logarithm.

    ℓ(f, y) = −scale · log p(y|f) + const(y) per sample. The Fisher information is taken in the loss's own unit,
    F = scale · E ∇log p ∇log pᵀ, so that it is the Hessian at zero residual: nn.MSELoss on k outputs has scale 2/k
    (normal variables of variance k/2), a cross-entropy averaged over T tokens 1/T. Dimensionless.
    """

    family: Family
    scale: float
    notes: tuple[str, ...] = ()

    def natural(self, output: Any) -> Tensor:
        """The natural parameters (n, p, c) of a model's output: a tensor, or anything with `.logits`."""
        return self.family.natural(numbers_of(output))

    def loss(self, objective: Objective, natural: Tensor, output: Any, target: Any) -> Tensor:
        """The user's loss as a function of the natural parameters, a scalar."""
        return objective.loss(replaced(output, self.family.output(natural, numbers_of(output))), target)


def numbers_of(output: Any) -> Tensor:
    """The tensor in a model's output. Raises OptionError where there is none."""
    numbers = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(numbers, Tensor) or numbers.ndim == 0:
        raise OptionError(
            f"the model returns a {type(output).__name__}: Fisher measures need a tensor or an output with .logits; "
            "wrap the model so that it returns one"
        )
    return numbers


def replaced(output: Any, numbers: Tensor) -> Any:
    """The same form of output with other numbers in it."""
    return numbers if isinstance(output, Tensor) else type(output)(logits=numbers)


def predictive(objective: Objective, name: str | None = None) -> Predictive:
    """The likelihood of the objective's loss: its second derivative by the outputs is compared with each family's.

    name: "gaussian", "categorical" or "bernoulli" to take that one even where the loss is not its negative logarithm
    (class weights): F is then at the scale that fits best, and a note says how far the loss is from it.
    Raises OptionError for an unknown name, and for a loss that is none of them.
    """
    families = [family for family in FAMILIES if name is None or family.name == name]
    if not families:
        raise OptionError(f"no likelihood {name!r}: choose from {', '.join(sorted({f.name for f in FAMILIES}))}")
    batch = next(objective.batches())
    with torch.no_grad():
        output = objective.output(objective.parameters, batch)
    fits = []
    for family in families:
        misfit, scale = _fit(objective, batch, output, family)
        if misfit <= torch.finfo(objective.dtype).eps ** 0.5:
            return Predictive(family, scale)
        fits.append((misfit, scale, family))
    if name is None:
        raise OptionError(
            "the loss is the negative log-likelihood of no known family (squared error, cross-entropy, binary "
            f"cross-entropy): name the model's likelihood, one of {_names(families)}"
        )
    misfit, scale, family = min(fits, key=lambda fit: fit[0])
    note = f"the loss is not the {name} likelihood's: its curvature in the outputs is off by {misfit:.2g} (relative)"
    return Predictive(family, scale if misfit < 1 else 1.0, (note,))


def _names(families: Sequence[Family]) -> str:
    return ", ".join(sorted({repr(family.name) for family in families}))


def _fit(objective: Objective, batch: Batch, output: Any, family: Family) -> tuple[float, float]:
    """(relative misfit, scale) of scale·S v to n ∇²_f ℓ v at a random f and v; (inf, 1) where they do not compare."""
    numbers = numbers_of(output)
    generator = torch.Generator().manual_seed(PROBE_SEED)
    try:
        shape = family.natural(torch.full_like(numbers, 0.5)).shape
        natural, probe = (torch.randn(shape, generator=generator, dtype=numbers.dtype).to(numbers) for _ in range(2))
        curvature = batch.size * _second_derivative(objective, batch, output, family, natural, probe)
    except (RuntimeError, ValueError, IndexError):  # the loss takes no such output
        return float("inf"), 1.0
    expected = fisher_product(family.root(natural), probe)
    scale = float((curvature * expected).sum() / (expected * expected).sum())
    misfit = torch.linalg.vector_norm(curvature - scale * expected) / torch.linalg.vector_norm(curvature)
    usable = scale > 0 and bool(torch.isfinite(misfit))
    return (float(misfit), scale) if usable else (float("inf"), 1.0)


def _second_derivative(
    objective: Objective, batch: Batch, output: Any, family: Family, natural: Tensor, probe: Tensor
) -> Tensor:
    with torch.enable_grad():
        leaf = natural.detach().clone().requires_grad_()
        loss = Predictive(family, 1.0).loss(objective, leaf, output, batch.target)
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        (curvature,) = torch.autograd.grad((slope * probe).sum(), leaf)
    return curvature


def fisher_product(root: Tensor, vector: Tensor) -> Tensor:
    """S v = R Rᵀ v for R (..., c, r) and v (..., c)."""
    return (root @ (root.mT @ vector.unsqueeze(-1))).squeeze(-1)
