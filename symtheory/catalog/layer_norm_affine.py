"""V (γ ⊙ layer_norm(W x + b) + β) + c: layer normalisation with gain and bias."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, b = st.param("W", h, d), st.param("b", h)
gamma, beta = st.param("gamma", h), st.param("beta", h)
V, c = st.param("V", k, h), st.param("c", k)
z = gamma * st.layer_norm(W @ x + b) + beta
layer_norm_affine = st.Parametrization(V @ z + c, name="layer_norm_affine")
