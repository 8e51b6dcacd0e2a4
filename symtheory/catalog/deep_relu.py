"""W3 relu(W2 relu(W1 x + b1) + b2) + b3: a network with two hidden layers."""

from __future__ import annotations

import symtheory as st

d, h1, h2, k = st.dims("d h1 h2 k")
x = st.input("x", d)
W1, W2, W3 = st.param("W1", h1, d), st.param("W2", h2, h1), st.param("W3", k, h2)
b1, b2, b3 = st.param("b1", h1), st.param("b2", h2), st.param("b3", k)
z1 = st.relu(W1 @ x + b1)
z2 = st.relu(W2 @ z1 + b2)
deep_relu = st.Parametrization(W3 @ z2 + b3, name="deep_relu")
