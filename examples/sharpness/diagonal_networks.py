"""Sharpness of diagonal networks u ⊙ v and their generalization, as in da Silva et al. 2505.05409 section 5.1.

python examples/sharpness/diagonal_networks.py

1,000 models in one batch: 20 repetitions (other data, other truth) of 50 networks with d = 200 coefficients, trained on
n = 100 samples of a 90 % sparse truth until the mean squared error is 1e-5, from random starts of random scale with
random step sizes. About 150 s of processor time, so one to two minutes on two quiet cores.

Sign: τ > 0 where sharper models generalize worse. The paper prints τ of sharpness with the generalization gap too, and
finds −0.68 for adaptive sharpness, −0.83 for geodesic sharpness in the invariant metric and −0.86 in the mixed one: its
sharper networks generalize better. It gives neither n, nor the radius, nor the ranges of scales and step sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diagonal_sharpness import MEASURES, Diagonal, sharpness
from study import Findings, Options, cached, main
from torch import Tensor

from numeric.comparison import RankCorrelation, rank_correlation_of_studies

TARGET_LOSS = 1e-5
RADIUS = 0.1  # of the table and the scatter; the figure shows all radii


@dataclass(frozen=True)
class Sizes:
    """studies: repetitions S; models: M of each; d coefficients, n samples; steps: at most."""

    studies: int = 20
    models: int = 50
    d: int = 200
    n: int = 100
    steps: int = 40_000
    radii: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


QUICK = Sizes(studies=2, models=8, d=20, n=10, steps=12_000, radii=(1e-2, RADIUS))
CHUNK = 4  # studies trained at once
SCALES, RATES = (0.05, 0.5), (0.02, 0.05)  # log-uniform: standard deviation of the start, step size


def study(options: Options) -> Findings:
    """Kendall's τ of adaptive and geodesic sharpness with the generalization gap, over repetitions of the study."""
    sizes = QUICK if options.quick else Sizes()
    state = networks_of(sizes, options)
    networks = Diagonal(*(state[name] for name in ("x", "y", "u", "v")))
    gap, reached = state["gap"], state["reached"]
    measured = {
        name: cached(
            options.folder / f"{name.replace(' ', '_')}.safetensors",
            (sizes, options.seed),
            lambda measure=measure: {f"{radius:g}": sharpness(networks, measure, radius) for radius in sizes.radii},
        )
        for name, measure in MEASURES.items()
    }
    # Models that did not get to the target are left out of their study.
    gap = gap.masked_fill(~reached, torch.nan)
    curves = {
        name: [rank_correlation_of_studies(values[f"{radius:g}"], gap) for radius in sizes.radii]
        for name, values in measured.items()
    }
    place = sizes.radii.index(RADIUS)
    table = {name: found[place] for name, found in curves.items()}
    table |= {name: rank_correlation_of_studies(values, gap) for name, values in others(networks).items()}
    return Findings(
        title="Diagonal networks: sharpness and the generalization gap",
        setting=f"{sizes.studies} studies of {sizes.models} networks, d = {sizes.d}, n = {sizes.n}, 90 % sparse truth, "
        f"trained to {TARGET_LOSS:g}; radius {RADIUS:g} in the table",
        correlations={"the gap": table},
        notes=_notes(reached, gap, table),
        figures=_figures(sizes, curves, {name: values[f"{RADIUS:g}"] for name, values in measured.items()}, gap),
        measured={
            "reached": int(reached.sum()),
            "radii": list(sizes.radii),
            "tau": {name: [found.tau for found in by_radius] for name, by_radius in curves.items()},
            "interval": {name: [[found.low, found.high] for found in rows] for name, rows in curves.items()},
            "spread": {name: [found.spread for found in by_radius] for name, by_radius in curves.items()},
        },
    )


def networks_of(sizes: Sizes, options: Options) -> dict[str, Tensor]:
    """What `trained` gives for all studies, a file for every few of them."""
    parts = [
        cached(
            options.folder / f"networks_{first}.safetensors",
            (sizes, options.seed),
            lambda first=first: trained(sizes, first, options.seed),
        )
        for first in range(0, sizes.studies, CHUNK)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def trained(sizes: Sizes, first: int, seed: int) -> dict[str, Tensor]:
    """Networks "u" and "v" (S, M, d) after full-batch gradient descent to the first step below the target loss.

    Of S = CHUNK studies, or as many as there are, from number `first` on. Also data "x" (S, n, d) and "y" (S, n); "gap"
    (S, M), the generalization gap: the squared error expected at new x ~ N(0, I), which is |w − w*|², minus the
    training loss; and "reached" (S, M), which of them got to the target. The loss is (1/n)|Xw − y|², in units of the
    target squared; y has no noise, and the truth w* standard normal entries in a tenth of its places.
    """
    drawn = [_study(sizes, 1000 * seed + k) for k in range(first, min(first + CHUNK, sizes.studies))]
    x, y, truth, u, v, rate = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    # Single precision is enough on the way: the residual at the end is 3e-3 of the target, its rounding 1e-6.
    end = _descend(Diagonal(x.float(), y.float(), u.float(), v.float()), rate.float(), sizes.steps)
    end = Diagonal(x, y, end.u.double(), end.v.double())
    loss = end.loss(end.w)
    gap = (end.w - truth.unsqueeze(1)).square().sum(-1) - loss
    return {"x": x, "y": y, "u": end.u, "v": end.v, "gap": gap, "reached": loss <= (1 + 1e-3) * TARGET_LOSS}


def _study(sizes: Sizes, seed: int) -> tuple[Tensor, ...]:
    """x (n, d), y (n,), the truth (d,), starts u and v (M, d) and step sizes (M, 1) of one study."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    def log_uniform(low: float, high: float) -> Tensor:
        return low * (high / low) ** torch.rand(sizes.models, 1, generator=generator, dtype=torch.float64)

    x = normal(sizes.n, sizes.d)
    truth = normal(sizes.d) * (torch.randperm(sizes.d, generator=generator) < sizes.d // 10)
    scale, rate = log_uniform(*SCALES), log_uniform(*RATES)
    return x, x @ truth, truth, scale * normal(sizes.models, sizes.d), scale * normal(sizes.models, sizes.d), rate


def _descend(networks: Diagonal, rate: Tensor, steps: int) -> Diagonal:
    """Every network goes on until its loss is below the target; those that are there leave the batch."""
    u, v = networks.u.clone(), networks.v.clone()
    lists = torch.arange(u.shape[1]).expand(u.shape[:2])
    for step in range(steps):
        if step % 500 == 0:
            going = networks.at(u, v).loss(u * v) > TARGET_LOSS
            # The same number of places in every study: those still going first.
            most = int(going.sum(1).max())
            if not most:
                break
            lists = going.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
            rows = torch.arange(len(u)).unsqueeze(1)
            a, b, eta = u[rows, lists], v[rows, lists], rate[rows, lists]
        residual = (a * b) @ networks.x.mT - networks.y.unsqueeze(1)
        mean = residual.square().mean(-1, keepdim=True)
        force = (eta * (mean > TARGET_LOSS)) * (2 / residual.shape[-1] * (residual @ networks.x))
        a, b = a - force * b, b - force * a
        if (step + 1) % 500 == 0 or step + 1 == steps:
            u[rows, lists], v[rows, lists] = a, b
    return networks.at(u, v)


def others(networks: Diagonal) -> dict[str, Tensor]:
    """What the networks differ in besides, (S, M) each: three norms of w, and the trace of the Hessian."""
    w = networks.w
    second = networks.x.square().mean(1).unsqueeze(1)
    trace = 2 * (second * (networks.u.square() + networks.v.square())).sum(-1)
    return {
        "l1 norm of w": w.abs().sum(-1),
        "l2 norm of w": w.norm(dim=-1),
        "largest |w|": w.abs().amax(-1),
        "trace of the Hessian": trace,
    }


def _notes(reached: Tensor, gap: Tensor, table: dict[str, RankCorrelation]) -> tuple[str, ...]:
    values = gap[reached]
    spreads = ", ".join(f"{name} {table[name].spread:.2f}" for name in MEASURES)
    return (
        f"{int(reached.sum())} of {reached.numel()} networks reached the target; "
        f"gaps {values.min():.2g} to {values.max():.2g}, median {values.median():.2g} (squared units of the target)",
        f"standard deviation of τ from study to study: {spreads}",
        "published (one study): adaptive −0.68, geodesic invariant −0.83, geodesic mixed −0.86",
    )


def _figures(
    sizes: Sizes, curves: dict[str, list[RankCorrelation]], values: dict[str, Tensor], gap: Tensor
) -> tuple[tuple[str, dict[str, object]], ...]:
    bands = {
        "x": torch.tensor(sizes.radii),
        "series": {
            name: {
                "middle": torch.tensor([found.tau for found in rows]),
                "low": torch.tensor([found.low for found in rows]),
                "high": torch.tensor([found.high for found in rows]),
            }
            for name, rows in curves.items()
        },
        "title": f"Diagonal networks: τ of sharpness with the generalization gap, mean of {sizes.studies} studies",
        "xlabel": "radius of the ball (dimensionless; mixed metric: units of the target)",
        "ylabel": "Kendall's τ (band: 95 %)",
    }
    first = ~gap[0].isnan()
    panels = {
        name: {
            "x": found[0][first],
            "y": gap[0][first],
            "label": f"τ = {curves[name][sizes.radii.index(RADIUS)].tau:+.2f}",
        }
        for name, found in values.items()
    }
    scatter = {
        "panels": panels,
        "title": f"One study of {sizes.models} networks at radius {RADIUS:g} (τ: mean over all studies)",
        "ylabel": "generalization gap (squared units of the target)",
        "logarithmic": "both",
    }
    return (("bands", bands), ("scatter", scatter))


if __name__ == "__main__":
    main(study, "diagonal_networks")
