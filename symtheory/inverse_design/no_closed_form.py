"""The one failure of a design that numbers can mend."""

from __future__ import annotations

from symtheory.errors import DerivationError


class NoClosedForm(DerivationError):
    """φ exists and SymPy has no closed form of it, or it needs a function that no operation computes."""
