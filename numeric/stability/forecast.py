"""How far below the edge the sharpness should settle, and does, from the records of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from numeric.comparison.estimate import Estimate
from numeric.errors import CheckError, OptionError
from numeric.stability.directions_forecast import DirectionsForecast, directions_forecast
from numeric.stability.edge_run import EdgeRun
from numeric.stability.series import of_means, slope_of

# Measurements that a window must hold.
FEWEST = 10
_COLUMNS = ("alpha", "beta", "noise", "drift_noise", "curvature_along", "y", "x2", "x4", "x2y2", "memory")
_ALPHA, _BETA, _NOISE, _DRIFT_NOISE, _CURVATURE, _Y, _X2, _X4, _X2Y2, _MEMORY = range(len(_COLUMNS))
_AVERAGES = ("ratio_of_means", "mean_of_ratios", "full_hessian")


@dataclass(frozen=True)
class Forecast:
    """Estimates over a window of a run, each with a standard error; curvatures in the unit of the loss per squared unit
    of the parameters.

    edge: 2(1 + μ)/η. gap: edge − E S, S on the floor of the valley. forecasts: "leading" order, as
    published, "corrected" by the next order and for noise along ∇S⊥, of which the curvature there leaves a part, where
    there is noise, and the exact "identity" with the moments of the run.
    alpha, beta, noise: α, β, σ_u². balance: E[βx²/2]/E α. rise: slope of S over that which α alone would give. batch:
    name → batch sharpness over the edge. ratios: leading, corrected and identity → measured gap over it.
    conditions: what the leading order takes to be small, see `answer`. directions: of several critical directions,
    where they were measured.
    """

    first: int
    last: int
    edge: float
    gap: Estimate
    alpha: Estimate
    beta: Estimate
    noise: Estimate
    balance: Estimate
    rise: float
    forecasts: dict[str, Estimate]
    ratios: dict[str, Estimate]
    batch: dict[str, float]
    conditions: dict[str, float]
    directions: DirectionsForecast | None = None

    @property
    def best(self) -> str:
        """The forecast that is held against the run: the corrected one where there is one."""
        return "corrected" if "corrected" in self.forecasts else "leading"

    def to_json(self) -> dict[str, Any]:
        """Numbers by name; an estimate is {value, standard_error}, an error that is not known None."""
        record: dict[str, Any] = {"first_step": self.first, "last_step": self.last, "edge": self.edge}
        for name in ("gap", "alpha", "beta", "noise", "balance"):
            record[name] = getattr(self, name).to_json()
        record["rise"] = self.rise
        record["forecasts"] = {name: value.to_json() for name, value in self.forecasts.items()}
        record["measured_over_forecast"] = {name: value.to_json() for name, value in self.ratios.items()}
        record["batch_sharpness_over_edge"] = self.batch
        record["conditions"] = self.conditions
        if self.directions is not None:
            record["directions"] = self.directions.to_json()
        return record


def forecast(run: EdgeRun, functions: Any, *, window: float = 0.5) -> Forecast:
    """Forecast and measurement over the last part of a run.

    functions: the generated functions of the prediction sharpness_gap. window: the part of the run, from its end, that
    is read. Raises what `judged` does.
    """
    inside = judged(run.steps, run.step, window)
    steps = run.steps[inside]
    records = {name: values[inside] for name, values in run.records.items()}
    eta, momentum = run.descent.lr, run.descent.momentum
    y = functions.sharpness_gap_distance(records["floor_sharpness"], eta, momentum)
    series = _series(records, y)
    statements = _statements(functions, eta, momentum, float(records["noise"].mean()) > 0)
    forecasts = {name: of_means(statement, series) for name, statement in statements.items()}
    ratios = {name: of_means(partial(_measured_over, statement), series) for name, statement in statements.items()}
    alpha = of_means(lambda means: means[_ALPHA], series)
    kept = float(_kept(functions, series.mean(0), eta, momentum))
    free = eta / (1 - momentum) * alpha.value
    gap = of_means(lambda means: -means[_Y], series)
    return Forecast(
        first=int(steps[0]),
        last=int(steps[-1]),
        edge=run.edge,
        gap=gap,
        alpha=alpha,
        beta=of_means(lambda means: means[_BETA], series),
        noise=of_means(lambda means: means[_NOISE], series),
        balance=of_means(lambda means: means[_BETA] * means[_X2] / 2 / means[_ALPHA], series),
        rise=slope_of(records["floor_sharpness"], steps) / free if free else float("nan"),
        forecasts=forecasts,
        ratios=ratios,
        batch={name: float(records[name].nanmean()) / run.edge for name in _AVERAGES},
        conditions=_conditions(records, y, run.edge, forecasts, kept),
        directions=directions_forecast(run, functions, inside, kept=kept),
    )


def judged(steps: Tensor, length: int, window: float) -> Tensor:
    """Which measurements (T,), at these steps (T,) of a run so long, lie in its last part; before training too.

    Raises OptionError for a window that is no part of a run, CheckError for one with fewer than `FEWEST` measurements.
    """
    if not 0 < window <= 1:
        raise OptionError(f"window={window:g}: choose the part of the run that is judged, above 0 and at most 1")
    inside = steps >= (1 - window) * float(length)
    if (count := int(inside.sum())) < FEWEST:
        often = int(window * length / FEWEST)
        remedy = f"measure every {often} steps at most, or train longer" if often > 1 else "train longer"
        raise CheckError(
            f"the last {window:.0%} of {length} steps hold {count} measurements, {FEWEST} are needed: {remedy}"
        )
    return inside


def _measured_over(statement: Callable[[Tensor], Tensor], means: Tensor) -> Tensor:
    return -means[_Y] / statement(means)


def _series(records: dict[str, Tensor], y: Tensor) -> Tensor:
    x = records["position"]
    square = x.square()
    memory = x * (y * (2 * x - records["velocity"]) - x * records["drift_velocity"])
    columns = {"y": y, "x2": square, "x4": square.square(), "x2y2": square * y.square(), "memory": memory}
    return torch.stack([columns[name] if name in columns else records[name] for name in _COLUMNS], dim=1)


def _statements(functions: Any, eta: float, momentum: float, noisy: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name → the gap that a derived statement gives, as a function of the means of `_COLUMNS`."""

    def leading(means: Tensor) -> Tensor:
        return functions.sharpness_gap(*means[: _NOISE + 1], eta, momentum)

    def of_drift_noise(means: Tensor) -> Tensor:
        kept = _kept(functions, means, eta, momentum)
        return kept * functions.sharpness_gap_of_drift_noise(means[_ALPHA], means[_DRIFT_NOISE], eta, momentum)

    def corrected(means: Tensor) -> Tensor:
        return functions.sharpness_gap_corrected(*means[: _NOISE + 1], eta, momentum) + of_drift_noise(means)

    def identity(means: Tensor) -> Tensor:
        spread = means[_X4] - means[_X2].square()
        measured = (spread, means[_X2Y2], means[_MEMORY])
        exact = functions.sharpness_gap_identity(*means[: _NOISE + 1], *measured, eta, momentum)
        return exact + of_drift_noise(means)

    found: dict[str, Callable[[Tensor], Tensor]] = {"leading": leading}
    if noisy:
        found["corrected"] = corrected
    return found | {"identity": identity}


def _kept(functions: Any, means: Tensor, eta: float, momentum: float) -> Tensor:
    """The part of the noise along ∇S⊥ that the curvature there leaves."""
    leading = functions.sharpness_gap(*means[: _NOISE + 1], eta, momentum)
    kept: Tensor = functions.sharpness_gap_drift_noise_kept(means[_ALPHA], leading, means[_CURVATURE].clamp(min=0))
    return kept


def _conditions(
    records: dict[str, Tensor], y: Tensor, edge: float, forecasts: dict[str, Estimate], kept: float
) -> dict[str, float]:
    """What the leading order takes to be small against one, dimensionless. kept: the part of the noise along ∇S⊥ that
    the curvature there leaves."""
    mean = {name: float(values.mean()) for name, values in records.items()}
    size = float(y.square().mean().sqrt())
    found = {}
    if "corrected" in forecasts:
        found["corrections"] = _over(forecasts["corrected"].value, forecasts["leading"].value) - 1
        found["drift_noise"] = kept * _over(2 * mean["drift_noise"], mean["beta"] * mean["noise"])
    found["second_direction"] = _over(size, max(edge - mean["second"], size * 1e-3))
    # Where α varies with y, E(yα) takes the place of α E y in the stationary mean of the change of y².
    together = float((records["alpha"] * (y - y.mean())).mean())
    found["alpha_with_y"] = _over(together, mean["alpha"] * abs(float(y.mean())))
    return found


def _over(above: float, below: float) -> float:
    """Their ratio, nan over zero: where the data are fitted exactly, α and the noise vanish."""
    return above / below if below else float("nan")
