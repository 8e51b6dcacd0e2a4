"""relu(Wᵀ W x + b): many features held in few hidden dimensions, a toy model of superposition."""

from __future__ import annotations

import symtheory as st

d, h = st.dims("d h")
x = st.input("x", d)
W, b = st.param("W", h, d), st.param("b", d)
superposition = st.Parametrization(st.relu(W.T @ (W @ x) + b), name="superposition")
