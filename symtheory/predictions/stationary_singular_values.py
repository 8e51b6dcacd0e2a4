"""Stationary law of the singular values of a product of two matrices under label noise around the target zero."""

from __future__ import annotations

from functools import partial

import sympy as sp

from symtheory.codegen.statements import function_source
from symtheory.errors import DerivationError
from symtheory.graph.shapes import Size
from symtheory.predictions.balanced_frame import OTHER, OWN, BalancedFrame
from symtheory.predictions.equation import equation
from symtheory.predictions.formula import Formula
from symtheory.predictions.log_spectrum import LogSpectrum
from symtheory.predictions.matrix_density_functions import NUMBERS, SOURCE, MatrixFunctions
from symtheory.predictions.matrix_step import COLUMNS, INNER, ROWS, MatrixStep
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.singular_value_diffusion import SingularValueDiffusion
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA, SIGMA, TEMPERATURE

MECHANISM = "stationary_density"
NORM = f"{MECHANISM}_norm"
PULL_OF_VALUES, NOISE_OF_VALUES, REPULSION = (f"{MECHANISM}_{part}" for part in ("restoring", "single", "repulsion"))

TOTAL = sp.Symbol("x", positive=True)
"""Σ_i s_i, the nuclear norm of W."""


def stationary_singular_values(subject: Subject, step: MatrixStep) -> Prediction:
    """Law of s_1 … s_h under SGD on ½‖W − σN‖², N of independent standard normal entries, as η → 0 at fixed ησ².

    The limits of a step's two conditional moments over η are those of a diffusion of W and of the charge C; the charge
    has no noise of its own. Where C = 0 stays, W alone is a diffusion, and perturbation of singular values to second
    order makes one of (s_1, …, s_h). With another target than zero their drift contains the singular vectors. Raises
    ``DerivationError`` where C = 0 does not stay or the law has no finite mass. Own derivation.
    """
    frame = BalancedFrame(step)
    rows, rank = _sizes(subject, frame)
    exponent, spectrum = SingularValueDiffusion(frame).log_density()
    declared = {ROWS: rows, INNER: rank}
    parts = (sp.sympify(part) for part in (spectrum.single, spectrum.sums, spectrum.gaps))
    own = LogSpectrum(*(part.subs(declared, simultaneous=True) for part in parts))
    room = sp.expand(own.single + 1)
    if room.is_nonpositive:
        raise DerivationError(
            f"at {rows}×{rows} of rank {rank} label noise takes the smallest singular value to 0: the exponent of its "
            f"density, {own.single}, is not above -1"
        )
    shape = rank * sp.together(sp.expand(own.degree(rank) / rank + 1))
    temperature = ETA * SIGMA**2
    i = sp.Symbol("i", integer=True)
    values = sp.IndexedBase("s")
    norm = sp.Sum(values[i], (i, 1, rank))
    scale = -sp.diff(exponent, OWN).subs(TEMPERATURE, temperature)
    density = sp.exp(-scale * norm) * own.density(values, rank) / sp.Symbol("Z", positive=True)
    functions = MatrixFunctions(MECHANISM, frame, subject.graph.parameters)
    return Prediction(
        mechanism=MECHANISM,
        title="Stationary law of singular values under label noise",
        statement=sp.Tuple(
            equation(sp.Function("p")(sp.Symbol("s")), density),
            equation(sp.Function("E")(norm), shape * temperature),
            equation(sp.Function("Var")(norm), shape * temperature**2),
        ),
        observable="W over independent replicas after relaxation, target zero",
        assumptions=(
            Assumption(
                "loss ½‖W − σN‖², N of fresh independent standard normal entries at every step, plain SGD", True
            ),
            Assumption(f"W is {rows}×{rows}, square, so that noise leaves a balanced gauge balanced", True),
            Assumption("balanced gauge: the noise has contracted the charge to zero", True),
            *(() if room.is_number else (Assumption(f"{room} > 0: else the smallest s goes to 0, without law", True),)),
            Assumption(f"{rank} singular values, no more than rows and columns; the others are 0 throughout", True),
            Assumption("stationarity has been reached", True),
        ),
        order="leading order in eta at fixed eta*sigma**2",
        measure="ds_1 … ds_h, in any order, s > 0; singular vectors uniform and independent of them",
        source=SOURCE,
        formulas={
            MECHANISM: SourceFunction(MECHANISM, partial(_source, scale, spectrum)),
            NORM: Formula(
                sp.expand((spectrum.degree(INNER) + INNER - 1) * sp.log(TOTAL) - scale * TOTAL),
                "log p of the nuclear norm Σ s_i, up to a constant: a Gamma law.",
                {"x": TOTAL},
                {"eta": ETA, "sigma": SIGMA, "rows": ROWS, "rank": INNER},
            ),
            **_moments(frame),
            **functions.all(),
        },
        parametrization=subject.name,
        notes=(
            "s: singular values of W; their sum, the nuclear norm, has a Gamma law",
            f"the drift of s_i, over eta*sigma**2, has the repulsion {_repulsion(frame)} from every other",
            "no closed density for a target Y != 0: the zero-flux condition then has a curl, that of <L^-1 Y, dW>, "
            f"L = J J^T, at L[U] and L[V]: {_shown(str(step.curl))}, Z = L^-1 Y",
        ),
    )


def _sizes(subject: Subject, frame: BalancedFrame) -> tuple[Size, Size]:
    """Rows of a square W and its rank. The charge at the gauge that noise leaves alone has to be one for all W."""
    n, m, h = frame.step.declared
    charge = frame.diagonal(frame.step.charge, OWN)
    left = sp.simplify(charge.subs({ROWS: n, COLUMNS: m}, simultaneous=True))
    if left != 0 and n.is_Integer and m.is_Integer:
        raise DerivationError(
            f"'{subject.name}' is {n}×{m}: the noise moves the charge with W, and the law of W alone is closed for "
            "square W only; joint_stationary_density has its mean and covariance around a target"
        )
    if sp.simplify(charge.subs(COLUMNS, ROWS)) != 0:
        raise DerivationError("the noise does not keep the charge of a square product at zero")
    size = n if n.is_Integer else m
    size = size if size.is_Integer else n
    return size, sp.Min(h, size) if h.is_Integer and size.is_Integer else h


def _repulsion(frame: BalancedFrame) -> sp.Expr:
    return sp.factor(SingularValueDiffusion(frame).repulsion.subs(COLUMNS, ROWS))


def _shown(text: str) -> str:
    return text.replace("~", "")


def _moments(frame: BalancedFrame) -> dict[str, Formula]:
    """What the drift of singular values is made of; the square root of their diffusion is √(ησ²) restoring."""
    values = SingularValueDiffusion(frame)
    sizes = {"rows": ROWS, "columns": COLUMNS}
    return {
        PULL_OF_VALUES: Formula(
            values.restoring,
            "The drift of s_i without noise over Y_ii − s_i; times √(ησ²) the root of its diffusion.",
            {"s_i": OWN},
            sizes,
        ),
        NOISE_OF_VALUES: Formula(
            values.single, "The drift of s_i by noise over ησ², alone.", {"s_i": OWN}, {**sizes, "rank": INNER}
        ),
        REPULSION: Formula(values.repulsion, "What s_j adds to it.", {"s_i": OWN, "s_j": OTHER}, sizes),
    }


def _source(scale: sp.Expr, spectrum: LogSpectrum) -> str:
    lines = spectrum.statements("s", {INNER: "s.shape[-1]", ROWS: "rows"})
    lines.append(f"    return total - ({scale}) * s.sum(-1)")
    return function_source(
        f"{MECHANISM}(s: Tensor, eta: float, sigma: float, rows: int)",
        "log p of all singular values up to a constant, with respect to ds_1 … ds_h.",
        ["s: singular values, tensor ``(*batch, h)``, positive.", *NUMBERS, "rows: n, the rows and columns of w."],
        "tensor ``(*batch)``.",
        lines,
        SOURCE,
        result="Tensor",
    )
