"""Stationary mean and covariance of a product of two matrices around a target of its rank, under label noise."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.codegen.statements import Statements, function_source
from symtheory.predictions.balanced_frame import OTHER, OWN, BalancedFrame
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.matrix_density_functions import (
    NUMBERS,
    ROUNDINGS,
    SOURCE,
    TARGET_ENTRY,
    MatrixFunctions,
)
from symtheory.predictions.matrix_step import COLUMNS, INNER, ROWS, MatrixStep
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.singular_value_diffusion import SingularValueDiffusion
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, SIGMA

MECHANISM = "joint_stationary_density"
KERNEL, VARIANCE, SHIFT = (f"{MECHANISM}_{part}" for part in ("kernel", "variance", "shift"))
ALONE, PAIR = f"{MECHANISM}_value_shift", f"{MECHANISM}_value_repulsion"
MEAN, FRAME, VALUES = (f"{MECHANISM}_{part}" for part in ("mean", "frame_variance", "singular_values"))


def joint_matrix_moments(subject: Subject, step: MatrixStep) -> Prediction:
    """Mean and covariance of W under SGD on ½‖W − Y − σN‖², and the mean of its singular values.

    The drift −L[W − Y] and the noise √(ησ²) L[dN] have no stationary density in closed form for Y ≠ 0. Around the
    minimum L acts on every entry of the frame of Y's singular vectors by itself, so that the Lyapunov equation is one
    of numbers, also at a finite step; the mean balances the terms of order ησ² in the drift. The charge is that
    which noise leaves alone on average: it moves far more slowly than W. Own derivation; the charge as in Ziyin et al.
    (2402.07193).
    """
    frame = BalancedFrame(step)
    values = SingularValueDiffusion(frame)
    n, m, h = step.declared
    rank = sp.Min(n, m, h) if all(size.is_Integer for size in step.declared) else h
    sizes = {ROWS: n, COLUMNS: m, INNER: rank}
    temperature = ETA * SIGMA**2
    i, j = sp.symbols("i j", integer=True)
    singular = sp.IndexedBase("s")
    indexed = {**sizes, OWN: singular[i], OTHER: singular[j]}

    def shown(expression: sp.Expr) -> sp.Expr:
        return sp.sympify(expression).subs(indexed, simultaneous=True)

    mean, variance = sp.Function("E"), sp.Function("Var")
    entry = sp.IndexedBase("W")
    pair = sp.Sum(shown(values.mean_pair), (j, 1, i - 1)) + sp.Sum(shown(values.mean_pair), (j, i + 1, rank))
    return Prediction(
        mechanism=MECHANISM,
        title="Joint stationary mean and covariance of a matrix under label noise",
        statement=sp.Tuple(
            equation(mean(entry[i, i]), singular[i] + temperature * shown(frame.shift)),
            equation(variance(entry[i, j]), shown(frame.variance)),
            equation(
                mean(sp.Function("s_i")(sp.Symbol("W"))), singular[i] + temperature * (shown(values.mean_single) + pair)
            ),
            equation(step.charge_drift.expression().xreplace({ROWS: n, COLUMNS: m, INNER: h}), sp.ZeroMatrix(h, h)),
        ),
        observable="W over independent replicas after relaxation, around a target Y of the rank of W",
        assumptions=(
            Assumption(
                "loss ½‖W − Y − σN‖², N of fresh independent standard normal entries at every step, plain SGD, one "
                "sample a step (for a mean over B samples σ²/B replaces σ²)",
                True,
            ),
            Assumption(f"Y has rank {rank}: some point fits it, and no direction of the minimum is degenerate", True),
            Assumption("gauge of the last relation: the noise has moved the charge there", True),
            Assumption(
                "fluctuations of W small beside its singular values, for the third relation also their gaps", True
            ),
            Assumption("stationarity has been reached", True),
        ),
        order="leading order in eta*sigma**2; the variances at any fixed eta",
        source=SOURCE,
        formulas={
            KERNEL: Formula(frame.kernel, "K_ij, eigenvalue of JJᵀ on W_ij at the minimum.", _PAIR, _SIZES),
            VARIANCE: Formula(frame.variance, "Variance of W_ij.", _PAIR, {"eta": ETA, "sigma": SIGMA, **_SIZES}),
            SHIFT: Formula(frame.shift, "(E W_ii − s_i)/(ησ²).", {"s_i": OWN}, _SIZES),
            ALONE: Formula(
                values.mean_single, "(E σ_i − s_i)/(ησ²) without pairs.", {"s_i": OWN}, {**_SIZES, "rank": INNER}
            ),
            PAIR: Formula(values.mean_pair, "What s_j adds to it.", _PAIR, _SIZES),
            MEAN: SourceFunction(MEAN, _mean),
            FRAME: SourceFunction(FRAME, _frame_variance),
            VALUES: SourceFunction(VALUES, _singular_values),
            **MatrixFunctions(MECHANISM, frame, subject.graph.parameters).all(),
        },
        parametrization=subject.name,
        notes=(
            "W_ij: the entry u_i W v_j between singular vectors of Y, i a row and j a column; s_i: singular value of "
            "Y, 0 beyond its rank, beyond which W_ij has no variance to this order",
            "different entries are uncorrelated to this order, and E(W_ij) = 0 off the diagonal",
            "s_i(W): singular value of W; those of Y are to be all different there",
            *(_NO_DENSITY if step.curl else ()),
        ),
    )


_NO_DENSITY = (
    "no closed density: the zero-flux condition has a curl for Y != 0; at Y = 0 and W square, stationary_density has "
    "the law of the singular values",
)
_PAIR = {"s_i": OWN, "s_j": OTHER}
_SIZES = {"rows": ROWS, "columns": COLUMNS}


def _spectrum(body: Statements) -> None:
    """Statements that leave ``left``, ``values``, ``right`` and ``living``, which singular values are not zero."""
    body.assign(f"{ROWS}, {COLUMNS}", "y.shape[-2:]")
    body.assign("left, values, right", "torch.linalg.svd(y, full_matrices=False)")
    body.assign("rounding", f"{ROUNDINGS} * torch.finfo(y.dtype).eps * values.amax(-1, keepdim=True)")
    body.assign("living", "values > rounding")


def _mean() -> str:
    body = _body()
    body.assign("shift", f"living.to(y.dtype) * {SHIFT}(values, {ROWS}, {COLUMNS})")
    body.lines.append("    return y + eta * sigma**2 * (left * shift.unsqueeze(-2)) @ right")
    return _source(MEAN, "Mean of w to leading order in ησ².", "tensor ``(*batch, n, m)``.", body.lines)


def _frame_variance() -> str:
    body = _body()
    body.assign("values", "values * living")
    body.assign("row", f"torch.nn.functional.pad(values, (0, {ROWS} - values.shape[-1])).unsqueeze(-1)")
    body.assign("column", f"torch.nn.functional.pad(values, (0, {COLUMNS} - values.shape[-1])).unsqueeze(-2)")
    body.lines.append(f"    return {VARIANCE}(row, column, eta, sigma, {ROWS}, {COLUMNS})")
    return _source(
        FRAME,
        "Variances of the entries u_i W v_j between the singular vectors of y, to leading order in ησ².",
        "tensor ``(*batch, n, m)``; zero beyond the rank of y.",
        body.lines,
    )


def _singular_values() -> str:
    body = _body()
    body.assign("rank", "living.sum(-1, keepdim=True)")
    body.assign("total", f"{ALONE}(values, {ROWS}, {COLUMNS}, rank)")
    body.assign("own, other", "torch.broadcast_tensors(values.unsqueeze(-1), values.unsqueeze(-2))")
    body.assign("apart", "living.unsqueeze(-2) & ~torch.eye(values.shape[-1], dtype=torch.bool, device=y.device)")
    # Singular values meet no zero in a denominator where they are not used.
    body.assign("other", "torch.where(apart, other, 2 * own + 1)")
    body.assign("pairs", f"torch.where(apart, {PAIR}(own, other, {ROWS}, {COLUMNS}), 0.0).sum(-1)")
    body.lines.append("    return torch.where(living, values + eta * sigma**2 * (total + pairs), 0.0)")
    return _source(
        VALUES,
        "Means of the singular values of w to leading order in ησ², in the order of those of y, all different.",
        "tensor ``(*batch, min(n, m))``; zero beyond the rank of y, where the mean is of higher order.",
        body.lines,
    )


def _body() -> Statements:
    body = Statements(("y", "eta", "sigma"))
    _spectrum(body)
    return body


def _source(name: str, summary: str, returns: str, lines: Sequence[str]) -> str:
    return function_source(
        f"{name}(y: Tensor, eta: float, sigma: float)",
        summary,
        [TARGET_ENTRY, *NUMBERS],
        returns,
        lines,
        SOURCE,
        result="Tensor",
    )
