"""U (s + W2 relu(W1 s)) with s = E x: a residual stream that a block reads from and adds to."""

from __future__ import annotations

import symtheory as st

v, d, h, k = st.dims("v d h k")
x = st.input("x", v)
E, U = st.param("E", d, v), st.param("U", k, d)
W1, W2 = st.param("W1", h, d), st.param("W2", d, h)
s = E @ x
s = s + W2 @ st.relu(W1 @ s)
residual = st.Parametrization(U @ s, name="residual")
