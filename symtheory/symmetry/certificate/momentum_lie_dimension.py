"""Dimension of the Lie algebra that decides the conservation laws of gradient flow with momentum.

θ'' + τ θ' + ∇L(θ) = 0 is a flow on (t, θ, v): the drift d = (1, v, −τ v) plus controls c_y = (0, 0, ∇φ_y(θ)) whose
strengths depend on the loss and change along the way. A function h(t, θ, v) is kept for every loss when d and all c_y
annihilate it. So there are 2D + 1 − dim Lie({d, c_y})(t, θ, v) independent laws; in general they depend on t.

No bracket has a t-component, only d itself has one. So dim Lie = 1 + dim I, where I is the span of all brackets with a
control among them, on (θ, v) alone. It is the least family that contains the controls and is kept by the flows of d and
c_y, and both flows are known exactly:

    drift: (θ, v) ↦ (θ + κ v, q v), q = e^{−τ s}, κ = (1 − q)/τ;        kick: (θ, v) ↦ (θ, v + ∇φ_y(θ)).

I is spanned by the pullbacks Φ*c_y along all sequences Φ of such steps: a pullback is rational in κ and in y, and the
Taylor coefficients there are the brackets [f_1, [f_2, … [f_k, c_y]]]. When one more drift and kick add nothing, the
span is kept by every drift and kick, so nothing is left to add. A pullback costs two gradients a kick, where a bracket
of k + 1 fields costs 2k + 1 gradients with 2^k coefficients each: two to four kicks do what takes brackets of a dozen.
Sources: Marcotte, Gribonval, Peyré (2024), arXiv 2405.12888; for the pullbacks Sussmann (1973), orbits of families of
vector fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp

from symtheory.errors import CertificateError
from symtheory.symmetry.certificate.field_space import Ranks
from symtheory.symmetry.certificate.gradient_source import Functionals, GradientSource, SamplePool
from symtheory.symmetry.certificate.growing_span import growing_span
from symtheory.symmetry.certificate.truncated_algebra import times_bit

# |κ| ≤ 1/2 and |τ| ≤ 1, so that q lies between 1/2 and 3/2 and float64 paths stay tame.
SHORTER, GENTLER = 4, 2
# Draws of a batch of paths before those that leave the domain of the predictor are taken for all there are.
ATTEMPTS = 20


def momentum_lie_dimension(source: GradientSource, point: np.ndarray, ranks: Ranks, friction: int | None = None) -> int:
    """dim Lie({d, c_y})(t, θ, v) at a point θ (1, D) given as numerators and at a random velocity.

    friction: numerator of τ, in units of one over time; random when None, so that the dimension holds for all but
    special τ. Raises ``CertificateError`` when random paths leave the predictor's domain.
    """
    tau = source.numerators(1, 1) // GENTLER if friction is None else np.full((1, 1), friction)
    velocity = source.values(source.numerators(1, source.dimension))
    paths = KickedPaths(source, point, velocity, source.values(tau), source.sample_pool(point))
    size = 2 * source.dimension
    return 1 + growing_span(paths.pullbacks, size, size, ranks, paths.pool is not None)


@dataclass(frozen=True)
class _Step:
    """A drift (κ, q), where it arrives, and the kick there; arrays (batch, 1) and (batch, D)."""

    duration: np.ndarray
    slowing: np.ndarray
    position: np.ndarray
    kick: Functionals


@dataclass(frozen=True)
class KickedPaths:
    """Random sequences of drifts and kicks from one phase point, and controls pulled back along them.

    point: θ as numerators (1, D); velocity: (1, D) and friction: (1, 1), in the algebra; pool: samples, where the
    predictor has pieces, which kicks continue beyond their borders.
    """

    source: GradientSource
    point: np.ndarray
    velocity: np.ndarray
    friction: np.ndarray
    pool: SamplePool | None

    def pullbacks(self, count: int, kicks: int) -> np.ndarray:
        """Φ*c_y at (θ, v) for ``count`` random paths Φ of ``kicks`` drifts and kicks; shape (count, 2D)."""
        parts: list[np.ndarray] = []
        for _ in range(ATTEMPTS):
            with np.errstate(all="ignore"):  # a path that leaves the domain of a logarithm is dropped
                drawn = self._draw(count, kicks)
            parts.append(drawn[np.isfinite(drawn).all(axis=1)])
            if sum(map(len, parts)) >= count:
                return np.concatenate(parts)[:count]
        raise CertificateError("the predictor is not finite along most random paths: check its domain")

    def _draw(self, count: int, kicks: int) -> np.ndarray:
        source, reduce = self.source, self.source.algebra.reduce
        position = np.repeat(source.values(self.point), count, axis=0)
        velocity = np.repeat(self.velocity, count, axis=0)
        steps = []
        for _ in range(kicks):
            duration = source.values(source.numerators(count, 1) // SHORTER)
            slowing = reduce(1 - reduce(duration * self.friction))
            position = reduce(position + reduce(duration * velocity))
            kick = self._functionals(count)
            steps.append(_Step(duration, slowing, position, kick))
            velocity = reduce(reduce(slowing * velocity) + _gradients(kick, position))
        return self._pull_back(steps, _gradients(self._functionals(count), position))

    def _pull_back(self, steps: list[_Step], control: np.ndarray) -> np.ndarray:
        """The vector (0, control) at the end of the path, moved to its start by the inverse differentials."""
        algebra, reduce = self.source.algebra, self.source.algebra.reduce
        along_position, along_velocity = np.zeros_like(control), control
        for step in reversed(steps):
            turned = _hessian_products(step.kick, step.position, along_position)
            faster = algebra.power_of_body(step.slowing, sp.Integer(-1))
            along_velocity = reduce(reduce(along_velocity - turned) * faster)
            along_position = reduce(along_position - reduce(step.duration * along_velocity))
        return np.concatenate([along_position, along_velocity], axis=1)

    def _functionals(self, count: int) -> Functionals:
        return self.source.functionals(self.point, count, self.pool)


def _gradients(functionals: Functionals, position: np.ndarray) -> np.ndarray:
    """Shape (batch, D), at positions (batch, D)."""
    return functionals.gradients(position[..., None])[..., 0]


def _hessian_products(functionals: Functionals, position: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """∇²φ_y(θ) · direction, shape (batch, D): the ε part of the gradient at θ + ε direction."""
    algebra = functionals.evaluation.algebra
    moved = algebra.add([position[..., None], times_bit(direction[..., None], 0)])
    return functionals.gradients(moved)[..., 1]
