"""V (γ ⊙ rms_norm(W x)): root-mean-square normalisation with a gain."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, gamma, V = st.param("W", h, d), st.param("gamma", h), st.param("V", k, h)
rms_norm_gain = st.Parametrization(V @ (gamma * st.rms_norm(W @ x)), name="rms_norm_gain")
