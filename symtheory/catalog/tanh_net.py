"""V tanh(W x + b) + c: hidden units that allow no change of basis but permutations and flips of signs."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x = st.input("x", d)
W, b = st.param("W", h, d), st.param("b", h)
V, c = st.param("V", k, h), st.param("c", k)
tanh_net = st.Parametrization(V @ st.tanh(W @ x + b) + c, name="tanh_net")
