"""A language model in small: embedding, an attention and a ReLU block behind RMS norms, and the output scores."""

from __future__ import annotations

import sympy as sp

import symtheory as st

n, v, d, h, m = st.dims("n v d h m")
X = st.input("X", n, v)
E, U = st.param("E", v, d), st.param("U", d, v)
Wq, Wk, Wv, Wo = st.param("Wq", d, h), st.param("Wk", d, h), st.param("Wv", d, h), st.param("Wo", h, d)
W1, W2 = st.param("W1", d, m), st.param("W2", m, d)

s = X @ E
z = st.rms_norm(s)
s = s + st.softmax((z @ Wq) @ (z @ Wk).T / sp.sqrt(h)) @ (z @ Wv) @ Wo
s = s + st.relu(st.rms_norm(s) @ W1) @ W2
transformer = st.Parametrization(st.rms_norm(s) @ U, name="transformer")
