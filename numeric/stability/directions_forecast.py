"""How far below the edge the sharpness should settle, and does, where several directions are critical."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.autocorrelation import integrated_autocorrelation_time
from numeric.comparison.estimate import Estimate
from numeric.stability.edge_run import EdgeRun
from numeric.stability.reduced_dynamics import Ingredients, simulate
from numeric.stability.series import of_means, slope_of

# Simulations of the reduced dynamics, and the seed of their draws.
REPLICAS, SEED = 64, 4111
COEFFICIENTS = ("alpha", "beta", "noise", "drift_noise")


@dataclass(frozen=True)
class DirectionsForecast:
    """Over a window of a run, k = `size` directions; gaps are 2/η less a curvature.

    gap, trace_gap: edge − E λ_max in the span, and k times the edge − E tr; simulated_gap, simulated_trace_gap: of the
    normal form with the measured coefficients from where the window starts, as long as it; its error is the spread of
    the replicas, each with coefficients of its own (resampled in blocks of time): what one run may deviate by. alone:
    the same of the first eigenvector alone; settled_gap: of all directions, in a second window that follows the first.
    leading_gap, leading_trace_gap: of the Γ with ΓX + XΓ = ηC; nan where X is not positive. normality: how far β is
    from commuting with Y ↦ XY + YX (0: the law is normal and Γ exact to leading order; dimensionless). rest: part of α
    that is taken off for what fluctuates across the directions, nan where that was not measured; only `alone` goes
    without. Of the noise along all ∇S_ij that part counts which the curvature along the first eigenvector's ∇S leaves
    of its own. Of the α that is left, balance: the part that the oscillation takes back, over all steps of the run;
    rise: the part that is seen as a rise of Y; what the two leave of one is a force that the form does not know.
    referee: tr(ΓX) over what the exact identity gives, less the rise of its energy ⟨Y, β⁺Y⟩, which a run that has not
    settled has. overlap: the smallest cosine between the spans of consecutive measurements. conditions: as in
    `Forecast`.
    """

    size: int
    gap: Estimate
    trace_gap: Estimate
    simulated_gap: Estimate
    simulated_trace_gap: Estimate
    alone: Estimate
    settled_gap: float
    leading_gap: float
    leading_trace_gap: float
    normality: float
    rest: float
    balance: Estimate
    rise: float
    referee: Estimate
    overlap: float
    conditions: dict[str, float]

    @property
    def ratio(self) -> Estimate:
        """The measured gap over the simulated one, with the latter's error; nan ± inf where the simulation diverges."""
        simulated = self.simulated_gap
        if not math.isfinite(simulated.standard_error):
            return simulated
        value = self.gap.value / simulated.value
        return Estimate(value, abs(value / simulated.value) * simulated.standard_error, simulated.n)

    def to_json(self) -> dict[str, Any]:
        """Numbers by name; an estimate is {value, standard_error}, an error that is not known None."""
        estimates = ("gap", "trace_gap", "simulated_gap", "simulated_trace_gap", "alone", "balance", "referee", "ratio")
        record: dict[str, Any] = {"directions": self.size}
        for name in estimates:
            record[name] = getattr(self, name).to_json()
        for name in ("settled_gap", "leading_gap", "leading_trace_gap", "normality", "rest", "rise", "overlap"):
            record[name] = getattr(self, name)
        return record | {"conditions": self.conditions}


def directions_forecast(run: EdgeRun, functions: Any, inside: Tensor, *, kept: float) -> DirectionsForecast | None:
    """Forecast and measurement over the measurements `inside` (T,) a window; None where several directions were not
    measured, without noise, and with momentum, for which the normal form of several is not derived. kept: the part of
    the noise along ∇S that the curvature there leaves (dimensionless)."""
    if not run.directions or run.descent.momentum:
        return None
    found = {name: values[inside] for name, values in run.directions.items()}
    if float(found["noise"].mean()) == 0:
        return None
    rest = found["rest"].nan_to_num()
    share = math.nan
    if bool(found["rest"].isfinite().any()):
        share = float((rest.mean(0) * found["alpha"].mean(0)).sum() / found["alpha"].mean(0).square().sum())
    found["alpha"] = found["alpha"] - rest
    found["drift_noise"] = kept * found["drift_noise"]
    size = found["positions"].shape[1]
    distances = found["curvatures"] - run.edge * torch.eye(size, dtype=torch.float64)
    largest = torch.linalg.eigvalsh(distances)[:, -1]
    trace = distances.diagonal(dim1=1, dim2=2).sum(1)
    steps = run.steps[inside]
    simulated = -_simulated(functions, found, distances[0], steps, run.descent.lr)
    alone = -_simulated(functions, *_first_alone(run, inside, kept), steps, run.descent.lr)
    means = {name: values.nanmean(0) for name, values in found.items()}
    oscillation = functions.sharpness_gap_amplitudes(means["alpha"], means["beta"])
    gap = _leading(functions, oscillation, means["noise"], run.descent.lr)
    reach = float(largest.square().mean().sqrt())
    together = float(((found["alpha"] - means["alpha"]) * (distances - distances.mean(0))).sum((1, 2)).mean())
    against = float((means["alpha"] * distances.mean(0)).sum())
    return DirectionsForecast(
        size=size,
        gap=of_means(lambda m: -m[0], torch.stack([largest], dim=1)),
        trace_gap=of_means(lambda m: -m[0], torch.stack([trace], dim=1)),
        simulated_gap=_over_replicas(simulated[0, 0]),
        simulated_trace_gap=_over_replicas(simulated[0, 1]),
        alone=_over_replicas(alone[0, 0]),
        settled_gap=float(simulated[1, 0].mean()),
        leading_gap=math.nan if gap is None else float(torch.linalg.eigvalsh(gap)[0]),
        leading_trace_gap=math.nan if gap is None else float(gap.trace()),
        normality=_normality(means["beta"], oscillation),
        rest=share,
        balance=_balance(found),
        rise=_rise(means["alpha"], distances, steps, run.descent.lr),
        referee=_referee(functions, found, distances, steps, run.descent.lr),
        overlap=float(found["overlap"].min()),
        conditions={
            "next_direction": reach / max(run.edge - float(means["next_curvature"]), reach * 1e-3),
            "alpha_with_y": together / abs(against),
            "rest": share,
            "unsettled": float(simulated[0, 0].mean() / simulated[1, 0].mean()) - 1,
        },
    )


def _simulated(functions: Any, found: dict[str, Tensor], start: Tensor, steps: Tensor, eta: float) -> Tensor:
    """(E λ_max, E tr) of Y in each replica, over the window and over as long a time after it, (2, 2, R).

    found: as recorded, over the window; start: Y (k, k). nan where a replica diverges.
    """
    generator = torch.Generator().manual_seed(SEED)
    rows = _resampled(found["alpha"].diagonal(dim1=1, dim2=2).sum(1), generator)
    ingredients = Ingredients(*(found[name][rows].mean(1) for name in COEFFICIENTS))
    count = len(steps)
    path = simulate(
        functions,
        ingredients,
        found["positions"][0],
        start,
        eta=eta,
        records=2 * count,
        every=round(float(steps[-1] - steps[0]) / (count - 1)),
        generator=generator,
    )
    if not bool(torch.isfinite(path).all()):
        return torch.full((2, 2, REPLICAS), math.nan, dtype=torch.float64)
    values = torch.stack([torch.linalg.eigvalsh(path)[..., -1], path.diagonal(dim1=-2, dim2=-1).sum(-1)])
    return values.unflatten(1, (2, count)).mean(2).transpose(0, 1)


def _first_alone(run: EdgeRun, inside: Tensor, kept: float) -> tuple[dict[str, Tensor], Tensor]:
    """The records of the first eigenvector as those of one direction, and Y (1, 1) where the window starts."""
    records = {name: values[inside] for name, values in run.records.items()}
    found = {"positions": records["position"].reshape(-1, 1)}
    for name in COEFFICIENTS:
        rank = 2 if name in ("alpha", "noise") else 4
        found[name] = records[name].reshape(-1, *[1] * rank)
    found["drift_noise"] = kept * found["drift_noise"]
    return found, (records["floor_sharpness"][0] - run.edge).reshape(1, 1)


def _resampled(series: Tensor, generator: torch.Generator) -> Tensor:
    """Indices (R, T) into T measurements, drawn in blocks of twice the relaxation time of a series (T,)."""
    count = len(series)
    time = integrated_autocorrelation_time(series)
    length = min(count, max(1, math.ceil(2 * time))) if math.isfinite(time) else count
    blocks = math.ceil(count / length)
    starts = torch.randint(0, count, (REPLICAS, blocks, 1), generator=generator)
    return ((starts + torch.arange(length)) % count).reshape(REPLICAS, -1)[:, :count]


def _over_replicas(values: Tensor) -> Estimate:
    """Mean over replicas, with their spread as the error of one run."""
    spread = float(values.std())
    return Estimate(float(values.mean()), spread if math.isfinite(spread) else math.inf, len(values))


def _leading(functions: Any, oscillation: Tensor, noise: Tensor, eta: float) -> Tensor | None:
    """Γ (k, k), None where X is not positive definite: then fewer directions are critical."""
    if not float(torch.linalg.eigvalsh(oscillation)[0]) > 0:
        return None
    gap: Tensor = functions.sharpness_gap_matrix(oscillation, noise, eta, 0.0)
    return gap


def _normality(beta: Tensor, oscillation: Tensor) -> float:
    """‖βL − Lβ‖ over ‖βL + Lβ‖ with L: Y ↦ XY + YX."""
    size = len(oscillation)
    one = torch.eye(size, dtype=oscillation.dtype)
    both = torch.kron(oscillation, one) + torch.kron(one, oscillation)
    gram = beta.reshape(size**2, size**2)
    return float((gram @ both - both @ gram).norm() / (gram @ both + both @ gram).norm())


def _balance(found: dict[str, Tensor]) -> Estimate:
    """⟨α, ½β[X]⟩/⟨α, α⟩ with X over all steps between the measurements, or at these where they follow closely."""
    x, between = found["positions"], found["oscillation"]
    oscillation = torch.where(between.isfinite(), between, x.unsqueeze(2) * x.unsqueeze(1))
    bent = torch.einsum("tijkl,tkl->tij", found["beta"], oscillation) / 2
    size = bent.shape[1] ** 2
    series = torch.cat([found["alpha"].flatten(1), bent.flatten(1)], dim=1)
    return of_means(lambda m: (m[:size] * m[size:]).sum() / (m[:size] * m[:size]).sum(), series)


def _rise(alpha: Tensor, distances: Tensor, steps: Tensor, eta: float) -> float:
    """⟨α, slope of Y per η steps⟩/⟨α, α⟩."""
    along = torch.einsum("ij,tij->t", alpha, distances)
    return slope_of(along, steps) / eta / float(alpha.square().sum())


def _referee(functions: Any, found: dict[str, Tensor], distances: Tensor, steps: Tensor, eta: float) -> Estimate:
    """tr(ΓX) over the exact identity less the rise of the energy, all with moments of the run."""
    x, alpha, beta = found["positions"], found["alpha"], found["beta"]
    size = x.shape[1]
    square = x.unsqueeze(2) * x.unsqueeze(1)
    fourth = torch.einsum("tij,tijkl,tkl->t", square, beta, square)
    moved = (distances @ x.unsqueeze(2)).square().sum((1, 2))
    noise = found["noise"].diagonal(dim1=1, dim2=2).sum(1)
    columns = [alpha, beta, distances, square, found["drift_noise"]]
    flat = torch.cat([*(c.flatten(1) for c in columns), torch.stack([fourth, moved, noise], dim=1)], dim=1)
    inverse = torch.linalg.pinv(beta.mean(0).reshape(size**2, -1), hermitian=True)
    rise = slope_of(torch.einsum("ta,ab,tb->t", distances.flatten(1), inverse, distances.flatten(1)), steps) / eta
    sizes = [size**2, size**4, size**2, size**2, size**4, 1, 1, 1]

    def measured_over_identity(means: Tensor) -> Tensor:
        drive, gram, y, p, drift, quartic, mixed, trace = means.split(sizes)
        oscillation = functions.sharpness_gap_amplitudes(
            drive.reshape(size, size), gram.reshape(size, size, size, size)
        ).flatten()
        gram, drift = gram.reshape(size**2, -1), drift.reshape(size**2, -1)
        spread = quartic - 2 * oscillation @ gram @ p + oscillation @ gram @ oscillation
        drift_noise = (torch.linalg.pinv(gram, hermitian=True) * drift).sum()
        exact = functions.sharpness_gap_directions_identity(trace, mixed, spread, drift_noise, eta)
        return (-(y @ oscillation) / (exact - rise)).squeeze()

    return of_means(measured_over_identity, flat)
