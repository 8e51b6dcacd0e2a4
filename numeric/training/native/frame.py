"""The C++ text around the operations of a step: what is declared once, loaded for each step, and stored at the end."""

from __future__ import annotations

from numeric.training.native.pointwise import FUNCTIONS

_HEAD = """\
#include <cmath>
#include <cstdint>
using T = NUMBER;
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
static inline Vec each_pow(Vec x, Vec y) {
  for (int l = 0; l < LANES; ++l) x[l] = std::pow(x[l], y[l]);
  return x;
}
// One row for each replica, `stride` numbers apart, to vectors and back. Lanes beyond `valid` repeat the last replica.
static void load(Vec* to, const T* from, Index size, Index stride, Index valid) {
  for (int l = 0; l < LANES; ++l) {
    const T* row = from + (l < valid ? l : valid - 1) * stride;
    for (Index i = 0; i < size; ++i) to[i][l] = row[i];
  }
}
static void store(T* to, const Vec* from, Index size, Index valid) {
  for (int l = 0; l < valid; ++l)
    for (Index i = 0; i < size; ++i) to[l * size + i] = from[i][l];
}
// The samples, of `size` numbers each, that `batch` indices of each replica name.
static void gather(Vec* to, const T* data, const Index* index, Index size, Index batch, Index valid) {
  for (int l = 0; l < LANES; ++l)
    for (Index b = 0; b < batch; ++b) {
      const T* row = data + index[(l < valid ? l : valid - 1) * batch + b] * size;
      for (Index i = 0; i < size; ++i) to[b * size + i][l] = row[i];
    }
}
static void repeat(Vec* to, const T* data, Index size) {
  for (Index i = 0; i < size; ++i) to[i] = spread(data[i]);
}
static void add(Vec* to, const T* noise, Index size, T factor, Index valid) {
  for (int l = 0; l < LANES; ++l)
    for (Index i = 0; i < size; ++i) to[i][l] += factor * noise[(l < valid ? l : valid - 1) * size + i];
}
extern "C" int lanes() { return LANES; }
// Steps of the replicas `first` to `last`. state: rows of parameters and velocities. data: arrays for all replicas.
// drawn: random numbers, `DRAWN` arrays a step.
extern "C" void steps(void* const* state, const void* const* data, const void* const* drawn, const double* rates,
                      void* losses, Index count, Index replicas, Index first, Index last, void* memory) {
  Vec* const work = (Vec*)memory;
"""


def head(number: str) -> str:
    """Everything up to the body of the function; number: "float" or "double"."""
    functions = "\n".join(
        f"static inline Vec each_{name}(Vec x) {{\n"
        f"  for (int l = 0; l < LANES; ++l) x[l] = std::{name}(x[l]);\n"
        "  return x;\n}"
        for name in FUNCTIONS
    )
    before, after = _HEAD.replace("NUMBER", number).split("static inline Vec each_pow")
    return f"{before}{functions}\nstatic inline Vec each_pow{after}"
