"""A metric pulled back from the values of a predictor that mixes coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import sympy as sp

from symtheory.errors import CalculusError, MetricError
from symtheory.geometry.metrics import Pullback
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.subgraph import as_matrix
from symtheory.matrix_calculus.polynomial import letter, polynomial
from symtheory.matrix_calculus.trace_form import differential, trace


class PullbackGeometry:
    """⟨ξ, ζ⟩ = E_x ⟨Dφ[ξ], H Dφ[ζ]⟩ with the output metric H of a loss.

    Invariant under every symmetry of the predictor, and zero along orbits: it has no connection and no horizontal
    projection of its own. Dimensionless up to the units of the loss.
    """

    def __init__(self, graph: ComputationGraph, family: Pullback) -> None:
        self.graph = graph
        self.family = family
        self.name = family.name

    @property
    def metric(self) -> sp.Expr:
        """⟨ξ, ζ⟩ for one sample as a sum of traces, where φ is a sum of products of matrices and H is the identity.

        Raises ``CalculusError`` elsewhere: generated code takes derivatives of the predictor instead.
        """
        if self.family.loss != "squared":
            raise CalculusError(f"the {self.name} metric is no trace form of the parameters: generate its code instead")
        value = polynomial(as_matrix(self.graph.predictor))
        symbols = {s.name: s for s in value.symbols if isinstance(s, sp.MatrixSymbol)}
        along = []
        for prefix in ("xi", "zeta"):
            own = {n: sp.MatrixSymbol(f"{prefix}_{n}", *symbols[n].shape) for n in self.graph.parameters}
            along.append(differential(value, {symbols[n]: letter(tangent) for n, tangent in own.items()}))
        return trace(along[0] @ along[1].T).expression()

    def is_invariant(self) -> bool:
        """True: what leaves the predictor as it is leaves everything as it is that is measured by its values."""
        return True

    def christoffel_form(self, xi: Mapping[str, Any] | None = None) -> NoReturn:
        """Raises ``MetricError``: a metric that is zero along orbits has no connection."""
        self._refuse()

    def geodesic(self) -> NoReturn:
        """Raises ``MetricError``, see ``christoffel_form``."""
        self._refuse()

    @property
    def horizontal_projection(self) -> NoReturn:
        """Raises ``MetricError``: every tangent is orthogonal to orbits."""
        self._refuse()

    @property
    def refusal(self) -> str:
        """Why there is no connection and no projection."""
        return (
            f"the {self.name} metric is zero along orbits, so it has no connection and no projection of its own: use "
            "those of 'invariant' or 'mixed'"
        )

    def _refuse(self) -> NoReturn:
        raise MetricError(self.refusal)
