"""What the Fisher information asks of a likelihood."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Family(Protocol):
    """An exponential family log p(y|f) = y·f − A(f) + const in its natural parameters f, of p independent events each.

    Shapes: natural parameters (n, p, c) for n samples; all derivatives are by them. Output-space Fisher information of
    one event: S = ∇²A, (c, c).
    """

    @property
    def name(self) -> str: ...

    def natural(self, output: Tensor) -> Tensor:
        """A model's output, (n, ...), as natural parameters (n, p, c)."""
        ...

    def output(self, natural: Tensor, like: Tensor) -> Tensor:
        """The inverse of `natural`: an output of the shape of `like`."""
        ...

    def mean(self, natural: Tensor) -> Tensor:
        """E y = ∇A(f), (n, p, c), differentiable."""
        ...

    def root(self, natural: Tensor) -> Tensor:
        """R (n, p, c, r) of full column rank with R Rᵀ = S: the exact expectation over y."""
        ...

    def raised(self, natural: Tensor, residual: Tensor) -> Tensor:
        """c with S c = residual, both (n, p, c); the residual is one of this family's, in the range of S."""
        ...

    def whitened(self, natural: Tensor, form: Tensor) -> Tensor:
        """M (n, p, r, r) with form = R M Rᵀ, for symmetric forms (n, p, c, c) that vanish on the kernel of S."""
        ...

    def sample_score(self, natural: Tensor, generator: torch.Generator) -> Tensor:
        """∇_f log p(y|f) = y − E y at a y drawn from p, (n, p, c)."""
        ...
