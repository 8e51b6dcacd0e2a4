"""The Levi-Civita connection of a metric on matrices, from the Euler–Lagrange equation of its energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import matmul
from typing import Any

import sympy as sp

from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import (
    Letter,
    Polynomial,
    Word,
    collect,
    diagonal_part,
    identity,
    inverse,
    letter,
)
from symtheory.matrix_calculus.symbols import DiagonalSymbol
from symtheory.matrix_calculus.trace_form import (
    TraceForm,
    differential,
    gradient,
    scalar_gradient,
    trace,
    trace_differential,
)


@dataclass(frozen=True)
class ChristoffelForm:
    """Γ(ξ, ξ) for every parameter.

    definitions: what its symbols stand for, those of the metric, their rates along ξ, and the derivatives of the energy
    with respect to them; first_kind: 𝒢Γ, for every parameter; metric: the metric that raises it.
    """

    definitions: Definitions
    first_kind: Mapping[str, Polynomial]
    metric: BlockMetric

    @cached_property
    def values(self) -> Mapping[str, Polynomial]:
        """Γ(ξ, ξ) itself. Raises ``CalculusError`` where the metric is a sum of products, see ``Block.raise_``."""
        return {name: self.metric.blocks[name].raise_(value) for name, value in self.first_kind.items()}


def christoffel_form(metric: BlockMetric, velocity: Mapping[str, sp.MatrixSymbol]) -> ChristoffelForm:
    """Γ(ξ, ξ) = 𝒢⁻¹(D_ξ𝒢 ξ − ½ ∇_θ ⟨ξ, ξ⟩) with ⟨ξ, ζ⟩ = Tr(𝒢ξ ζᵀ).

    That is minus the acceleration for which d/dt (𝒢γ') = ½ ∇_θ ⟨γ', γ'⟩, the Euler–Lagrange equation of ½⟨γ', γ'⟩.
    """
    work = metric.definitions.copy()
    work.taken |= {symbol.name for symbol in velocity.values()}
    tangent = {name: letter(symbol) for name, symbol in velocity.items()}
    rates = _rates(metric, work, tangent)
    energy = _pulled_back(metric, work, metric.inner(tangent, tangent) * sp.S.Half)
    first_kind = {}
    for name, block in metric.blocks.items():
        along = differential(block.lower(tangent[name]), rates)
        first_kind[name] = along - gradient(energy, metric.model.symbols[name])
    form = ChristoffelForm(work, first_kind, metric)
    shown = form.values.values() if metric.is_closed else first_kind.values()
    used: set[Any] = set().union(*(value.symbols for value in shown))
    if not metric.is_closed:
        used |= set().union(*(block.symbols for block in metric.blocks.values()))
    return ChristoffelForm(work.restricted(used), first_kind, metric)


def _rates(metric: BlockMetric, work: Definitions, tangent: Mapping[str, Polynomial]) -> dict[Any, Any]:
    """Symbol → its derivative along the tangent, as a new symbol; those that do not change are left out."""
    point = metric.model.symbols
    changes: dict[Any, Any] = {point[name]: value for name, value in tangent.items()}
    rates: dict[Any, Any] = {}
    for symbol, value in metric.definitions.items():
        if isinstance(value, TraceForm):
            form = trace_differential(value, changes)
            if form:
                rates[symbol] = changes[symbol] = work.scalar(f"rate_{symbol.name}", form)
            continue
        change = differential(value, changes)
        if change:
            rate = work.matrix(f"rate_{symbol.name}", change, diagonal=isinstance(symbol, DiagonalSymbol))
            rates[symbol] = changes[symbol] = letter(rate)
    return rates


def _pulled_back(metric: BlockMetric, work: Definitions, energy: TraceForm) -> TraceForm:
    """A form whose gradient at the point, its other symbols held fixed, is that of the energy.

    Backwards through the definitions: for K = K(θ) the derivative Z of the energy with respect to K is given a name and
    adds Tr(Z K(θ)).
    """
    total = energy
    for symbol, value in reversed(list(metric.definitions.items())):
        if isinstance(value, TraceForm):
            derivative = scalar_gradient(total, symbol)
            if derivative:
                total = total + value * work.scalar(f"force_{symbol.name}", derivative)
            continue
        slope = gradient(total, symbol)
        if isinstance(symbol, DiagonalSymbol):
            slope = diagonal_part(slope)
        if slope:
            force = _named_force(slope, symbol, work)
            total = total + trace(force @ value)
    return total


def _named_force(slope: Polynomial, symbol: Any, work: Definitions) -> Polynomial:
    """The derivative under a new name; factors K⁻¹ at both ends and a common number stay outside of it."""
    own = Letter(symbol, False, True)
    diagonal = isinstance(symbol, DiagonalSymbol)
    outer = inverse(letter(symbol))
    if diagonal:
        count = min(word.count(own) for word, _ in slope)
        core = collect([(_less(word, own, count), c) for word, c in slope], slope.shape)
        left, right = [identity(slope.shape[0]), *[outer] * count], []
    elif all(len(word) > 2 and word[0] == word[-1] == own for word, _ in slope):
        core = collect([(word[1:-1], c) for word, c in slope], slope.shape)
        left, right = [outer], [outer]
    else:
        core, left, right = slope, [], []
    scale = next(iter(core.terms.values()))
    core = core * (1 / scale)
    name = work.matrix(f"force_{symbol.name}", (core + core.T) * sp.S.Half, diagonal=diagonal)
    return reduce(matmul, [*left, letter(name) * scale, *right])


def _less(word: Word, own: Letter, count: int) -> Word:
    """The word without the first few of one of its factors, which commutes with the others."""
    left, kept = count, []
    for factor in word:
        if factor == own and left:
            left -= 1
        else:
            kept.append(factor)
    return tuple(kept)


def bilinear(form: ChristoffelForm, velocity: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Polynomial]:
    """Γ(ξ, η) by polarization: half the derivative of Γ(ξ, ξ) along η, through what its symbols stand for."""
    changes: dict[Any, Any] = {velocity[name]: letter(symbol) for name, symbol in other.items()}
    for symbol, value in form.definitions.items():
        if isinstance(value, TraceForm):
            change = trace_differential(value, changes)
            if change:
                changes[symbol] = form.definitions.expression(change)
        elif change_of_matrix := differential(value, changes):
            changes[symbol] = change_of_matrix
    return {name: differential(value, changes) * sp.S.Half for name, value in form.values.items()}
