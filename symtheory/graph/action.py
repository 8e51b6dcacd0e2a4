r"""Infinitesimal actions on the edges of a graph, and the linear system that their unknowns must satisfy.

Every tensor z of the graph moves by three kinds of infinitesimal change of basis,

    δz  =  Σ_a A_a ·_a z   (a matrix on axis a)   +   D ⊙ z   (coordinatewise)   +   c z   (one number),

and each of ``A_a``, ``D``, ``c`` is a *form*: a rational combination of unknowns that belong to the parameters. In a
form of matrices the coefficient −1 stands for the contragredient −Aᵀ, so that a contraction of two axes cancels
exactly when the two forms add up to zero. Operations turn the forms of their operands into the form of their result
and put the rest into the system as constraints; the solutions of the system are the symmetries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

Unknown = tuple[str, int | None]
"""An unknown of a parameter: ``(name, axis)`` for a matrix on an axis, ``(name, None)`` for the other two kinds."""

Form = Mapping[Unknown, sp.Rational]

ZERO: Form = {}


def add_forms(*forms: Form) -> Form:
    """Sum of forms, entries that cancel left out."""
    total: dict[Unknown, sp.Rational] = {}
    for form in forms:
        for unknown, coefficient in form.items():
            total[unknown] = total.get(unknown, sp.Integer(0)) + coefficient
    return {unknown: coefficient for unknown, coefficient in total.items() if coefficient != 0}


def scale_form(form: Form, factor: sp.Rational) -> Form:
    """The form times a number."""
    return {unknown: factor * coefficient for unknown, coefficient in form.items() if factor != 0}


@dataclass(frozen=True)
class Action:
    """How one tensor moves: a matrix form per axis, a coordinatewise form, a form for one common factor."""

    axes: tuple[Form, ...]
    diagonal: Form = field(default_factory=dict)
    scale: Form = field(default_factory=dict)

    @staticmethod
    def trivial(rank: int) -> Action:
        return Action(axes=(ZERO,) * rank)

    @property
    def is_trivial(self) -> bool:
        return not any(self.axes) and not self.diagonal and not self.scale


@dataclass
class ActionSystem:
    """The constraints collected while actions travel from the parameters to the predictor.

    ``axis_equations``, ``diagonal_equations`` and ``scale_equations`` hold forms that must vanish; ``diagonal_axes``
    and ``orthogonal_axes`` hold the matrix unknowns that an operation lets pass only when diagonal or orthogonal;
    ``blocked_by`` names operations that stop every action without a proof that nothing passes, so that the group
    found is a lower bound.
    """

    axis_equations: list[Form] = field(default_factory=list)
    diagonal_equations: list[Form] = field(default_factory=list)
    scale_equations: list[Form] = field(default_factory=list)
    diagonal_axes: set[Unknown] = field(default_factory=set)
    orthogonal_axes: set[Unknown] = field(default_factory=set)
    blocked_by: list[str] = field(default_factory=list)

    def vanish(self, action: Action) -> None:
        """Nothing of the action may remain."""
        for form in action.axes:
            self.vanish_axis(form)
        self.vanish_diagonal(action.diagonal)
        self.vanish_scale(action.scale)

    def vanish_axis(self, form: Form) -> None:
        if form:
            self.axis_equations.append(form)

    def vanish_diagonal(self, form: Form) -> None:
        if form:
            self.diagonal_equations.append(form)

    def vanish_scale(self, form: Form) -> None:
        if form:
            self.scale_equations.append(form)

    def agree(self, left: Action, right: Action) -> Action:
        """The common action of two tensors of equal rank that meet, as in a sum."""
        for first, second in zip(left.axes, right.axes, strict=True):
            self.vanish_axis(add_forms(first, scale_form(second, sp.Integer(-1))))
        self.vanish_diagonal(add_forms(left.diagonal, scale_form(right.diagonal, sp.Integer(-1))))
        self.vanish_scale(add_forms(left.scale, scale_form(right.scale, sp.Integer(-1))))
        return left

    def restrict_to_diagonal(self, action: Action) -> None:
        for form in action.axes:
            self.diagonal_axes.update(form)

    def restrict_to_orthogonal(self, form: Form) -> None:
        self.orthogonal_axes.update(form)
