"""u1 ⊙ … ⊙ uk: every coefficient is a product of k parameters (k = 3 unless another number is asked for)."""

from __future__ import annotations

from functools import reduce
from operator import mul

import symtheory as st
from symtheory.errors import DeclarationError


def product_of(k: int) -> st.Parametrization:
    """The coordinatewise product of k ≥ 1 parameters of shape (d,)."""
    if k < 1:
        raise DeclarationError(f"a product needs at least one factor, not {k}")
    d = st.dims("d")
    factors = [st.param(f"u{index}", d) for index in range(1, k + 1)]
    return st.Parametrization(reduce(mul, factors), name="depth_product")


depth_product = product_of(3)
