"""Equations as they are written: SymPy would first try to decide whether they are true, which takes long."""

from __future__ import annotations

import sympy as sp


def equation(left: sp.Basic, right: sp.Basic) -> sp.Eq:
    """left = right, unevaluated."""
    return sp.Eq(left, right, evaluate=False)
