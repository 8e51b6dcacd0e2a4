"""Orbit volume of a group that acts on matrices: Gram determinants by their spectra, at symbolic size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sympy as sp

from symtheory.codegen.charge_functions import render_charges
from symtheory.codegen.matrix_program import as_formula
from symtheory.codegen.volume_function import render_volume
from symtheory.errors import CalculusError, DerivationError
from symtheory.geometry.matrix.determinant_form import (
    DenseGram,
    Form,
    NumberGram,
    OuterSums,
    PairSums,
    determinant_form,
)
from symtheory.geometry.matrix.field_gram import FieldGram, Span, charge_fields, generator_fields
from symtheory.graph.shapes import show
from symtheory.matrix_calculus.two_sided import TwoSidedOperator
from symtheory.predictions.equation import equation
from symtheory.predictions.orbit_volume_singular_values import singular_value_law
from symtheory.predictions.orbit_volume_terms import (
    AGREEMENT,
    CHARGE_VOLUME,
    CHARGES,
    DIFFERENCE,
    GENERATOR_VOLUME,
    GENERATORS,
    LANGEVIN,
    MECHANISM,
    NARROW,
    OBSERVABLE,
    ORDER,
    REGULAR,
    SOURCE,
    STATIONARY,
    THETA,
    TITLE,
    slice_density,
)
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.symmetry.translation import Translation

CHARGE_SUMMARY = (
    "Orbit-volume term ½ log det(∇c ∇cᵀ) of isotropic Langevin noise, c the conserved charges in orthonormal "
    "coordinates of their matrices."
)
GENERATOR_SUMMARY = "½ log det of the Gram matrix of all generators: the logarithm of the orbits' volume element."

Determinants = list[tuple[tuple[Span, ...], Form]]


def orbit_volume_of_matrices(subject: Subject) -> Prediction:
    """V and U as sums over factors that do not meet, each in closed form where its Gram operator has a closed spectrum.

    Raises ``DerivationError`` where no charge has a gradient that varies, or generators depend on each other
    everywhere, and ``CalculusError`` where the group acts on more than rows and columns.
    """
    charges = charge_gram(subject)
    try:
        generators, without = generator_fields(subject.matrices), ""
    except CalculusError as error:
        generators, without = FieldGram(()), f"U is left out: {error}"
    relations, notes = _described(CHARGE_VOLUME, "V", charges, charges=True)
    relations.append(slice_density())
    functions = [
        SourceFunction(MECHANISM, partial(render_gauge_correction, subject, MECHANISM)),
        SourceFunction(CHARGES, partial(_charges_source, subject)),
    ]
    measures = ["the slice's own volume for p(theta)"]
    if generators.spans:
        own, own_notes = _described(GENERATOR_VOLUME, "U", generators, charges=False)
        relations += own
        notes += own_notes
        functions.append(SourceFunction(GENERATORS, partial(_generators_source, subject, generators)))
    law = singular_value_law(subject, charges)
    if law is not None:
        relations.append(law.relation)
        measures.append(law.measure)
        notes += law.notes
        functions.append(law.function)
    return Prediction(
        mechanism=MECHANISM,
        title=TITLE,
        statement=sp.Tuple(*relations),
        observable=OBSERVABLE,
        assumptions=(LANGEVIN, STATIONARY, NARROW, REGULAR),
        order=ORDER,
        source=SOURCE,
        formulas={function.name: function for function in functions},
        parametrization=subject.name,
        measure="; ".join(measures),
        notes=(
            "c: the entries of the charges in orthonormal coordinates, √2 C_ij for i < j and C_ii where C is symmetric",
            *notes,
            *((without,) if without else ()),
            DIFFERENCE,
            AGREEMENT,
        ),
    )


def charge_gram(subject: Subject) -> FieldGram:
    """The gradients of the charges. Raises ``DerivationError`` where their volume is a constant, or always zero."""
    gram = charge_fields(subject.matrices)
    if not gram.spans:
        linear = any(factor.has_charge for factor in subject.group)
        reason = (
            f"the charges of '{subject.name}' are linear: their slices are parallel, and the correction is a constant"
            if linear
            else f"'{subject.name}' has no charge, so there is no gauge slice to correct for"
        )
        raise DerivationError(reason)
    total = sp.Add(*(factor.dimension for factor in subject.group))
    if sp.expand(total - subject.group.dimension) != 0:
        raise DerivationError(f"generators of '{subject.name}' depend on each other: their Gram determinant is zero")
    return gram


def render_gauge_correction(subject: Subject, name: str = "gauge_correction") -> str:
    """Source of ½ log det(∇c ∇cᵀ) as a function of the point. Raises as ``charge_gram``, and ``CodegenError`` where a
    symbolic size cannot be read from the tensors."""
    return render_volume(
        name,
        subject.matrices,
        charge_gram(subject),
        subject.graph.parameters,
        subject.name,
        CHARGE_SUMMARY,
        "Aladrah et al. 2026 (2601.06597)",
        charges=True,
    )


def _generators_source(subject: Subject, gram: FieldGram) -> str:
    return render_volume(
        GENERATORS,
        subject.matrices,
        gram,
        subject.graph.parameters,
        subject.name,
        GENERATOR_SUMMARY,
        "derived here",
        charges=False,
    )


def _charges_source(subject: Subject) -> str:
    factors = [factor for factor in subject.group if factor.has_charge]
    return render_charges(CHARGES, factors, subject.graph.parameters, subject.name, "Charges of a point, by name.")


def _described(function: Any, letter: str, gram: FieldGram, *, charges: bool) -> tuple[list[sp.Basic], list[str]]:
    """Relations for every component and for their sum, and notes on what their symbols stand for."""
    relations: list[sp.Basic] = []
    notes: list[str] = []
    parts = []
    for spans in gram.components:
        key = "_".join(span.factor.name for span in spans)
        value, meaning = _half_logarithm(spans, determinant_form(gram, spans), key, letter, charges=charges)
        symbol = sp.Symbol(f"{letter}_{key}")
        parts.append(symbol)
        relations.append(equation(symbol, value))
        copies = spans[0].copies
        each = f", added up over each index of {show(copies)}" if copies else ""
        notes.append(f"{symbol}: {meaning}{each}")
    return [equation(function(THETA), sp.Add(*parts)), *relations], notes


def _half_logarithm(spans: Sequence[Span], form: Form, key: str, letter: str, *, charges: bool) -> tuple[sp.Expr, str]:
    """½ log det of one copy of a component, and what its symbols are."""
    i, j = sp.symbols("i j", integer=True)
    h = spans[0].size
    if isinstance(form, NumberGram):
        return sp.log((4 if charges else 1) * form.value.expression()) / 2, "the squared length of the field"
    if isinstance(form, PairSums):
        values = sp.IndexedBase(f"mu_{key}")
        weight = sp.Integer(2) if charges else sp.S.Half
        term = sp.log(weight * (values[i] + values[j]))
        upper = (i, 1, j) if form.kind == "symmetric" else (i, 1, j - 1)
        pairs = "symmetric" if form.kind == "symmetric" else "antisymmetric"
        meaning = f"mu_{key} are the eigenvalues of {as_formula(form.side)}, pairs as {pairs} matrices have entries"
        return sp.Sum(term, upper, (j, 1, h)) / 2, meaning
    if isinstance(form, OuterSums):
        left, right = sp.IndexedBase(f"lambda_{key}"), sp.IndexedBase(f"rho_{key}")
        meaning = (
            f"lambda_{key} are the eigenvalues of {as_formula(form.left)}, rho_{key} those of {as_formula(form.right)}"
        )
        return sp.Sum(sp.log(left[i] + right[j]), (i, 1, h), (j, 1, h)) / 2, meaning
    if isinstance(form, DenseGram):
        name = f"{'K' if charges else 'M'}_{key}"
        kind = "gradients of charges" if charges else "fields of generators"
        return sp.log(
            sp.Function("det")(sp.Symbol(name))
        ) / 2, f"{name} is the Gram matrix of {kind}, {_blocks(form, charges)}"
    entries = sp.IndexedBase(f"g_{key}")
    factor = 4 if charges else 1
    if len(spans) == 1:
        meaning = f"g_{key} is the diagonal of {as_formula(form.entries[0][0])}"
        return sp.Sum(sp.log(factor * entries[i]), (i, 1, h)) / 2, meaning
    rows = "; ".join(", ".join(as_formula(entry) for entry in row) for row in form.entries)
    meaning = f"the matrix g_{key}[i] of index i has the entries i of the diagonals of ({rows})"
    return sp.Sum(sp.log(sp.Function("det")(factor * entries[i])), (i, 1, h)) / 2, meaning


def _blocks(form: DenseGram, charges: bool) -> str:
    """The blocks on and above the diagonal as maps of elements."""
    found = []
    for place, first in enumerate(form.spans):
        for second in form.spans[place:]:
            block = form.gram.block(first, second)
            factor = f"({first.factor.name}, {second.factor.name})"
            if isinstance(block, TwoSidedOperator):
                terms = [f"({as_formula(left)}) A ({as_formula(right)})" for left, right in block.straight]
                terms += [f"({as_formula(left)}) Aᵀ ({as_formula(right)})" for left, right in block.crossed]
                found += [f"{factor}: A ↦ {' + '.join(terms)}"] if terms else []
            elif block:
                found.append(f"{factor}: {as_formula(block)}")
    # The gradient of a quadratic charge is twice the field.
    linear = any(isinstance(span.factor, Translation) for span in form.spans)
    scale = ("2 to the number of quadratic charges in each, times " if linear else "4 times ") if charges else ""
    return f"{scale}the blocks {'; '.join(found)}"
