"""Torch source of the functions that statements about a product of two matrices share."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.codegen.matrix_program import MatrixProgram
from symtheory.codegen.statements import Statements, function_source, point_entry
from symtheory.graph.shapes import Shape, torch_number
from symtheory.matrix_calculus.polynomial import Polynomial
from symtheory.predictions.balanced_frame import BalancedFrame
from symtheory.predictions.matrix_step import COLUMNS, ROWS, MatrixStep
from symtheory.predictions.source_function import SourceFunction

SOURCE = "derived here from the step's conditional moments; mechanism as in Ziyin et al. (2402.07193)"

TARGET_ENTRY = "y: target, tensor ``(*batch, n, m)``."
NUMBERS = ("eta: step, a number.", "sigma: label noise of every entry, a number.")

ROUNDINGS = 1000
"""Roundings of the largest singular value, below which one counts as zero."""


class MatrixFunctions:
    """mechanism: what their names start with; parameters: of the declaration, as declared."""

    def __init__(self, mechanism: str, frame: BalancedFrame, parameters: dict[str, Shape]) -> None:
        self.mechanism, self.frame, self.parameters = mechanism, frame, parameters

    @property
    def step(self) -> MatrixStep:
        return self.frame.step

    def all(self) -> dict[str, SourceFunction]:
        """gauge, pull, drift and charge_drift, by the name of the function."""
        makers = {
            "gauge": self._gauge,
            "pull": self._pull,
            "charge_drift": self._charge_drift,
            "drift": self._drift,
        }
        return {
            f"{self.mechanism}_{key}": SourceFunction(f"{self.mechanism}_{key}", make) for key, make in makers.items()
        }

    def _program(self, arguments: Sequence[str]) -> tuple[Statements, MatrixProgram]:
        body = Statements(tuple(arguments))
        variables = {factor.symbol: body.read(factor.symbol.name) for factor in self.step.factors}
        return body, MatrixProgram(body, variables)

    def _pull(self) -> str:
        body, program = self._program(("point", "z"))
        program.variables[self.step.error] = "z"
        body.lines.append(f"    return {program.plain(self.step.pull)}")
        return self._function(
            "pull",
            "point: dict[str, Tensor], z: Tensor",
            "L[Z] = JJᵀZ: η times it is what a step takes from w to first order in η, for Z = ∂loss/∂w.",
            [point_entry(self.parameters), "z: tensor ``(*batch, n, m)``."],
            "tensor ``(*batch, n, m)``.",
            body.lines,
        )

    def _charge_drift(self) -> str:
        body, program = self._program(("point", str(ROWS), str(COLUMNS)))
        for size, factor, axis in zip((ROWS, COLUMNS), self.step.factors, (-2, -1), strict=True):
            seen = -3 - axis if factor.transposed else axis
            body.assign(str(size), f"{program.variables[factor.symbol]}.shape[{seen}]")
        value = self.step.charge_drift
        terms = [
            f"({torch_number(c)}) * ({program.plain(Polynomial({word: sp.S.One}, value.shape))})" for word, c in value
        ]
        body.lines.append(f"    return {' + '.join(terms)}")
        return self._function(
            "charge_drift",
            "point: dict[str, Tensor]",
            "Mean change of the charge per step by label noise, over η²σ².",
            [point_entry(self.parameters)],
            "tensor ``(*batch, h, h)``.",
            body.lines,
        )

    def _drift(self) -> str:
        body, program = self._program(("point", "y", "eta", "sigma"))
        values = (self.step.product, self.step.induced)
        program.expect(values)
        product, induced = map(program.source, values)
        body.assign("residual", f"{product} - y")
        body.lines.append(f"    return eta * sigma**2 * ({induced}) - {self.mechanism}_pull(point, residual)")
        return self._function(
            "drift",
            "point: dict[str, Tensor], y: Tensor, eta: float, sigma: float",
            "Mean change of w per step over η to leading order in η at fixed ησ², at any point.",
            [point_entry(self.parameters), TARGET_ENTRY, *NUMBERS],
            "tensor ``(*batch, n, m)``.",
            body.lines,
        )

    def _gauge(self) -> str:
        first, second = self.step.factors
        body = Statements(("w", "point", str(ROWS), str(COLUMNS)))
        body.assign(f"{ROWS}, {COLUMNS}", "w.shape[-2:]")
        body.assign("left, values, right", "torch.linalg.svd(w, full_matrices=False)")
        axis = -2 if first.transposed else -1
        body.assign("inner", f'point["{first.symbol.name}"].shape[{axis}]')
        body.assign("rank", "min(inner, values.shape[-1])")
        body.assign("left_root", f"(({torch_number(self.frame.weight)}) * values[..., :rank]).sqrt()")
        body.assign("right_root", f"(values[..., :rank] / ({torch_number(self.frame.weight)})).sqrt()")
        body.assign("first", "left[..., :, :rank] * left_root[..., None, :]")
        body.assign("second", "right_root[..., :, None] * right[..., :rank, :]")
        body.assign("first", "torch.nn.functional.pad(first, (0, inner - rank))")
        body.assign("second", "torch.nn.functional.pad(second, (0, 0, 0, inner - rank))")
        entries = {
            factor.symbol.name: f"{name}.mT" if factor.transposed else name
            for name, factor in (("first", first), ("second", second))
        }
        body.return_entries({name: entries[name] for name in self.parameters})
        return self._function(
            "gauge",
            "w: Tensor, point: dict[str, Tensor]",
            "The point over w whose charge label noise leaves alone.",
            ["w: tensor ``(*batch, n, m)``.", f"{point_entry(self.parameters)[:-1]}, of which the shapes are read."],
            "dict with the keys of point.",
            body.lines,
            "dict[str, Tensor]",
        )

    def _function(
        self,
        name: str,
        signature: str,
        summary: str,
        entries: Sequence[str],
        returns: str,
        lines: Sequence[str],
        result: str = "Tensor",
    ) -> str:
        return function_source(
            f"{self.mechanism}_{name}({signature})", summary, entries, returns, lines, SOURCE, result=result
        )
