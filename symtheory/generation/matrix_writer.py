"""Statements of a torch function of a point and of tangents, seen as matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from symtheory.codegen.layout import INDENT, fold_statement
from symtheory.codegen.matrix_program import MatrixProgram, Value, as_formula
from symtheory.codegen.paragraph import fold_paragraph
from symtheory.codegen.statements import Statements, point_tensors
from symtheory.codegen.view_source import from_matrices, split_sizes, to_matrices
from symtheory.generation.gram_solver import solve_sum
from symtheory.generation.matrix_setting import MatrixSetting
from symtheory.generation.straightening import BEND, STRAIGHTEN
from symtheory.geometry.matrix.block_metric import Block
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.trace_form import TraceForm


class MatrixWriter:
    """Statements of one function of a point and tangents, seen as matrices.

    wide: read everything in float64, for what inverts Gram matrices.
    """

    def __init__(
        self,
        setting: MatrixSetting,
        tangents: Mapping[str, Mapping[str, sp.MatrixSymbol]],
        definitions: Definitions,
        values: Sequence[Value],
        wide: bool = False,
    ) -> None:
        self.setting = setting
        self.tangents = tangents
        self.definitions = definitions
        self.values = values
        self.wide = wide
        model = setting.model
        sizes = sorted({s for view in model.views.values() for s in split_sizes(view)}, key=str)
        self.body = Statements(("point", *tangents), sizes)
        self.body.read_sizes(sizes, point_tensors(setting.parameters), setting.parametrization.name)
        self.needed = definitions.needed(values)
        self.sources = {"point": "point", **{name: name for name in tangents}}
        used: set[Any] = set().union(*(v.symbols for v in values), *(definitions[s].symbols for s in self.needed))
        self.used = used
        self.program = MatrixProgram(self.body, {}, setting.narrow)

    def check(self) -> None:
        for name in self.tangents:
            self.body.lines.append(f"    _require_alike(point, {name})")

    def straighten(self, *, takes_covector: bool = False) -> None:
        """Go to straightened coordinates, where the metric is written in these."""
        if not self.setting.is_straightened:
            return
        lines = self.body.lines
        if not self.tangents:
            self.sources["point"] = self.body.assign(self.body.names.unique("straight_point"), f"{STRAIGHTEN}(point)")
            return
        names = {name: self.body.names.unique(f"straight_{name}") for name in ("point", *self.tangents)}
        if takes_covector:
            (name,) = self.tangents
            lines.append(f"    point, {name} = _aligned(point, {name})")
            lines.append(f"    {names['point']} = {STRAIGHTEN}(point)")
            lines.append(f"    ({names[name]},) = torch.func.vjp({BEND}, {names['point']})[1]({name})")
        else:
            given = ", ".join(["point", *self.tangents])
            lines.append(f"    {given} = _aligned({given})")
            for name in self.tangents:
                lines.append(f"    {names['point']}, {names[name]} = torch.func.jvp({STRAIGHTEN}, (point,), ({name},))")
        self.sources = names

    def read(self) -> None:
        """Variables for the matrices that the values are made of."""
        model = self.setting.model
        groups = {"point": model.symbols, **self.tangents}
        for group, symbols in groups.items():
            for name, symbol in symbols.items():
                if symbol in self.used:
                    source = to_matrices(model.views[name], f'{self.sources[group]}["{name}"]')
                    source = f"{source}.double()" if self.wide else source
                    self.program.variables[symbol] = self.body.assign(self.body.names.unique(symbol.name), source)
        self.program.expect([*(self.definitions[s] for s in self.needed), *self.values])
        self.program.define(self.definitions, self.needed)

    def narrow_down(self, elements: Mapping[Any, str], values: Mapping[str, Polynomial]) -> None:
        """A program for the last step in the dtype of the inputs, with the Lie algebra elements found in float64."""
        model = self.setting.model
        self.program = MatrixProgram(self.body, {}, self.setting.narrow)
        self.program.expect(values.values())
        used: set[Any] = set().union(*(value.symbols for value in values.values()))
        first = next(iter(model.symbols))
        for element, variable in elements.items():
            self.program.variables[element] = self.body.assign(variable, f'{variable}.to(point["{first}"].dtype)')
        for group, symbols in {"point": model.symbols, **self.tangents}.items():
            for name, symbol in symbols.items():
                if symbol in used:
                    source = to_matrices(model.views[name], f'{self.sources[group]}["{name}"]')
                    plain = source == f'{self.sources[group]}["{name}"]'
                    self.program.variables[symbol] = (
                        source if plain else self.body.assign(self.body.names.unique(f"narrow_{symbol.name}"), source)
                    )

    def results(self, values: Mapping[str, Polynomial], argument: str) -> dict[str, str]:
        """Source of every parameter's result, in the parameter's shape."""
        found = {}
        model = self.setting.model
        for name, value in values.items():
            tensor = f'{self.sources[argument]}["{name}"]'
            if not value:
                found[name] = f"torch.zeros_like({tensor})"
                continue
            if dict(value.terms) == dict(letter(self.tangents[argument][name]).terms):
                found[name] = tensor
                continue
            source = self.program.source(value)
            if not model.views[name].is_plain:
                source = self.body.assign(self.body.names.unique(f"result_{name}"), source)
            found[name] = from_matrices(model.views[name], source, tensor)
        return found

    def raised(self, blocks: Mapping[str, Block], values: Mapping[str, Polynomial], argument: str) -> dict[str, str]:
        """Source of the tangents that have these covectors, where blocks are sums of products."""
        found = {}
        for name, value in values.items():
            view, tensor = self.setting.model.views[name], f'{self.sources[argument]}["{name}"]'
            if not value:
                found[name] = f"torch.zeros_like({tensor})"
                continue
            terms = [(term.left * term.scale, term.right) for term in blocks[name].terms]
            source = solve_sum(self.program, f"raised_{name}", terms, value)
            found[name] = from_matrices(view, source, tensor)
        return found

    def finish_number(self, form: TraceForm) -> None:
        """Return the value of a trace form, copies added up."""
        model = self.setting.model
        owners = {symbol: name for symbols in self.tangents.values() for name, symbol in symbols.items()}
        terms = []
        for word, coefficient in form:
            part = TraceForm({word: coefficient})
            name = next(owners[s] for s in part.symbols if s in owners)
            source = self.program.source(part)
            copies = len(model.views[name].batch)
            terms.append(f"({source}).flatten({-copies}).sum(-1)" if copies else source)
        self.body.lines += fold_statement("return ", " + ".join(terms) or "0")

    def finish_tangent(self, results: Mapping[str, str], *, covector: bool = False, second_order: bool = False) -> None:
        """Return a tangent, or a covector, brought back from straightened coordinates."""
        if not self.setting.is_straightened:
            self.body.return_entries(results)
            return
        point = self.sources["point"]
        (tangent,) = (self.sources[name] for name in self.tangents)
        value = self.body.names.unique("straight_result")
        self.body.lines.append(f"    {value} = {{")
        for name, source in results.items():
            self.body.lines += fold_statement(f'"{name}": ', source, 2 * INDENT, ",")
        self.body.lines.append("    }")
        if covector:
            self.body.lines.append(f"    (result,) = torch.func.vjp({STRAIGHTEN}, point)[1]({value})")
            self.body.lines.append("    return result")
            return
        self.body.lines.append(f"    result = torch.func.jvp({BEND}, ({point},), ({value},))[1]")
        if not second_order:
            self.body.lines.append("    return result")
            return
        self.body.lines += [
            "",
            "    def bent_velocity(at: dict[str, Tensor]) -> dict[str, Tensor]:",
            f"        return torch.func.jvp({BEND}, (at,), ({tangent},))[1]",
            "",
            "    # Bending is not linear: a straight line there is a curve here.",
            f"    bent = torch.func.jvp(bent_velocity, ({point},), ({tangent},))[1]",
            "    return {key: result[key] - bent[key] for key in PARAMETERS}",
        ]

    def formulas(self, values: Mapping[str, Value]) -> list[str]:
        """Lines of the docstring: the results, then what their symbols stand for."""
        lines = ["    Formula, of one copy::" if self._has_copies() else "    Formula::", ""]
        if self.setting.is_straightened:
            lines[0] = "    Formula, in the coordinates of ``_straighten``::"
        for name, value in values.items():
            label = f'result["{name}"]' if isinstance(value, Polynomial) else name
            lines += fold_paragraph(f"{label} = {as_formula(value)}", 2 * INDENT, INDENT)
        for symbol in self.needed:
            lines += fold_paragraph(f"{symbol.name} = {as_formula(self.definitions[symbol])}", 2 * INDENT, INDENT)
        return lines

    def _has_copies(self) -> bool:
        return any(view.batch for view in self.setting.model.views.values())
