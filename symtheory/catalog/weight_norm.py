"""V relu(g ⊙ (W / ‖W‖) x + b): weight normalisation, where every unit has a direction W and a length g."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, g, b = st.param("W", h, d), st.param("g", h), st.param("b", h)
V = st.param("V", k, h)
weight_norm = st.Parametrization(V @ st.relu(g * (st.normalize(W) @ x) + b), name="weight_norm")
