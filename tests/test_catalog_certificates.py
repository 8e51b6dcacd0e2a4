"""Symmetries of every catalog entry against the claims of ``catalog_cases``, and the certificates that prove them."""

from __future__ import annotations

import time

import pytest
import sympy as sp
from catalog_cases import CLAIMS

from symtheory import catalog
from symtheory.errors import DeclarationError

# Processor time; an entry takes 0.2 s at most on one slow core.
SECONDS = 1.0

names = pytest.mark.parametrize("name", catalog.NAMES)


@names
def test_entry_has_the_claimed_group(name: str) -> None:
    group, claim = catalog.load(name).symmetries(), CLAIMS[name]
    assert sorted(factor.kind for factor in group) == sorted(claim.kinds.split())
    assert sp.expand(group.dimension - claim.dimension) == 0
    discrete = [f"{symmetry.kind}({','.join(map(str, symmetry.element_shape))})" for symmetry in group.discrete]
    assert sorted(discrete) == sorted(claim.discrete.split())


@names
def test_entry_conserves_something_where_a_law_is_claimed(name: str) -> None:
    assert bool(catalog.load(name).conserved()) == bool(CLAIMS[name].laws)


@names
def test_symmetries_are_found_at_once(name: str) -> None:
    entry = catalog.load(name)
    fresh = type(entry)(entry.predictor, name=name)
    start = time.process_time()
    fresh.symmetries()
    assert time.process_time() - start < SECONDS


@names
def test_entry_certifies_as_claimed(name: str) -> None:
    """Complete, or complete for affine symmetries with the claimed number of other null directions."""
    claim = CLAIMS[name]
    certificate = catalog.load(name).certify(**claim.sizes)
    dimension = claim.at_sizes(claim.dimension)
    assert certificate.group_dimension == dimension
    assert certificate.affine_complete, str(certificate)
    assert certificate.orbit_dimension == dimension
    assert certificate.jacobian_nullity == dimension + claim.nonlinear
    assert certificate.conservation_laws == claim.at_sizes(claim.laws) + claim.other_laws
    assert certificate.complete == (claim.nonlinear == 0)
    directions = "1 null direction of the Jacobian belongs"
    if claim.nonlinear > 1:
        directions = f"{claim.nonlinear} null directions of the Jacobian belong"
    left = (f"{directions} to no affine symmetry",)
    assert certificate.reasons == (left if claim.nonlinear else ())


def test_certify_needs_every_size() -> None:
    with pytest.raises(DeclarationError, match="unbound"):
        catalog.load("low_rank").certify(n=3, m=3)
