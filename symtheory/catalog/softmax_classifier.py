"""softmax(W x + b): logistic regression with one score for each of k classes."""

from __future__ import annotations

import symtheory as st

d, k = st.dims("d k")
x = st.input("x", d)
W, b = st.param("W", k, d), st.param("b", k)
softmax_classifier = st.Parametrization(st.softmax(W @ x + b), name="softmax_classifier")
