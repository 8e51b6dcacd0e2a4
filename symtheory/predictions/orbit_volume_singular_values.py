"""The law of the singular values of a product of two matrices on its balanced slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import sympy as sp

from symtheory.codegen.statements import function_source
from symtheory.errors import CalculusError
from symtheory.geometry.matrix.determinant_form import OuterSums, PairSums, determinant_form
from symtheory.geometry.matrix.field_gram import FieldGram, generator_fields
from symtheory.graph.shapes import Size
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import gradient, trace
from symtheory.matrix_calculus.two_sided import two_sided
from symtheory.predictions.equation import equation
from symtheory.predictions.log_spectrum import LogSpectrum
from symtheory.predictions.orbit_volume_terms import LOSS, MECHANISM
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import TEMPERATURE

SINGULAR_VALUES = f"{MECHANISM}_singular_values"


@dataclass(frozen=True)
class SingularValueLaw:
    """A relation for p(σ_1, …, σ_h), its measure, notes, and the generated log-density without the loss."""

    relation: sp.Eq
    measure: str
    notes: tuple[str, ...]
    function: SourceFunction


def singular_value_law(subject: Subject, charges: FieldGram) -> SingularValueLaw | None:
    """The law where w is a product of two matrices that share one GL(h), and the loss depends on σ(w) alone; None for
    other graphs.

    On the balanced slice both Gram matrices have the eigenvalues σ_1 … σ_h of w, so that four spectra are known: those
    of V, of the orbits of rotations that stay in the slice, of JJᵀ on matrices of rank h, and of the volume element of
    such matrices in (σ, singular vectors). They are multiplied as the coarea formula says. Derived here.
    """
    sizes = _sizes(subject, charges)
    if sizes is None:
        return None
    n, m, h = sizes
    outside = n + m - 2 * h
    # Σ_{i<=j} log(σ_i + σ_j) is Σ_{i<j} and Σ_i log 2σ_i; over all pairs i, j it is twice the former and the latter.
    slices = LogSpectrum(sp.S.One, sp.S.One) * sp.S.Half
    rotations = LogSpectrum(sp.S.Zero, sp.S.One) * sp.S.Half
    kernel = LogSpectrum(1 + outside, sp.Integer(2)) * sp.S.Half
    volume = LogSpectrum(outside, sp.S.One, sp.S.One)
    total = volume + rotations + (slices + kernel) * sp.S.NegativeOne
    weight = sp.exp(-LOSS(sp.Symbol("sigma")) / TEMPERATURE) / sp.Symbol("Z", positive=True)
    value = weight * total.density(sp.IndexedBase("sigma"), h)
    left = sp.Function("p")(sp.Symbol("sigma"))
    return SingularValueLaw(
        equation(left, value),
        f"dσ_1 … dσ_h, in any order, for {left}",
        (
            "p(sigma): singular values of w given c = 0 for a loss that depends on them alone, h <= min of its sizes; "
            "λ‖θ‖²/2 adds λ Σ σ_i to the loss there",
        ),
        SourceFunction(SINGULAR_VALUES, partial(_source, total, h)),
    )


def _sizes(subject: Subject, charges: FieldGram) -> tuple[Size, Size, Size] | None:
    """Rows, columns and inner size of w = X Y, where the Gram operators are those of X and Y alone; else None."""
    graph, model = subject.graph, subject.matrices
    if graph.inputs or len(model.views) != 2 or len(subject.group) != 1 or len(charges.spans) != 1:
        return None
    try:
        product = model.as_polynomial(graph.predictor)
    except CalculusError:
        return None
    (span,) = charges.spans
    words = list(product)
    if (
        span.copies
        or len(words) != 1
        or len(words[0][0]) != 2
        or not isinstance(determinant_form(charges, [span]), PairSums)
    ):
        return None
    generators = generator_fields(model)
    form = determinant_form(generators, generators.spans)
    if not isinstance(form, OuterSums):
        return None
    left, right = _kernel_sides(product, list(model.symbols.values()))
    if {_turned(left), _turned(right)} != {form.left, form.right}:
        return None  # the spectra of JJᵀ are not those of the group's Gram matrices
    return product.shape[0], product.shape[1], span.size


def _kernel_sides(product: Polynomial, symbols: list[sp.MatrixSymbol]) -> tuple[Polynomial, Polynomial]:
    """L and R with J Jᵀ Z = L Z + Z R: the change of w under the gradient of Tr(Zᵀ w) in all parameters."""
    z = sp.MatrixSymbol("~Z", *product.shape)
    form = trace(letter(z).T @ product)
    total = None
    for symbol in symbols:
        moved = product.replaced({symbol: gradient(form, symbol)})
        total = moved if total is None else total + moved
    assert total is not None
    operator = two_sided(total, z, Definitions())
    sides = {
        set(right.terms) == {()}: (left if set(right.terms) == {()} else right) for left, right in operator.straight
    }
    return sides[True], sides[False]


def _turned(side: Polynomial) -> Polynomial:
    """X Xᵀ as Xᵀ X, which has the same eigenvalues but zeros."""
    ((word, coefficient),) = side.terms.items()
    return Polynomial({(word[1], word[0]): coefficient}, (word[1].shape[0], word[0].shape[1]))


def _source(total: LogSpectrum, size: Size) -> str:
    """The logarithm of the density without exp(−L/T), up to a constant."""
    free = sorted(total.single.free_symbols - size.free_symbols, key=str)
    known = dict.fromkeys(size.free_symbols, "sigma.shape[-1]") if size.is_Symbol else {}
    lines = total.statements("sigma", known)
    lines.append("    return total")
    return function_source(
        f"{SINGULAR_VALUES}({', '.join(['sigma: Tensor', *(f'{symbol}: int' for symbol in free)])})",
        "log p(sigma) + L/T up to a constant: the law of the singular values on the balanced slice.",
        [
            "sigma: singular values, tensor ``(*batch, h)``, positive.",
            *(f"{symbol}: the size of that name." for symbol in free),
        ],
        "tensor ``(*batch)``.",
        lines,
        "derived here",
        result="Tensor",
    )
