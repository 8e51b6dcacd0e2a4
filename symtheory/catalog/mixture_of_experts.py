"""Σ_e softmax(R x)_e W2_e relu(W1_e x): a router weighs the outputs of m experts."""

from __future__ import annotations

import symtheory as st

d, m, h, k = st.dims("d m h k")
x = st.input("x", d)
R, W1, W2 = st.param("R", m, d), st.param("W1", m, h, d), st.param("W2", m, k, h)
hidden = st.relu(W1 @ x)
experts = (W2 @ hidden.reshape(m, h, 1)).reshape(m, k)
mixture_of_experts = st.Parametrization(st.softmax(R @ x) @ experts, name="mixture_of_experts")
