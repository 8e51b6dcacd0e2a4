"""symtheory.testing: Hypothesis strategies and named laws for the user's own tests.

Strategies: ``parametrizations``, ``points``, ``data``, ``tangents``, ``group_elements``. Laws are plain functions: they
return None, or raise ``AssertionError`` with the factor and the parameters at fault and how far off they are::

    @given(g=group_elements(P), point=points(P), data=data(P))
    def test_my_model(g, point, data):
        predictor_is_invariant(P, point, g, data, function=my_torch_function)

*Laws of a symmetry.* A law takes a bound ``Parametrization``, or a ``SymmetryGroup`` together with ``function=``.
Without ``function`` the declared graph is evaluated in float64 and torch stays unloaded; ``function=`` is a plain torch
function ``function(point: dict[str, Tensor], **inputs) -> Tensor`` (a generated module's ``predictor`` is one), or
another bound ``Parametrization``.

*Laws of a geometry.* They take a generated module, loaded or not, or a bound ``Parametrization``, for which one is
generated in the metric ``metric=``; then a point, tangents and group elements as the strategies draw them::

    @given(point=points(P), xi=tangents(P))
    def test_my_geometry(point, xi):
        christoffel_matches_metric(P, point, xi, metric="mixed")

of the metric: ``metric_is_symmetric``, ``metric_is_positive``, ``metric_is_invariant``; of the projection:
``projection_is_idempotent``, ``projection_is_self_adjoint``, ``projection_kills_vertical``,
``projection_keeps_the_differential``; of the connection: ``christoffel_matches_metric``, ``connection_is_metric``,
``connection_is_torsion_free``; of geodesics: ``geodesic_keeps_speed``, ``geodesic_keeps_horizontality``,
``geodesic_has_taylor_slope``; of the quotient: ``gradient_length_is_constant_on_orbits``,
``hessian_trace_is_constant_on_orbits``, ``hessian_follows_geodesics``; of the generated code:
``generated_equals_symbolic``. These load torch.

Tolerances are relative and can be set by ``tolerance=``; ``TOLERANCE`` is the default of most laws.

Needs Hypothesis: ``pip install 'symtheory[testing]'``.
"""

from __future__ import annotations

from symtheory.testing.arrays import data, points, tangents
from symtheory.testing.certificate import certificate_agrees
from symtheory.testing.connection_laws import (
    christoffel_matches_metric,
    connection_is_metric,
    connection_is_torsion_free,
)
from symtheory.testing.conservation import charge_is_conserved
from symtheory.testing.deviation import TOLERANCE
from symtheory.testing.elements import group_elements
from symtheory.testing.generators import generators_match_action
from symtheory.testing.geodesic_laws import (
    geodesic_has_taylor_slope,
    geodesic_keeps_horizontality,
    geodesic_keeps_speed,
)
from symtheory.testing.group_action import action_is_a_group_action
from symtheory.testing.horizontality import gradient_is_horizontal
from symtheory.testing.invariance import predictor_is_invariant
from symtheory.testing.metric_laws import metric_is_invariant, metric_is_positive, metric_is_symmetric
from symtheory.testing.projection_laws import (
    projection_is_idempotent,
    projection_is_self_adjoint,
    projection_keeps_the_differential,
    projection_kills_vertical,
)
from symtheory.testing.quotient_laws import (
    gradient_length_is_constant_on_orbits,
    hessian_follows_geodesics,
    hessian_trace_is_constant_on_orbits,
)
from symtheory.testing.random_graph import parametrizations
from symtheory.testing.symbolic_laws import generated_equals_symbolic

__all__ = [
    "TOLERANCE",
    "action_is_a_group_action",
    "certificate_agrees",
    "charge_is_conserved",
    "christoffel_matches_metric",
    "connection_is_metric",
    "connection_is_torsion_free",
    "data",
    "generated_equals_symbolic",
    "generators_match_action",
    "geodesic_has_taylor_slope",
    "geodesic_keeps_horizontality",
    "geodesic_keeps_speed",
    "gradient_is_horizontal",
    "gradient_length_is_constant_on_orbits",
    "group_elements",
    "hessian_follows_geodesics",
    "hessian_trace_is_constant_on_orbits",
    "metric_is_invariant",
    "metric_is_positive",
    "metric_is_symmetric",
    "parametrizations",
    "points",
    "predictor_is_invariant",
    "projection_is_idempotent",
    "projection_is_self_adjoint",
    "projection_keeps_the_differential",
    "projection_kills_vertical",
    "tangents",
]
