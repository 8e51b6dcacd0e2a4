"""How the scale α of a leaf changes during training: by the discreteness of the steps, and by weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.symbols import ALPHA


def scale_of_point(charges: Sequence[sp.Expr], start: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr | None:
    """α of the leaf through a point whose charges stand in the same proportions as those of the start.

    A charge is quadratic, so that it is α² times its value at the start of scale one; None where all of them vanish
    there.
    """
    for charge in charges:
        unit = sp.expand(charge.subs(start, simultaneous=True)) / ALPHA**2
        if unit != 0:
            return sp.sqrt(sp.Abs(sp.expand(charge / unit)))
    return None


def shrinkage_rate(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> sp.Expr:
    """κ for which a step of size η with the gradient g in w takes every charge C to (1 − κη²g²) C.

    C(θ − ηg∇φ) = C(θ) + η²g² C(∇φ) exactly. Where ∇²φ ∇φ = κθ for a φ that is homogeneous of degree two, C(∇φ) is
    −κC, and all charges keep their proportions. The flow time τ of a point does not change along the ray through it
    then, and with that its own second order vanishes: d²τ(∇φ, ∇φ) = −dτ(∇²φ ∇φ) = −κ dτ(θ) = 0. So τ is off by order
    η³ a step and the scale by order η², which is why the mirror flow of the last scale holds to a higher order than
    that of the first. Raises ``DerivationError`` saying what is missing; derived here, for u² − v² by Pesme et al.
    2021 (2106.09524).
    """
    degree = homogeneous_degree(model)
    if degree != 2:
        found = "no polynomial that is homogeneous" if degree is None else f"homogeneous of degree {degree}"
        raise DerivationError(f"w is {found}: a step moves τ in second order as well, as it moves the charges")
    if not charges:
        raise DerivationError("there is no charge whose change could be followed")
    gradient = model.gradient()
    turned = sp.hessian(model.predictor, model.coordinates) * gradient
    rates = {sp.cancel(entry / symbol) for entry, symbol in zip(turned, model.coordinates, strict=True)}
    if len(rates) != 1 or rates.copy().pop().free_symbols:
        raise DerivationError(
            "∇²φ ∇φ is no multiple of θ: a step changes the charges at unequal rates, and moves τ too"
        )
    (rate,) = rates
    along = dict(zip(model.coordinates, gradient, strict=True))
    for charge in charges:
        if sp.expand(charge.subs(along, simultaneous=True) + rate * charge) != 0:
            raise DerivationError(f"the charge {charge} of the gradient is no multiple of that of the point")
    return rate


def homogeneous_degree(model: ElementwiseModel) -> sp.Expr | None:
    """k with φ(cθ) = c^k φ(θ) for c > 0, by Euler's relation; None where there is none."""
    along = sp.Add(*(symbol * sp.diff(model.predictor, symbol) for symbol in model.coordinates))
    degree = sp.cancel(along / model.predictor)
    return None if degree.free_symbols else degree
