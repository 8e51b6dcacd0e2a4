"""V ((W x) ⊙ (U x)): a gated unit whose gate is linear."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, U, V = st.param("W", h, d), st.param("U", h, d), st.param("V", k, h)
bilinear = st.Parametrization(V @ ((W @ x) * (U @ x)), name="bilinear")
