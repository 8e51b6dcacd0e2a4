"""softmax(Q Kᵀ / √h) V Wo + bo: one head of attention on n tokens of dimension d."""

from __future__ import annotations

import sympy as sp

import symtheory as st

n, d, h = st.dims("n d h")
X = st.input("X", n, d)
Wq, Wk, Wv, Wo = st.param("Wq", d, h), st.param("Wk", d, h), st.param("Wv", d, h), st.param("Wo", h, d)
bq, bk, bv, bo = st.param("bq", h), st.param("bk", h), st.param("bv", h), st.param("bo", d)
Q, K, V = X @ Wq + bq, X @ Wk + bk, X @ Wv + bv
weights = st.softmax(Q @ K.T / sp.sqrt(h))
attention = st.Parametrization(weights @ V @ Wo + bo, name="attention")
