"""A formula of a prediction: what generated code evaluates, coordinate by coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

from symtheory.codegen.arguments import Argument, DictArgument, ScalarArgument, TensorArgument
from symtheory.codegen.function import TorchFunction


@dataclass(frozen=True)
class Formula:
    """``results`` as a function of tensors, numbers and dictionaries of tensors; all dimensionless.

    results: one expression, or key → expression for a dict of tensors; meaning: one line for the docstring;
    tensors: argument name → symbol, shapes broadcast; numbers: the same for what is usually a Python float;
    dictionaries: argument name → {key: symbol}, for points and gradients.
    """

    results: sp.Expr | Mapping[str, sp.Expr]
    meaning: str
    tensors: Mapping[str, sp.Symbol] = field(default_factory=dict)
    numbers: Mapping[str, sp.Symbol] = field(default_factory=dict)
    dictionaries: Mapping[str, Mapping[str, sp.Symbol]] = field(default_factory=dict)

    def torch_function(self, name: str, source: str) -> TorchFunction:
        """The formula as a function to be printed; ``source`` is the citation for its docstring."""
        arguments: list[Argument] = [DictArgument(key, entries) for key, entries in self.dictionaries.items()]
        arguments += [TensorArgument(key, symbol) for key, symbol in self.tensors.items()]
        arguments += [ScalarArgument(key, symbol) for key, symbol in self.numbers.items()]
        return TorchFunction(name, tuple(arguments), self.results, self.meaning, source=source)
