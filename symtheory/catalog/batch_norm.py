"""relu(γ ⊙ batch_norm(X Wᵀ + b) + β) Vᵀ: a hidden layer with batch normalisation, on a batch X of n samples."""

from __future__ import annotations

import symtheory as st

n, d, h, k = st.dims("n d h k")
X = st.input("X", n, d)
W, b = st.param("W", h, d), st.param("b", h)
gamma, beta = st.param("gamma", h), st.param("beta", h)
V = st.param("V", k, h)
z = st.batch_norm(X @ W.T + b)
batch_norm = st.Parametrization(st.relu(gamma * z + beta) @ V.T, name="batch_norm")
