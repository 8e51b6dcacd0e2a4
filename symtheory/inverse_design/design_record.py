"""What was designed, for what, and how the forward road confirmed it."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy as sp

from symtheory.graph.node import Node
from symtheory.inverse_design.target import Target


@dataclass(frozen=True)
class Design:
    """One designed parametrization.

    target: R(w) or Q(w); mechanism; of: "coordinates", "groups", "singular_values" or "simplex", what w is one of;
    predictor: the node to be declared; core: its part below the fixed linear map, or the same node; function: φ in
    theta, or None where products need none; domain: the values that w takes; statement: what training minimises or
    samples, in words; assumptions: what this rests on, and up to which constants the target is met; signs: as of the
    profile, or "product"; confirmation: how the forward road gave the target back; is_numeric: whether φ is a spline.
    """

    target: Target
    mechanism: str
    of: str
    predictor: Node
    core: Node
    function: sp.Expr | None
    domain: str
    statement: str
    assumptions: tuple[str, ...]
    signs: str = "product"
    confirmation: str = ""
    is_numeric: bool = field(default=False)
