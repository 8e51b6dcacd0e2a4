"""W3 (W2 (W1 x + b1) + b2) + b3: a deep network without activation."""

from __future__ import annotations

import symtheory as st

d, h1, h2, k = st.dims("d h1 h2 k")
x = st.input("x", d)
W1, W2, W3 = st.param("W1", h1, d), st.param("W2", h2, h1), st.param("W3", k, h2)
b1, b2, b3 = st.param("b1", h1), st.param("b2", h2), st.param("b3", k)
deep_linear = st.Parametrization(W3 @ (W2 @ (W1 @ x + b1) + b2) + b3, name="deep_linear")
