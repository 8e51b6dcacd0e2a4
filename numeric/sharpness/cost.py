"""What a measurement cost, in the one currency that compares methods across machines: forward+backward passes."""

from __future__ import annotations

from dataclasses import dataclass

# One unit is one forward pass with the backward pass that gives the gradient, over the samples of one batch. A backward
# pass multiplies twice for each product of the forward pass; a product with the Hessian on a retained graph runs
# backward through both of them once. benchmarks/bench_sharpness.py measures how near the clock comes to these counts.
FORWARD = 1 / 3
GRADIENT = 1.0
HESSIAN_PRODUCT = 2.0


@dataclass
class Cost:
    """A running count of passes: `samples` weighted by the kind of pass.

    units(samples) is the cost in forward+backward passes over that many samples (dimensionless).
    """

    sample_units: float = 0.0

    def add(self, kind: float, samples: int) -> None:
        """Count one pass of the given kind (FORWARD, GRADIENT, HESSIAN_PRODUCT or a multiple) over `samples`."""
        self.sample_units += kind * samples

    def units(self, samples: int) -> float:
        """The cost in forward+backward passes over `samples` samples."""
        return self.sample_units / samples
