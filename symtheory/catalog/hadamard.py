"""u ⊙ v: every coefficient is a product of two parameters."""

from __future__ import annotations

import symtheory as st

d = st.dims("d")
u, v = st.param("u", d), st.param("v", d)
hadamard = st.Parametrization(u * v, name="hadamard")
