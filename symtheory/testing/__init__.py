"""symtheory.testing: Hypothesis strategies and named laws for the user's own tests.

Strategies: ``parametrizations``, ``points``, ``data``, ``tangents``, ``group_elements``. Laws are plain functions: they
return None, or raise ``AssertionError`` with the factor and the parameters at fault and how far off they are::

    @given(g=group_elements(P), point=points(P), data=data(P))
    def test_my_model(g, point, data):
        predictor_is_invariant(P, point, g, data, function=my_torch_function)

A law takes a bound ``Parametrization``, or a ``SymmetryGroup`` together with ``function=``. Without ``function`` the
declared graph is evaluated in float64 and torch stays unloaded; ``function=`` is a plain torch function
``function(point: dict[str, Tensor], **inputs) -> Tensor`` (a generated module's ``predictor`` is one), or another bound
``Parametrization``. Tolerances are relative and can be set by ``tolerance=``; ``TOLERANCE`` is the default.

Needs Hypothesis: ``pip install 'symtheory[testing]'``.
"""

from __future__ import annotations

from symtheory.testing.arrays import data, points, tangents
from symtheory.testing.certificate import certificate_agrees
from symtheory.testing.conservation import charge_is_conserved
from symtheory.testing.deviation import TOLERANCE
from symtheory.testing.elements import group_elements
from symtheory.testing.generators import generators_match_action
from symtheory.testing.group_action import action_is_a_group_action
from symtheory.testing.horizontality import gradient_is_horizontal
from symtheory.testing.invariance import predictor_is_invariant
from symtheory.testing.random_graph import parametrizations

__all__ = [
    "TOLERANCE",
    "action_is_a_group_action",
    "certificate_agrees",
    "charge_is_conserved",
    "data",
    "generators_match_action",
    "gradient_is_horizontal",
    "group_elements",
    "parametrizations",
    "points",
    "predictor_is_invariant",
    "tangents",
]
