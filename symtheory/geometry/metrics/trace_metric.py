"""A metric of the user's own on matrices, given as a trace form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.geometry.matrix.parse import parse_form
from symtheory.geometry.metrics.metric_family import MetricFamily

if TYPE_CHECKING:
    from symtheory.geometry.matrix.block_metric import BlockMetric
    from symtheory.geometry.matrix.model import MatrixModel
    from symtheory.graph.elementwise import ElementwiseModel


class TraceMetric(MetricFamily):
    """A metric given by ⟨ξ, ξ⟩ as a sum of traces of products of matrices.

    ``TraceMetric(sp.Trace((G.T*G)**-1 * dG.T*dG) + sp.Trace((H.T*H)**-1 * dH.T*dH), {"G": dG, "H": dH})``, with
    ``sp.MatrixSymbol`` named and shaped like the parameters (a vector is a column). Inverses, ``sp.DiagonalMatrix`` and
    powers of traces may occur.

    Args:
        form: scalar SymPy expression, quadratic in the velocities.
        velocities: parameter → symbol of its velocity.
        name: what reports call the metric.
    """

    def __init__(self, form: sp.Expr, velocities: Mapping[str, sp.MatrixSymbol], name: str = "custom") -> None:
        self.form = sp.sympify(form)
        self.velocities = dict(velocities)
        self.name = name

    def on(self, model: ElementwiseModel) -> sp.ImmutableMatrix:
        """Raises MetricError: on single coordinates a metric is a matrix."""
        from symtheory.errors import MetricError

        raise MetricError(f"the metric {self.name!r} is a trace form, and the graph acts on coordinates: use Metric")

    def blocks(self, model: MatrixModel) -> BlockMetric:
        """The products on either side of every velocity.

        Raises MetricError where the form is not quadratic, couples parameters, or names what is no parameter.
        """
        return parse_form(self.form, self.velocities, self.name, model)
