"""V leaky_relu(W x + b) + c: hidden units that never go quite silent."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, b = st.param("W", h, d), st.param("b", h)
V, c = st.param("V", k, h), st.param("c", k)
leaky_relu = st.Parametrization(V @ st.leaky_relu(W @ x + b) + c, name="leaky_relu")
