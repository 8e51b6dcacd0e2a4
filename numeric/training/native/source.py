"""The C++ text of a function that takes steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.training.block import copies
from numeric.training.native.loops import Lines
from numeric.training.native.pointwise import FUNCTIONS
from numeric.training.native.transcript import Transcript
from numeric.training.program import Program
from numeric.training.state import State

_NUMBER = {torch.float32: "float", torch.float64: "double"}

_HEAD = """\
#include <cmath>
#include <cstdint>
using T = %(number)s;
using Index = std::int64_t;
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
constexpr int LANES = BYTES / sizeof(T);
typedef T Vec __attribute__((vector_size(BYTES)));
static inline Vec spread(T x) { return x - Vec{}; }
static inline Vec spread(Vec x) { return x; }
static const Vec zero = Vec{}, one = spread(T(1));
%(functions)s
static inline Vec each_pow(Vec x, Vec y) {
  for (int l = 0; l < LANES; ++l) x[l] = std::pow(x[l], y[l]);
  return x;
}
// Rows of `size` numbers, one for each replica, to vectors and back; lanes beyond `valid` repeat the last replica.
static void load(Vec* to, const T* from, Index size, Index valid) {
  for (int l = 0; l < LANES; ++l) {
    const T* row = from + (l < valid ? l : valid - 1) * size;
    for (Index i = 0; i < size; ++i) to[i][l] = row[i];
  }
}
static void store(T* to, const Vec* from, Index size, Index valid) {
  for (int l = 0; l < valid; ++l)
    for (Index i = 0; i < size; ++i) to[l * size + i] = from[i][l];
}
extern "C" int lanes() { return LANES; }
extern "C" void steps(void* const* state, const void* const* inputs, const void* const* constants,
                      const double* rates, void* losses, Index count, Index replicas, Index first, Index last,
                      void* memory) {
  Vec* const work = (Vec*)memory;
"""


@dataclass(frozen=True)
class Source:
    """text: the C++ source. workspace: vectors that a call works in. uniform: which of a step's inputs are one
    array for all replicas. constants: the arrays that it reads besides.
    """

    text: str
    workspace: int
    uniform: tuple[bool, ...]
    constants: tuple[Tensor, ...]


def native_source(program: Program, state: State) -> Source:
    """Run a step of the first replica and write down what it does.

    Raises OptionError for an operation without a native form.
    """
    first = next(iter(state.point.values()))
    transcript = Transcript(first.dtype)
    (batch,), rates, (noise,) = program.block_inputs(0, 1)
    inputs = [*batch.values(), *(noise or {}).values()]
    uniform = tuple(leaf.stride(0) == 0 for leaf in inputs)
    point, velocity = ({name: _one(leaf) for name, leaf in leaves.items()} for leaves in copies(state))
    batch = {name: _one(leaf) for name, leaf in batch.items()}
    noise = None if noise is None else {name: _one(leaf) for name, leaf in noise.items()}
    rate = rates[0].clone()
    held = {f"s{j}": leaf for j, leaf in enumerate([*point.values(), *velocity.values()])}
    given = {f"x{j}": leaf for j, leaf in enumerate([*batch.values(), *(noise or {}).values()])}
    for name, leaf in held.items():
        transcript.announce(leaf, name, lanes=True)
    for (name, leaf), same in zip(given.items(), uniform, strict=True):
        transcript.announce(leaf, name, lanes=not same)
    transcript.announce(rate, "rate", lanes=False)
    with torch.no_grad(), transcript:
        loss, _ = program.step(point, velocity, batch, rate, noise)
    result = transcript.operand(loss).at(["0"])
    sizes = {
        **{name: leaf.numel() for name, leaf in held.items()},
        **{name: leaf.numel() for (name, leaf), same in zip(given.items(), uniform, strict=True) if not same},
        **transcript.arrays,
    }
    text = _text(first.dtype, held, given, uniform, transcript, result, sizes)
    return Source(text, sum(sizes.values()), uniform, tuple(transcript.constants))


def _one(leaf: Tensor) -> Tensor:
    """The first replica's part, (1, ...), in a storage of its own."""
    return leaf[:1].clone(memory_format=torch.contiguous_format)


def _text(
    dtype: torch.dtype,
    held: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    uniform: Sequence[bool],
    transcript: Transcript,
    loss: str,
    sizes: Mapping[str, int],
) -> str:
    functions = "\n".join(
        f"static inline Vec each_{name}(Vec x) {{ for (int l = 0; l < LANES; ++l) x[l] = std::{name}(x[l]); return x; }}"
        for name in FUNCTIONS
    )
    lines: Lines = []
    start = 0
    for name, size in sizes.items():
        lines.append(f"Vec* const {name} = work + {start};")
        start += size
    lines += [f"const T* const c{j} = (const T*)constants[{j}];" for j in range(len(transcript.constants))]
    lines += [
        "for (Index r = first; r < last; r += LANES) {",
        "const Index valid = last - r < LANES ? last - r : LANES;",
        *(f"load({name}, (const T*)state[{j}] + r * {leaf.numel()}, {leaf.numel()}, valid);"
          for j, (name, leaf) in enumerate(held.items())),
        "for (Index t = 0; t < count; ++t) {",
        "const T number = T(rates[t]);",
        "const T* const rate = &number;",
    ]
    for j, ((name, leaf), same) in enumerate(zip(given.items(), uniform, strict=True)):
        place = f"(const T*)inputs[t * {len(given)} + {j}]"
        size = leaf.numel()
        lines.append(f"const T* const {name} = {place};" if same else f"load({name}, {place} + r * {size}, {size}, valid);")
    lines += [
        *transcript.lines,
        f"const Vec loss = {loss};",
        "for (Index l = 0; l < valid; ++l) ((T*)losses)[t * replicas + r + l] = loss[l];",
        "}",
        *(f"store((T*)state[{j}] + r * {leaf.numel()}, {name}, {leaf.numel()}, valid);"
          for j, (name, leaf) in enumerate(held.items())),
        "}",
    ]
    head = _HEAD % {"number": _NUMBER[dtype], "functions": functions}
    return head + "\n".join(lines) + "\n}\n"
