"""Orbit volume: what isotropic Langevin noise adds to the loss where parameters are redundant."""

from __future__ import annotations

from symtheory.errors import CalculusError, DerivationError
from symtheory.predictions.orbit_volume_coordinate import orbit_volume_of_coordinate
from symtheory.predictions.orbit_volume_matrices import orbit_volume_of_matrices
from symtheory.predictions.orbit_volume_terms import MECHANISM
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.subject import Subject

__all__ = ["MECHANISM", "derive"]


def derive(subject: Subject) -> Prediction:
    """For one coordinate where the graph acts on each by itself, else for the group in terms of matrices.

    Raises ``DerivationError`` without a symmetry, or where no charge has a gradient that varies and no orbit is
    compact; ``CalculusError`` where the group acts on more than rows and columns.
    """
    if not len(subject.group):
        raise DerivationError(f"'{subject.name}' has no continuous symmetry: no orbits, and no gauge slice")
    try:
        model = subject.coordinate
    except CalculusError:
        return orbit_volume_of_matrices(subject)
    return orbit_volume_of_coordinate(model, subject)
