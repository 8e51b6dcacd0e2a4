"""Random elements of the symmetry groups of generated modules, as badly conditioned as one asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.parameters import Point


def random_element(
    functions: ModuleType, point: Point, condition: float, size: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """An element g that ``act`` of a generated module takes, in float64, one for every copy in `point`.

    point: leaves (copies, *shape). condition: of every invertible matrix, and the ratio of the largest to the
    smallest rescaling at most (dimensionless, at least 1). size: standard deviation of shifts, in the parameters' unit.
    Raises SharpnessError for a kind of group that has no random elements here.
    """
    sizes = read_sizes(functions, point)
    (copies,) = {leaf.shape[0] for leaf in point.values()}
    found = {}
    for name, (kind, shape) in functions.GROUP.items():
        if kind not in DRAWS:
            raise SharpnessError(f"no random element of a group of kind '{kind}' ({functions.NAME}, factor {name})")
        full = (copies, *(sizes[s] if isinstance(s, str) else s for s in shape))
        scale = size if kind == "translation" else condition
        found[name] = DRAWS[kind](full, scale, generator).to(next(iter(point.values())).device)
    return found


def identity_element(functions: ModuleType, element: dict[str, Tensor], keep: str) -> dict[str, Tensor]:
    """The element with all factors but one replaced by what moves nothing."""
    return {
        name: value if name == keep else _identity(functions.GROUP[name][0], value) for name, value in element.items()
    }


def read_sizes(functions: ModuleType, point: Point) -> dict[str, int]:
    """The value of every symbolic size of the declaration, read off a point with leaves (copies, *shape).

    Raises SharpnessError where two parameters disagree, or one has another number of axes than declared.
    """
    sizes: dict[str, int] = {}
    for name, shape in functions.PARAMETERS.items():
        found = tuple(point[name].shape[1:])
        agree = len(found) == len(shape) and all(
            (sizes.setdefault(size, length) if isinstance(size, str) else size) == length
            for size, length in zip(shape, found, strict=True)
        )
        if not agree:
            known = ", ".join(f"{size} = {length}" for size, length in sizes.items())
            raise SharpnessError(
                f"{functions.NAME} declares '{name}' with shape {shape} and its view has {found} (so far {known}): "
                "correct the view"
            )
    return sizes


def _identity(kind: str, like: Tensor) -> Tensor:
    if kind in ("GL", "O", "O_fixing_ones"):
        return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device).expand_as(like)
    return torch.ones_like(like) if kind in ("rescaling", "scaling") else torch.zeros_like(like)


def _normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator, device=generator.device, dtype=torch.float64)


def _invertible(shape: Sequence[int], condition: float, generator: torch.Generator) -> Tensor:
    """U diag(s) Vᵀ with s from condition^(-1/2) to condition^(1/2), equally spaced in the logarithm."""
    left, right = _orthogonal(shape, condition, generator), _orthogonal(shape, condition, generator)
    edge = math.log(condition) / 2
    values = torch.linspace(-edge, edge, shape[-1], dtype=torch.float64, device=left.device).exp()
    return (left * values) @ right.mT


def _orthogonal(shape: Sequence[int], condition: float, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(_normal(shape, generator))[0]


def _fixing_ones(shape: Sequence[int], condition: float, generator: torch.Generator) -> Tensor:
    """An orthogonal matrix with g 1 = 1: the mean kept, a rotation of its complement."""
    size = shape[-1]
    start = torch.eye(size, dtype=torch.float64, device=generator.device)
    start[:, 0] = 1
    basis = torch.linalg.qr(start)[0][:, 1:]
    rotation = _orthogonal((*shape[:-2], size - 1, size - 1), condition, generator)
    return basis @ rotation @ basis.mT + 1 / size


def _logarithms(shape: Sequence[int], condition: float, generator: torch.Generator) -> Tensor:
    """Uniform from −log(condition)/2 to log(condition)/2."""
    uniform = torch.rand(tuple(shape), generator=generator, device=generator.device, dtype=torch.float64)
    return (uniform - 0.5) * math.log(condition)


def _positive(shape: Sequence[int], condition: float, generator: torch.Generator) -> Tensor:
    return _logarithms(shape, condition, generator).exp()


def _shift(shape: Sequence[int], size: float, generator: torch.Generator) -> Tensor:
    return size * _normal(shape, generator)


DRAWS: dict[str, Callable[[Sequence[int], float, torch.Generator], Tensor]] = {
    "GL": _invertible,
    "O": _orthogonal,
    "O_fixing_ones": _fixing_ones,
    "rescaling": _positive,
    "scaling": _positive,
    "translation": _shift,
    "algebra": _logarithms,
}
"""Kind of a group → how an element is drawn."""
