"""Generate: everything that a declaration yields, as one module of plain torch functions."""

from symtheory.generation.generate import generate
from symtheory.generation.header import declaration_lines

__all__ = ["declaration_lines", "generate"]
