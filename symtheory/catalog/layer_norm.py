"""V layer_norm(W x + b) + c: layer normalisation without gain and bias of its own."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, b = st.param("W", h, d), st.param("b", h)
V, c = st.param("V", k, h), st.param("c", k)
layer_norm = st.Parametrization(V @ st.layer_norm(W @ x + b) + c, name="layer_norm")
