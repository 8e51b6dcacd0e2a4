"""V rms_norm(W x): root-mean-square normalisation without a gain."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, V = st.param("W", h, d), st.param("V", k, h)
rms_norm = st.Parametrization(V @ st.rms_norm(W @ x), name="rms_norm")
