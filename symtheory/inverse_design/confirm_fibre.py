"""The forward road for designs by products: the smallest ‖θ‖² or tr JJᵀ over a fibre, by a general solver.

It uses what was declared alone: the predictor in explicit components at a small size, and its derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.node import Node
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.target import SIZE
from symtheory.lazy_module import LazyModule
from symtheory.parametrization import Parametrization

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

CLOSE = 1e-6  # relative; SLSQP leaves the value accurate to about the root of its own tolerance of 1e-13
POINTS, STARTS = 3, 6
ON_FIBRE = 1e-8


@dataclass(frozen=True)
class FibreProblem:
    """min f(θ) over φ(θ) = w in numbers: functions of θ (D,); predictor: (m,) and its jacobian (m, D)."""

    dimension: int
    objective: Callable[[Any], Any]
    gradient: Callable[[Any], Any]
    predictor: Callable[[Any], Any]
    jacobian: Callable[[Any], Any]

    @classmethod
    def of(cls, parametrization: Parametrization, mechanism: str) -> FibreProblem:
        """‖θ‖² for weight decay, tr JJᵀ for label noise; the sizes must be bound."""
        outputs = sp.Matrix(list(parametrization.components().ravel()))
        theta = sorted(outputs.free_symbols, key=str)
        jacobian = outputs.jacobian(theta)
        squares = theta if mechanism == "weight_decay" else list(jacobian)
        objective = sp.Add(*(entry**2 for entry in squares))
        gradient = [sp.diff(objective, symbol) for symbol in theta]

        def numeric(expression: Any) -> Callable[[Any], Any]:
            function = sp.lambdify([theta], expression, "numpy")
            return lambda point: np.asarray(function(point), dtype=float)

        return cls(
            len(theta), numeric(objective), numeric(gradient), numeric(list(outputs)), numeric(jacobian.tolist())
        )

    def minimum(self, generator: np.random.Generator) -> tuple[Any, float]:
        """w (m,) of a random point, and the smallest objective found on its fibre from several starts."""
        from scipy.optimize import minimize

        reached = self.predictor(generator.normal(size=self.dimension))
        constraint = {"type": "eq", "fun": lambda point: self.predictor(point) - reached, "jac": self.jacobian}
        best = np.inf
        for _ in range(STARTS):
            found = minimize(
                self.objective,
                generator.normal(size=self.dimension),
                jac=self.gradient,
                constraints=constraint,
                method="SLSQP",
                options={"ftol": 1e-13, "maxiter": 500},
            )
            if np.abs(self.predictor(found.x) - reached).max() < ON_FIBRE:
                best = min(best, float(found.fun))
        return reached, best


def confirm_fibre(design: Design, small: Node) -> str:
    """How the minima over fibres gave the target back, in words; small: the same declaration at small sizes.

    Raises ``DerivationError`` where they do not.
    """
    bound = Parametrization(small, name="designed")
    problem = FibreProblem.of(bound, design.mechanism)
    penalty = sp.lambdify(SIZE, design.target.positive, "numpy")
    generator = np.random.default_rng(20)
    shape = [int(size) for size in small.shape]
    for _ in range(POINTS):
        reached, best = problem.minimum(generator)
        w = reached.reshape(shape)
        values = np.linalg.norm(w, axis=-1) if design.of == "groups" else np.linalg.svd(w, compute_uv=False)
        wanted = float(np.sum(penalty(values)))
        if not abs(best - wanted) <= CLOSE * wanted:
            raise DerivationError(
                f"the smallest objective on a fibre of this declaration is {best:.8g}, and the target is {wanted:.8g}"
            )
    size = " × ".join(map(str, shape))
    return f"the minimum over the fibre, by SLSQP at {POINTS} random points of size {size}, is the target to {CLOSE:g}"
