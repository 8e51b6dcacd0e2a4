"""U Uᵀ: a positive semidefinite matrix of rank at most h."""

from __future__ import annotations

import symtheory as st

n, h = st.dims("n h")
U = st.param("U", n, h)
tied_product = st.Parametrization(U @ U.T, name="tied_product")
