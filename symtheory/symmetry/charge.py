"""Conserved quantities of a symmetry group under gradient flow, and what becomes of them under other dynamics.

Gradient flow θ' = −∇L keeps θᵀAθ for a symmetric generator A and t·θ for a constant field t. With weight decay,
θ' = −∇L − λθ, they shrink by e^{−2λt} and e^{−λt}. With momentum, θ'' + τθ' + ∇L = 0, what is kept is
e^{τt}⟨θ', X(θ)⟩ for every generator X that is an isometry: antisymmetric or constant. A symmetric one gives
C'' + τC' = 2 C(θ') instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.graph.symbol_names import prefixed_names
from symtheory.symmetry.edge_group import FIXING_ONES, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation

TIME = sp.Symbol("t", nonnegative=True)
DECAY = sp.Symbol("lambda", nonnegative=True)
FRICTION = sp.Symbol("tau", nonnegative=True)
"""Time of the flow, the strength λ of weight decay, and the friction τ of momentum flow."""

VELOCITY = "v_"
"""Prefix of the symbol for the velocity θ' of a parameter."""


@dataclass(frozen=True)
class Charge:
    """A conserved quantity of gradient flow, dimensionless as everything here.

    name: its key in ``conserved``; value: SymPy expression, of one copy or coordinate; degree: 2 for a quadratic form,
    1 for a linear one. Source: Kunin et al. 2020 (2012.04728); momentum: Marcotte et al. 2024 (2405.12888).
    """

    name: str
    value: Any
    degree: int

    @property
    def under_weight_decay(self) -> Any:
        """What stays constant with weight decay λ: the charge times e^{degree · λ t}; so C = 0 is kept."""
        return sp.exp(self.degree * DECAY * TIME) * self.value

    @property
    def under_momentum(self) -> sp.Eq:
        """The law with friction τ: C'' + τC' = 2 C(θ') for a quadratic charge (not conserved), = 0 for a linear one."""
        charge = sp.Function("C")(TIME)
        velocity = sp.Function("C")(sp.Symbol("v")) if self.degree == 2 else sp.Integer(0)
        return sp.Eq(charge.diff(TIME, 2) + FRICTION * charge.diff(TIME), 2 * velocity, evaluate=False)


def charges_of(factors: Iterable[Factor]) -> tuple[Charge, ...]:
    """The charges of gradient flow of all factors."""
    return tuple(
        Charge(name, value, 1 if isinstance(factor, Translation) else 2)
        for factor in factors
        for name, value in factor.charges.items()
    )


def momentum_charges(factors: Iterable[Factor]) -> dict[str, Any]:
    """What momentum flow with friction τ conserves, by name: e^{τt} times the momentum of every isometry.

    For a change of basis the angular momentum Σ (V Xᵀ − X Vᵀ), antisymmetric h×h, with X the parameter unfolded along
    the edge and V = ``v_X`` its velocity; for a shift the velocity summed where the shift is the same. A shift keeps a
    second quantity, its velocity plus τ times its charge: ⟨b, θ'⟩ + τ⟨b, θ⟩, named ``…_drift``.
    """
    found: dict[str, Any] = {}
    for factor in factors:
        momentum = _momentum(factor)
        if momentum is not None:
            found[factor.name] = sp.exp(FRICTION * TIME) * momentum
        if momentum is not None and isinstance(factor, Translation):
            (charge,) = factor.charges.values()
            found[f"{factor.name}_drift"] = momentum + FRICTION * charge
    return found


def _momentum(factor: Factor) -> Any:
    if isinstance(factor, Translation) and factor.has_charge:
        (charge,) = factor.charges.values()
        return charge.subs({factor.symbol(name): velocity_of(factor.symbol(name)) for name in factor.shapes})
    if not isinstance(factor, EdgeGroup):
        return None
    prefixed_names(VELOCITY, factor.shapes, "velocity")
    total = sp.ZeroMatrix(factor.size, factor.size)
    for site in factor.sites:
        x = site.symbol()
        v = velocity_of(x)
        outer = v * x.T if site.side == 0 else v.T * x
        total = total + outer - outer.T
    if factor.algebra == FIXING_ONES:
        # The momentum of A = P S P for antisymmetric S, P the projection onto the complement of the ones vector.
        projection = sp.Identity(factor.size) - sp.OneMatrix(factor.size, factor.size) / factor.size
        return projection * total * projection
    return total


def velocity_of(symbol: Any) -> Any:
    """The symbol of a parameter's velocity."""
    if isinstance(symbol, sp.MatrixSymbol):
        return sp.MatrixSymbol(f"{VELOCITY}{symbol.name}", *symbol.shape)
    return sp.Symbol(f"{VELOCITY}{symbol.name}", real=True)
