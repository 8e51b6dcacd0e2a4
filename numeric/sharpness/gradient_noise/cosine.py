"""The cosine between two symmetric operators in the Frobenius inner product, from products with random vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from numeric.errors import SharpnessError
from numeric.sharpness.sketch import orthonormal_rows, random_signs, remove
from numeric.sharpness.symmetric_operator import SymmetricOperator


@dataclass(frozen=True)
class Cosine:
    """tr(AB)/(‖A‖‖B‖) in Frobenius norms (dimensionless), its standard error from the probes, and its three parts.

    standard_error: None where the traces were taken exactly.
    """

    value: float
    standard_error: float | None
    inner: float
    left_norm: float
    right_norm: float


def cosine(
    left: SymmetricOperator, right: SymmetricOperator, like: Tensor, generator: torch.Generator, *, probes: int
) -> Cosine:
    """The cosine of two operators from `probes` products with each; exact where these are at least D.

    A fifth of the products sketch the range of each operator; on the span Q of both sketches tr AB, tr A² and tr B² are
    taken exactly, on the rest by random signs, without bias. Few large eigenvalues so do not enter the error, which is
    the jackknife's over the signs. Memory: some 4·`probes` vectors. like: any tensor of the dtype and device.
    Raises SharpnessError where one of the operators vanishes.
    """
    dimension = left.dimension
    if probes >= dimension:
        basis = torch.eye(dimension, dtype=like.dtype, device=like.device)
        vectors = basis
    else:
        size = probes // 5
        signs = random_signs(size, dimension, like, generator)
        basis = orthonormal_rows(_balanced(left.product(signs), right.product(signs)))
        rest = random_signs(probes - size - len(basis), dimension, like, generator)
        vectors = torch.cat([basis, remove(rest, basis)])
    images = left.product(vectors), right.product(vectors)
    pairs = (images, (images[0], images[0]), (images[1], images[1]))
    forms = torch.stack([torch.einsum("ij,ij->i", a, b) for a, b in pairs])
    exact, sampled = forms[:, : len(basis)].sum(dim=1), forms[:, len(basis) :]
    traces = exact + sampled.mean(dim=1) if sampled.numel() else exact
    inner, left_square, right_square = traces.tolist()
    if not left_square or not right_square:
        raise SharpnessError("one of the two matrices vanishes: it has no direction to compare")
    return Cosine(_ratio(traces), _jackknife(exact, sampled), inner, math.sqrt(left_square), math.sqrt(right_square))


def _balanced(left: Tensor, right: Tensor) -> Tensor:
    """Both sketches one under the other, at a common scale: their units differ."""
    return torch.cat(
        [part / torch.linalg.matrix_norm(part).clamp_min(torch.finfo(part.dtype).tiny) for part in (left, right)]
    )


def _ratio(traces: Tensor) -> float:
    return float(traces[0] / (traces[1] * traces[2]).sqrt())


def _jackknife(exact: Tensor, sampled: Tensor) -> float | None:
    """The standard error of the ratio over the columns of `sampled` (3, n)."""
    number = sampled.shape[1]
    if number < 2:
        return None
    total = sampled.sum(dim=1)
    without = [_ratio(exact + (total - sampled[:, index]) / (number - 1)) for index in range(number)]
    mean = math.fsum(without) / number
    return math.sqrt((number - 1) / number * math.fsum((each - mean) ** 2 for each in without))
