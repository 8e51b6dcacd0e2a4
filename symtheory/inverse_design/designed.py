"""A parametrization that was designed, with the record of its design."""

from __future__ import annotations

from typing import Self

from symtheory.errors import DerivationError
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.python_source import python_source
from symtheory.parametrization import Parametrization
from symtheory.rendering import plain


class DesignedParametrization(Parametrization):
    """A declared graph like any other; ``design`` says what it was made for."""

    _design: Design | None = None

    @classmethod
    def of(cls, design: Design, name: str) -> Self:
        """The parametrization that a design declares."""
        made = cls(design.predictor, name=name)
        made._design = design
        return made

    @property
    def design(self) -> Design:
        """Target, mechanism, domain, assumptions, and how the forward road confirmed it."""
        if self._design is None:
            raise DerivationError(f"'{self.name}' was declared and not designed: make it with st.design")
        return self._design

    @property
    def domain(self) -> str:
        """The values that w takes, in words."""
        return self.design.domain

    @property
    def core(self) -> Parametrization:
        """The part below the fixed linear map, which is what the mechanism sees; the same where there is no map."""
        return Parametrization(self.design.core, name=self.name)

    def source(self, variable: str | None = None) -> str:
        """The declaration as a Python module."""
        return python_source(self, variable or self.name)

    def bind(self, **sizes: int) -> Self:
        """See ``ComputationGraph.bind``; the design stays with it."""
        bound = super().bind(**sizes)
        bound._design = self._design
        return bound

    def __str__(self) -> str:
        design = self.design
        lines = [f"{self.name}: {plain(design.target.expression)} by {design.mechanism}"]
        lines += [f"  Domain: {design.domain}", f"  Then {design.statement}"]
        lines += [f"  Assume {assumption}" for assumption in design.assumptions]
        lines += [f"  Confirmed: {design.confirmation}"]
        return "\n".join(lines)
