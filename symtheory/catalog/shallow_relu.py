"""V relu(W x): a network with one hidden layer and no biases."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, V = st.param("W", h, d), st.param("V", k, h)
shallow_relu = st.Parametrization(V @ st.relu(W @ x), name="shallow_relu")
