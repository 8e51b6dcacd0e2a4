"""A residual stream with a pre-norm block, with layer normalisation wherever it is read."""

from __future__ import annotations

import symtheory as st

v, d, h, k = st.dims("v d h k")
x = st.input("x", v)
E, U = st.param("E", d, v), st.param("U", k, d)
W1, W2 = st.param("W1", h, d), st.param("W2", d, h)
s = E @ x
s = s + W2 @ st.relu(W1 @ st.layer_norm(s))
residual_layer_norm = st.Parametrization(U @ st.layer_norm(s), name="residual_layer_norm")
