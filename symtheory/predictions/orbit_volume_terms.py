"""What all statements about orbit volume share: symbols, assumptions, the density on a slice."""

from __future__ import annotations

import sympy as sp

from symtheory.predictions.equation import equation
from symtheory.predictions.prediction import Assumption
from symtheory.predictions.symbols import TEMPERATURE

MECHANISM = "orbit_volume"
TITLE = "Orbit volume under isotropic Langevin noise"
GENERATORS, CHARGES = f"{MECHANISM}_generators", f"{MECHANISM}_charges"
SOURCE = "Aladrah et al. 2026 (2601.06597); laws in other coordinates derived here"
ORDER = "exact for the Langevin diffusion; for its Euler–Maruyama steps leading order in eta"
OBSERVABLE = "functions of the parameters over independent replicas after relaxation, charges held near constants"

THETA = sp.Symbol("theta")
LOSS = sp.Function("L")
CHARGE_VOLUME, GENERATOR_VOLUME = sp.Function("V"), sp.Function("U")
"""½ log det of the Gram matrix of the charges' gradients, and of the generators' fields."""

LANGEVIN = Assumption(
    "isotropic Langevin noise, dθ = −∇L dt + √(2T) dW; not minibatch noise, which is horizontal and not isotropic", True
)
STATIONARY = Assumption("stationarity has been reached, and exp(−L/T) has finite mass on the slice", True)
NARROW = Assumption("charges are held at constants, as by κ‖c − c₀‖²/2 in the loss with κ → ∞", True)
REGULAR = Assumption("the charges' gradients are independent along the slice: it is a manifold there", True)

DIFFERENCE = (
    "V is about slices: conditioned on c = const the density carries det(∇c ∇cᵀ)^(−1/2). U is about orbits: det of the "
    "generators' Gram matrix to the power ½ is their volume element, by which a marginal over compact orbits is "
    "multiplied; noncompact orbits have infinite volume"
)
AGREEMENT = (
    "a symmetric generator A has ∇c_A = 2 X_A, so that V − U is a constant where all generators are symmetric; "
    "antisymmetric ones conserve nothing and enter U alone"
)


def slice_density() -> sp.Eq:
    """p(θ) = exp(−L(θ)/T − V(θ))/Z on a slice."""
    exponent = -LOSS(THETA) / TEMPERATURE - CHARGE_VOLUME(THETA)
    return equation(sp.Function("p")(THETA), sp.exp(exponent) / sp.Symbol("Z", positive=True))
