"""What the ready blocks of numeric.sharpness are, declared; run to write the torch code that measures with them.

    python examples/sharpness/block_declarations.py numeric/sharpness/generated

A block of your own is declared and generated in the same way. A test holds the committed files to what this writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sympy as sp

import symtheory as st
from symtheory.catalog.hadamard import hadamard
from symtheory.catalog.low_rank import low_rank

# a heads of width h: n queries, m keys and values, each with features of its own; the output bias belongs to all heads.
a, h, n, m, dq, dk, dv, d = st.dims("a h n m dq dk dv d")
Xq, Xk, Xv = st.input("Xq", n, dq), st.input("Xk", m, dk), st.input("Xv", m, dv)
Wq, Wk, Wv, Wo = st.param("Wq", a, dq, h), st.param("Wk", a, dk, h), st.param("Wv", a, dv, h), st.param("Wo", a, h, d)
bq, bk, bv, bo = st.param("bq", a, h), st.param("bk", a, h), st.param("bv", a, h), st.param("bo", d)
Q, K, V = Xq @ Wq + bq.reshape(a, 1, h), Xk @ Wk + bk.reshape(a, 1, h), Xv @ Wv + bv.reshape(a, 1, h)
heads = st.softmax(Q @ K.T / sp.sqrt(h)) @ V @ Wo
attention_heads = st.Parametrization(heads.sum(axis=0) + bo, name="attention_heads")

k = st.dims("k")
x = st.input("x", d)
W1, b1, W2, b2 = st.param("W1", h, d), st.param("b1", h), st.param("W2", k, h), st.param("b2", k)
linear_pair = st.Parametrization(W2 @ (W1 @ x + b1) + b2, name="linear_pair")
relu_pair = st.Parametrization(W2 @ st.relu(W1 @ x + b1) + b2, name="relu_pair")

DECLARATIONS = (attention_heads, hadamard, linear_pair, low_rank, relu_pair)
METRICS = ("invariant", "mixed")
FUNCTIONS = ("act", "conserved", "check_domain", "inner", "sharp", "frame", "project_horizontal", "geodesic")


def main(folder: Path) -> None:
    """Write one module for every declaration and metric."""
    for declared in DECLARATIONS:
        for metric in METRICS:
            st.generate(declared, metric, only=FUNCTIONS).save(folder / f"{declared.name}_{metric}.py")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
