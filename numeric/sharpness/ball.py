"""Neighbourhoods of a point in which a loss is made as large as possible, or averaged."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from numeric.sharpness.parameters import Point


class Ball(Protocol):
    """The tangents xi at a point with length at most `radius`, in some norm, and where each of them leads.

    Tangents are dictionaries with the point's names and shapes, in coordinates that the ball chooses (the parameters'
    own, or units of their sizes): only `displace` knows what they mean. Methods return new tensors and change none.
    """

    @property
    def radius(self) -> float: ...

    def displace(self, xi: Point) -> Point:
        """The point that xi leads to, differentiable in xi: theta + xi, or the end of a geodesic."""
        ...

    def steepest(self, covector: Point) -> Point:
        """The tangent of length `radius` at which the linear function xi -> <covector, xi> is largest; zero for zero.

        l2 norms: radius·♯(g)/|g|_*, the covector raised with the metric. linf norms: radius·sign(g).
        """
        ...

    def project(self, xi: Point) -> Point:
        """The nearest tangent in the ball, in its own norm: l2 shrunk, linf clamped; horizontal on a quotient."""
        ...

    def length(self, xi: Point) -> Tensor:
        """The norm of xi, a scalar tensor; `radius` on the boundary."""
        ...

    def sample(self, generator: torch.Generator) -> Point:
        """A random tangent: uniform on the sphere of an l2 norm, uniform in the box of an linf norm."""
        ...

    def noise(self, generator: torch.Generator) -> Point:
        """A random tangent as averages use it: l2: normal, with standard deviation `radius` along every unit vector.

        Such a draw is longer than `radius`, by about the square root of the dimension. linf: uniform in the box.
        """
        ...
