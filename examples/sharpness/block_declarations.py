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

# a heads of width h on n tokens of dimension d, each with its own matrices; the output bias belongs to all of them.
n, d, a, h, k = st.dims("n d a h k")
X = st.input("X", n, d)
Wq, Wk, Wv, Wo = (
    st.param(name, *shape) for name, shape in zip(("Wq", "Wk", "Wv", "Wo"), [(a, d, h)] * 3 + [(a, h, d)])
)
bq, bk, bv, bo = (st.param(name, *shape) for name, shape in zip(("bq", "bk", "bv", "bo"), [(a, h)] * 3 + [(d,)]))
Q, K, V = (X @ W + b.reshape(a, 1, h) for W, b in ((Wq, bq), (Wk, bk), (Wv, bv)))
heads = st.softmax(Q @ K.T / sp.sqrt(h)) @ V @ Wo
attention_heads = st.Parametrization(heads.sum(axis=0) + bo, name="attention_heads")

x = st.input("x", d)
W1, b1, W2, b2 = st.param("W1", h, d), st.param("b1", h), st.param("W2", k, h), st.param("b2", k)
linear_pair = st.Parametrization(W2 @ (W1 @ x + b1) + b2, name="linear_pair")
relu_pair = st.Parametrization(W2 @ st.relu(W1 @ x + b1) + b2, name="relu_pair")

DECLARATIONS = (attention_heads, hadamard, linear_pair, low_rank, relu_pair)
METRICS = ("invariant", "mixed")
FUNCTIONS = ("act", "conserved", "check_domain", "inner", "sharp", "frame", "project_horizontal", "geodesic")


def main(folder: Path) -> None:
    for declared in DECLARATIONS:
        for metric in METRICS:
            st.generate(declared, metric, only=FUNCTIONS).save(folder / f"{declared.name}_{metric}.py")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
