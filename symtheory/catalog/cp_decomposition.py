"""Σ_r A_ir B_jr C_kr: a tensor of rank at most h as a sum of h products of three vectors."""

from __future__ import annotations

import symtheory as st

n, m, k, h = st.dims("n m k h")
A, B, C = st.param("A", n, h), st.param("B", m, h), st.param("C", k, h)
pairs = A.reshape(n, 1, h) * B
cp_decomposition = st.Parametrization(pairs @ C.T, name="cp_decomposition")
