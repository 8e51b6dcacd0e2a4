"""(Q Kᵀ) V Wo: one head of attention without softmax, on n tokens of dimension d."""

from __future__ import annotations

import symtheory as st

n, d, h = st.dims("n d h")
X = st.input("X", n, d)
Wq, Wk, Wv, Wo = st.param("Wq", d, h), st.param("Wk", d, h), st.param("Wv", d, h), st.param("Wo", h, d)
Q, K, V = X @ Wq, X @ Wk, X @ Wv
linear_attention = st.Parametrization(Q @ K.T @ V @ Wo, name="linear_attention")
