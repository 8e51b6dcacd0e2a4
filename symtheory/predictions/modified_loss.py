"""What a finite step adds to the loss, for gradient descent and for SGD with and without replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import sympy as sp

from symtheory.codegen.modified_field import render_field, render_loss, render_mean_field, render_mean_loss
from symtheory.graph.shapes import Shape
from symtheory.predictions.backward_error import mean_epoch_term, modified_field, penalty_factor
from symtheory.predictions.equation import equation
from symtheory.predictions.prediction import Assumption, Prediction
from symtheory.predictions.source_function import SourceFunction
from symtheory.predictions.subject import Subject
from symtheory.predictions.symbols import ETA

MECHANISM = "modified_loss"
SHUFFLED, FIELD, SHUFFLED_FIELD, SECOND = (
    f"{MECHANISM}_{part}" for part in ("shuffled", "field", "shuffled_field", "second_order")
)
ORDER = 2
SOURCE = "Barrett and Dherin 2021 (2009.11162); Smith et al. 2021 (2101.12176)"

LOSS = sp.Symbol("L", real=True)
SLOPE = sp.Symbol("norm_grad_L", nonnegative=True)
BATCH_SLOPE = sp.Symbol("norm_grad_L_B", nonnegative=True)
"""The loss, the norm of its gradient, and that of the loss of one batch."""


def derive(subject: Subject) -> Prediction:
    """The loss whose gradient flow a step of size η follows to the next order; for any graph. See ``backward_error``.

    Gradient descent is the map θ + ηf with f = −∇L. Of an epoch of SGD the mean over the batches is expanded in the
    same way: a pair of batches of a shuffled epoch is never one batch twice, and what it lacks is the mean over batches
    of f_b'f_b. Source: Barrett and Dherin (2009.11162), Smith et al. (2101.12176).
    """
    series = modified_field(ORDER)
    mean = sp.Function("E")(BATCH_SLOPE**2)
    descent = penalty_factor(series[1][((),)])
    (drawn, own_drawn), (shuffled, own_shuffled) = (mean_epoch_term(replacement) for replacement in (True, False))

    def modified(both: sp.Expr, own: sp.Expr) -> sp.Expr:
        return LOSS + ETA * (both * SLOPE**2 + own * mean)

    parameters = subject.graph.parameters
    own_penalty = penalty_factor(own_shuffled)
    return Prediction(
        mechanism=MECHANISM,
        title="Modified loss of a finite step",
        statement=sp.Tuple(
            equation(sp.Symbol("L_descent"), modified(descent, sp.Integer(0))),
            equation(sp.Symbol("L_shuffled"), modified(penalty_factor(shuffled), own_penalty)),
            equation(sp.Symbol("L_replacement"), modified(penalty_factor(drawn), penalty_factor(own_drawn))),
        ),
        observable="end point of gradient descent at a fixed time, and of one epoch of SGD over replicas",
        assumptions=(
            Assumption("plain steps: no momentum, no weight decay, no label noise, constant eta", True),
            Assumption("the loss is smooth along the way: no kink of a ReLU is crossed", True),
            Assumption("the time eta times steps is fixed while eta → 0", True),
            Assumption("L_shuffled: every batch comes once in an epoch, in uniformly random order", True),
            Assumption("L_replacement: batches are independent", True),
        ),
        order="end points of gradient descent to order eta**2 at a fixed time; means over one epoch of SGD to order "
        "eta**2, next errors eta**3",
        source=SOURCE,
        formulas=_functions(descent, own_penalty, series, parameters),
        parametrization=subject.name,
        notes=(
            "norm_grad_L is the norm of the gradient of the full loss L, E the mean over batches B",
            f"the next term of the flow is eta**2*({_text(series[2])}) with f = −grad L; it is no gradient in general",
            "with replacement the penalty of single batches is missing from the mean and acts as noise of variance "
            "order eta per unit of time",
        ),
    )


def _functions(
    descent: sp.Expr, shuffled: sp.Expr, series: Sequence[Mapping], parameters: Mapping[str, Shape]
) -> dict[str, SourceFunction]:
    sources = {
        MECHANISM: partial(render_loss, MECHANISM, descent, parameters, SOURCE),
        SHUFFLED: partial(render_mean_loss, SHUFFLED, shuffled, parameters, SOURCE),
        FIELD: partial(render_field, FIELD, series[:2], parameters, SOURCE),
        SECOND: partial(render_field, SECOND, series, parameters, SOURCE),
        SHUFFLED_FIELD: partial(render_mean_field, SHUFFLED_FIELD, SHUFFLED, parameters, SOURCE),
    }
    return {name: SourceFunction(name, make) for name, make in sources.items()}


def _text(series: Mapping) -> str:
    """A series of elementary differentials as one reads it."""
    return " + ".join(f"{weight}*{_tree_text(tree)}" for tree, weight in series.items())


def _tree_text(tree: tuple) -> str:
    inner = ", ".join(_tree_text(branch) for branch in tree)
    primes = "'" * len(tree)
    return f"f{primes}({inner})" if tree else "f"
