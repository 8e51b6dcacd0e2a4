"""The C++ text of a function that takes steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import OptionError
from numeric.training.block import copies
from numeric.training.native.frame import head
from numeric.training.native.loops import Lines
from numeric.training.native.transcript import Transcript
from numeric.training.native.workspace import Span, arranged
from numeric.training.program import Program
from numeric.training.state import State

_NUMBER = {torch.float32: "float", torch.float64: "double"}
Leaves = Mapping[str, Tensor]


@dataclass(frozen=True)
class Source:
    """text: the C++ source. workspace: vectors that a call works in. data: the arrays that it reads at every step, data
    and constants, contiguous and the same for all replicas.
    """

    text: str
    workspace: int
    data: tuple[Tensor, ...]


def native_source(program: Program, state: State) -> Source:
    """Run a step of the first replica and write down what it does.

    Raises OptionError for an operation without a native form, and for data of another dtype than the parameters.
    """
    dtype = next(iter(state.point.values())).dtype
    held_in = {"the parameters": dtype, **{f"data[{key!r}]": leaf.dtype for key, leaf in program.batches.data.items()}}
    other = [f"{name} of {kind}" for name, kind in held_in.items() if kind != dtype or kind not in _NUMBER]
    if other:
        raise OptionError(f"native steps compute in one dtype, float32 or float64, and there are {', '.join(other)}")
    transcript = Transcript(dtype)
    point, velocity = (_first_replica(leaves) for leaves in copies(state))
    batch = _first_replica(program.batches.at(0))
    noise = program.noise_at(0)
    noise = None if noise is None else _first_replica(noise)
    _announce(transcript, "p", point)
    _announce(transcript, "v", velocity)
    _announce(transcript, "z", noise or {})
    for j, (name, leaf) in enumerate(batch.items()):
        transcript.announce(leaf, f"x{j}", lanes=_differs(program, name))
    rate = torch.tensor(program.rate_at(0), dtype=torch.float64)
    transcript.announce(rate, "rate", lanes=False)
    with torch.no_grad(), transcript:
        loss, _ = program.step(point, velocity, batch, rate, noise)
    result = transcript.operand(loss).at(["0"])

    held = {**_named("p", point), **_named("v", velocity)}
    transcript.spans.update({name: Span.always(leaf.numel()) for name, leaf in held.items()})
    places, workspace = arranged(transcript.spans)
    data = [*(leaf.contiguous() for leaf in program.batches.data.values()), *transcript.constants]
    lines = [
        *(f"Vec* const {name} = work + {place};" for name, place in places.items()),
        *_arrays(program, batch, len(transcript.constants)),
        "for (Index r = first; r < last; r += LANES) {",
        "const Index valid = last - r < LANES ? last - r : LANES;",
        *(_load(name, f"state[{j}]", leaf.numel()) for j, (name, leaf) in enumerate(held.items())),
        "for (Index t = 0; t < count; ++t) {",
        "const T rate[] = {T(rates[t])};",
        *_loads(program, batch, noise or {}),
        *transcript.lines,
        f"const Vec loss = {result};",
        "for (Index l = 0; l < valid; ++l) ((T*)losses)[t * replicas + r + l] = loss[l];",
        "}",
        *_stores(held),
        "}",
        "}",
    ]
    return Source(head(_NUMBER[dtype]) + "\n".join(lines) + "\n", workspace, tuple(data))


def _first_replica(leaves: Leaves) -> dict[str, Tensor]:
    """Leaves (1, ...), each in a storage of its own."""
    return {name: leaf[:1].clone(memory_format=torch.contiguous_format) for name, leaf in leaves.items()}


def _named(prefix: str, leaves: Leaves) -> dict[str, Tensor]:
    return {f"{prefix}{j}": leaf for j, leaf in enumerate(leaves.values())}


def _announce(transcript: Transcript, prefix: str, leaves: Leaves) -> None:
    for name, leaf in _named(prefix, leaves).items():
        transcript.announce(leaf, name, lanes=True)


def _differs(program: Program, name: str) -> bool:
    """Whether a leaf of the batch differs from replica to replica."""
    index, noise = program.batches.drawn(0)
    return index is not None or (noise is not None and name == "y")


def _arrays(program: Program, batch: Leaves, constants: int) -> Lines:
    """Data d0, d1, …, batch leaves that are nothing but data, constants c0, c1, …"""
    lines = [f"const T* const d{j} = (const T*)data[{j}];" for j in range(len(batch))]
    lines += [f"const T* const x{j} = d{j};" for j, name in enumerate(batch) if not _differs(program, name)]
    return lines + [f"const T* const c{j} = (const T*)data[{len(batch) + j}];" for j in range(constants)]


def _loads(program: Program, batch: Leaves, noise: Leaves) -> Lines:
    """What a step is given: drawn samples, noise of the target and of the parameters; arrays as in `Program.drawn`."""
    index, target_noise = program.batches.drawn(0)
    present = [index is not None, target_noise is not None, bool(noise)]
    arrays = [f"drawn[t * {sum(present)} + {sum(present[:j])}]" for j in range(3)]
    lines: Lines = []
    for j, (name, leaf) in enumerate(batch.items()):
        samples, size = program.batches.size, leaf.numel()
        if index is not None:
            rows = f"(const Index*){arrays[0]} + r * {samples}"
            lines.append(f"gather(x{j}, d{j}, {rows}, {size // samples}, {samples}, valid);")
        elif _differs(program, name):
            lines.append(f"repeat(x{j}, d{j}, {size});")
        if target_noise is not None and name == "y":
            rows = f"(const T*){arrays[1]} + r * {size}"
            lines.append(f"add(x{j}, {rows}, {size}, T({program.batches.label_noise!r}), valid);")
    start, stride = 0, sum(leaf.numel() for leaf in noise.values())
    for name, leaf in _named("z", noise).items():
        lines.append(_load(name, arrays[2], leaf.numel(), start, stride))
        start += leaf.numel()
    return lines


def _load(name: str, array: str, size: int, start: int = 0, stride: int | None = None) -> str:
    stride = size if stride is None else stride
    return f"load({name}, (const T*){array} + r * {stride} + {start}, {size}, {stride}, valid);"


def _stores(held: Leaves) -> Lines:
    return [
        f"store((T*)state[{j}] + r * {leaf.numel()}, {name}, {leaf.numel()}, valid);"
        for j, (name, leaf) in enumerate(held.items())
    ]
