"""A residual stream with a pre-norm block, normalised by its root mean square wherever it is read."""

from __future__ import annotations

import symtheory as st

v, d, h, k = st.dims("v d h k")
x = st.input("x", v)
E, U = st.param("E", d, v), st.param("U", k, d)
W1, W2 = st.param("W1", h, d), st.param("W2", d, h)
s = E @ x
s = s + W2 @ st.relu(W1 @ st.rms_norm(s))
residual_rms_norm = st.Parametrization(U @ st.rms_norm(s), name="residual_rms_norm")
