"""E (s + W2 relu(W1 s)) with s = Eᵀ x: the embedding of v symbols is also what reads the output."""

from __future__ import annotations

import symtheory as st

v, d, h = st.dims("v d h")
x = st.input("x", v)
E = st.param("E", v, d)
W1, W2 = st.param("W1", h, d), st.param("W2", d, h)
s = E.T @ x
s = s + W2 @ st.relu(W1 @ s)
tied_embedding = st.Parametrization(E @ s, name="tied_embedding")
