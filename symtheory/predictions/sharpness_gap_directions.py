"""What ``sharpness_gap`` says and generates of several critical directions."""

from __future__ import annotations

import sympy as sp

from symtheory.codegen.statements import Statements, function_source
from symtheory.predictions.critical_directions import (
    DRIFT_NOISE,
    MIXED,
    NOISE,
    SPREAD,
    directions_map,
    normal_conditions,
    oscillation_identity,
    sharpening_left,
    weighted_gap,
)
from symtheory.predictions.edge_gap import matrix_gap_relation
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.symbols import ETA

NOTES = (
    "Gamma, X, C: gap, oscillation and noise covariance of several critical directions, their step and tr(Gamma X) "
    "without momentum; X solves "
    "alpha_ij = ½ Σ_kl beta_ij_kl X_kl with beta_ij_kl = ⟨∇S_ij, ∇S_kl⟩; C = R Rᵀ; xi_i: standard normal",
    "P = x xᵀ: the equation in Y, P and C holds in the stationary mean, exactly; so does that for tr(Gamma X), with "
    "N = tr C, M_k = E |Yx|², V_k = E ⟨P − X, beta[P − X]⟩, N_s = tr(beta⁺ C_s), C_s the covariance of ∇S_ij·g",
    "the law of x and Y is normal in the limit, and Gamma X + X Gamma = eta C holds, where beta commutes with Y ↦ "
    "X Y + Y X: for two directions with unequal X_11, X_22 if the ∇S_ij are orthogonal; tr(Gamma X) = eta N/2 always",
    "alpha_left: what a direction of curvature h below the edge, with noise sigma_h of its own and chi = ⟨∇S, ∇h⟩, "
    "leaves of alpha; all of them take ½⟨∇³L[Sigma], ∇S⟩ off it, Sigma the covariance of the run in these directions",
)


def statements() -> list[sp.Basic]:
    """A step in two directions, the exact identities of any number, and when the leading order has a closed form."""
    return [
        *(equation(sp.Symbol(f"{symbol}'"), value) for symbol, value in directions_map(2).update.items()),
        oscillation_identity(),
        equation(sp.Function("tr")(sp.Symbol("Gamma X")), weighted_gap()),
        matrix_gap_relation(),
        equation(sp.Tuple(*normal_conditions()), sp.Tuple(0, 0, 0)),
        equation(sp.Symbol("alpha_left"), sharpening_left()),
    ]


def formulas(mechanism: str, source: str) -> dict[str, Formula | SourceFunction]:
    """The generated functions of several directions, whose names start with the mechanism's."""
    amplitudes, matrix, step = (f"{mechanism}_{name}" for name in ("amplitudes", "matrix", "directions_step"))
    return {
        amplitudes: SourceFunction(amplitudes, lambda: _amplitudes_source(amplitudes, source)),
        matrix: SourceFunction(matrix, lambda: _matrix_source(matrix, source)),
        step: SourceFunction(step, lambda: _step_source(step, source)),
        f"{mechanism}_directions_identity": Formula(
            weighted_gap(),
            "tr(ΓX) of several directions from moments of a run: exact in the normal form.",
            {"noise": NOISE, "mixed": MIXED, "spread": SPREAD, "drift_noise": DRIFT_NOISE},
            {"eta": ETA},
        ),
    }


def _step_source(name: str, source: str) -> str:
    """The step of ``directions_map`` for any number of directions; a test compares the two."""
    body = Statements(("x", "y", "xi", "alpha", "beta", "eta"))
    body.assign("moved", "(y @ x.unsqueeze(-1)).squeeze(-1)")
    body.assign("square", "x.unsqueeze(-1) * x.unsqueeze(-2)")
    body.assign("bent", 'torch.einsum("...ijkl,...kl->...ij", beta, square)')
    body.return_entries({"x": "eta * (xi - moved) - x", "y": "y + eta * (alpha - bent / 2)"})
    return function_source(
        f"{name}(x: Tensor, y: Tensor, xi: Tensor, alpha: Tensor, beta: Tensor, eta: float)",
        "One step in several directions: x' = ηξ − (I + ηY)x, Y' = Y + η(α − ½β[xxᵀ]).",
        [
            "x: positions, tensor ``(*batch, k)``.",
            "y: Hessian in these directions less 2/η, symmetric, tensor ``(*batch, k, k)``.",
            "xi: a draw of mean zero, with the covariance of the batch gradient, tensor ``(*batch, k)``.",
            "alpha: −∇L·∇S_ij, symmetric, tensor ``(*batch, k, k)``.",
            "beta: ⟨∇S_ij, ∇S_kl⟩, tensor ``(*batch, k, k, k, k)``.",
            "eta: step, a number.",
        ],
        'dict with "x", "y".',
        body.lines,
        source,
    )


def _amplitudes_source(name: str, source: str) -> str:
    body = Statements(("alpha", "beta"))
    body.assign("k", "alpha.shape[-1]")
    body.assign("gram", "beta.reshape(*beta.shape[:-4], k * k, k * k)")
    body.assign("solved", "torch.linalg.pinv(gram, hermitian=True) @ (2 * alpha).flatten(-2).unsqueeze(-1)")
    body.lines.append("    return solved.reshape(alpha.shape)")
    return function_source(
        f"{name}(alpha: Tensor, beta: Tensor)",
        "E xxᵀ of several critical directions, the X with alpha_ij = ½ Σ_kl beta_ijkl X_kl.",
        [
            "alpha: −∇L·∇S_ij, symmetric, tensor ``(*batch, k, k)``.",
            "beta: ⟨∇S_ij, ∇S_kl⟩, tensor ``(*batch, k, k, k, k)``.",
        ],
        "tensor ``(*batch, k, k)``; where it has a negative eigenvalue, fewer directions are critical.",
        body.lines,
        source,
        result="Tensor",
    )


def _matrix_source(name: str, source: str) -> str:
    body = Statements(("oscillation", "noise", "eta", "momentum"))
    body.assign("values, vectors", "torch.linalg.eigh(oscillation)")
    body.assign("rotated", "vectors.mT @ noise @ vectors")
    body.assign("gap", "eta / (1 - momentum) * rotated / (values.unsqueeze(-1) + values.unsqueeze(-2))")
    body.lines.append("    return vectors @ gap @ vectors.mT")
    return function_source(
        f"{name}(oscillation: Tensor, noise: Tensor, eta: float, momentum: float)",
        "Gap Γ of several critical directions, the solution of ΓX + XΓ = ηC/(1 − μ).",
        [
            "oscillation: X = E xxᵀ, positive definite, tensor ``(*batch, k, k)``.",
            "noise: C, covariance of the batch gradient in these directions, tensor ``(*batch, k, k)``.",
            "eta: step, a number.",
            "momentum: μ, a number.",
        ],
        "tensor ``(*batch, k, k)``.",
        body.lines,
        source,
        result="Tensor",
    )
