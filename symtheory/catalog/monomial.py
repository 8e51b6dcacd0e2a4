"""V (W x)³: hidden units with a power as activation."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, V = st.param("W", h, d), st.param("V", k, h)
monomial = st.Parametrization(V @ (W @ x) ** 3, name="monomial")
