"""Second moments of SGD on minibatches around a minimum: their noise grows with the fluctuations."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.codegen.layout import fold_statement
from symtheory.codegen.statements import Statements, function_source
from symtheory.errors import DerivationError
from symtheory.matrix_calculus.polynomial import Letter, collect, identity, letter, zero
from symtheory.matrix_calculus.symbols import SymmetricSymbol
from symtheory.predictions.equation import equation
from symtheory.predictions.stationary_second_moments import COVARIANCE, HESSIAN, NOISE, SIZE
from symtheory.predictions.symbols import ETA

BATCH, SAMPLES = sp.symbols("B N", integer=True, positive=True)
"""Samples a step, and samples in all."""

DRAWS = sp.Symbol("f", positive=True)
"""Variance of a batch's mean over that of one sample, see ``sampling_factor``."""


@cache
def sampling_factor(replacement: bool) -> sp.Expr:
    """1/B with replacement, (N − B)/(B(N − 1)) without, batches of different steps independent.

    The mean of B draws has the variance (v + (B − 1)c)/B, v that of one, c the covariance of two of them: 0 with
    replacement; without, all N draws add up to a constant, so that Nv + N(N − 1)c = 0.
    """
    single, pair = sp.symbols("v c")
    covariance = sp.S.Zero if replacement else sp.solve(SAMPLES * single + SAMPLES * (SAMPLES - 1) * pair, pair)[0]
    numerator, denominator = sp.fraction(sp.factor((single + (BATCH - 1) * covariance) / (BATCH * single)))
    return sp.expand(numerator) / denominator


@cache
def minibatch_relation() -> sp.Eq:
    """C = f (C_1 + S) in the place of the noise of ``matrix_relation``, S the mean of (H_i − H)Σ(H_i − H).

    The gradient of a batch at the minimum plus δ is g + (H + D)δ, g and D of mean zero and δ independent of them, of
    mean zero too. Of the second moment of δ − η(g + (H + D)δ) that leaves, beside those with H alone, η² g gᵀ and
    η² D Σ D, and each is f times its mean for one sample. Exact for quadratic losses. Derived here.
    """
    deviation = SymmetricSymbol("D", SIZE, SIZE)
    hessian, covariance, shaken = map(letter, (HESSIAN, COVARIANCE, deviation))
    step = identity(SIZE) - (hessian + shaken) * ETA
    one, spread = (sp.MatrixSymbol(name, SIZE, SIZE) for name in ("C_1", "S"))
    total = zero((SIZE, SIZE))
    for word, coefficient in step @ covariance @ step.T:
        if sum(isinstance(factor, Letter) and factor.symbol == deviation for factor in word) == 2:
            total = total + collect([(word, coefficient / ETA**2)], total.shape)
    if total != shaken @ covariance @ shaken:
        raise DerivationError("the noise of a batch adds other terms than D Σ D to the second moments")
    return equation(NOISE, DRAWS * (one + spread))


def minibatch_source(name: str, source: str) -> str:
    """Torch source of the covariance that solves both relations."""
    body = Statements(("hessians", "gradients", "eta", "batch_size", "replacement", "weight_decay", str(SAMPLES), "B"))
    body.assign(f"{SAMPLES}, size", "gradients.shape[-2:]")
    body.assign(str(BATCH), "batch_size")
    body.assign("draws", f"{sampling_factor(True)} if replacement else {sampling_factor(False)}")
    body.assign("hessian", "hessians.mean(-3)")
    body.assign("spread", "hessians - hessian.unsqueeze(-3)")
    body.assign("centred", "gradients - gradients.mean(-2, keepdim=True)")
    body.assign("noise", f"centred.mT @ centred / {SAMPLES}")
    body.assign("one", "torch.eye(size, dtype=hessians.dtype, device=hessians.device)")
    body.assign("kept", "one - eta * (hessian + weight_decay * one)")
    body.lines.append("    # Σ = KΣK + η² f (C + ⟨DΣD⟩), K = 1 − ηH and D = H_i − H, as one equation in its entries.")
    body.assign("moved", 'torch.einsum("...ij,...kl->...ikjl", kept, kept)')
    body.assign("shaken", f'torch.einsum("...nij,...nkl->...ikjl", spread, spread) / {SAMPLES}')
    body.assign("whole", 'torch.einsum("ij,kl->ikjl", one, one)')
    body.assign("operator", "(whole - moved - eta**2 * draws * shaken).flatten(-2).flatten(-3, -2)")
    body.assign("inverse", "torch.linalg.pinv(operator, hermitian=True)")
    body.assign("entries", "inverse @ (eta**2 * draws * noise).flatten(-2).unsqueeze(-1)")
    body.lines += fold_statement("return ", "entries.unflatten(-2, (size, size)).squeeze(-1)")
    return function_source(
        f"{name}(hessians: Tensor, gradients: Tensor, eta: float, batch_size: int, replacement: bool = True, "
        "weight_decay: float = 0.0)",
        "Stationary covariance of θ by independent minibatches alone, for quadratic losses.",
        [
            "hessians: of the single samples' losses, symmetric, tensor ``(*batch, N, D, D)``.",
            "gradients: of the single samples' losses at the minimum, tensor ``(*batch, N, D)``.",
            "eta: step, a number.",
            "batch_size: B, samples a step.",
            "replacement: whether a batch may hold a sample twice.",
            "weight_decay: λ, a number.",
        ],
        "tensor ``(*batch, D, D)``; zero in directions that no sample curves; no covariance, with a negative "
        "eigenvalue, where the second moments grow without bound.",
        body.lines,
        source,
        result="Tensor",
    )
