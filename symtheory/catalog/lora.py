"""(W0 + B A) x: a fixed matrix with a trained correction of low rank, as in LoRA."""

from __future__ import annotations

import symtheory as st

d, k, r = st.dims("d k r")
x = st.input("x", d)
W0 = st.constant("W0", k, d)
A, B = st.param("A", r, d), st.param("B", k, r)
lora = st.Parametrization((W0 + B @ A) @ x, name="lora")
