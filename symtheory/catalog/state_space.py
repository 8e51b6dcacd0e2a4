"""C s with s ← A s + B x, three times: a linear recurrence that reads a sequence of vectors."""

from __future__ import annotations

import symtheory as st

d, h, k = st.dims("d h k")
x1, x2, x3 = st.input("x1", d), st.input("x2", d), st.input("x3", d)
A, B, C = st.param("A", h, h), st.param("B", h, d), st.param("C", k, h)
state = A @ (A @ (B @ x1) + B @ x2) + B @ x3
state_space = st.Parametrization(C @ state, name="state_space")
