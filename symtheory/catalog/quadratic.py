"""v · (W x)²: a quadratic form as a weighted sum of h squares."""

from __future__ import annotations

import symtheory as st

d, h = st.dims("d h")
x = st.input("x", d)
W, v = st.param("W", h, d), st.param("v", h)
quadratic = st.Parametrization(v @ (W @ x) ** 2, name="quadratic")
