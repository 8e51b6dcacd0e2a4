"""Real data for experiments, as dictionaries of tensors with samples along the first axis."""

from __future__ import annotations

from numeric.datasets.diabetes import diabetes
from numeric.datasets.digits import digits
from numeric.datasets.orthonormal_rows import orthonormal_rows

__all__ = ["diabetes", "digits", "orthonormal_rows"]
