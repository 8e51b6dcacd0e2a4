"""The largest loss of one batch within a ball, by projected gradient ascent that chooses its own step sizes."""

from __future__ import annotations

from dataclasses import dataclass

from numeric.errors import OptionError
from numeric.sharpness.ball import Ball
from numeric.sharpness.batch import Batch
from numeric.sharpness.objective import Objective
from numeric.sharpness.parameters import Point
from numeric.sharpness.walk import Summit, Walk, walk_in

# Croce and Hein's constants, which Andriushchenko et al. 2302.07011 keep. Phases are in percent of the steps: integers,
# so that ⌈0.57·100⌉ is 57 and not what rounding makes of it.
FIRST_PHASE, SHORTENING, SHORTEST_PHASE = 22, 3, 6
ENOUGH_RISES = 0.75


@dataclass(frozen=True)
class AutoPGD:
    """Auto-PGD of Croce and Hein on the parameters, as in Andriushchenko et al. 2302.07011: momentum, step halving.

    A step goes from xi by `size` radii along the ball's steepest direction, is projected, and is mixed with the last
    step: xi + momentum·(z − xi) + (1 − momentum)·(xi − xi_before), projected again. The first size is two radii. At
    checkpoints that come faster and faster, the size is halved when the loss rose in less than 3/4 of the steps since
    the last one, or when neither size nor summit changed since then; the ascent then starts again from the summit,
    without momentum and with the slope already known there.
    Each step needs one gradient: its loss is the value at the place where it was taken. `steps` of them cost `steps`
    forward+backward units of the batch and one forward pass for the last place.
    """

    steps: int = 20
    momentum: float = 0.75
    first_size: float = 2.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"steps={self.steps}: an ascent takes at least one step")

    def __call__(
        self, objective: Objective, ball: Ball, batch: Batch, start: Point, walk: Walk | None = None
    ) -> Summit:
        """Climb L_B(displace(xi)) from `start`, a tangent in the ball.

        walk: one of `walk_in(ball)`, whose memory serves several ascents; each overwrites what the last one returned.
        Raises SharpnessError where the loss is not finite at a perturbed point.
        """
        walk = walk_in(ball) if walk is None else walk
        xi = before = start
        value, slope = walk.slope(objective, xi, batch, None)
        best = Summit(value, xi, slope)
        step_size = _StepSize(self.first_size, self.checkpoints(), value)
        for k in range(1, self.steps + 1):
            weight = 1.0 if k == 1 else self.momentum
            xi, before = walk.step(xi, before, slope, step_size.value, weight, best), xi
            below = value
            if k < self.steps:
                value, slope = walk.slope(objective, xi, batch, best)
            else:
                value = walk.height(objective, xi, batch)
            if value > best.value:
                best = Summit(value, xi, slope)
            if step_size.halves(k, rose=value > below, summit=best.value):
                xi = before = best.xi
                value, slope = best.value, best.slope
        return best

    def checkpoints(self) -> frozenset[int]:
        """The steps ⌈p_j·steps⌉ with p_1 = 0.22, p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), below the last."""
        before, now, found = 0, FIRST_PHASE, set()
        while (step := -(-now * self.steps // 100)) < self.steps:
            found.add(step)
            before, now = now, now + max(now - before - SHORTENING, SHORTEST_PHASE)
        return frozenset(found)


@dataclass
class _StepSize:
    """The size of the steps in radii, halved at checkpoints.

    summit: the highest loss at the last checkpoint; kept: whether the size was kept there.
    """

    value: float
    checkpoints: frozenset[int]
    summit: float
    rises: int = 0
    last: int = 0
    kept: bool = False

    def halves(self, k: int, *, rose: bool, summit: float) -> bool:
        """Count step k; whether it is a checkpoint at which the size was halved."""
        self.rises += rose
        if k not in self.checkpoints:
            return False
        stuck = self.rises < ENOUGH_RISES * (k - self.last) or (self.kept and summit == self.summit)
        if stuck:
            self.value /= 2
        self.summit, self.rises, self.last, self.kept = summit, 0, k, not stuck
        return stuck
