"""The torch function of half the logarithm of a Gram determinant of a group's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import sympy as sp

from symtheory.codegen.matrix_program import MatrixProgram
from symtheory.codegen.statements import Statements, function_source, point_entry, point_tensors
from symtheory.codegen.view_source import split_sizes, to_matrices
from symtheory.errors import CodegenError
from symtheory.geometry.matrix.determinant_form import (
    DenseGram,
    Form,
    NumberGram,
    OuterSums,
    PairSums,
    ParallelGram,
    determinant_form,
)
from symtheory.geometry.matrix.field_gram import Block, FieldGram, Span
from symtheory.geometry.matrix.model import MatrixModel
from symtheory.graph.shapes import Shape
from symtheory.matrix_calculus.polynomial import Polynomial
from symtheory.matrix_calculus.trace_form import TraceForm
from symtheory.matrix_calculus.two_sided import TwoSidedOperator
from symtheory.symmetry.translation import Translation

BASES = {"symmetric": "_symmetric_basis", "skew": "_skew_basis", "diagonal": "_diagonal_basis"}


def render_volume(
    name: str,
    model: MatrixModel,
    gram: FieldGram,
    parameters: Mapping[str, Shape],
    owner: str,
    summary: str,
    source: str,
    *,
    charges: bool,
) -> str:
    """Source of ``name(point)``: ½ log det of the Gram matrix, summed over its components and over copies.

    charges: whether of the gradients of charges, which are twice the fields of quadratic ones. Raises ``CodegenError``
    where a symbolic size cannot be read from the tensors, or fields of copies meet others.
    """
    used = {key for span in gram.spans for key in span.field}
    views = {key: view for key, view in model.views.items() if key in used}
    needed = sorted({size for view in views.values() for size in split_sizes(view)}, key=str)
    body = Statements(("point",), needed)
    body.read_sizes(needed, point_tensors(parameters), owner)
    variables: dict[Any, str] = {}
    for key, view in views.items():
        read = to_matrices(view, f'point["{key}"]')
        variables[view.symbol] = body.assign(body.names.unique(key), read)
    writer = _Writer(MatrixProgram(body, variables), charges)
    terms = [writer.component(component, determinant_form(gram, component)) for component in gram.components]
    body.lines.append(f"    return {' + '.join(terms)}")
    return function_source(
        f"{name}(point: dict[str, Tensor])",
        summary,
        [point_entry(parameters)],
        "tensor ``(*batch)``; −inf where the fields depend on each other.",
        body.lines,
        source,
        result="Tensor",
    )


class _Writer:
    """Statements for one component after the other."""

    def __init__(self, program: MatrixProgram, charges: bool) -> None:
        self.program = program
        self.charges = charges
        self.bases: dict[str, str] = {}

    def component(self, spans: Sequence[Span], form: Form) -> str:
        """The variable that holds ½ log det of one component."""
        names = ", ".join(span.factor.name for span in spans)
        self.program.comment(f"½ log det of the Gram matrix of {names}")
        copies = {span.copies for span in spans}
        if len(copies) > 1:
            raise CodegenError(f"the fields of {names} meet, and only some of them come in copies: no determinant")
        source = self._logarithm(form)
        axes = len(copies.pop())
        total = f"0.5 * {source}" if not axes else f"0.5 * {source}.flatten({-axes}).sum(-1)"
        return self.program.assign_source("volume", total)

    def _logarithm(self, form: Form) -> str:
        program = self.program
        if isinstance(form, NumberGram):
            length = program.assign_source("length", self._scaled(program.plain(form.value), 4))
            return f"{length}.log()"
        if isinstance(form, ParallelGram):
            return self._parallel(form)
        if isinstance(form, PairSums):
            # ½(μ_i + μ_j) of fields, and four times as much of gradients of charges.
            side = program.plain(form.side * (sp.Integer(2) if self.charges else sp.S.Half))
            values = program.assign_source("values", f"torch.linalg.eigvalsh({side})")
            return f"_log_pair_sums({values}, {int(form.kind == 'skew')})"
        if isinstance(form, OuterSums):
            sides = [
                program.assign_source("values", f"torch.linalg.eigvalsh({program.plain(side)})")
                for side in (form.left, form.right)
            ]
            return f"({sides[0]}[..., :, None] + {sides[1]}[..., None, :]).log().sum((-2, -1))"
        return self._dense(form)

    def _scaled(self, source: str, factor: int) -> str:
        return f"{factor} * ({source})" if self.charges else source

    def _parallel(self, form: ParallelGram) -> str:
        program = self.program
        program.expect([entry for row in form.entries for entry in row])
        if len(form.entries) == 1:
            ((entry,),) = form.entries
            lengths = program.assign_source("lengths", self._scaled(program.source(entry, diagonal=True), 4))
            return f"{lengths}.log().sum(-1)"
        rows = []
        for row in form.entries:
            entries = [program.source(entry, diagonal=True) if entry else "0" for entry in row]
            names = [program.assign_source("inner", self._scaled(entry, 4)) for entry in entries]
            rows.append(f"torch.stack(torch.broadcast_tensors({', '.join(names)}), -1)")
        stacked = program.assign_source("gram", f"torch.stack(({', '.join(rows)}), -2)")
        return f"torch.linalg.slogdet({stacked})[1].sum(-1)"

    def _dense(self, form: DenseGram) -> str:
        program, spans = self.program, form.spans
        like = next(iter(program.variables.values()))
        bases = [self._basis(span, like) for span in spans]
        blocks: dict[tuple[int, int], str] = {}
        for i, j in [*((i, i) for i in range(len(spans))), *combinations(range(len(spans)), 2)]:
            block = form.gram.block(spans[i], spans[j])
            if _is_zero(block):
                own = blocks[i, i]
                source = f"{own}.new_zeros({own}.shape[-1], {blocks[j, j]}.shape[-1])"
            else:
                source = self._block(block, bases[i], bases[j], is_column=spans[j].kind == "number")
            factor = (1 + self._doubles(spans[i])) * (1 + self._doubles(spans[j]))
            wish = "_".join(dict.fromkeys(spans[place].factor.name for place in (i, j)))
            blocks[i, j] = program.assign_source(f"gram_{wish}", source if factor == 1 else f"{factor} * ({source})")
        if len(spans) == 1:
            return f"torch.linalg.slogdet({blocks[0, 0]})[1]"
        rows = []
        for i in range(len(spans)):
            row = ", ".join(blocks[i, j] if i <= j else f"{blocks[j, i]}.mT" for j in range(len(spans)))
            rows.append(program.assign_source("row", f"[{row}]"))
        whole = program.assign_source("gram", f"_assembled([{', '.join(rows)}])")
        return f"torch.linalg.slogdet({whole})[1]"

    def _basis(self, span: Span, like: str) -> str:
        """The variable of an orthonormal basis of a span's elements; empty for all matrices and for numbers."""
        if span.kind not in BASES:
            return ""
        source = f"{BASES[span.kind]}({self.program.size(span.size)}, {like})"
        if source not in self.bases:
            self.bases[source] = self.program.assign_source("basis", source)
        return self.bases[source]

    def _doubles(self, span: Span) -> bool:
        """Whether the gradient of the charge is twice the field: that of a linear charge is the field itself."""
        return self.charges and not isinstance(span.factor, Translation)

    def _block(self, block: Block, first: str, second: str, *, is_column: bool) -> str:
        """A block in the bases of both elements, which are empty for all matrices and for numbers."""
        program = self.program
        if isinstance(block, TraceForm):
            return f"({program.plain(block)})[..., None, None]"
        if isinstance(block, Polynomial):
            row = f"({program.plain(block)}).flatten(-2)[..., None, :]"
            row = f"({row} @ {first or second}.mT)" if first or second else row
            return f"{row}.mT" if is_column else row
        terms = [f"_two_sided({self._sides(left, right)})" for left, right in block.straight]
        terms += [f"_crossed({self._sides(left, right)})" for left, right in block.crossed]
        source = " + ".join(terms)
        source = f"({source})" if len(terms) > 1 and (first or second) else source
        source = f"{first} @ {source}" if first else source
        return f"{source} @ {second}.mT" if second else source

    def _sides(self, left: Polynomial, right: Polynomial) -> str:
        return f"{self.program.plain(left)}, {self.program.plain(right)}"


def _is_zero(block: Block) -> bool:
    return not (block.straight or block.crossed) if isinstance(block, TwoSidedOperator) else not block
