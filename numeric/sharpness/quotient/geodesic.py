"""Geodesic sharpness: the rise of the loss within a geodesic ball of the quotient by a model's symmetries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness.blocks import Blocks
from numeric.sharpness.measure import Measurement, evaluate
from numeric.sharpness.objective import ModelLoss, Objective
from numeric.sharpness.orbit import orbit_move
from numeric.sharpness.parameters import Point, count
from numeric.sharpness.perturbation.average import Average, Draw
from numeric.sharpness.perturbation.worst_case import WorstCase
from numeric.sharpness.quotient.geodesic_ball import Gauge, GeodesicBall, Order, Rest, is_balanced
from numeric.sharpness.value import Value

Kind = Literal["worst_case", "average"]


@dataclass(frozen=True)
class Geodesic:
    """E_B max (or mean) over horizontal ξ of L_B(γ_ξ(1)) − L_B(θ); da Silva et al. 2505.05409.

    kind "worst_case": |ξ| ≤ rho, by Auto-PGD on ξ with `steps` gradients for each of `starts` starts. "average": over
    ξ that is normal with standard deviation rho along every horizontal unit vector (draw "normal"), or uniform on
    |ξ| = rho ("sphere"), in `pairs` of opposite sign. metric: of the blocks; the rest of the parameters has the
    element-wise adaptive norm (rest "adaptive") or stays ("fixed"). order: of the displacement: 1 is θ + ξ, 2 takes
    the connection along, "exact" where all blocks have geodesics in closed form. gauge: where the geometry is computed,
    see `GeodesicBall`; the value does not depend on it.
    Before anything is measured the model is moved along every block's orbit, and its output compared.
    The unit is the loss's; the standard error is over batches.
    """

    blocks: Blocks
    rho: float
    metric: str = "mixed"
    order: Order = 2
    kind: Kind = "worst_case"
    rest: Rest = "adaptive"
    steps: int = 20
    starts: int = 1
    pairs: int = 10
    draw: Draw = "normal"
    gauge: Gauge = "auto"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise OptionError(f"kind={self.kind!r}: choose one of {', '.join(get_args(Kind))}")

    @property
    def name(self) -> str:
        return f"geodesic_{self.kind}_{self.metric}"

    def __call__(self, objective: Objective, generator: torch.Generator) -> Value:
        point = objective.parameters
        self.blocks.check_invariance(objective)
        ball = GeodesicBall.of(
            point, self.blocks, self.rho, metric=self.metric, order=self.order, rest=self.rest, gauge=self.gauge
        )
        if self.kind == "average":
            found = Average(self.rho, draw=self.draw, pairs=self.pairs).within(ball, objective, generator)
        else:
            found = WorstCase(self.rho, steps=self.steps, starts=self.starts).within(ball, objective, generator)
        free = self.blocks.free_entries(point)
        return replace(
            found,
            details={**found.details, "blocks": list(self.blocks.names)},
            notes=(*found.notes, *self._notes(free, point)),
        )

    def _notes(self, free: Mapping[str, Tensor | None], point: Point) -> tuple[str, ...]:
        """Where the geometry was computed; what no block covers, and what was done with it."""
        moved = is_balanced(self.gauge, point) and len(self.blocks) > 0
        gauge = ("the blocks were first moved along their orbits to the balanced gauge",) if moved else ()
        if not free:
            return gauge
        entries = sum(int(mask.sum()) if mask is not None else point[name].numel() for name, mask in free.items())
        done = "measured in the element-wise adaptive norm" if self.rest == "adaptive" else "left as they are"
        shown = ", ".join(list(free)[:4]) + (", …" if len(free) > 4 else "")
        return (*gauge, f"{entries} of {count(point)} parameters are in no block ({shown}): {done}")


def geodesic(
    model: nn.Module,
    loss: ModelLoss,
    data: Any,
    blocks: Blocks,
    *,
    rho: float,
    metric: str = "mixed",
    order: Order = 2,
    kind: Kind = "worst_case",
    rest: Rest = "adaptive",
    steps: int = 20,
    starts: int = 1,
    pairs: int = 10,
    draw: Draw = "normal",
    keep: Callable[[str], bool] | None = None,
    gauge: Gauge = "auto",
    along_orbit: bool = True,
    seed: int = 0,
) -> Measurement:
    """Geodesic sharpness of a model, see `Geodesic`, with its change along an orbit of the blocks.

    loss: (output, target) -> mean over the samples, a scalar. data: one batch or an iterable of batches. blocks: bound
    parametrizations, such as ``attention_blocks(model)``. keep: picks parameters by name. along_orbit: measure a second
    time at a random point of the orbit. Costs starts·(steps + 1/3) + 1/3 forward+backward units (worst case) or
    (2·pairs + 1)/3, and two forward passes of the first batch for every layer bound.
    Raises OptionError for options out of range, SharpnessError for a block that is no symmetry of the model's function
    or has lost rank (naming it), and for a loss of which no sharpness can be measured.
    """
    measure = Geodesic(blocks, rho, metric, order, kind, rest, steps, starts, pairs, draw, gauge)
    move = orbit_move(blocks, seed) if along_orbit else None
    return evaluate(measure, Objective.of(model, loss, data, keep=keep), seed=seed, move=move)
