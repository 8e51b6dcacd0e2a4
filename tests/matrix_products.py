"""Products of two matrices in several spellings, and one step of SGD on them written by hand."""

from __future__ import annotations

from functools import cache

from torch import Tensor

import symtheory as st

SPELLINGS = ("G @ H.T", "G @ H", "H.T @ G")


@cache
def product(spelling: str, n: int, m: int, h: int) -> st.Parametrization:
    """W (n×m) of rank at most h, of parameters called G and H."""
    first = st.param("H", h, n).T if spelling == "H.T @ G" else st.param("G", n, h)
    second = {"G @ H.T": lambda: st.param("H", m, h).T, "G @ H": lambda: st.param("H", h, m)}
    last = second.get(spelling, lambda: st.param("G", h, m))()
    return st.Parametrization(first @ last, name="product")


def factors(spelling: str, point: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """F₁ and F₂ of W = F₁F₂."""
    if spelling == "H.T @ G":
        return point["H"].mT, point["G"]
    return point["G"], point["H"].mT if spelling == "G @ H.T" else point["H"]


def after_step(first: Tensor, second: Tensor, error: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """F₁ and F₂ after a step with ∂loss/∂W = error."""
    return first - eta * error @ second.mT, second - eta * first.mT @ error
