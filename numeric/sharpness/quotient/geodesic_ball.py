"""The ball of horizontal tangents about a point, in an invariant metric of bound blocks, and their geodesics."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, get_args

import torch
from torch import Tensor

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness.blocks import Block, Blocks
from numeric.sharpness.blocks.balance import balanced
from numeric.sharpness.parameters import Point, random_tangent
from numeric.sharpness.perturbation.weighted_ball import WeightedBall

# A parameter that is absent and held at zero stays there to rounding, or moves as far as the others do.
ABSENT_STEP, ABSENT_ROUNDING = 0.1, 1e-3

Order = Literal[1, 2, 3, "exact"]
Rest = Literal["adaptive", "fixed"]
Gauge = Literal["auto", "balanced", "given"]


@dataclass(frozen=True)
class BlockGeometry:
    """One block at a point, in one metric.

    values: the declared parameters, leaves (copies, *shape), in the dtype of the geometry. prefix: what its tangents'
    names start with.
    """

    block: Block
    functions: ModuleType
    values: Point
    prefix: str

    def end(self, xi: Point, order: Order) -> Point:
        """Where the geodesic along xi is at time 1, to this order."""
        found: Point = self.functions.geodesic(self.values, xi, 1.0, order)
        return found

    def rise(self, covector: Point) -> Point:
        """The horizontal tangent that has this covector's inner products with all horizontal tangents."""
        found: Point = self.functions.project_horizontal(self.values, self.functions.sharp(self.values, covector))
        return found

    def horizontal_noise(self, generator: torch.Generator) -> Point:
        """Standard normal on the horizontal space; the same numbers give the moved tangent at a moved point."""
        coefficients = random_tangent(self.values, generator)
        coefficients |= {name: torch.zeros_like(coefficients[name]) for name in self.block.absent}
        found: Point = self.functions.project_horizontal(self.values, self.functions.frame(self.values, coefficients))
        return found

    def square(self, xi: Point) -> Tensor:
        """|xi|², a scalar."""
        total: Tensor = self.functions.inner(self.values, xi, xi).double().sum()
        return total

    def own(self, tangents: Point) -> Point:
        """The block's part of tangents by their names in the ball."""
        return {name: tangents[self.prefix + name] for name in self.values}

    def named(self, tangent: Point) -> Point:
        """A tangent under its names in the ball."""
        return {self.prefix + name: leaf for name, leaf in tangent.items()}


@dataclass(frozen=True)
class GeodesicBall:
    """{γ_ξ(1) : ξ horizontal, |ξ| ≤ radius}, da Silva et al. 2505.05409; the product metric over blocks and rest.

    Tangents of blocks are their declared parameters' (named "0:G" and so on), those of the rest are in units of the
    parameters' sizes |θ_i|, the element-wise adaptive norm, with straight lines for geodesics. radius: dimensionless in
    the invariant metric. A combination of horizontal tangents is horizontal, so only raised covectors and draws are
    projected.
    """

    point: Point
    radius: float
    geometries: tuple[BlockGeometry, ...]
    rest: WeightedBall | None
    order: Order = 2

    @classmethod
    def of(
        cls,
        point: Point,
        blocks: Blocks,
        radius: float,
        *,
        metric: str = "mixed",
        order: Order = 2,
        rest: Rest = "adaptive",
        gauge: Gauge = "auto",
    ) -> GeodesicBall:
        """The ball about a point.

        order: of the displacement; "exact" where every block's metric has geodesics in closed form. rest: whether the
        entries that no block covers move in the adaptive norm or stay. gauge: "balanced" moves the blocks along their
        orbits first, to where both sides of every change of basis are equally large, and computes in the point's dtype;
        "given" stays at the point and computes the geometry in float64, since Gram matrices square the condition
        number; "auto" is "given" for a point in float64. In an invariant metric all are the same ball up to symmetry.
        Raises OptionError for options out of range or a metric that a block lacks, SharpnessError where a block has
        lost rank (naming the head).
        """
        if not 0 < radius < float("inf"):
            raise OptionError(f"rho={radius}: a radius is positive and finite")
        if rest not in get_args(Rest):
            raise OptionError(f"rest={rest!r}: choose one of {', '.join(get_args(Rest))}")
        if gauge not in get_args(Gauge):
            raise OptionError(f"gauge={gauge!r}: choose one of {', '.join(get_args(Gauge))}")
        dtype = next(iter(point.values())).dtype
        geometries = []
        for place, block in enumerate(blocks.blocks):
            block.check_domain(point, metric)
            functions = block.metric(metric)
            values = {name: leaf.double() for name, leaf in block.read(point).items()}
            if is_balanced(gauge, point):
                values = {name: leaf.to(dtype) for name, leaf in balanced(functions, values).items()}
            geometries.append(BlockGeometry(block, functions, values, f"{place}:"))
            _check_order(geometries[-1], order)
            _check_absent(geometries[-1])
        free = _rest_ball(point, blocks, radius) if rest == "adaptive" else None
        if not geometries and free is None:
            raise OptionError("there is nothing to perturb: pass blocks, or rest='adaptive'")
        return cls(point, radius, tuple(geometries), free, order)

    def displace(self, xi: Point) -> Point:
        """The parameters at the ends of the geodesics, differentiable in xi."""
        moved = dict(self.point)
        if self.rest is not None:
            moved.update(self.rest.displace(xi))
        for geometry in self.geometries:
            ends = geometry.end(geometry.own(xi), self.order)
            dtype = next(iter(self.point.values())).dtype
            geometry.block.write(moved, {name: leaf.to(dtype) for name, leaf in ends.items()})
        return moved

    def steepest(self, covector: Point) -> Point:
        """radius·P♯(g)/|P♯(g)|, P the projection onto the horizontal space."""
        found, squares = self._raised(covector)
        total = torch.stack(squares).sum().sqrt()
        return self._scaled(found, self.radius / total.clamp_min(torch.finfo(total.dtype).tiny))

    def project(self, xi: Point) -> Point:
        """xi·min(1, radius/|xi|)."""
        return self._scaled(xi, self.radius / self.length(xi).clamp_min(self.radius))

    def advance(self, xi: Point, before: Point, covector: Point, size: float, momentum: float) -> Point:
        """The step of `numeric.sharpness.walk.Walk.step`, in fewer passes over memory."""
        names = list(xi)
        raised, squares = self._raised(covector)
        rate = size * self.radius / max(math.sqrt(sum(float(square) for square in squares)), sys.float_info.min)
        moved = list(torch._foreach_add([xi[name] for name in names], [raised[name] for name in names], alpha=rate))
        # momentum·P(moved) + 2 (1 − momentum)·xi − (1 − momentum)·before, projected; P scales, and the common factor
        # is kept back for the last pass.
        factor = momentum * self._shrink(dict(zip(names, moved, strict=True)))
        if momentum != 1.0:
            torch._foreach_add_(moved, [xi[name] for name in names], alpha=2 * (1 - momentum) / factor)
            torch._foreach_add_(moved, [before[name] for name in names], alpha=(momentum - 1) / factor)
            factor *= self._shrink(dict(zip(names, moved, strict=True)), factor)
        torch._foreach_mul_(moved, factor)
        return dict(zip(names, moved, strict=True))

    def _shrink(self, xi: Point, unit: float = 1.0) -> float:
        """The factor that takes xi, in units of `unit`, into the ball."""
        bound = self.radius / unit
        return bound / max(float(self.length(xi)), bound)

    def length(self, xi: Point) -> Tensor:
        """|xi| in the product metric, a float64 scalar."""
        squares = [geometry.square(geometry.own(xi)) for geometry in self.geometries]
        if self.rest is not None:
            squares.append(self.rest.length(xi).double().square())
        return torch.stack(squares).sum().sqrt()

    def sample(self, generator: torch.Generator) -> Point:
        """Uniform on the horizontal sphere."""
        draw = self.noise(generator)
        return self._scaled(draw, self.radius / self.length(draw))

    def noise(self, generator: torch.Generator) -> Point:
        """Normal with standard deviation `radius` along every horizontal unit vector."""
        found: Point = {}
        for geometry in self.geometries:
            found |= geometry.named(geometry.horizontal_noise(generator))
        found = self._scaled(found, self.radius)
        return found if self.rest is None else found | _movable(self.rest, self.rest.noise(generator))

    def _raised(self, covector: Point) -> tuple[Point, list[Tensor]]:
        """P♯(g), and g·P♯(g) = |P♯(g)|² for every part."""
        found: Point = {}
        squares = []
        for geometry in self.geometries:
            own = geometry.own(covector)
            raised = geometry.rise(own)
            found |= geometry.named(raised)
            squares.append(torch.stack([(own[name] * raised[name]).sum() for name in own]).double().sum().clamp_min(0))
        if self.rest is not None:
            free = {name: covector[name] for name in self.rest.point}
            found |= free
            squares.append(self.rest.length(free).double().square())
        return found, squares

    @staticmethod
    def _scaled(xi: Point, factor: Tensor | float) -> Point:
        return {name: leaf * _like(factor, leaf) for name, leaf in xi.items()}


def is_balanced(gauge: Gauge, point: Point) -> bool:
    """Whether the geometry is computed in the balanced gauge."""
    wide = all(leaf.dtype == torch.float64 for leaf in point.values())
    return gauge == "balanced" or (gauge == "auto" and not wide)


def _like(factor: Tensor | float, leaf: Tensor) -> Tensor | float:
    return factor.to(leaf.dtype) if isinstance(factor, Tensor) else factor


def _rest_ball(point: Point, blocks: Blocks, radius: float) -> WeightedBall | None:
    """The adaptive ball of the entries that no block covers; None where there is none."""
    free = blocks.free_entries(point)
    # Of any sign, as `adaptive_weights` gives them.
    weights = {name: point[name] if mask is None else point[name] * mask for name, mask in free.items()}
    return WeightedBall({name: point[name] for name in free}, radius, "l2", weights) if free else None


def _movable(ball: WeightedBall, xi: Point) -> Point:
    """A tangent without the entries that have weight zero: covered by a block, or zero themselves."""
    assert ball.weights is not None  # the adaptive norm has them
    return {name: torch.where(ball.weights[name] == 0, 0, leaf) for name, leaf in xi.items()}


def _check_absent(geometry: BlockGeometry) -> None:
    """Raises SharpnessError where horizontal geodesics lead to values of parameters that the model lacks."""
    block = geometry.block
    if not block.absent:
        return
    xi = geometry.horizontal_noise(torch.Generator().manual_seed(0))
    end = geometry.end({name: ABSENT_STEP * leaf for name, leaf in xi.items()}, 2)
    largest = max(float((end[name] - leaf).abs().max()) for name, leaf in geometry.values.items())
    for name in block.absent:
        if float(end[name].abs().max()) > ABSENT_ROUNDING * largest:
            raise SharpnessError(
                f"block '{next(iter(block.copies))}' has no '{name}', which a symmetry of '{geometry.functions.NAME}' "
                f"needs: declare the block without it, and generate its functions"
            )


def _check_order(geometry: BlockGeometry, order: Order) -> None:
    """Raises OptionError where the block's geodesic has no such order."""
    zero = {name: torch.zeros_like(leaf) for name, leaf in geometry.values.items()}
    try:
        geometry.end(zero, order)
    except ValueError:
        raise OptionError(
            f"order={order!r}: the {geometry.functions.METRIC} metric of '{geometry.functions.NAME}' has no such "
            "geodesic; choose 1, 2 or 3 (exact where there is a closed form)"
        ) from None
