"""A torch function of a prediction that is written as source, since no expression of one coordinate says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceFunction:
    """make: returns the function's text, ending in a newline. It is asked when the source is wanted, so that a
    statement at symbolic size stands even where its source needs the sizes; then it raises ``CodegenError``.
    """

    name: str
    make: Callable[[], str]

    def torch_function(self, name: str, source: str) -> SourceFunction:
        """Itself, as a ``Formula`` gives the function to be printed."""
        return self

    def render(self) -> str:
        return self.make()
