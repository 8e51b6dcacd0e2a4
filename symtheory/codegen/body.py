"""Statements of a generated function: entries unpacked, shared subexpressions named, results returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from symtheory.codegen.arguments import Argument, DictArgument, ScalarArgument, Shape
from symtheory.codegen.code import Code, Level
from symtheory.codegen.fused_printer import FusedPrinter
from symtheory.codegen.layout import INDENT, LINE_LENGTH, fold_statement
from symtheory.codegen.lowering import lower
from symtheory.codegen.matrix_printer import TorchMatrixPrinter
from symtheory.codegen.naming import Names, describe
from symtheory.codegen.nodes import Fused, SolveLeft, SolveRight, Where
from symtheory.errors import CodegenError

SINGLE = ""
"""Key under which the only result of a function that returns one tensor is kept."""


class FunctionBody:
    """The statements that compute ``results`` from ``arguments``, which ``TorchFunction`` explains."""

    def __init__(
        self,
        arguments: Sequence[Argument],
        results: sp.Basic | Mapping[str, sp.Basic],
        sum_axes: int = 0,
    ) -> None:
        self.arguments = tuple(arguments)
        self.sum_axes = sum_axes
        self.returns_dict = isinstance(results, Mapping)
        named = results if isinstance(results, Mapping) else {SINGLE: results}
        for expression in named.values():
            _check_result(expression)
        settings = frozenset(self._scalars)
        self.is_fused = any(isinstance(expression, Fused) for expression in named.values())
        self.results = {
            key: lower(expression.args[0] if isinstance(expression, Fused) else expression, settings)
            for key, expression in named.items()
        }
        self._allocator = Names({argument.name for argument in arguments})
        self.names = self._bind_names()

    @cached_property
    def is_matrix(self) -> bool:
        """Whether the calculus is that of matrix expressions rather than the elementwise one."""
        return any(isinstance(symbol, sp.MatrixSymbol) for symbol in self.names)

    def lines(self, indent: str = INDENT) -> list[str]:
        """The statements, indented; the last one returns."""
        shared, results = self._share()
        batch = self._allocator.unique("batch") if self._solves_in_batch else ""
        temporaries = self._name_temporaries(shared)
        printer = self._printer(shared, batch)
        lines = self._unpack_lines() + self._conversion_lines() + self._size_lines()
        statements = [f"{indent}{line}" for line in lines] + self._batch_lines(batch, indent)
        for symbol, expression in shared:
            statements += fold_statement(f"{temporaries[symbol]} = ", str(printer.source(expression)), indent)
        return statements + self._return_lines(dict(zip(self.results, results, strict=True)), printer, indent)

    def _bind_names(self) -> dict[sp.Basic, str]:
        names: dict[sp.Basic, str] = {}
        for argument in self.arguments:
            for symbol, _, _ in argument.leaves():
                if symbol in names:
                    raise CodegenError(f"symbol '{symbol}' is bound twice: give each argument its own symbol")
                is_entry = isinstance(argument, DictArgument)
                names[symbol] = self._allocator.unique(str(symbol)) if is_entry else argument.name
        for size in self._sizes:
            names[size] = self._allocator.unique(str(size))
        return names

    @cached_property
    def _tensors(self) -> dict[sp.Basic, Shape]:
        """Tensor symbols and their logical shapes, in the order of the arguments."""
        return {
            symbol: shape
            for argument in self.arguments
            if not isinstance(argument, ScalarArgument)
            for symbol, _, shape in argument.leaves()
        }

    @cached_property
    def _scalars(self) -> dict[sp.Basic, ScalarArgument]:
        return {argument.symbol: argument for argument in self.arguments if isinstance(argument, ScalarArgument)}

    @cached_property
    def _sizes(self) -> dict[sp.Symbol, list[tuple[sp.Basic, int]]]:
        """Symbolic sizes, each with the tensors and (negative) axes that carry it."""
        sizes: dict[sp.Symbol, list[tuple[sp.Basic, int]]] = {}
        for symbol, shape in self._tensors.items():
            for axis, size in enumerate(shape, start=-len(shape)):
                if isinstance(size, sp.Symbol):
                    sizes.setdefault(size, []).append((symbol, axis))
        return sizes

    @cached_property
    def _free(self) -> set[sp.Basic]:
        return set().union(*(expression.free_symbols for expression in self.results.values()))

    @cached_property
    def _used_sizes(self) -> dict[sp.Symbol, tuple[sp.Basic, int]]:
        """Sizes that occur in the results or in shapes made anew, with a tensor in use to read them from."""
        wanted = set(self._free)
        for expression in self.results.values():
            if isinstance(expression, MatrixExpr) and not self._tensors_in(expression):
                wanted |= set().union(*(size.free_symbols for size in expression.shape))
        return {
            size: next((carrier for carrier in carriers if carrier[0] in self._free), carriers[0])
            for size, carriers in self._sizes.items()
            if size in wanted
        }

    @cached_property
    def _like(self) -> sp.Basic:
        """The tensor from which constants take dtype and device: the first one in use."""
        if not self._tensors:
            raise CodegenError("a generated function needs a tensor argument to take dtype and device from")
        return next((symbol for symbol in self._tensors if symbol in self._free), next(iter(self._tensors)))

    def _reference(self, key: str) -> sp.Basic:
        """The tensor whose shape a constant result has: the entry under the same key, if there is one."""
        for argument in self.arguments:
            if isinstance(argument, DictArgument) and key in argument.entries:
                return argument.entries[key]
        return self._like

    def _tensors_in(self, expression: sp.Basic) -> set[sp.Basic]:
        return expression.free_symbols & set(self._tensors)

    @cached_property
    def _unpacked_symbols(self) -> set[sp.Basic]:
        """Everything that the statements read, constants' references and carriers of sizes included."""
        needed = set(self._free) | {carrier for carrier, _ in self._used_sizes.values()}
        for key, expression in self.results.items():
            if not self._tensors_in(expression):
                needed.add(self._reference(key))
        if self._converted:
            needed.add(self._like)
        return needed

    def _unpack_lines(self) -> list[str]:
        lines = []
        for argument in self.arguments:
            if not isinstance(argument, DictArgument):
                continue
            read = [
                (self.names[symbol], source)
                for symbol, source, _ in argument.leaves()
                if symbol in self._unpacked_symbols
            ]
            line = ", ".join(name for name, _ in read) + " = " + ", ".join(source for _, source in read)
            if len(line) + len(INDENT) <= LINE_LENGTH:
                lines += [line] if read else []
            else:
                lines += [f"{name} = {source}" for name, source in read]
        return lines

    @cached_property
    def _converted(self) -> list[ScalarArgument]:
        """Scalars that must be tensors: those with axes to add, or handed to a torch function alone."""
        scalars = set(self._scalars)
        handed_over = set().union(*(_handed_over(result, scalars) for result in self.results.values()))
        return [
            argument
            for symbol, argument in self._scalars.items()
            if symbol in handed_over or (argument.unsqueeze and symbol in self._free)
        ]

    def _conversion_lines(self) -> list[str]:
        lines = []
        for argument in self._converted:
            like = self.names[self._like]
            axes = f"[..., {', '.join(['None'] * argument.unsqueeze)}]" if argument.unsqueeze else ""
            options = f"dtype={like}.dtype, device={like}.device"
            lines.append(f"{argument.name} = torch.as_tensor({argument.name}, {options}){axes}")
        return lines

    def _size_lines(self) -> list[str]:
        return [
            f"{self.names[size]} = {self.names[carrier]}.shape[{axis}]"
            for size, (carrier, axis) in self._used_sizes.items()
        ]

    @cached_property
    def _solves_in_batch(self) -> bool:
        """Whether a system is solved with more than one tensor about, whose batch axes may differ."""
        solves = any(result.has(SolveLeft, SolveRight) for result in self.results.values())
        return solves and len(self._free & set(self._tensors)) > 1

    def _batch_lines(self, batch: str, indent: str) -> list[str]:
        if not batch:
            return []
        used = [(self.names[symbol], len(shape)) for symbol, shape in self._tensors.items() if symbol in self._free]
        shapes = ", ".join(f"{name}.shape[:-{axes}]" if axes else f"{name}.shape" for name, axes in used)
        return fold_statement(f"{batch} = ", f"torch.broadcast_shapes({shapes})", indent)

    def _share(self) -> tuple[list[tuple[sp.Basic, sp.Basic]], list[sp.Basic]]:
        """Common subexpressions and the results in terms of them; trivial ones (-u, 2 u, 1/u, A.T) stay.

        Twice, since a product that SymPy takes apart for the sake of another one may itself stand in two places.
        """
        symbols = sp.numbered_symbols("shared_", real=True)
        kept, results = _shared(list(self.results.values()), symbols)
        late, results = _shared(results, symbols)
        return kept + late, results

    def _name_temporaries(self, shared: list[tuple[sp.Basic, sp.Basic]]) -> dict[sp.Basic, str]:
        for symbol, expression in shared:
            self.names[symbol] = self._allocator.numbered(describe(expression, self.names))
        return {symbol: self.names[symbol] for symbol, _ in shared}

    def _printer(self, shared: list[tuple[sp.Basic, sp.Basic]], batch: str) -> TorchMatrixPrinter:
        plain = set(self._sizes)
        for symbol, expression in shared:
            if isinstance(expression, sp.Expr) and not isinstance(expression, MatrixExpr):
                plain |= {symbol} if expression.free_symbols <= plain else set()
        printer = FusedPrinter if self.is_fused else TorchMatrixPrinter
        return printer(self.names, self.names[self._like], plain, batch)

    def _return_lines(self, results: Mapping[str, sp.Basic], printer: TorchMatrixPrinter, indent: str) -> list[str]:
        codes = {key: self._result(key, expression, printer) for key, expression in results.items()}
        if not self.returns_dict:
            return fold_statement("return ", codes[SINGLE], indent)
        entries = ", ".join(f'"{key}": {code}' for key, code in codes.items())
        line = f"{indent}return {{{entries}}}"
        if len(line) <= LINE_LENGTH:
            return [line]
        items = [fold_statement(f'"{key}": ', code, indent + INDENT, ",") for key, code in codes.items()]
        return [f"{indent}return {{", *(line for item in items for line in item), f"{indent}}}"]

    def _result(self, key: str, expression: sp.Basic, printer: TorchMatrixPrinter) -> str:
        code = printer.source(expression)
        if not self._tensors_in(self.results[key]):
            code = self._constant(self.results[key], code, self.names[self._reference(key)], printer)
        if not self.sum_axes:
            return str(code)
        listed = ", ".join(str(-axis) for axis in range(self.sum_axes, 0, -1))
        axes = listed if self.sum_axes == 1 else f"dim=({listed})"
        return f"{code.at_least(Level.ATOM)}.sum({axes})"

    def _constant(self, expression: sp.Basic, code: Code, like: str, printer: TorchMatrixPrinter) -> Code:
        """A value without tensors in it, with the shape, dtype and device of a result."""
        if isinstance(expression, MatrixExpr):
            zeros = printer.source(sp.ZeroMatrix(*expression.shape))
            filled = str(zeros) if expression.is_ZeroMatrix else f"({zeros} + {code.at_least(Level.SUM)})"
            return Code(filled)
        number = printer.is_plain(expression)
        if self.is_matrix:
            filled = f"{like}.new_full({like}.shape[:-2], {code if number else 1})"
        elif number and expression in (0, 1):
            filled = f"torch.{'zeros' if expression == 0 else 'ones'}_like({like})"
        else:
            filled = f"torch.full_like({like}, {code})" if number else f"torch.ones_like({like})"
        return Code(filled) if number else Code(f"{code.at_least(Level.PRODUCT)} * {filled}", Level.PRODUCT)


def _check_result(expression: sp.Basic) -> None:
    if isinstance(expression, sp.MatrixBase):
        raise CodegenError(f"explicit Matrix {expression} has no torch source: give one result for each entry")
    if expression.has(sp.nan, sp.zoo):
        raise CodegenError(f"result {expression} is undefined: it contains nan or zoo")


def _shared(
    results: Sequence[sp.Basic], symbols: Iterator[sp.Symbol]
) -> tuple[list[tuple[sp.Basic, sp.Basic]], list[sp.Basic]]:
    """What ``sp.cse`` finds in the results, without its trivial finds; what was held together need be no longer."""
    found, reduced = sp.cse(list(results), symbols=symbols)
    kept: list[tuple[sp.Basic, sp.Basic]] = []
    inlined: dict[sp.Basic, sp.Basic] = {}
    for symbol, expression in found:
        expression = expression.xreplace(inlined)
        if isinstance(expression, sp.UnevaluatedExpr):
            expression = expression.args[0]
        is_matrix = isinstance(expression, MatrixExpr)
        key = sp.MatrixSymbol(symbol.name, *expression.shape) if is_matrix else symbol
        if _is_trivial(expression):
            inlined[key] = expression
        else:
            kept.append((key, expression))
    return kept, [result.xreplace(inlined) for result in reduced]


def _is_trivial(expression: sp.Basic) -> bool:
    if isinstance(expression, sp.Transpose):
        return isinstance(expression.arg, sp.MatrixSymbol)
    if isinstance(expression, sp.Symbol | sp.MatrixSymbol):
        return True
    if isinstance(expression, sp.Pow) and expression.exp == -1:
        # Dividing by the tensor is one operation; multiplying by its reciprocal is one more.
        return isinstance(expression.base, sp.Symbol)
    if isinstance(expression, sp.Mul | sp.MatMul) and len(expression.args) == 2:
        number, rest = expression.args
        return bool(number.is_number) and isinstance(rest, sp.Symbol | sp.MatrixSymbol)
    return False


def _handed_over(expression: sp.Basic, scalars: set[sp.Basic]) -> set[sp.Basic]:
    """Scalars that make up, alone, an argument of something that only takes tensors."""
    found: set[sp.Basic] = set()
    for node in sp.preorder_traversal(expression):
        for argument in _tensor_arguments(node):
            if argument.free_symbols and argument.free_symbols <= scalars:
                found |= argument.free_symbols
    return found


def _tensor_arguments(node: sp.Basic) -> Iterator[sp.Basic]:
    is_root = isinstance(node, sp.Pow) and not node.exp.is_Integer
    if is_root or isinstance(node, sp.Function | Where | sp.Max | sp.Min):
        yield from node.args
    elif isinstance(node, sp.MatMul):
        yield node.as_coeff_matrices()[0]
