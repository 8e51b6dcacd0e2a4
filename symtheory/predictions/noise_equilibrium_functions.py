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
    CURVATURE,
    DRIFT,
    FIELDS,
    GRAM,
    MECHANISM,
    MOVE,
    MOVE_GRADIENTS,
    RATES,
    SIGNS,
    SOURCE,
    TRANSPOSED,
    VECTOR,
    VELOCITY,
)

NEWTON_STEPS = 30
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
    coordinates = "t: tensor (*batch, generators), 0 moves nothing, with no axes that the gradients do not have."
    axes = "coordinates, " if rank else ""

    def text(name: str, signature: str, summary: str, returns: str, lines: str, returned: str = "Tensor") -> str:
        body = [INDENT + line if line else "" for line in lines.strip("\n").splitlines()]
        given = entries if "eta" in signature else [entries["point: " not in signature]]
        given = [*given, coordinates] if "t: Tensor" in signature else given
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
        TRANSPOSED: text(
            TRANSPOSED,
            "gradients: dict[str, Tensor]",
            "Aᵀ g for the linear part A of every generator: A g for symmetric ones, 0 for plain shifts.",
            f"tensor (*batch, {axes}generators, D).",
            f"return -{SIGNS}(gradients).unsqueeze(-1) * {FIELDS}(gradients)",
        ),
        MOVE_GRADIENTS: text(
            MOVE_GRADIENTS,
            "gradients: dict[str, Tensor], t: Tensor",
            "Gradients of a function of the orbit, as they are where the point has moved by t.",
            "dict with the keys and shapes of gradients.",
            f"return {MOVE}(gradients, {SIGNS}(gradients) * t)",
            "dict[str, Tensor]",
        ),
        DRIFT: text(
            DRIFT,
            steps,
            "η² E⟨g, A_a g⟩ − (1 − (1 − ηλ)²) ⟨θ, X_a⟩ of every generator a.",
            f"tensor (*batch, {axes}generators): mean change of the charge in a step where the generator is symmetric, "
            "twice the mean step along its field elsewhere.",
            f"""
decay = 1 - (1 - eta * weight_decay) ** 2
theta = {VECTOR}(point).unsqueeze(-2)
g = {VECTOR}(gradients).unsqueeze(-2)
noise = ({TRANSPOSED}(gradients) * g).sum(-1).mean({-2 - rank})
return eta**2 * noise - decay * ({FIELDS}(point) * theta).sum(-1)
""",
        ),
        GRAM: text(
            GRAM,
            "point: dict[str, Tensor]",
            "⟨X_a, X_b⟩ of all generators.",
            f"tensor (*batch, {axes}generators, generators).",
            f"""
fields = {FIELDS}(point)
return fields @ fields.mT
""",
        ),
        CURVATURE: text(
            CURVATURE,
            steps,
            "A quarter of the second derivative of η² E‖g‖² + (1 − (1 − ηλ)²) ‖θ‖² along moves.",
            f"tensor (*batch, {axes}generators, generators), 0 for rotations, along which it is constant.",
            f"""
decay = 1 - (1 - eta * weight_decay) ** 2
signs = {SIGNS}(point)
transposed = {TRANSPOSED}(gradients)
noise = (transposed @ transposed.mT).mean({-3 - rank})
# Squares are exponential in symmetric generators and quadratic in shifts.
shifts = (signs == 0).to(noise.dtype)
weights = (1 - torch.outer(shifts, shifts) / 2) * torch.outer(signs <= 0, signs <= 0)
return weights * (eta**2 * noise + decay * {GRAM}(point))
""",
        ),
        VELOCITY: text(
            VELOCITY,
            steps,
            "Mean change in one step of the coordinates t of the orbit, from t = 0.",
            f"tensor (*batch, {axes}generators).",
            f"""
# Its part along every field is half the drift; along rotations it has none.
drift = {DRIFT}(point, gradients, eta, weight_decay)
inverse = torch.linalg.pinv({GRAM}(point), rtol={RANK}, hermitian=True)
return (inverse @ drift.unsqueeze(-1)).squeeze(-1) / 2
""",
        ),
        MECHANISM: text(
            MECHANISM,
            f"{arguments}, eta: float = 1.0, weight_decay: float = 0.0",
            "The point of the orbit, up to rotations, where nothing drifts; by Newton steps.",
            "dict with the keys and shapes of point.",
            f"""
for _ in range({NEWTON_STEPS}):
    drift = {DRIFT}(point, gradients, eta, weight_decay)
    curvature = {CURVATURE}(point, gradients, eta, weight_decay)
    # Convex without shifts; with them it may not be, and doubling their own part bounds it.
    shifts = ({SIGNS}(point) == 0).to(curvature.dtype)
    wide = curvature * (1 + torch.outer(shifts, shifts))
    values = torch.linalg.eigvalsh(curvature)
    convex = values.amin(-1) > -{RANK} * values.amax(-1)
    values, vectors = torch.linalg.eigh(torch.where(convex[..., None, None], curvature, wide))
    moving = values > {RANK} * values.amax(-1, keepdim=True)
    inverse = torch.where(moving, 1 / torch.where(moving, values, 1.0), 0.0)
    along = inverse * (vectors.mT @ drift.unsqueeze(-1)).squeeze(-1) / 2
    step = vectors @ along.clamp(-1.0, 1.0).unsqueeze(-1)
    # Nothing else holds what no noise feels: it stays where it is, as in training.
    still = (curvature.diagonal(dim1=-2, dim2=-1) == 0).to(step.dtype)
    gram = {GRAM}(point)
    among = still.unsqueeze(-1) * gram * still.unsqueeze(-2)
    along = still.unsqueeze(-1) * (gram @ step)
    step = (step - torch.linalg.pinv(among, rtol={RANK}, hermitian=True) @ along).squeeze(-1)
    point = {MOVE}(point, step)
    gradients = {MOVE_GRADIENTS}(gradients, step.unsqueeze({-2 - rank}))
return point
""",
            "dict[str, Tensor]",
        ),
        RATES: text(
            RATES,
            steps,
            "Rates per step at which deviations decay, ascending; 0 for what nothing moves.",
            f"tensor (*batch, {axes}generators but rotations).",
            f"""
# Of the generators' Gram matrix, what rotations leave.
kept = ({SIGNS}(point) <= 0).nonzero().squeeze(-1)
inverse = torch.linalg.pinv({GRAM}(point), rtol={RANK}, hermitian=True)
values, vectors = torch.linalg.eigh(inverse[..., kept, :][..., kept])
root = vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)
curvature = {CURVATURE}(point, gradients, eta, weight_decay)
curvature = curvature[..., kept, :][..., kept]
return torch.linalg.eigvalsh(root.mT @ curvature @ root)
""",
        ),
    }
