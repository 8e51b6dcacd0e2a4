"""u ⊙ u − v ⊙ v: every coefficient is a difference of two squares."""

from __future__ import annotations

import symtheory as st

d = st.dims("d")
u, v = st.param("u", d), st.param("v", d)
squared_difference = st.Parametrization(u * u - v * v, name="squared_difference")
