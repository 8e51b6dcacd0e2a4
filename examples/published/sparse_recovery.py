"""What cosine modes and step signals share: forecasts of the coefficients that full-batch training ends at."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from report import CONSERVATION, NEITHER, NOISE, Forecast, Options
from torch import Tensor

import numeric
import symtheory as st
from numeric.comparison.mechanisms.constrained_minimum import dual_newton, weighted_basis_pursuit
from numeric.linear_readout import coordinate_model, has_readout, readout_matrix
from numeric.row_space import row_space


@dataclass(frozen=True)
class Recovery:
    """Coefficients (R, d) at the end and at the start of full-batch training, and the forecasts of the end; misfit:
    root mean square residual of each replica, (R,)."""

    end: Tensor
    misfit: Tensor
    forecasts: dict[str, Forecast]


def recover(
    P: st.Parametrization, data: dict[str, Tensor], options: Options, *, deviation: float, lr: float, steps: int
) -> Recovery:
    """Train P from normal starts, and ask its mirror prediction where the coefficients before any readout end."""
    module, mirror = st.generate(P).load(), P.predictions()["mirror"].load()

    def start(generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: deviation * torch.randn(shape, generator=generator, dtype=torch.float64)
            for name, shape in module.PARAMETERS.items()
        }

    runs = numeric.train(
        module,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.GradientDescent(lr=lr),
        steps=options.steps(steps),
        replicas=options.replicas,
        seed=options.seed,
        initial=start,
        backend=options.backend,
    )
    coefficients = coordinate_model(module, mirror, "mirror").predictor
    end, begin = coefficients(runs.final), coefficients(runs.initial)
    rows = data["x"]
    if has_readout(mirror, "mirror"):
        rows = rows @ readout_matrix(mirror, "mirror", end.shape[-1], {})
    misfit = (end @ rows.mT - data["y"]).square().mean(-1).sqrt()
    return Recovery(end, misfit, forecasts_of(end, begin, mirror.mirror_scale(runs.initial), rows, mirror))


def forecasts_of(end: Tensor, start: Tensor, scale: Tensor, rows: Tensor, mirror: ModuleType) -> dict[str, Forecast]:
    """Where the coefficients c (R, d) end, given what they fit, rows @ c with ``rows`` (n, d); misses are relative ℓ1
    distances. scale: α of every coefficient at the start; mirror: the functions of the mirror prediction.
    """
    flow = [_mirror_minimiser(*state, rows, mirror) for state in zip(end, start, scale, strict=True)]
    fitted = [row_space(rows, rows @ c) for c in end]
    sparse = [weighted_basis_pursuit(*both, torch.ones_like(end[0])) for both in fitted]
    least_squares = [basis.mT @ target for basis, target in fitted]
    return {
        "mirror flow": Forecast(
            "least Bregman divergence of the derived potential at the charges of the start",
            CONSERVATION,
            _distance(end, torch.stack(flow)),
        ),
        "least ℓ1 norm": Forecast(
            "what label noise or weight decay would choose (basis pursuit)", NOISE, _distance(end, torch.stack(sparse))
        ),
        "least ℓ2 norm": Forecast(
            "what training the coefficients themselves would give", NEITHER, _distance(end, torch.stack(least_squares))
        ),
        "no change": Forecast("the coefficients at the start", NEITHER, _distance(end, start)),
    }


def _mirror_minimiser(end: Tensor, start: Tensor, scale: Tensor, rows: Tensor, mirror: ModuleType) -> Tensor:
    """argmin Σ D_Q(c, c₀) subject to rows c = rows c_end; c (d,) float64."""
    basis, target = row_space(rows, rows @ end)
    tau_start = mirror.mirror(start, scale)
    found, residual = dual_newton(
        lambda tau: mirror.mirror_inverse(tau_start + tau, scale),
        lambda tau: mirror.mirror_slope(tau_start + tau, scale),
        basis,
        target,
        basis @ (mirror.mirror(end, scale) - tau_start),
    )
    if residual > 1e-9:
        raise numeric.errors.CheckError(f"the mirror problem was solved to {residual:.1g} only")
    return found


def _distance(end: Tensor, forecast: Tensor) -> Tensor:
    return (end - forecast).abs().sum(-1) / end.abs().sum(-1)
