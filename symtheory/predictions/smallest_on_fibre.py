"""What a mechanism minimises along fibres, by whichever road has a closed form."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.fibre_minimum import FibreMinimum, fibre_minimum
from symtheory.predictions.separable_minimum import separable_minimum, separable_parts


def smallest_on_fibre(model: ElementwiseModel, objective: sp.Expr) -> FibreMinimum:
    """min f(θ) over φ(θ) = w: on orbits of a torus, else for one or two copies of a function of one parameter.

    Raises ``DerivationError`` where neither has a closed form.
    """
    try:
        return fibre_minimum(model, objective)
    except DerivationError:
        if not _is_separable(model):
            raise
    return separable_minimum(model, objective)


def _is_separable(model: ElementwiseModel) -> bool:
    try:
        return len(separable_parts(model.predictor, model.coordinates)) <= 2
    except DerivationError:
        return False
