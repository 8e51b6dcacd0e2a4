"""Attention where the r query heads of each group share one key head and one value head."""

from __future__ import annotations

import sympy as sp

import symtheory as st

n, d, groups, r, h = st.dims("n d groups r h")
X = st.input("X", n, d)
Wq, Wo = st.param("Wq", groups, r, d, h), st.param("Wo", groups, r, h, d)
Wk, Wv = st.param("Wk", groups, 1, d, h), st.param("Wv", groups, 1, d, h)
Q, K, V = X @ Wq, X @ Wk, X @ Wv
heads = st.softmax(Q @ K.T / sp.sqrt(h)) @ V @ Wo
grouped_query_attention = st.Parametrization(heads.sum(axis=(0, 1)), name="grouped_query_attention")
