"""Conservation laws of deep linear networks: all of them, against those that balancedness gives.

The known laws are the entries of W_{i−1}ᵀ W_{i−1} − W_i W_iᵀ for every inner width (W_0 W_1 …, W_i: width i × i + 1).

Where they depend on each other: a symmetric S with W_{i−1} S = 0 and S W_i = 0 gives a combination whose gradient
vanishes. Such S live on the h_i − h_{i−1} − h_{i+1} directions that neither neighbour sees, so there are
Σ_i T(h_i) − T(h_i − h_{i−1} − h_{i+1}) independent ones, T(k) = k (k + 1)/2, and not Σ_i T(h_i).

Where they are not all: between two widths of one, the part of the network is a single number s(θ), and the rest sees
this part through s only. Its D_s parameters move along the one field ∇s, whatever the loss, so D_s − 1 laws hold within
it; the known ones are fewer as soon as two or more wider layers lie between (1-2-2-1: 6 of 7). Each width of one inside
the network adds the balance between the parts that it joins. Elsewhere the known laws are all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, pairwise, product

import numpy as np
import pytest
from certificate_cases import deep_linear, source_of, symbolic_lie_dimension

from symtheory.symmetry.certificate import modular_matrix
from symtheory.symmetry.certificate.field_space import Ranks
from symtheory.symmetry.certificate.lie_dimension import lie_dimension
from symtheory.symmetry.certificate.truncated_algebra import PRIME

Widths = tuple[int, ...]


def laws(widths: Widths) -> int:
    source = source_of(deep_linear(*widths))
    ranks = Ranks(source.algebra)
    point, _ = source.regular_point(ranks)
    return source.dimension - lie_dimension(source, point, ranks)


def balancedness_rank(widths: Widths) -> int:
    """Rank of the Jacobian of the known laws at a random point, modulo the prime."""
    rng = np.random.default_rng(0)
    weights = [rng.integers(0, PRIME, size=sizes) for sizes in pairwise(widths)]
    gradients = []
    for edge in range(1, len(widths) - 1):
        for i, j in combinations_with_replacement(range(widths[edge]), 2):
            pair = np.zeros((widths[edge], widths[edge]), dtype=np.int64)
            pair[i, j] = pair[j, i] = 1
            moved = [np.zeros_like(weight) for weight in weights]
            moved[edge - 1] = modular_matrix.multiply(weights[edge - 1], pair)
            moved[edge] = -modular_matrix.multiply(pair, weights[edge]) % PRIME
            gradients.append(np.concatenate([part.ravel() for part in moved]))
    return modular_matrix.rank(np.array(gradients))


def triangle(size: int) -> int:
    return size * (size + 1) // 2 if size > 0 else 0


def independent_known_laws(widths: Widths) -> int:
    inner = zip(widths, widths[1:], widths[2:], strict=False)
    return sum(triangle(size) - triangle(size - before - behind) for before, size, behind in inner)


def parts_between_ones(widths: Widths) -> Iterator[Widths]:
    """The network cut at its inner widths of one; neighbours share the one."""
    ones = [place for place in range(1, len(widths) - 1) if widths[place] == 1]
    for start, end in pairwise([0, *ones, len(widths) - 1]):
        yield widths[start : end + 1]


def all_laws(widths: Widths) -> int:
    parts = list(parts_between_ones(widths))
    return len(parts) - 1 + sum(map(laws_within, parts))


def laws_within(part: Widths) -> int:
    if part[0] == part[-1] == 1:
        return sum(wide * size for wide, size in pairwise(part)) - 1
    return independent_known_laws(part)


def has_a_deep_scalar_part(widths: Widths) -> bool:
    """Whether two widths of one have two or more wider layers, and no other one, between them."""
    return any(part[0] == part[-1] == 1 and len(part) >= 4 for part in parts_between_ones(widths))


THREE_LAYERS = list(product((1, 2, 3), repeat=4))
OTHERS: list[Widths] = [
    *((1, 3, 4, 1), (1, 4, 4, 1), (2, 4, 4, 1), (1, 4, 4, 2)),
    *((1, 2, 2, 1, 2), (2, 1, 2, 2, 1), (1, 1, 3, 3, 1), (1, 2, 1, 2, 1), (1, 3, 1, 3, 1), (2, 2, 1, 2, 2)),
    *((1, 2, 3, 2, 1), (1, 3, 3, 3, 1), (1, 4, 2, 4, 1), (2, 2, 2, 2, 1), (1, 3, 2, 2, 2), (1, 2, 2, 1, 2, 2, 1)),
    *((1, 1), (2, 3), (1, 2, 1), (1, 3, 1), (1, 4, 1), (1, 4, 2), (2, 5, 2), (2, 6, 1), (1, 5, 1, 5, 1), (2, 1, 4, 1)),
]


@pytest.mark.parametrize("widths", THREE_LAYERS + OTHERS, ids=lambda widths: "-".join(map(str, widths)))
def test_all_laws_and_the_known_ones(widths: Widths) -> None:
    """Two layers: Marcotte, Gribonval, Peyré (2023) prove it; deeper: what the exact counts are."""
    known = balancedness_rank(widths) if len(widths) > 2 else 0
    assert known == independent_known_laws(widths)
    assert laws(widths) == all_laws(widths)
    assert (laws(widths) > known) == has_a_deep_scalar_part(widths)


@pytest.mark.parametrize(
    ("widths", "number", "known"),
    [
        ((2, 2, 2), 3, 3),
        ((1, 2, 2, 1), 7, 6),
        ((1, 2, 2, 1, 2), 8, 7),
        ((1, 3, 3, 1), 14, 12),
        ((1, 2, 3, 2, 1), 15, 12),
    ],
)
def test_more_laws_than_balancedness_gives(widths: Widths, number: int, known: int) -> None:
    assert (laws(widths), balancedness_rank(widths)) == (number, known)
    if max(widths) < 3:  # all brackets written out
        assert symbolic_lie_dimension(deep_linear(*widths)) == source_of(deep_linear(*widths)).dimension - number


@pytest.mark.parametrize(
    ("widths", "number", "entries"),
    [((1, 3, 1), 5, 6), ((1, 4, 1), 7, 10), ((1, 4, 2), 9, 10), ((2, 5, 2), 14, 15), ((2, 6, 1), 15, 21)],
)
def test_fewer_laws_than_entries_where_the_inner_width_exceeds_both_outer_ones_together(
    widths: Widths, number: int, entries: int
) -> None:
    assert sum(map(triangle, widths[1:-1])) == entries
    assert laws(widths) == balancedness_rank(widths) == number


def test_independent_known_laws_of_wider_and_deeper_networks() -> None:
    rng = np.random.default_rng(1)
    for largest in (4, 8, 12):
        for _ in range(40):
            widths = tuple(int(width) for width in rng.integers(1, largest, size=rng.integers(3, 7)))
            assert balancedness_rank(widths) == independent_known_laws(widths)


def test_the_known_laws_fall_short_exactly_where_a_deep_part_is_scalar() -> None:
    """By the formulas alone, for all networks of up to five layers and widths up to five."""
    for layers in range(1, 6):
        for widths in product(range(1, 6), repeat=layers + 1):
            assert (all_laws(widths) > independent_known_laws(widths)) == has_a_deep_scalar_part(widths), widths
