"""The torch function that makes tangents of coefficients in an orthonormal frame of a metric of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from symtheory.codegen.layout import INDENT
from symtheory.codegen.paragraph import fold_paragraph
from symtheory.codegen.statements import point_entry
from symtheory.errors import DerivationError
from symtheory.generation.function_text import function_text
from symtheory.generation.matrix_setting import MatrixSetting
from symtheory.generation.matrix_writer import MatrixWriter
from symtheory.generation.straightening import STRAIGHTEN
from symtheory.geometry.matrix.block_metric import Term
from symtheory.matrix_calculus.definitions import Definitions
from symtheory.matrix_calculus.polynomial import Letter, Polynomial, identity, inverse, letter
from symtheory.matrix_calculus.symbols import DiagonalSymbol, SymmetricSymbol

ARGUMENT = "coefficients"
NOTE = (
    "The tangent is as long as its coefficients are in the Euclidean norm, so independent standard normal ones make "
    "a tangent whose covariance is the inverse of the metric. The frame moves with the group: at a moved point the "
    "same coefficients make the moved tangent. Roots are taken in float64."
)


def render_frame(setting: MatrixSetting) -> str:
    """Source of ``frame(point, coefficients)``.

    Raises ``DerivationError`` where the metric of a parameter is no single product of weights with a known root.
    """
    geometry = setting.geometry
    if not geometry.blocks.is_closed:
        raise DerivationError("the metric of a parameter is a sum of products, whose root is no product")
    symbols = setting.model.tangent("z")
    roots: dict[Any, Any] = {}
    values = {
        name: _raised(block.terms[0], letter(symbols[name]), roots) for name, block in geometry.blocks.blocks.items()
    }
    scaled = [name for name, value in values.items() if dict(value.terms) != dict(letter(symbols[name]).terms)]
    needed = [letter(symbol) for symbol in roots]
    rows = {symbol: _rows(symbol, geometry.definitions) for symbol in roots}
    writer = MatrixWriter(
        setting,
        {ARGUMENT: symbols},
        geometry.definitions,
        [*(letter(symbols[name]) for name in scaled), *needed, *(row for found in rows.values() for row in found)],
        wide=True,
    )
    writer.check()
    _straighten_point(writer)
    writer.read()
    for symbol, root in roots.items():
        _write_root(writer, symbol, root, rows[symbol])
    writer.program.expect(values.values())
    dtype = f'point["{next(iter(setting.parameters))}"].dtype'
    results = writer.results(values, ARGUMENT)
    writer.finish_tangent({name: _narrowed(source, dtype) for name, source in results.items()})
    return _text(setting, writer)


def _narrowed(source: str, dtype: str) -> str:
    """Source of a result in the dtype of the inputs, which one that is only handed on has already."""
    if source.startswith(f'{ARGUMENT}["'):
        return source
    return f"{source if source.isidentifier() else f'({source})'}.to({dtype})"


def _raised(term: Term, z: Polynomial, roots: dict[Any, Any]) -> Polynomial:
    """ξ with scale · Tr(left ξ right ξᵀ) = Tr(z zᵀ): scale^{-1/2} L z Rᵀ with L Lᵀ = left⁻¹ and R Rᵀ = right⁻¹."""
    left, right = (_root_of_inverse(side, roots) for side in (term.left, term.right))
    return left @ z @ right.T * (1 / sp.sqrt(term.scale))


def _root_of_inverse(side: Polynomial, roots: dict[Any, Any]) -> Polynomial:
    """A matrix L with L Lᵀ = side⁻¹, made of roots of the symbols in side."""
    ((word, coefficient),) = side
    if coefficient != 1 or not all(isinstance(f, Letter) and isinstance(f.symbol, SymmetricSymbol) for f in word):
        raise DerivationError("the metric has a weight whose root is not known")
    if len(word) > 1 and not all(factor.is_diagonal for factor in word):
        raise DerivationError("the metric has a weight that is a product of matrices, whose root is not known")
    result = identity(side.shape[0])
    for factor in word:
        assert isinstance(factor, Letter)  # checked above
        kind = DiagonalSymbol if factor.is_diagonal else sp.MatrixSymbol
        root = roots.setdefault(factor.symbol, kind(f"root_{factor.symbol.name}", *factor.symbol.shape))
        result = result @ (letter(root) if factor.inverse else inverse(letter(root)).T)
    return result


def _rows(symbol: Any, definitions: Definitions) -> list[Polynomial]:
    """Matrices X with symbol = Σ Xᵀ X; none where it is not defined so, or diagonal."""
    if isinstance(symbol, DiagonalSymbol):
        return []
    value, found = definitions[symbol], []
    for word, coefficient in value:
        if coefficient != 1 or len(word) != 2 or not isinstance(word[1], Letter) or word[0] != word[1].transpose():
            return []
        found.append(Polynomial({(word[1],): sp.S.One}, word[1].shape))
    return found


def _straighten_point(writer: MatrixWriter) -> None:
    """Go to straightened coordinates with the point alone: coefficients have none."""
    if not writer.setting.is_straightened:
        return
    name = writer.body.names.unique("straight_point")
    writer.body.lines += [
        f"    point, {ARGUMENT} = _aligned(point, {ARGUMENT})",
        f"    {name} = {STRAIGHTEN}(point)",
    ]
    writer.sources["point"] = name


def _write_root(writer: MatrixWriter, symbol: Any, root: Any, rows: list[Polynomial]) -> None:
    program = writer.program
    variable = program.variables[symbol]
    if isinstance(root, DiagonalSymbol):
        source = f"{variable}.sqrt()"
    elif rows:
        sources = [program.source(row) for row in rows]
        joined = sources[0] if len(sources) == 1 else f"torch.cat([{', '.join(sources)}], -2)"
        source = f"_root({variable}, {joined})"
    else:
        source = f"torch.linalg.cholesky_ex({variable})[0]"
    program.variables[root] = program.assign_source(root.name, source)


def _text(setting: MatrixSetting, writer: MatrixWriter) -> str:
    parameters: Mapping[str, Any] = setting.parameters
    return function_text(
        "frame",
        ["point", ARGUMENT],
        "dict[str, Tensor]",
        f"Tangent with these coefficients in an orthonormal frame of the {setting.metric} metric.",
        fold_paragraph(NOTE, INDENT),
        [point_entry(parameters), f"{ARGUMENT}: dict with the keys and shapes of point."],
        "dict with the keys and shapes of point.",
        "",
        writer.body.lines,
    )
