"""A prediction: a statement about training, with everything one needs to doubt it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

import sympy as sp

from symtheory.codegen.function import TorchFunction, render_imports
from symtheory.codegen.helpers import helpers_called
from symtheory.codegen.load import load_source
from symtheory.predictions.formula import Formula
from symtheory.predictions.source_function import SourceFunction
from symtheory.rendering import latex, plain


@dataclass(frozen=True)
class Assumption:
    """What the statement rests on; checkable when a run can measure it."""

    text: str
    checkable: bool

    def __str__(self) -> str:
        return f"{self.text} [{'checkable' if self.checkable else 'not checkable by a run'}]"


@dataclass(frozen=True)
class Prediction:
    """A statement derived from a declaration. All quantities are dimensionless.

    mechanism: its name in the registry; title: one line in words; statement: a SymPy relation or a ``Tuple`` of them;
    observable: what a run must record to decide it; assumptions; order: "exact", or leading order in what;
    measure: the reference measure of a density, else None; source: author, year, arXiv number;
    formulas: what generated code evaluates, by function name; parametrization: the name of the declaration; called:
    functions of the generated module that the formulas call.
    """

    mechanism: str
    title: str
    statement: sp.Basic
    observable: str
    assumptions: tuple[Assumption, ...]
    order: str
    source: str
    formulas: Mapping[str, Formula | SourceFunction]
    parametrization: str
    measure: str | None = None
    notes: tuple[str, ...] = field(default=())
    called: tuple[SourceFunction, ...] = field(default=())

    @property
    def relations(self) -> tuple[sp.Basic, ...]:
        """The statement's relations one by one."""
        return tuple(self.statement) if isinstance(self.statement, sp.Tuple) else (self.statement,)

    def latex(self) -> str:
        """The statement as LaTeX, one relation a line (gathered)."""
        rows = " \\\\\n".join(map(latex, self.relations))
        return f"\\begin{{gathered}}\n{rows}\n\\end{{gathered}}" if len(self.relations) > 1 else rows

    def torch_functions(self) -> tuple[TorchFunction | SourceFunction, ...]:
        """The formulas as functions to be printed; the one named as the mechanism comes first where there is one."""
        return tuple(formula.torch_function(name, self.source) for name, formula in self.formulas.items())

    def load(self) -> ModuleType:
        """The formulas as torch functions in a live module; this imports torch."""
        made = {function.name: function.render() for function in (*self.called, *self.torch_functions())}
        bodies = [*helpers_called(made).values(), *made.values()]
        source = "\n\n".join([render_imports(bodies), *bodies])
        return load_source(source, f"{self.parametrization}.{self.mechanism}")

    def __str__(self) -> str:
        lines = [f"{self.title} ({self.mechanism}, {self.parametrization})"]
        lines += ["  Assume"] + [f"    ({i}) {assumption}" for i, assumption in enumerate(self.assumptions, 1)]
        lines += ["  Then"] + [f"    {plain(relation)}" for relation in self.relations]
        lines += [f"  Order: {self.order}"]
        if self.measure:
            lines.append(f"  Measure: {self.measure}")
        lines += [f"  Observable: {self.observable}"]
        lines += [f"  Note: {note}" for note in self.notes]
        lines += [f"  Source: {self.source}"]
        return "\n".join(lines)
