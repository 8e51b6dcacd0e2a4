"""Torch source of the noise equilibrium from given gradients: drift, equilibrium gauge, velocity and rates.

Everything is linear algebra on the fields X_a(θ) = A_a θ of the symmetric generators. Gradients of a function that the
group leaves alone move as g(t) = exp(−tA) g when the point moves as θ(t) = exp(tA) θ, so the stationary gauge is the
minimum of t ↦ η² E‖g(t)‖² + (1 − (1 − ηλ)²) ‖θ(t)‖², which is convex along every generator.
"""

from __future__ import annotations

from collections.abc import Mapping

from symtheory.codegen.layout import INDENT
from symtheory.codegen.statements import function_source, point_entry
from symtheory.graph.shapes import Shape
from symtheory.predictions.noise_equilibrium_names import (
    CHARGES,
    DRIFT,
    FIELDS,
    GRAMS,
    MECHANISM,
    MOVE,
    RATES,
    SIGNS,
    SOURCE,
    VECTOR,
    VELOCITY,
)

NEWTON_STEPS = 40
"""Of at most length one in the generators' coordinates; the last few converge quadratically."""

RANK = 1e-10
"""Eigenvalues below this part of the largest belong to generators that do not move the point."""

SETTINGS = ("eta: step, a number.", "weight_decay: λ, a number.")


def common_sources(parameters: Mapping[str, Shape], rank: int) -> dict[str, str]:
    """Function name → source, for functions that only use ``fields``, ``vector`` and ``move``.

    rank: number of axes of the coordinates on which the group acts one by one; 0 where it acts on whole arrays. The
    axis of the samples of a gradient stands before these.
    """
    point = point_entry(parameters)
    gradients = "gradients: gradients of single samples, the keys of point, an axis of samples before each shape."
    arguments = "point: dict[str, Tensor], gradients: dict[str, Tensor]"
    steps = f"{arguments}, eta: float, weight_decay: float"
    entries = [point, gradients, *SETTINGS]
    axes = "coordinates, " if rank else ""

    def text(name: str, signature: str, summary: str, returns: str, lines: str, returned: str = "Tensor") -> str:
        body = [INDENT + line if line else "" for line in lines.strip("\n").splitlines()]
        given = entries if "eta" in signature else entries[:2] if "gradients" in signature else entries[:1]
        return function_source(f"{name}({signature})", summary, given, returns, body, SOURCE, returned)

    count = f"count = int(({SIGNS}(point) < 0).sum())"
    return {
        CHARGES: text(
            CHARGES,
            "point: dict[str, Tensor]",
            "⟨θ, A_a θ⟩ for every symmetric generator; of a gradient, ⟨g, A_a g⟩.",
            f"tensor (*batch, {axes}symmetric generators).",
            f"""
{count}
theta = {VECTOR}(point)
return ({FIELDS}(point)[..., :count, :] * theta.unsqueeze(-2)).sum(-1)
""",
        ),
        DRIFT: text(
            DRIFT,
            steps,
            "η² E⟨g, A_a g⟩ − (1 − (1 − ηλ)²) ⟨θ, A_a θ⟩: mean change of the charges in one step.",
            f"tensor (*batch, {axes}symmetric generators).",
            f"""
decay = 1 - (1 - eta * weight_decay) ** 2
noise = {CHARGES}(gradients).mean({-2 - rank})
return eta**2 * noise - decay * {CHARGES}(point)
""",
        ),
        GRAMS: text(
            GRAMS,
            f"{arguments}",
            "E⟨A_a g, A_b g⟩ of the symmetric generators, and ⟨A_a θ, A_b θ⟩ of all of them.",
            f"two tensors (*batch, {axes}generators, generators).",
            f"""
{count}
fields = {FIELDS}(point)
noise = {FIELDS}(gradients)[..., :count, :]
return (noise @ noise.mT).mean({-3 - rank}), fields @ fields.mT
""",
            "tuple[Tensor, Tensor]",
        ),
        VELOCITY: text(
            VELOCITY,
            steps,
            "Mean change in one step of the coordinates t of the orbit, θ = exp(Σ t_a A_a) θ₀, at t = 0.",
            f"tensor (*batch, {axes}generators).",
            f"""
# It moves the charges by their drift, and has no part along rotations and shifts.
_, gram = {GRAMS}(point, gradients)
drift = {DRIFT}(point, gradients, eta, weight_decay)
drift = torch.nn.functional.pad(drift, (0, gram.shape[-1] - drift.shape[-1]))
inverse = torch.linalg.pinv(gram, rtol={RANK}, hermitian=True)
return (inverse @ drift.unsqueeze(-1)).squeeze(-1) / 2
""",
        ),
        MECHANISM: text(
            MECHANISM,
            f"{arguments}, eta: float = 1.0, weight_decay: float = 0.0",
            "The point of the orbit, up to rotations, where the charges are stationary; by Newton steps.",
            "dict with the keys and shapes of point.",
            f"""
decay = 1 - (1 - eta * weight_decay) ** 2
for _ in range({NEWTON_STEPS}):
    noise, gram = {GRAMS}(point, gradients)
    drift = {DRIFT}(point, gradients, eta, weight_decay)
    count = drift.shape[-1]
    curvature = eta**2 * noise + decay * gram[..., :count, :count]
    inverse = torch.linalg.pinv(curvature, rtol={RANK}, hermitian=True)
    step = (inverse @ drift.unsqueeze(-1)).squeeze(-1) / 2
    step = step / step.norm(dim=-1, keepdim=True).clamp(min=1.0)
    step = torch.nn.functional.pad(step, (0, gram.shape[-1] - count))
    point = {MOVE}(point, step)
    gradients = {MOVE}(gradients, -step.unsqueeze({-2 - rank}))
return point
""",
            "dict[str, Tensor]",
        ),
        RATES: text(
            RATES,
            steps,
            "Rates per step at which deviations from the equilibrium decay, ascending.",
            f"tensor (*batch, {axes}symmetric generators).",
            f"""
# Of the generators' Gram matrix, what rotations and shifts leave; 0 where one moves nothing.
decay = 1 - (1 - eta * weight_decay) ** 2
noise, gram = {GRAMS}(point, gradients)
count = noise.shape[-1]
inverse = torch.linalg.pinv(gram, rtol={RANK}, hermitian=True)[..., :count, :count]
values, vectors = torch.linalg.eigh(inverse)
root = vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)
return eta**2 * torch.linalg.eigvalsh(root.mT @ noise @ root) + decay
""",
        ),
    }
