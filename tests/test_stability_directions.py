"""Several critical directions: a loss whose coefficients are known, a frame under a crossing, the forecast and a wrong
one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from numeric.errors import OptionError
from numeric.sharpness import Objective
from numeric.sharpness.parameters import flatten, unflatten
from numeric.stability import Descent, EdgeRun, Plan, answer, forecast, load_edge_run, run_edge
from numeric.stability import run as run_module
from numeric.stability.critical_directions import carried_frame, measure_directions
from numeric.stability.edge_point import EdgePoint, measure_edge
from numeric.stability.generated import sharpness_gap
from numeric.stability.picture import edge_picture
from numeric.stability.reduced_dynamics import Ingredients, simulate
from numeric.stability.third_order import third_order
from numeric.stability.trail import Trail

# x ∈ R² in a valley of Hessian 40 I + Σ_a M_a s_a whose floor falls along s ∈ R³; at η = 0.02 the edge is 100.
ETA, CURVATURE = 0.02, 40.0
EDGE = 2 / ETA
BENDS = torch.tensor(
    [[[3.0, 0.4], [0.4, 0.6]], [[0.5, 0.2], [0.2, 3.2]], [[0.3, 1.5], [1.5, -0.4]]], dtype=torch.float64
)
PULL = torch.tensor([0.5, 0.45, 0.05], dtype=torch.float64)
ALPHA = torch.einsum("a,aij->ij", PULL, BENDS)
BETA = torch.einsum("aij,akl->ijkl", BENDS, BENDS)
# S_1 = S_2 = 2.5 below the edge.
START = torch.linalg.solve(
    torch.stack([BENDS[:, 0, 0], BENDS[:, 0, 1], BENDS[:, 1, 1]]),
    torch.tensor([EDGE - 2.5 - CURVATURE, 0.0, EDGE - 2.5 - CURVATURE], dtype=torch.float64),
).tolist()


class Valleys(nn.Module):
    def __init__(self, x: list[float], s: list[float], decay: float = 0.0) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x, dtype=torch.float64))
        self.s = nn.Parameter(torch.tensor(s, dtype=torch.float64))
        self.decay = decay

    def forward(self, noise: Tensor) -> Tensor:
        hessian = CURVATURE * torch.eye(2, dtype=torch.float64) + torch.einsum("a,aij->ij", self.s, BENDS)
        size = self.decay / 2 * (self.x.square().sum() + self.s.square().sum())
        return self.x @ hessian @ self.x / 2 - self.s @ PULL + noise @ self.x + size


def itself(output: Tensor, target: Tensor) -> Tensor:
    return output.mean()


def noise(deviation: float, samples: int = 64) -> tuple[Tensor, Tensor]:
    drawn = torch.randn(samples, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    drawn = drawn - drawn.mean(0)
    drawn = deviation * drawn @ torch.tensor([[1.0, 0.3], [0.0, 0.8]], dtype=torch.float64) / drawn.std()
    return drawn, drawn


def measured(model: nn.Module, data: Any, **options: Any) -> EdgePoint:
    objective = Objective.of(model, itself, data)
    generator = torch.Generator().manual_seed(0)
    return measure_edge(
        objective, third_order(objective), generator, EDGE, tolerance=1e-10, **{"directions": 2, **options}
    )


def turned(matrix: Tensor, frame: Tensor) -> Tensor:
    """A matrix (2, 2) or array (2, 2, 2, 2) of x in the frame (5, 2)."""
    rotation = frame[:2]
    for _ in range(matrix.ndim):
        matrix = torch.tensordot(matrix, rotation, dims=([0], [0]))
    return matrix


def test_an_analytic_loss_of_two_directions() -> None:
    data = noise(1.0)
    parts = [(data[0][:40], data[1][:40]), (data[0][40:], data[1][40:])]
    found = measured(Valleys([0.02, -0.01], [1.0, 2.0, 0.5]), parts)
    point, again = found.critical, measured(Valleys([0.02, -0.01], [1.0, 2.0, 0.5]), data).critical
    assert point is not None
    assert again is not None
    frame = point.frame
    assert torch.allclose(frame.mT @ frame, torch.eye(2, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(point.alpha, turned(ALPHA, frame), rtol=1e-3)
    assert torch.allclose(point.beta, turned(BETA, frame), rtol=1e-3, atol=1e-2)
    covariance = data[0].mT @ data[0] / len(data[0])
    assert torch.allclose(point.noise, turned(covariance, frame), rtol=1e-3)
    assert torch.allclose(point.positions, torch.tensor([0.02, -0.01]).double() @ frame[:2], rtol=2e-2)
    assert point.next_curvature == pytest.approx(0, abs=0.2)
    assert torch.allclose(again.beta.flatten().sort()[0], point.beta.flatten().sort()[0], rtol=1e-6)
    # Two steps of half an oscillation's length have gone by between the iterate and the floor.
    hessian = CURVATURE * torch.eye(2) + torch.einsum("a,aij->ij", torch.tensor([1.0, 2.0, 0.5]).double(), BENDS)
    assert torch.allclose(point.curvatures, turned(hessian, frame), atol=0.01)
    assert float(torch.linalg.eigvalsh(point.curvatures)[-1]) == pytest.approx(found.floor_sharpness, abs=1e-3)


def test_against_dense_third_derivatives() -> None:
    """tanh net in float64: ∇³L in full by reverse mode, at the floor below the point."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    data = (torch.randn(9, 2, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64))
    objective = Objective.of(model, nn.MSELoss(), data)
    (batch,) = objective.batches()

    def loss(flat: Tensor) -> Tensor:
        return objective.value(unflatten(flat, objective.parameters), batch)

    gradient = torch.func.grad(loss)
    hessian = torch.func.jacrev(gradient)
    theta = flatten(objective.parameters)
    values, vectors = torch.linalg.eigh(hessian(theta))
    values, vectors = values.flip(0)[:4], vectors.flip(1)[:, :3]
    deviation = torch.randn(len(theta), dtype=torch.float64)
    found = measure_directions(
        objective, objective, vectors, gradient(theta), values, earlier=None, lag=0.0, decay=0.0, deviation=deviation
    )
    along = (vectors.mT @ gradient(theta)) / values[:3]
    floor = theta - vectors @ along
    third = torch.func.jacrev(hessian)(floor)
    bends = torch.einsum("abc,ai,bj->ijc", third, vectors, vectors)
    across = bends - bends @ vectors @ vectors.mT
    aside = deviation - vectors @ vectors.mT @ deviation
    assert torch.allclose(found.rest, across @ torch.einsum("abc,a,b->c", third, aside, aside) / 2)
    assert torch.allclose(found.positions, along)
    assert torch.allclose(found.curvatures, vectors.mT @ hessian(floor) @ vectors)
    assert torch.allclose(found.alpha, -across @ gradient(floor))
    assert torch.allclose(found.beta, torch.einsum("ijc,klc->ijkl", across, across))
    slopes = torch.func.vmap(
        lambda x, y: torch.func.grad(
            lambda flat: nn.functional.mse_loss(
                torch.func.functional_call(model, unflatten(flat, objective.parameters), (x[None],)), y[None]
            )
        )(floor)
    )(*data)
    drift = torch.einsum("nc,ijc->nij", slopes - slopes.mean(0), across)
    assert torch.allclose(found.drift_noise, torch.einsum("nij,nkl->ijkl", drift, drift) / len(drift))
    assert torch.allclose(found.noise, vectors.mT @ torch.cov(slopes.mT, correction=0) @ vectors)


def test_noise_of_the_drift_and_weight_decay() -> None:
    data = noise(1.0)
    told = measured(Valleys([0.01, 0.01], [1.0, 2.0, 0.5]), data, decay=0.3).critical
    written = measured(Valleys([0.01, 0.01], [1.0, 2.0, 0.5], decay=0.3), data).critical
    assert told is not None
    assert written is not None
    for name in ("positions", "curvatures", "alpha", "beta", "noise", "drift_noise"):
        assert torch.allclose(getattr(told, name), getattr(written, name), rtol=1e-7, atol=1e-9), name
    assert float(told.drift_noise.abs().max()) < 1e-6  # s has no noise; the rest is the floor's own inclination


def test_the_frame_goes_on_where_eigenvalues_cross() -> None:
    """S_1 − S_2 changes its sign on the way: the first eigenvector turns by a right angle, the frame hardly."""
    frame = start = None
    angles, firsts, curvatures = [], [], []
    for shift in torch.linspace(-1, 1, 9).tolist():
        s = [4 + shift, 4 - shift, -(0.4 * (4 + shift) + 0.2 * (4 - shift)) / 1.5]  # x_1 and x_2 uncoupled
        found = measured(Valleys([0.0, 0.0], s), noise(1.0), start=start, frame=frame)
        assert found.critical is not None
        if frame is not None and start is not None:
            angles.append(float((found.critical.frame - frame).norm()))
            firsts.append(abs(float(found.vector @ start[:, 0])))
            assert found.critical.overlap == pytest.approx(1, abs=1e-6)
        frame, start = found.critical.frame, found.vectors
        curvatures.append(float(found.critical.curvatures[0, 0] - found.critical.curvatures[1, 1]))
    assert max(angles) < 1e-3
    assert min(firsts) < 0.1
    assert curvatures[0] * curvatures[-1] < 0


def test_the_nearest_frame() -> None:
    generator = torch.Generator().manual_seed(3)
    earlier, _ = torch.linalg.qr(torch.randn(7, 3, generator=generator, dtype=torch.float64))
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    found, overlap = carried_frame(earlier @ rotation, earlier)
    assert torch.allclose(found, earlier, atol=1e-12)
    assert overlap == pytest.approx(1)
    other, _ = torch.linalg.qr(torch.cat([earlier[:, :2], torch.randn(7, 1, generator=generator).double()], dim=1))
    assert carried_frame(other, earlier)[1] < 0.9


def test_oscillation_beside_a_floor_that_moves() -> None:
    """x' = −0.7x + noise on a line that climbs: blocks of 21 steps give Var x = 1/(1 − 0.49) to 4 %."""
    generator = torch.Generator().manual_seed(5)
    x = torch.zeros(8400, 1, dtype=torch.float64)
    for k in range(1, len(x)):
        x[k] = -0.7 * x[k - 1] + torch.randn(1, generator=generator, dtype=torch.float64)
    floor = 0.5 * torch.arange(len(x), dtype=torch.float64).unsqueeze(1)
    frame, variances, deviations = torch.ones(1, 1, dtype=torch.float64), [], []
    for block in (x + floor).split(21):
        trail = Trail(frame, 21)
        assert trail.deviation() is None
        assert bool(trail.oscillation().isnan().all())
        for point in block:
            trail.add(point)
        variances.append(float(trail.oscillation()))
        deviation = trail.deviation()
        assert deviation is not None
        deviations.append(float(deviation))
    assert sum(variances) / 400 == pytest.approx(1 / 0.51, rel=0.04)
    assert sum(d**2 for d in deviations) / 400 == pytest.approx(1 / 0.51, rel=0.25)


@pytest.fixture(scope="module")
def at_edge() -> EdgeRun:
    """Both directions start near where they settle; λ_min(Γ) to leading order is 1.9."""
    plan = Plan(6000, 41, batches=0, directions=2)
    return run_edge(Valleys([0.2, -0.2], START), itself, noise(9.0), Descent(ETA, 1), plan, seed=1, progress=False)


def test_the_reduced_dynamics_are_those_of_the_loss() -> None:
    """E λ_max and its spread over n = 150 runs of 3000 steps, of SGD on the loss with its own batches and of the
    reduced dynamics: |z| < 4, and twice the noise is told apart."""
    runs, steps, generator = 150, 3000, torch.Generator().manual_seed(77)
    drawn, _ = noise(9.0)
    covariance = drawn.mT @ drawn / len(drawn)
    x, s = torch.tensor([[0.2, -0.2]]).double().expand(runs, 2), torch.tensor([START]).double().expand(runs, 3)
    start = torch.einsum("a,aij->ij", s[0], BENDS) - (EDGE - CURVATURE) * torch.eye(2, dtype=torch.float64)
    direct = torch.zeros(runs, dtype=torch.float64)
    for step in range(steps):
        hessian = CURVATURE * torch.eye(2, dtype=torch.float64) + torch.einsum("ra,aij->rij", s, BENDS)
        if step % 10 == 0:
            direct += EDGE - torch.linalg.eigvalsh(hessian)[:, -1]
        rows = drawn[torch.randint(0, len(drawn), (runs,), generator=generator)]
        bent = torch.einsum("ri,rj,aij->ra", x, x, BENDS) / 2
        x, s = x - ETA * (torch.einsum("rij,rj->ri", hessian, x) + rows), s - ETA * (bent - PULL)
    direct /= steps / 10

    def reduced(factor: float) -> Tensor:
        found = Ingredients(
            ALPHA.expand(runs, 2, 2),
            BETA.expand(runs, 2, 2, 2, 2),
            factor * covariance.expand(runs, 2, 2),
            torch.zeros(runs, 2, 2, 2, 2, dtype=torch.float64),
        )
        first = torch.tensor([0.2, -0.2], dtype=torch.float64)
        path = simulate(sharpness_gap, found, first, start, eta=ETA, records=steps // 10, every=10, generator=generator)
        return -torch.linalg.eigvalsh(path)[..., -1].mean(0)

    gap, doubled = reduced(1.0), reduced(2.0)
    error = float((direct.var() + gap.var()).sqrt()) / runs**0.5
    assert abs(float(direct.mean() - gap.mean())) < 4 * error
    assert abs(float(direct.mean() - doubled.mean())) > 8 * error
    assert float(gap.std() / direct.std()) == pytest.approx(1, abs=0.25)


def test_the_forecast_of_two_directions_holds(at_edge: EdgeRun) -> None:
    found = answer(forecast(at_edge, sharpness_gap, window=0.9))
    several = found.forecast.directions
    assert several is not None
    assert found.outcome == "forecast holds", found.sentence
    assert "2 critical directions together" in found.sentence
    assert several.balance.value == pytest.approx(1, abs=0.1)
    assert several.referee.value == pytest.approx(1, abs=4 * several.referee.standard_error)
    assert several.overlap == pytest.approx(1, abs=1e-3)
    assert several.trace_gap.value == pytest.approx(
        several.simulated_trace_gap.value, abs=4 * several.simulated_trace_gap.standard_error
    )
    assert found.to_json()["directions"]["ratio"]["value"] == several.ratio.value


def test_a_wrong_step_of_two_directions_is_off(at_edge: EdgeRun) -> None:
    """The oscillation bends half as much as derived: the gap is halved; the identity knows nothing of it."""
    made = {name: value for name, value in vars(sharpness_gap).items() if name.startswith("sharpness_gap")}

    def step(x: Tensor, y: Tensor, xi: Tensor, alpha: Tensor, beta: Tensor, eta: float) -> dict[str, Tensor]:
        return sharpness_gap.sharpness_gap_directions_step(x, y, xi, alpha, beta / 2, eta)

    made["sharpness_gap_directions_step"] = step
    found = answer(forecast(at_edge, SimpleNamespace(**made), window=0.9))
    assert found.outcome == "forecast off", found.sentence
    assert found.normal_form is not False
    made["sharpness_gap_directions_step"] = lambda x, y, *rest: {"x": x + torch.inf, "y": y + torch.inf}
    found = answer(forecast(at_edge, SimpleNamespace(**made), window=0.9))
    assert found.outcome == "undecided"
    assert "no forecast of 2 critical directions" in found.sentence
    assert "diverges" in found.reasons[0]
    assert not any("directions" in label for label in edge_picture(at_edge, found)["forecasts"])


def test_what_the_rest_takes_is_taken_off(at_edge: EdgeRun) -> None:
    """Half of α taken by other directions would double the gap: refuted on a run where nothing takes it."""
    altered = replace(at_edge, directions={**at_edge.directions, "rest": at_edge.directions["alpha"] / 2})
    honest, wrong = (forecast(run, sharpness_gap, window=0.9) for run in (at_edge, altered))
    assert honest.directions is not None
    assert wrong.directions is not None
    assert honest.directions.rest == pytest.approx(0, abs=1e-6)
    assert wrong.directions.rest == pytest.approx(0.5)
    assert wrong.directions.balance.value == pytest.approx(2 * honest.directions.balance.value)
    found = answer(wrong)
    assert found.outcome == "forecast off", found.sentence
    assert "takes 50% of α" in found.sentence


def test_that_the_rest_was_not_measured_is_said(at_edge: EdgeRun) -> None:
    nothing = torch.full_like(at_edge.directions["rest"], torch.nan)
    altered = replace(at_edge, directions={**at_edge.directions, "rest": nothing})
    found = answer(forecast(altered, sharpness_gap, window=0.9))
    assert any("was not measured, which takes 7 steps" in reason for reason in found.reasons)
    honest = answer(forecast(at_edge, sharpness_gap, window=0.9))
    assert not any("was not measured" in reason for reason in honest.reasons)


def test_noise_along_the_gradients_of_sharpness_counts_as_the_curvature_there_leaves_it(at_edge: EdgeRun) -> None:
    """With curvature c it is 2α/(2α + c² + 2c gap) times as much noise without: the same draws, the same numbers."""
    curvature = 3.0

    def seen(factor: float, bend: float) -> Any:
        """Of a run whose batches are noisy along all ∇S_ij, in the records of one direction and of two."""
        ones = torch.ones_like(at_edge.records["alpha"])
        records = {**at_edge.records, "drift_noise": 40 * factor * ones, "curvature_along": bend * ones}
        drift = 40 * factor * torch.eye(4, dtype=torch.float64).reshape(2, 2, 2, 2).expand(len(ones), 2, 2, 2, 2)
        altered = replace(at_edge, records=records, directions={**at_edge.directions, "drift_noise": drift})
        return forecast(altered, sharpness_gap, window=0.9)

    free, bent = seen(1.0, 0.0), seen(1.0, curvature)
    alpha = bent.alpha.value
    kept = 2 * alpha / (2 * alpha + curvature**2 + 2 * curvature * bent.forecasts["leading"].value)
    wanted = seen(kept, 0.0).directions
    assert kept < 0.5
    for name in ("simulated_gap", "simulated_trace_gap", "alone", "referee"):
        found = getattr(bent.directions, name).value
        assert found == pytest.approx(getattr(wanted, name).value, rel=1e-6), name
        assert found != pytest.approx(getattr(free.directions, name).value, rel=0.02), name


def test_an_interrupted_run_of_two_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (Valleys([0.2, -0.2], START), itself, noise(9.0), Descent(ETA, 1))
    plan = Plan(50, 9, directions=2)
    whole = run_edge(*arguments, plan, progress=False)
    path, honest = tmp_path / "run.safetensors", run_module.measure_edge

    def fails(*given: Any, **options: Any) -> EdgePoint:
        if path.exists() and len(load_edge_run(path).steps) == 3:
            raise KeyboardInterrupt
        return honest(*given, **options)

    monkeypatch.setattr(run_module, "measure_edge", fails)
    with pytest.raises(KeyboardInterrupt):
        run_edge(*arguments, plan, checkpoint=path, progress=False)
    monkeypatch.setattr(run_module, "measure_edge", honest)
    resumed = run_edge(*arguments, plan, checkpoint=path, progress=False)
    for name, values in whole.directions.items():
        assert torch.equal(values.nan_to_num(), resumed.directions[name].nan_to_num()), name
    assert not run_edge(*arguments, Plan(3, 2), progress=False).directions


def test_the_noise_recorded_is_that_of_batches() -> None:
    """Along the first eigenvector the noise of several directions is that of one."""
    model = Valleys([0.02, -0.02], [1.0, 2.0, 0.5])
    run = run_edge(model, itself, noise(9.0), Descent(ETA, 4), Plan(3, 2, directions=2), progress=False)
    _, vectors = torch.linalg.eigh(run.directions["curvatures"])
    along = torch.einsum("ti,tij,tj->t", vectors[:, :, 1], run.directions["noise"], vectors[:, :, 1])
    assert torch.allclose(along, run.records["noise"], rtol=1e-2)


def test_directions_out_of_range() -> None:
    with pytest.raises(OptionError, match="directions=0"):
        Plan(10, directions=0)
    with pytest.raises(OptionError, match="6 eigenvalues"):
        measured(Valleys([0.0, 0.0], [1.0, 1.0, 1.0]), noise(1.0), directions=6)
