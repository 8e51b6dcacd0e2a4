"""The Riemannian exponential map of one block, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.geodesic import Geodesic


@dataclass(frozen=True)
class ExponentialMap:
    """exp_θ(ξ) = γ(1), γ the geodesic that starts at θ with velocity ξ.

    image: {coordinate: expression in the initial values and the velocities}.
    kind: "all" if it holds for every tangent, "horizontal" if for horizontal ones alone.
    positive: expressions that are positive as long as γ stays in the domain of the metric up to t = 1; where one is
        not, exp_θ(ξ) does not exist.
    initial, velocity: {coordinate: symbol}.
    """

    image: Mapping[sp.Symbol, sp.Expr]
    kind: Literal["all", "horizontal"]
    positive: tuple[sp.Expr, ...]
    initial: Mapping[sp.Symbol, sp.Symbol]
    velocity: Mapping[sp.Symbol, sp.Symbol]

    @classmethod
    def of(cls, geodesic: Geodesic) -> ExponentialMap:
        """The closed form of a geodesic at t = 1. Raises DerivationError when there is none, saying why."""
        if geodesic.kind is None:
            raise DerivationError(
                f"the exponential map has no closed form, since the geodesic has none ({geodesic.reason})"
            )
        image = {x: curve.subs(geodesic.time, 1) for x, curve in geodesic.explicit().items()}
        return cls(image, geodesic.kind, _bases(image), geodesic.initial, geodesic.velocity)


def _bases(image: Mapping[sp.Symbol, sp.Expr]) -> tuple[sp.Expr, ...]:
    """Bases of roots and arguments of logarithms, those left out that are positive always."""
    found: dict[sp.Expr, None] = {}
    for expression in image.values():
        for node in sp.preorder_traversal(expression):
            is_partial = (node.is_Pow and not node.exp.is_Integer) or isinstance(node, sp.log)
            if is_partial and not node.args[0].is_positive:
                found.setdefault(node.args[0])
    return tuple(found)
