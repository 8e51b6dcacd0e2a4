"""What one step of SGD with label noise does to a predictor that is a product of two matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from symtheory.errors import CalculusError, DerivationError
from symtheory.graph.shapes import Size
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, letter
from symtheory.matrix_calculus.trace_form import TraceForm, differential, gradient, trace
from symtheory.predictions.noise_mean import noise_mean
from symtheory.predictions.subject import Subject
from symtheory.symmetry.edge_group import GENERAL, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling

STEP = sp.Symbol("~step", positive=True)

ROWS, COLUMNS, INNER = sp.symbols("n m h", integer=True, positive=True)
"""Sizes of W, and of what its two factors share."""


@dataclass(frozen=True)
class MatrixStep:
    """W = F₁F₂, each factor one of two parameters or its transpose, with a GL(h) of their own between them.

    All loss is a function of W: a step with ∂ℓ/∂W = E moves W to W − η L[E] + η² Q[E, E], exactly.

    factors: F₁ (n×h) and F₂ (h×m), in symbols of the sizes n, m, h whatever was declared; declared: the declaration's
    values of n, m and h.
    """

    factors: tuple[Letter, Letter]
    declared: tuple[Size, Size, Size]

    @cached_property
    def product(self) -> Polynomial:
        """W."""
        return Polynomial({self.factors: sp.S.One}, (ROWS, COLUMNS))

    @cached_property
    def charge(self) -> Polynomial:
        """C = F₁ᵀF₁ − F₂F₂ᵀ, which gradient flow keeps: no step changes it to first order."""
        left, right = (Polynomial({(factor,): sp.S.One}, factor.shape) for factor in self.factors)
        charge = left.T @ left - right @ right.T
        if _coefficient(self.after_step(charge), 1):
            raise DerivationError("the charge of the product is not conserved")
        return charge

    @cached_property
    def error(self) -> sp.MatrixSymbol:
        """E, also what stands for any other matrix of the shape of W."""
        return self.matrix("E")

    def matrix(self, name: str) -> sp.MatrixSymbol:
        """A symbol of the shape of W, with a name that no parameter can have."""
        return sp.MatrixSymbol(f"~{name}", *self.product.shape)

    def slopes(self, at: sp.MatrixSymbol) -> dict[sp.MatrixSymbol, Polynomial]:
        """Jᵀ E by parameter: the gradient of Tr(Eᵀ W), E held fixed."""
        form = trace(letter(at).T @ self.product)
        return {factor.symbol: gradient(form, factor.symbol) for factor in self.factors}

    def after_step(self, value: Polynomial) -> Polynomial:
        """A polynomial of the parameters after the step θ − s JᵀE, in s."""
        moved = {symbol: letter(symbol) - slope * STEP for symbol, slope in self.slopes(self.error).items()}
        return value.replaced(moved)

    @cached_property
    def pull(self) -> Polynomial:
        """L[E] = J Jᵀ E."""
        return _coefficient(self.after_step(self.product), 1) * -1

    @cached_property
    def bend(self) -> Polynomial:
        """Q[E, E]."""
        return _coefficient(self.after_step(self.product), 2)

    @cached_property
    def induced(self) -> Polynomial:
        """E Q[N, N] for N of independent standard normal entries: η²σ² of it is the mean change by label noise σ."""
        return noise_mean(self.bend, self.error)

    @cached_property
    def charge_drift(self) -> Polynomial:
        """The same for the charge, whose first-order change vanishes."""
        return noise_mean(_coefficient(self.after_step(self.charge), 2), self.error)

    def change_of_pull(self, along: sp.MatrixSymbol, of: Polynomial) -> Polynomial:
        """The change of L, applied to a matrix, when the parameters move by Jᵀ X: the charges stay for all X."""
        return differential(self.pull, self.slopes(along)).replaced({self.error: of})

    @cached_property
    def curl(self) -> TraceForm:
        """dα of the one-form α(dW) = ⟨L⁻¹Y, dW⟩ at L[U] and L[V], as a form of Z = L⁻¹Y, U and V.

        The drift −L[W − Y] and the noise √T L[dN] carry no flux only if α is exact, for α is what of
        the zero-flux condition depends on Y. With d(L⁻¹) = −L⁻¹ dL L⁻¹ the form is ⟨δ_V L[Z], U⟩ − ⟨δ_U L[Z], V⟩.
        """
        z, u, v = (self.matrix(name) for name in "ZUV")
        first = trace(letter(u).T @ self.change_of_pull(v, letter(z)))
        return first + trace(letter(v).T @ self.change_of_pull(u, letter(z))) * -1


def matrix_step(subject: Subject) -> MatrixStep | None:
    """The step where w is a product of two matrices of parameters with one GL(h) between them, else None."""
    if len(subject.group) != 1 or len(subject.graph.parameters) != 2 or subject.graph.inputs:
        return None
    if not _is_change_of_basis(next(iter(subject.group))):
        return None
    try:
        model = subject.matrices
        product = model.as_polynomial(subject.graph.predictor)
    except CalculusError:
        return None
    words = list(product)
    if len(words) != 1 or words[0][1] != 1 or len(words[0][0]) != 2:
        return None
    first, second = words[0][0]
    if not isinstance(first, Letter) or not isinstance(second, Letter) or first.symbol == second.symbol:
        return None
    if not all(view.is_plain for view in model.views.values()):
        return None
    general = {first.symbol: _resized(first, (ROWS, INNER)), second.symbol: _resized(second, (INNER, COLUMNS))}
    return MatrixStep(
        (replace(first, symbol=general[first.symbol]), replace(second, symbol=general[second.symbol])),
        (product.shape[0], product.shape[1], first.shape[1]),
    )


def _is_change_of_basis(factor: Factor) -> bool:
    """Whether it is one GL(h), which for h = 1 is a rescaling of whole arrays."""
    if isinstance(factor, EdgeGroup):
        return factor.algebra == GENERAL and not factor.copies
    return isinstance(factor, Rescaling) and all(not site.copies and site.place is None for site in factor.sites)


def _resized(factor: Letter, shape: tuple[Size, Size]) -> sp.MatrixSymbol:
    """The symbol of a letter that has this shape."""
    return sp.MatrixSymbol(factor.symbol.name, *(reversed(shape) if factor.transposed else shape))


def _coefficient(value: Polynomial, power: int) -> Polynomial:
    """The coefficient of a power of the step."""
    terms: Mapping = {word: sp.expand(c).coeff(STEP, power) for word, c in value}
    return Polynomial({word: c for word, c in terms.items() if c != 0}, value.shape)
