"""cumsum(u ⊙ v): every jump of a piecewise constant signal is a product of two parameters."""

from __future__ import annotations

import symtheory as st

d = st.dims("d")
u, v = st.param("u", d), st.param("v", d)
total_variation = st.Parametrization(st.cumsum(u * v), name="total_variation")
