"""The torch functions of a metric pulled back from the predictor's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import ClassVar

from symtheory.codegen.docstring import shape_text
from symtheory.codegen.layout import INDENT
from symtheory.codegen.paragraph import fold_entry, fold_paragraph
from symtheory.codegen.statements import point_entry
from symtheory.generation.assembly import GEOMETRY
from symtheory.generation.matrix_text import NORM
from symtheory.generation.vertical_function import render_vertical
from symtheory.geometry.pullback_geometry import PullbackGeometry
from symtheory.parametrization import Parametrization

OUTPUT_METRICS = {
    "squared": (["return tangent"], "1"),
    "logistic": (["p = value.sigmoid()", "return p * (1 - p) * tangent"], "p (1 − p), p = sigmoid(φ)"),
    "poisson": (["return value.exp() * tangent"], "exp(φ)"),
    "softmax": (
        ["p = value.softmax(-1)", "return p * (tangent - (p * tangent).sum(-1, keepdim=True))"],
        "diag(p) − p pᵀ, p = softmax(φ) along the last axis",
    ),
}
"""Loss → statements that apply its Hessian in the predictor's value, and what that is."""


@dataclass(frozen=True)
class PullbackFunctions:
    """Sources of ``inner``, ``norm``, ``flat`` and ``vertical`` for one declaration."""

    parametrization: Parametrization
    geometry: PullbackGeometry

    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {"inner": (), "norm": ("inner",), "flat": (), "vertical": ()}

    @property
    def left_out(self) -> Mapping[str, str]:
        """What a metric that is zero along orbits has not."""
        absent = [name for name in GEOMETRY if name not in self.wanted]
        return dict.fromkeys(absent, self.geometry.refusal)

    @property
    def _data(self) -> list[str]:
        """Names of the arguments that the predictor takes beside the point."""
        return [*self.parametrization.inputs, *self.parametrization.constants]

    @property
    def _outputs(self) -> list[str]:
        """Statements that define ``outputs(point)``, with one axis for the samples behind the batch axes."""
        arguments = "".join(f", {name}" for name in self._data)
        if not self.parametrization.inputs:
            return ["    def outputs(at: dict[str, Tensor]) -> Tensor:", f"        return predictor(at{arguments})", ""]
        return [
            "    def outputs(at: dict[str, Tensor]) -> Tensor:",
            "        # One axis of size 1 where the inputs have their samples.",
            "        wide = {key: at[key].unsqueeze(-1 - len(shape)) for key, shape in PARAMETERS.items()}",
            f"        return predictor(wide{arguments})",
            "",
        ]

    @property
    def _entries(self) -> list[str]:
        graph = self.parametrization
        samples = [f"{name}: samples, tensor {_with_samples(shape_text(s))}." for name, s in graph.inputs.items()]
        fixed = [f"{name}: fixed, tensor {shape_text(shape)}." for name, shape in graph.constants.items()]
        return [*samples, *fixed]

    def output_metric(self) -> str:
        lines, formula = OUTPUT_METRICS[self.geometry.family.loss]
        return "\n".join(
            [
                "def _output_metric(value: Tensor, tangent: Tensor) -> Tensor:",
                f'    """H · tangent, H = {formula}."""',
                *(f"    {line}" for line in lines),
                "",
            ]
        )

    def inner(self) -> dict[str, str]:
        axes = len(self.parametrization.predictor.shape)
        summed = f".flatten({-axes}).sum(-1)" if axes else ""
        mean = ".mean(-1)" if self.parametrization.inputs else ""
        text = self._function(
            "inner",
            ["xi", "zeta"],
            "Tensor",
            f"Inner product in the {self.geometry.name} metric: <Dφ[xi], H Dφ[zeta]>, the mean over samples.",
            "tensor ``(*batch)``.",
            [
                *self._outputs,
                "    value, first = torch.func.jvp(outputs, (point,), (xi,))",
                "    second = torch.func.jvp(outputs, (point,), (zeta,))[1]",
                f"    return (first * _output_metric(value, second)){summed}{mean}",
            ],
        )
        return {"_output_metric": self.output_metric(), "inner": text}

    def flat(self) -> str:
        count = f" / {self._data[0]}.shape[{-1 - self._axes_of_first}]" if self.parametrization.inputs else ""
        return self._function(
            "flat",
            ["xi"],
            "dict[str, Tensor]",
            f"The covector <xi, ·> of the {self.geometry.name} metric, Jᵀ H J xi, the mean over samples.",
            "dict with the keys and shapes of point.",
            [
                *self._outputs,
                "    value, first = torch.func.jvp(outputs, (point,), (xi,))",
                f"    (result,) = torch.func.vjp(outputs, point)[1](_output_metric(value, first){count})",
                "    return result",
            ],
        )

    @property
    def _axes_of_first(self) -> int:
        return len(next(iter(self.parametrization.inputs.values())))

    def norm(self) -> str:
        if not self._data:
            return NORM.format(metric=self.geometry.name)
        arguments = ", ".join(self._data)
        signature = ", ".join(f"{name}: Tensor" for name in self._data)
        return dedent(
            f'''\
            def norm(point: dict[str, Tensor], xi: dict[str, Tensor], {signature}) -> Tensor:
                """Length of a tangent, sqrt(inner(point, xi, xi, {arguments})); shape (*batch)."""
                return inner(point, xi, xi, {arguments}).sqrt()
            '''
        )

    def vertical(self) -> str:
        return render_vertical(self.parametrization, self.parametrization.matrix_model)

    def _function(
        self, name: str, tangents: list[str], returned: str, summary: str, returns: str, lines: list[str]
    ) -> str:
        arguments = [f"{a}: dict[str, Tensor]" for a in ("point", *tangents)] + [f"{d}: Tensor" for d in self._data]
        tangent_entries = [f"{tangent}: dict with the keys and shapes of point." for tangent in tangents]
        entries = [point_entry(self.parametrization.parameters), *tangent_entries, *self._entries]
        return "\n".join(
            [
                f"def {name}(",
                *(f"    {argument}," for argument in arguments),
                f") -> {returned}:",
                *fold_paragraph(f'"""{summary}', INDENT),
                "",
                "    Args:",
                *(line for entry in entries for line in fold_entry(entry)),
                "    Returns:",
                *fold_entry(returns),
                '    """',
                *(f"    _require_alike(point, {tangent})" for tangent in tangents),
                "",
                *lines,
                "",
            ]
        )


def _with_samples(shape: str) -> str:
    return shape.replace("*batch", "*batch, samples")
