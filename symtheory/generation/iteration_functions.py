"""The torch functions that iteration needs where the Gram operators of a group have no closed inverse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sympy as sp

from symtheory.codegen.closure import closure_source
from symtheory.codegen.matrix_program import Value
from symtheory.codegen.view_source import from_matrices
from symtheory.generation.gram_solver import solve_gram
from symtheory.generation.matrix_setting import MatrixSetting
from symtheory.generation.matrix_writer import MatrixWriter
from symtheory.geometry.matrix.vertical import VerticalPart, moment_of_covector
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import TraceForm


class IterationFunctions:
    """Functions for iteration, in straightened coordinates and in terms of the Lie algebra."""

    def __init__(self, setting: MatrixSetting, parts: Sequence[VerticalPart], definitions: Definitions) -> None:
        self.setting = setting
        self.parts = parts
        self.definitions = definitions

    def render(self, name: str) -> str:
        return str(getattr(self, name.removeprefix("_"))())

    def flat(self) -> str:
        blocks = self.setting.geometry.blocks
        xi = self.setting.geometry.velocity
        lowered = {name: block.lower(letter(xi[name])) for name, block in blocks.blocks.items()}
        writer = self._writer({"xi": xi}, lowered.values())
        return self._text(
            "_flat",
            "xi",
            "The covector of a tangent, in straightened coordinates.",
            writer,
            writer.results(lowered, "xi"),
        )

    def vertical(self) -> str:
        elements = {"algebra": {part.factor.name: part.element for part in self.parts}}
        fields = total_fields(self.parts)
        writer = self._writer({}, fields.values(), elements)
        results = {}
        for name, value in fields.items():
            source = writer.program.source(value)
            view = self.setting.model.views[name]
            if not view.is_plain:
                source = writer.body.assign(writer.body.names.unique(f"result_{name}"), source)
            results[name] = from_matrices(view, source, f'point["{name}"]')
        zeros = {name: f'torch.zeros_like(point["{name}"])' for name in self.setting.parameters}
        results = zeros | results
        return self._text(
            "_vertical", "algebra", "Field of a Lie algebra element, free of what shifts span.", writer, results
        )

    def moment(self) -> str:
        """Of a covector η: the gradient of ⟨η, field⟩, written with symbols of a tangent whose covector is η."""
        eta = self.setting.model.tangent("eta")
        values = {part.factor.name: moment_of_covector(part, eta) for part in self.parts}
        writer = self._writer({"eta": eta}, values.values())
        results = self._moment_sources(writer, values)
        return self._text(
            "_moment",
            "eta",
            "Products of a covector with all vertical fields, as a Lie algebra element.",
            writer,
            results,
        )

    def gram_operator(self) -> str:
        """The moment of an element's field: field, covector and moment one after the other."""
        model, blocks = self.setting.model, self.setting.geometry.blocks
        fields = total_fields(self.parts)
        chain = self.definitions.copy()
        eta: dict[str, sp.MatrixSymbol] = {}
        for name, value in fields.items():
            field = chain.matrix(f"field_{name}", value)
            eta[name] = chain.matrix(f"covector_{name}", blocks.blocks[name].lower(letter(field)))
        moments = {part.factor.name: moment_of_covector(part, eta) for part in self.parts}
        elements = {"algebra": {part.factor.name: part.element for part in self.parts}}
        chain.taken |= set(model.views)
        writer = self._writer({}, moments.values(), elements, chain)
        summary = "The map of a Lie algebra element to the moment of its field."
        return self._closure("_gram_operator", "algebra", summary, writer, self._moment_sources(writer, moments))

    def preconditioner(self) -> str:
        """Every factor's Gram operator inverted by itself."""
        symbols = {part.factor.name: _moment_symbol(part) for part in self.parts}
        grams = [value for part in self.parts for value in gram_values(part)]
        writer = self._writer({}, grams, {"moment": symbols}, self.definitions.copy())
        results = {}
        for part in self.parts:
            symbol = symbols[part.factor.name]
            if isinstance(part.gram, TraceForm):
                gram = writer.program.assign(f"gram_{part.factor.name}", part.gram)
                results[part.factor.name] = f"{writer.program.variables[symbol]} / {gram}"
            elif isinstance(part.gram, Polynomial):
                gram = writer.program.assign(f"gram_{part.factor.name}", part.gram, diagonal=True)
                results[part.factor.name] = f"{writer.program.variables[symbol]} / {gram}"
            else:
                results[part.factor.name] = solve_gram(writer.program, part, letter(symbol), writer.definitions)
        summary = "Every factor's Gram operator inverted by itself."
        return self._closure("_preconditioner", "moment", summary, writer, results)

    def _moment_sources(self, writer: MatrixWriter, moments: Mapping[str, Value]) -> dict[str, str]:
        return {
            name: writer.program.source(value, diagonal=_is_diagonal(part))
            for part, (name, value) in zip(self.parts, moments.items(), strict=True)
        }

    def _closure(self, name: str, argument: str, summary: str, writer: MatrixWriter, results: Mapping[str, str]) -> str:
        named = {key: writer.body.assign(writer.body.names.unique(f"result_{key}"), v) for key, v in results.items()}
        statements = list(writer.body.lines)
        writer.body.lines.clear()
        writer.body.return_entries(named)
        return closure_source(name, argument, summary, statements, writer.body.lines)

    def _writer(
        self,
        tangents: Mapping[str, Mapping[str, sp.MatrixSymbol]],
        values: Iterable[Value],
        others: Mapping[str, Mapping[str, Any]] | None = None,
        definitions: Definitions | None = None,
    ) -> MatrixWriter:
        given = dict(others or {})
        writer = MatrixWriter(self.setting, tangents, definitions or self.definitions, list(values))
        for group, symbols in given.items():
            writer.body.names.unique(group)
            for name, symbol in symbols.items():
                variable = writer.body.names.unique(str(symbol))
                writer.program.variables[symbol] = writer.body.assign(variable, f'{group}["{name}"]')
        writer.read()
        return writer

    def _text(self, name: str, argument: str, summary: str, writer: MatrixWriter, results: Mapping[str, str]) -> str:
        writer.body.return_entries(results)
        signature = f"def {name}(point: dict[str, Tensor], {argument}: dict[str, Tensor]) -> dict[str, Tensor]:"
        if len(signature) > 100:
            signature = (
                f"def {name}(\n    point: dict[str, Tensor], {argument}: dict[str, Tensor]\n) -> dict[str, Tensor]:"
            )
        return "\n".join([signature, f'    """{summary}"""', *writer.body.lines]) + "\n"


def gram_values(part: VerticalPart) -> list[Value]:
    """What a Gram operator is made of."""
    if isinstance(part.gram, TraceForm | Polynomial):
        return [part.gram]
    return [side for term in (*part.gram.straight, *part.gram.crossed) for side in term]


def total_fields(parts: Sequence[VerticalPart]) -> dict[str, Polynomial]:
    """The field of all factors together."""
    total: dict[str, Polynomial] = {}
    for part in parts:
        for name, value in part.field.items():
            total[name] = total[name] + value if name in total else value
    return total


def _is_diagonal(part: VerticalPart) -> bool:
    return isinstance(part.gram, Polynomial)


def _moment_symbol(part: VerticalPart) -> Any:
    element = part.element
    name = f"m_{part.factor.name}"
    return type(element)(name, *element.shape) if isinstance(element, sp.MatrixSymbol) else sp.Symbol(name, real=True)
