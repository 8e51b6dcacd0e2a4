"""The torch functions of a geometry of matrices: what ``generate`` puts into a module for one metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp

from symtheory.codegen.layout import INDENT
from symtheory.codegen.matrix_program import MatrixProgram, Value, as_formula
from symtheory.codegen.paragraph import fold_paragraph
from symtheory.codegen.statements import Statements, point_entry
from symtheory.codegen.view_source import from_matrices, to_matrices
from symtheory.errors import DerivationError
from symtheory.generation.assembly import GEOMETRY
from symtheory.generation.frame_function import render_frame
from symtheory.generation.function_text import function_text
from symtheory.generation.gram_solver import solve_gram
from symtheory.generation.iteration_functions import IterationFunctions, gram_values, total_fields
from symtheory.generation.iteration_text import CONJUGATE_GRADIENTS
from symtheory.generation.matrix_setting import MatrixSetting
from symtheory.generation.matrix_text import (
    CHECK_DOMAIN,
    CHRISTOFFEL_RATE,
    GEODESIC,
    HESSIAN,
    HESSIAN_TRACE,
    ITERATION_NOTE,
    NO_DOMAIN,
    NORM,
    PROJECTION_NOTE,
    RELAXATION_EFFECT,
)
from symtheory.generation.matrix_writer import MatrixWriter
from symtheory.generation.straightening import BEND, STRAIGHTEN, render_straightening
from symtheory.generation.vertical_function import render_vertical
from symtheory.geometry import MatrixGeometry
from symtheory.geometry.matrix.block_metric import Block
from symtheory.geometry.matrix.vertical import VerticalPart
from symtheory.graph.shapes import Shape
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Polynomial, identity, letter
from symtheory.matrix_calculus.symbols import DiagonalSymbol
from symtheory.matrix_calculus.trace_form import TraceForm

SOURCE = "da Silva et al. 2025 (2505.05409)"
SOLVER_STEPS, COMPILED_STEPS = 300, 60
"""Most steps of preconditioned conjugate gradients; every entry of the catalog needs fewer than 60 at small sizes."""


@dataclass(frozen=True)
class MatrixFunctions:
    """Sources of ``inner`` … ``hessian_trace`` for one declaration in one metric."""

    setting: MatrixSetting

    left_out: ClassVar[Mapping[str, str]] = {}

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """The functions, each with those that it calls."""
        relaxed = self.geometry.blocks.exact is not None
        return {**GEOMETRY, "relaxation_effect": ()} if relaxed else GEOMETRY

    @property
    def geometry(self) -> MatrixGeometry:
        return self.setting.geometry

    @property
    def parameters(self) -> Mapping[str, Shape]:
        return self.setting.parameters

    @property
    def _metric(self) -> str:
        return self.setting.metric

    # The functions

    def inner(self) -> dict[str, str]:
        xi, zeta = (self.geometry.model.tangent(name) for name in ("xi", "zeta"))
        form = self.geometry.blocks.inner(_letters(xi), _letters(zeta))

        def write(writer: MatrixWriter) -> None:
            writer.finish_number(form)

        return self._function(
            "inner", {"xi": xi, "zeta": zeta}, f"Inner product <xi, zeta> in the {self._metric} metric.", write, form
        )

    def norm(self) -> str:
        return NORM.format(metric=self._metric)

    def flat(self) -> dict[str, str]:
        xi = self.geometry.model.tangent("xi")
        lowered = {name: block.lower(letter(xi[name])) for name, block in self.geometry.blocks.blocks.items()}
        return self._tangent_function(
            "flat",
            xi,
            f"The covector <xi, ·> of the {self._metric} metric.",
            lowered,
            self.geometry.definitions,
            covector=True,
        )

    def sharp(self) -> dict[str, str]:
        xi = self.geometry.model.tangent("d")
        return self._tangent_function(
            "sharp",
            xi,
            f"The {self._metric} gradient, a tangent, of a function with this Euclidean gradient.",
            _letters(xi),
            self.geometry.definitions,
            argument="gradient",
            takes_covector=True,
            raised=True,
        )

    def frame(self) -> dict[str, str]:
        return {**self._helpers(), "frame": render_frame(self.setting)}

    def vertical(self) -> str:
        return render_vertical(self.setting.parametrization, self.geometry.model)

    def christoffel_form(self) -> dict[str, str]:
        connection = self.geometry.connection
        return self._tangent_function(
            "christoffel_form",
            self.geometry.velocity,
            f"Γ(xi, xi) of the {self._metric} metric; a geodesic has γ'' = −Γ(γ', γ').",
            connection.first_kind,
            connection.definitions,
            second_order=True,
            source=SOURCE,
            raised=True,
        )

    def geodesic(self) -> dict[str, str]:
        return {
            "_christoffel_rate": CHRISTOFFEL_RATE,
            "geodesic": GEODESIC.format(metric=self._metric, source=SOURCE),
        }

    def riemannian_hessian(self) -> str:
        return HESSIAN.format(metric=self._metric)

    def hessian_trace(self) -> str:
        return HESSIAN_TRACE.format(metric=self._metric)

    def project_horizontal(self) -> dict[str, str]:
        space = self.geometry.vertical_space
        if not space.parts and not self.geometry.model.shifted:
            raise DerivationError("there is no continuous symmetry, so every tangent is horizontal")
        if space.is_closed:
            return self._closed_projection(space.parts, space.definitions)
        return self._iterated_projection(space.parts, space.definitions)

    def check_domain(self) -> dict[str, str]:
        """``check_domain``, with the eigenvalues of what the metric inverts."""
        weights = self.geometry.blocks.weights
        if not weights:
            return {"check_domain": NO_DOMAIN.format(metric=self._metric)}
        formulas, lines = self._eigenvalues(weights)
        header = f'    """Eigenvalues of the matrices that the {self._metric} metric inverts, by their formulas."""'
        text = CHECK_DOMAIN.format(metric=self._metric, names=INDENT_NAMES.join(formulas))
        return {
            **self._helpers(),
            "_eigenvalues": "\n".join([_EIGENVALUES.format(""), header, *lines]) + "\n",
            "check_domain": text,
        }

    def relaxation_effect(self) -> dict[str, str]:
        """``relaxation_effect``, with the eigenvalues of the weights of the exact metric."""
        blocks = self.geometry.blocks
        assert blocks.exact is not None  # asked for where a metric is relaxed
        weights = [symbol for symbol in blocks.exact.weights if isinstance(symbol, sp.MatrixSymbol)]
        _, lines = self._eigenvalues(weights)
        header = '    """Eigenvalues of the weights of the metric that is not relaxed, by their formulas."""'
        return {
            "_exact_eigenvalues": "\n".join([_EIGENVALUES.format("exact_"), header, *lines]) + "\n",
            "relaxation_effect": RELAXATION_EFFECT.format(epsilon=float(blocks.epsilon)),
        }

    def _eigenvalues(self, symbols: Sequence[Any]) -> tuple[list[str], list[str]]:
        """Formulas of symbols, and statements that return their eigenvalues by these."""
        definitions = self.geometry.definitions
        writer = MatrixWriter(self.setting, {}, definitions, [_as_value(symbol) for symbol in symbols])
        writer.straighten()
        writer.read()
        entries = {}
        for symbol in symbols:
            variable = writer.program.variables[symbol]
            label = f"{symbol.name} = {as_formula(definitions[symbol])}"
            if not isinstance(symbol, sp.MatrixSymbol):
                entries[label] = f"{variable}[..., None]"
            else:
                diagonal = isinstance(symbol, DiagonalSymbol)
                entries[label] = variable if diagonal else f"torch.linalg.eigvalsh({variable})"
        writer.body.return_entries(entries)
        return list(entries), writer.body.lines

    # How they are written

    def _function(
        self,
        name: str,
        tangents: Mapping[str, Mapping[str, sp.MatrixSymbol]],
        summary: str,
        write: Callable[[MatrixWriter], None],
        value: TraceForm,
    ) -> dict[str, str]:
        writer = MatrixWriter(self.setting, tangents, self.geometry.definitions, [value])
        writer.check()
        writer.straighten()
        writer.read()
        write(writer)
        entries = [
            point_entry(self.parameters),
            *(f"{key}: dict with the keys and shapes of point." for key in tangents),
        ]
        text = function_text(
            name,
            ["point", *tangents],
            "Tensor",
            summary,
            writer.formulas({name: value}),
            entries,
            "tensor ``(*batch)``.",
            "",
            writer.body.lines,
        )
        return {**self._helpers(), name: text}

    def _tangent_function(
        self,
        name: str,
        tangent: Mapping[str, sp.MatrixSymbol],
        summary: str,
        values: Mapping[str, Polynomial],
        definitions: Definitions,
        *,
        argument: str = "xi",
        covector: bool = False,
        takes_covector: bool = False,
        second_order: bool = False,
        source: str = "",
        raised: bool = False,
    ) -> dict[str, str]:
        """raised: the values are covectors, of which the function returns the tangents."""
        blocks = self.geometry.blocks
        is_solved = raised and not blocks.is_closed
        if raised and blocks.is_closed:
            values = {name: blocks.blocks[name].raise_(value) for name, value in values.items()}
        sides = [value for block in blocks.blocks.values() for value in _sides(block)] if is_solved else []
        writer = MatrixWriter(self.setting, {argument: tangent}, definitions, [*values.values(), *sides])
        writer.check()
        writer.straighten(takes_covector=takes_covector)
        writer.read()
        results = writer.raised(blocks.blocks, values, argument) if is_solved else writer.results(values, argument)
        writer.finish_tangent(results, covector=covector, second_order=second_order)
        entries = [point_entry(self.parameters), f"{argument}: dict with the keys and shapes of point."]
        text = function_text(
            name,
            ["point", argument],
            "dict[str, Tensor]",
            summary,
            writer.formulas(values),
            entries,
            "dict with the keys and shapes of point.",
            source,
            writer.body.lines,
        )
        return {**self._helpers(), name: text}

    def _helpers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.setting.is_straightened:
            found |= render_straightening(self.geometry.model, self.parameters, self.setting.parametrization.name)
        return found

    def _closed_projection(self, parts: Sequence[VerticalPart], definitions: Definitions) -> dict[str, str]:
        xi = self.geometry.velocity
        moments = [part.moment for part in parts]
        grams = [value for part in parts for value in gram_values(part)]
        fields = total_fields(parts)
        writer = MatrixWriter(self.setting, {"xi": xi}, definitions.copy(), [*moments, *grams], wide=bool(parts))
        writer.check()
        writer.straighten()
        writer.read()
        elements = {}
        for part in parts:
            elements[part.element] = solve_gram(writer.program, part, part.moment, writer.definitions)
        values = {
            name: self.geometry.model.centred(name, letter(symbol))
            - fields.get(name, Polynomial({}, tuple(symbol.shape)))
            for name, symbol in xi.items()
        }
        writer.narrow_down(elements, values)
        results = writer.results(values, "xi")
        writer.finish_tangent(results)
        return {
            **self._helpers(),
            "project_horizontal": self._projection_text(writer.body.lines, PROJECTION_NOTE if parts else ""),
        }

    def _projection_text(self, lines: Sequence[str], note: str) -> str:
        entries = [point_entry(self.parameters), "xi: dict with the keys and shapes of point."]
        return function_text(
            "project_horizontal",
            ["point", "xi"],
            "dict[str, Tensor]",
            f"Part of a tangent orthogonal to the orbit in the {self._metric} metric.",
            fold_paragraph(note, INDENT) if note else [],
            entries,
            "dict with the keys and shapes of point.",
            SOURCE,
            lines,
        )

    def _iterated_projection(self, parts: Sequence[VerticalPart], definitions: Definitions) -> dict[str, str]:
        axes = ", ".join(f'"{part.factor.name}": {len(part.factor.element_shape)}' for part in parts)
        steps = f"SOLVER_STEPS = {SOLVER_STEPS}\nCOMPILED_STEPS = {COMPILED_STEPS}\n\n"
        constants = f"{steps}ALGEBRA_AXES: dict[str, int] = {{{axes}}}\n"
        flat = self.setting.flat
        sources = {
            "SOLVER_STEPS": constants,
            "_vertical": self._inner_function("_vertical", parts, definitions),
            "_moment": self._inner_function("_moment", parts, definitions),
            "_gram_operator": self._inner_function("_gram_operator", parts, definitions),
            "_preconditioner": self._inner_function("_preconditioner", parts, definitions),
            "_solve_gram": CONJUGATE_GRADIENTS.replace("{flat}", flat),
        }
        if self.setting.is_straightened:
            sources = {"_flat": self._inner_function("_flat", parts, definitions), **sources}
        lines = ["    _require_alike(point, xi)"]
        if self.setting.is_straightened:
            lines.append("    point, xi = _aligned(point, xi)")
            lines.append(f"    point, xi = torch.func.jvp({STRAIGHTEN}, (point,), (xi,))")
        lines += [
            "    # Gram matrices square the condition number, so they are taken and solved in float64.",
            "    wide = {key: point[key].double() for key in PARAMETERS}",
            "    tangent = {key: xi[key].double() for key in PARAMETERS}",
            *self._centre_lines(),
            "    algebra = _solve_gram(wide, tangent)",
            "    vertical_part = _vertical(wide, algebra)",
            "    horizontal = {",
            "        key: (tangent[key] - vertical_part[key]).to(xi[key].dtype) for key in PARAMETERS",
            "    }",
        ]
        back = f"torch.func.jvp({BEND}, (point,), (horizontal,))[1]" if self.setting.is_straightened else "horizontal"
        lines.append(f"    return {back}")
        return {**self._helpers(), **sources, "project_horizontal": self._projection_text(lines, ITERATION_NOTE)}

    def _centre_lines(self) -> list[str]:
        """Statements that take the part out of the tangent that shifts span."""
        lines = []
        for name in self.geometry.model.shifted:
            view = self.geometry.model.views[name]
            body = Statements(())
            symbol = view.symbol
            variable = f'tangent["{name}"]'
            value = self.geometry.model.centred(name, letter(symbol))
            if not value:
                lines.append(f"    {variable} = torch.zeros_like({variable})")
                continue
            program = MatrixProgram(body, {symbol: "matrix"})
            lines.append(f"    matrix = {to_matrices(view, variable)}")
            source = program.plain(value)
            lines += [*body.lines, f"    {variable} = {from_matrices(view, f'({source})', variable)}"]
        return lines

    def _inner_function(self, name: str, parts: Sequence[VerticalPart], definitions: Definitions) -> str:
        return IterationFunctions(self.setting, parts, definitions).render(name)


_EIGENVALUES = "def _{}eigenvalues(point: dict[str, Tensor]) -> dict[str, Tensor]:"
INDENT_NAMES = ",\n        "


def _sides(block: Block) -> list[Polynomial]:
    return [side for term in block.terms for side in (term.left * term.scale, term.right)]


def _as_value(symbol: Any) -> Value:
    """A symbol as a value that needs it."""
    return letter(symbol) if isinstance(symbol, sp.MatrixSymbol) else identity(1) * symbol


def _letters(symbols: Mapping[str, sp.MatrixSymbol]) -> dict[str, Polynomial]:
    return {name: letter(symbol) for name, symbol in symbols.items()}
