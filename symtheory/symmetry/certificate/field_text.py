"""An affine vector field as one reads it: δu[0] = u[0], δv[0] = −v[0]."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from symtheory.symmetry.certificate.truncated_algebra import PRIME

LONGEST = 12
LARGEST_DENOMINATOR, LARGEST_NUMERATOR = 60, 5000
DIGITS = 4


def field_text(field: np.ndarray, names: Sequence[str], modulus: int | None) -> str:
    """field: (D, D + 1), M and b side by side, residues when there is a modulus; entries beyond a dozen are counted."""
    lines = []
    columns = [*names, ""]
    for name, row in zip(names, field, strict=True):
        terms = [
            _term(_number(value, modulus), variable) for value, variable in zip(row, columns, strict=True) if value
        ]
        if terms:
            lines.append(f"δ{name} = {_joined(terms)}")
    more = f", … ({len(lines)} entries move)" if len(lines) > LONGEST else ""
    return ", ".join(lines[:LONGEST]) + more


def _number(value: int | float, modulus: int | None) -> str:
    if modulus is None:
        return f"{round(float(value), DIGITS):g}"
    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        numerator = int(value) * denominator % PRIME
        signed = numerator - PRIME if numerator > PRIME // 2 else numerator
        if abs(signed) <= LARGEST_NUMERATOR:
            return str(Fraction(signed, denominator))
    return f"{value} (mod p)"


def _term(number: str, variable: str) -> str:
    if not variable:
        return number
    if number in ("1", "-1"):
        return number.replace("1", variable)
    return f"{number}·{variable}"


def _joined(terms: Sequence[str]) -> str:
    shown = list(terms[:LONGEST]) + (["…"] if len(terms) > LONGEST else [])
    return " + ".join(shown).replace("+ -", "− ").replace("-", "−")
