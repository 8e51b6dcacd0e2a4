"""Strategy for elements of the symmetry group of a bound parametrization."""

from __future__ import annotations

import numpy as np

from symtheory.testing.hypothesis_extra import SEEDS
from symtheory.testing.hypothesis_extra import strategies as hs
from symtheory.testing.subject import Symmetry, group_of


def group_elements(P: Symmetry, condition: float = 10.0) -> hs.SearchStrategy[dict[str, np.ndarray]]:
    """Factor name → random element away from the identity, by ``Factor.sample``; empty for a trivial group.

    P: a bound parametrization, or a group at bound sizes; condition: largest condition number of a matrix. Raises
    ``DeclarationError`` for unbound sizes.
    """
    group = group_of(P)
    return SEEDS.map(lambda seed: group.sample(np.random.default_rng(seed), condition))
