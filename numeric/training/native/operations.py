"""Operations that are more than entry by entry, as loops: reductions, softmax, cumulative sums, matrix products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numeric.training.native.loops import Lines, loop, names, nest
from numeric.training.native.operand import Operand

ACCUMULATORS, ROWS = 8, 4
"""Entries of a matrix product that are summed side by side: enough to hide the latency of a sum, few enough for 16
registers; and the most rows among them."""


def assign(out: Operand, expression: str, inputs: Sequence[Operand]) -> Lines:
    """out = expression of the inputs {0}, {1}, …, entry by entry; inputs have the shape of out."""
    index = names(len(out.shape))
    return nest(index, out.shape, [f"{out.at(index)} = {expression.format(*(each.at(index) for each in inputs))};"])


def reduce(out: Operand, value: Operand, axes: Sequence[int], start: str, update: str, scale: str = "") -> Lines:
    """Over the axes: total = update of {total} and {value}. out has the shape of value, with stride 0 on the axes."""
    index = names(len(value.shape))
    kept = [axis for axis in range(len(index)) if axis not in axes]
    inner = nest(index, value.shape, [update.format(total="total", value=value.at(index))], axes)
    return nest(index, value.shape, [f"Vec total = {start};", *inner, f"{out.at(index)} = total{scale};"], kept)


def variance(out: Operand, value: Operand, axes: Sequence[int], count: str, divisor: str) -> Lines:
    """Σ (x − mean x)² / divisor over the axes, of which there are `count` entries; out as in `reduce`."""
    index = names(len(value.shape))
    kept = [axis for axis in range(len(index)) if axis not in axes]
    x = value.at(index)
    body = [
        "Vec mean = zero, total = zero;",
        *nest(index, value.shape, [f"mean += {x};"], axes),
        f"mean /= {count};",
        *nest(index, value.shape, [f"total += ({x} - mean) * ({x} - mean);"], axes),
        f"{out.at(index)} = total / {divisor};",
    ]
    return nest(index, value.shape, body, kept)


def softmax(out: Operand, value: Operand, axis: int) -> Lines:
    """exp(x − max x) / Σ exp(x − max x) along an axis."""
    index = names(len(value.shape))
    others = [each for each in range(len(index)) if each != axis]
    x, y = value.at(index), out.at(index)
    body = [
        "Vec most = spread(-INFINITY), total = zero;",
        *nest(index, value.shape, [f"most = ({x} > most) | ({x} != {x}) ? {x} : most;"], [axis]),
        *nest(index, value.shape, [f"{y} = each_exp({x} - most);", f"total += {y};"], [axis]),
        *nest(index, value.shape, [f"{y} /= total;"], [axis]),
    ]
    return nest(index, value.shape, body, others)


def cumulative_sum(out: Operand, value: Operand, axis: int) -> Lines:
    """Sums of the entries up to each one along an axis."""
    index = names(len(value.shape))
    others = [each for each in range(len(index)) if each != axis]
    inner = nest(index, value.shape, [f"total += {value.at(index)};", f"{out.at(index)} = total;"], [axis])
    return nest(index, value.shape, ["Vec total = zero;", *inner], others)


def matrix_product(out: Operand, left: Operand, right: Operand) -> Lines:
    """out (n, i, j) = Σ_k left (n, i, k) · right (n, k, j), blocks of entries side by side."""
    batch, rows, columns = out.shape
    lines: Lines = []
    high = min(ROWS, rows)
    for row_range in _blocks(rows, high):
        for column_range in _blocks(columns, ACCUMULATORS // high):
            lines += _block_loop(out, left, right, row_range, column_range)
    return nest(["n"], [batch], lines)


def _blocks(size: int, block: int) -> Iterator[range]:
    """Whole blocks, and the rest as one smaller block."""
    whole = size // block * block
    if whole:
        yield range(0, whole, block)
    if size > whole:
        yield range(whole, size, size - whole)


def _block_loop(out: Operand, left: Operand, right: Operand, rows: range, columns: range) -> Lines:
    high, wide = range(rows.step), range(columns.step)
    sums = [f"s{i}_{j}" for i in high for j in wide]
    body = [
        f"Vec {', '.join(f'{each} = zero' for each in sums)};",
        loop("k", 0, left.shape[2], 1) + " {",
        *(f"const Vec l{i} = {left.at(['n', f'(i + {i})', 'k'])};" for i in high),
        *(f"const Vec r{j} = {right.at(['n', 'k', f'(j + {j})'])};" for j in wide),
        *(f"s{i}_{j} += l{i} * r{j};" for i in high for j in wide),
        "}",
        *(f"{out.at(['n', f'(i + {i})', f'(j + {j})'])} = s{i}_{j};" for i in high for j in wide),
    ]
    heads = [
        loop("i", rows.start, rows.stop, rows.step),
        loop("j", columns.start, columns.stop, columns.step),
    ]
    return [*heads, "{", *body, "}"]
