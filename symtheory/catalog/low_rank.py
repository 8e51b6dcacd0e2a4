"""G Hᵀ: a matrix of rank at most h as a product of two factors."""

from __future__ import annotations

import symtheory as st

n, m, h = st.dims("n m h")
G, H = st.param("G", n, h), st.param("H", m, h)
low_rank = st.Parametrization(G @ H.T, name="low_rank")
