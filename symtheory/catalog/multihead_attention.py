"""Attention with several heads, cut by a reshape out of matrices that hold all of them."""

from __future__ import annotations

import sympy as sp

import symtheory as st
from symtheory.graph.node import Node

n, d, heads, h = st.dims("n d heads h")
X = st.input("X", n, d)
Wq, Wk, Wv = st.param("Wq", d, heads * h), st.param("Wk", d, heads * h), st.param("Wv", d, heads * h)
bq, bk, bv = st.param("bq", heads * h), st.param("bk", heads * h), st.param("bv", heads * h)
Wo, bo = st.param("Wo", heads * h, d), st.param("bo", d)


def split(Z: Node) -> Node:
    """From (n, heads·h) to (heads, n, h)."""
    return Z.reshape(n, heads, h).transpose(1, 0, 2)


Q, K, V = split(X @ Wq + bq), split(X @ Wk + bk), split(X @ Wv + bv)
mixed = st.softmax(Q @ K.T / sp.sqrt(h)) @ V
joined = mixed.transpose(1, 0, 2).reshape(n, heads * h)
multihead_attention = st.Parametrization(joined @ Wo + bo, name="multihead_attention")
