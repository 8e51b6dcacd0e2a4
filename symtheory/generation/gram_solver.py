"""Torch statements that invert the Gram operator of one factor of a symmetry group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from symtheory.codegen.matrix_program import MatrixProgram, as_formula
from symtheory.codegen.product_order import is_centring
from symtheory.errors import CalculusError, CodegenError
from symtheory.geometry.matrix.vertical import VerticalPart
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, inverse, letter
from symtheory.matrix_calculus.symbols import SkewSymbol
from symtheory.matrix_calculus.trace_form import TraceForm
from symtheory.matrix_calculus.two_sided import TwoSidedOperator
from symtheory.symmetry.edge_group import FIXING_ONES, EdgeGroup

Side = Polynomial


def solve_gram(
    program: MatrixProgram, part: VerticalPart, moment: Polynomial | TraceForm, definitions: Definitions
) -> str:
    """Statements for the element a with gram(a) = moment; returns the variable that holds it.

    Numbers and diagonal matrices by division; a product L a R by two inverses; a sum of two products by simultaneous
    diagonalisation of its sides, with one eigendecomposition where the sides are inverses of each other. Of more than
    two products the two that are positive for certain are kept: the result is then a preconditioner.
    """
    name = part.element.name
    if isinstance(part.gram, TraceForm):
        return program.assign_source(name, f"({program.plain(moment)}) / ({program.plain(part.gram)})")
    if isinstance(part.gram, Polynomial):
        gram = program.source(part.gram, diagonal=True) if not _is_number(part.gram) else str(_number(part.gram))
        return program.assign_source(name, f"({program.source(moment, diagonal=True)}) / ({gram})")
    assert isinstance(moment, Polynomial)  # a matrix element has a matrix as its moment
    terms = _positive_terms(part.gram)
    if len(terms) == 1:
        return _product(program, name, terms[0], moment, definitions)
    if TwoSidedOperator(terms).is_reciprocal:
        return _reciprocal(program, name, terms, moment)
    skew = isinstance(part.element, SkewSymbol)
    return _sylvester(program, name, terms, moment, skew=skew, fixes_ones=skew and _fixes_ones(part))


def solve_sum(program: MatrixProgram, name: str, terms: Sequence[tuple[Side, Side]], right_side: Polynomial) -> str:
    """Statements for x with Σ L x R = right_side over one or two terms; returns the variable that holds x.

    Raises ``CodegenError`` for more terms.
    """
    if len(terms) > 2:
        raise CodegenError(f"a sum of {len(terms)} products has no solver: use a metric with two at most")
    scaled = tuple(_scaled(*term) for term in terms)
    if len(scaled) == 1:
        solution = inverse(scaled[0][0]) @ right_side @ inverse(scaled[0][1])
        return program.assign(name, solution)
    return _sylvester(program, name, scaled, right_side, skew=False)


def _is_number(gram: Polynomial) -> bool:
    return set(gram.terms) == {()}


def _number(gram: Polynomial) -> Any:
    return gram.terms[()]


def _positive_terms(gram: TwoSidedOperator) -> tuple[tuple[Side, Side], ...]:
    if not gram.positive:
        raise CalculusError("no term of a Gram operator is seen to be positive: no solver for it")
    return tuple(_scaled(*term) for term in gram.positive[:2])


def _scaled(left: Side, right: Side) -> tuple[Side, Side]:
    """The same term with no number on an identity, else with all numbers on the left."""
    if _is_identity(left):
        return left * (1 / _scale(left)), right * _scale(left)
    return left * _scale(right), right * (1 / _scale(right))


def _is_identity(side: Side) -> bool:
    """Whether a side is a number times the identity, or the centring: moments have no part that this takes away."""
    return set(side.terms) == {()} or all(is_centring(word) for word in side.terms)


def _scale(side: Side) -> sp.Expr:
    return next(iter(side.terms.values()))


def _invertible(program: MatrixProgram, side: Side, wish: str, definitions: Definitions) -> Side:
    """The side as one word of symbols: a sum, or a product of matrices that are not square, is given a name."""
    if len(side.terms) == 1:
        ((word, _),) = side.terms.items()
        if all(isinstance(factor, Letter) and factor.shape[0] == factor.shape[1] for factor in word):
            return side
    symbol = definitions.matrix(wish, side)
    program.define(definitions, [symbol])
    return letter(symbol)


def _product(
    program: MatrixProgram, name: str, term: tuple[Side, Side], moment: Polynomial, definitions: Definitions
) -> str:
    left = _invertible(program, term[0], f"{name}_left", definitions)
    right = _invertible(program, term[1], f"{name}_right", definitions)
    solution = inverse(left) @ moment @ inverse(right)
    program.expect([solution])
    program.comment(f"{as_formula(left)} · {name} · {as_formula(right)} is the moment of xi")
    return program.assign(name, solution)


def _reciprocal(program: MatrixProgram, name: str, terms: tuple[tuple[Side, Side], ...], moment: Polynomial) -> str:
    """P a P⁻¹ + M⁻¹ a M = m: with M = C Cᵀ, Cᵀ P C = V D Vᵀ, W = C V and T = C⁻ᵀ V both terms are diagonal in W b Tᵀ.

    WᵀPW = D, WᵀM⁻¹W = 1 and P⁻¹T = W D⁻¹, so that (Wᵀ m T)_ij d_j = (d_i + d_j) b_ij. Factors M⁻¹ and P⁻¹ at the
    ends of the moment are not multiplied out: WᵀM⁻¹ = Tᵀ.
    """
    (first, _), (_, second) = terms
    framed = _in_frames(moment, inverse(second), inverse(first))
    program.expect([first, second, *framed.values()])
    program.comment(
        f"M = {as_formula(second)} = C Cᵀ and Cᵀ P C = V D Vᵀ with P = {as_formula(first)}; W = C V and T = C⁻ᵀ V make "
        f"the equation diagonal: {name} = W b Tᵀ"
    )
    factor = program.assign_source("C", f"torch.linalg.cholesky({program.source(second)})")
    product = f"{factor}.mT @ {program.source(first)} @ {factor}"
    d, vectors = program.assign_pair("D", "V", f"torch.linalg.eigh({product})")
    w = program.assign_source("W", f"{factor} @ {vectors}")
    t = program.assign_source("T", f"torch.linalg.solve_triangular({factor}.mT, {vectors}, upper=True)")
    parts = []
    for (left, right), value in framed.items():
        sides = [t if left else w, w if right else t]
        rotated = program.assign_source("rotated", f"{sides[0]}.mT @ {_bracketed(program.source(value))} @ {sides[1]}")
        # On the right P⁻¹T = W D⁻¹ has taken the factor d_j already.
        parts.append(rotated if right else f"{rotated} * {d}[..., None, :]")
    sums = f"({d}[..., :, None] + {d}[..., None, :])"
    divided = program.assign_source("b", f"({' + '.join(parts)}) / {sums}")
    return program.assign_source(name, f"{w} @ {divided} @ {t}.mT")


def _bracketed(source: str) -> str:
    return source if source.replace(".mT", "").isidentifier() else f"({source})"


def _in_frames(moment: Polynomial, left: Side, right: Side) -> dict[tuple[bool, bool], Polynomial]:
    """The moment sorted by whether a word starts with one word and ends with another, which are taken off."""
    (first,), (last,) = left.terms, right.terms
    sorted_words: dict[tuple[bool, bool], Polynomial] = {}
    for word, coefficient in moment:
        starts, ends = word[: len(first)] == first, word[len(word) - len(last) :] == last
        inner = word[len(first) if starts else 0 : len(word) - len(last) if ends else len(word)]
        own = Polynomial({inner: coefficient}, moment.shape)
        sorted_words[starts, ends] = sorted_words[starts, ends] + own if (starts, ends) in sorted_words else own
    return sorted_words


def _sylvester(
    program: MatrixProgram,
    name: str,
    terms: tuple[tuple[Side, Side], ...],
    moment: Polynomial,
    *,
    skew: bool,
    fixes_ones: bool = False,
) -> str:
    """L₁ a R₁ + L₂ a R₂ = m: U with UᵀL₂U = 1, UᵀL₁U = Λ and V with VᵀR₁V = 1, VᵀR₂V = M make both diagonal."""
    (left1, right1), (left2, right2) = terms
    program.comment(f"both sides of {_shown(terms, name)} are made diagonal: {name} = U b Vᵀ")
    values1, u = _diagonalise(program, left1, left2, "U")
    if _is_identity(left2) and _is_identity(right1) and left1 == right2:
        values2, v = values1, u
    else:
        values2, v = _diagonalise(program, right2, right1, "V")
    program.expect([moment])
    m = program.assign("moment", moment)
    sums = program.assign_source("sums", f"{values1}[..., :, None] + {values2}[..., None, :]")
    rotated = program.assign_source("rotated", f"{u}.mT @ {m} @ {v}")
    # Directions that the group does not move have neither a moment nor a Gram entry.
    limits = f"torch.finfo({sums}.dtype)"
    floor = program.assign_source("floor", f"{limits}.eps * {sums}.amax((-2, -1), keepdim=True)")
    divided = program.assign_source(
        "b", f"torch.where({sums} > {floor}, {rotated} / {sums}.clamp(min={limits}.tiny), 0.0)"
    )
    solution = program.assign_source(name, f"{u} @ {divided} @ {v}.mT")
    if not skew:
        return solution
    # Antisymmetric to rounding, and exactly so after this: iteration would let the rest grow.
    program.body.assign(solution, f"({solution} - {solution}.mT) / 2")
    if fixes_ones:
        program.body.assign(solution, f"{solution} - {solution}.mean(-1, keepdim=True)")
        program.body.assign(solution, f"{solution} - {solution}.mean(-2, keepdim=True)")
    return solution


def _fixes_ones(part: VerticalPart) -> bool:
    return isinstance(part.factor, EdgeGroup) and part.factor.algebra == FIXING_ONES


def _shown(terms: tuple[tuple[Side, Side], ...], name: str) -> str:
    return " + ".join(f"({as_formula(left)}) {name} ({as_formula(right)})" for left, right in terms)


def _diagonalise(program: MatrixProgram, side: Side, unit: Side, wish: str) -> tuple[str, str]:
    """Variables of λ and U with Uᵀ·side·U = diag(λ) and Uᵀ·unit·U = 1."""
    if _is_identity(unit):
        return program.assign_pair(f"values_{wish}", wish, f"torch.linalg.eigh({program.plain(side)})")
    factor = program.assign_source(f"root_{wish}", f"torch.linalg.cholesky({program.plain(unit)})")
    half = program.assign_source("half", f"torch.linalg.solve_triangular({factor}, {program.plain(side)}, upper=False)")
    whole = program.assign_source("whole", f"torch.linalg.solve_triangular({factor}, {half}.mT, upper=False)")
    values, vectors = program.assign_pair(f"values_{wish}", f"vectors_{wish}", f"torch.linalg.eigh({whole})")
    return values, program.assign_source(wish, f"torch.linalg.solve_triangular({factor}.mT, {vectors}, upper=True)")
