"""V (silu(W x) ⊙ (U x)): the gated unit of most language models."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, U, V = st.param("W", h, d), st.param("U", h, d), st.param("V", k, h)
swiglu = st.Parametrization(V @ (st.silu(W @ x) * (U @ x)), name="swiglu")
