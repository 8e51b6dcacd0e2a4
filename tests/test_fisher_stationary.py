"""SGD's stationary covariance, the mass of the basin, and whether the noise is the Fisher information."""

from __future__ import annotations

import math

import pytest
import torch
from fisher_cases import Reparametrized, change_basis, inputs, linear_pair, tanh_network
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.fisher.basin_mass import BasinMass, basin_mass
from numeric.sharpness.fisher.noise_alignment import FisherNoiseAlignment, noise_fisher_alignment
from numeric.sharpness.fisher.stationary import stationary_covariance, stationary_loss

ROUNDING = 1e-7


def fitted(n: int = 20) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A linear regression at its minimum, with residuals."""
    x, y = inputs(n, 2), inputs(n, 1, seed=2)
    ones = torch.cat([x, torch.ones(n, 1).double()], 1)
    solution = torch.linalg.lstsq(ones, y).solution
    model = nn.Linear(2, 1).double()
    with torch.no_grad():
        model.weight.copy_(solution[:2].mT)
        model.bias.copy_(solution[2])
    return model, (x, y)


def interpolating(model: nn.Module, n: int = 20) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    x = inputs(n, 2)
    return model, (x, model(x).detach())


def test_the_covariance_solves_the_discrete_lyapunov_equation() -> None:
    root, spread = inputs(4, 4, seed=3), inputs(4, 4, seed=4)
    hessian, noise = root @ root.mT + torch.eye(4).double(), spread @ spread.mT
    eta, batch = 0.1, 3
    found = stationary_covariance(hessian, noise, eta, batch)
    step = torch.eye(4).double() - eta * hessian
    expected = solve_discrete_lyapunov(step.numpy(), (eta**2 * noise / batch).numpy())
    torch.testing.assert_close(found, torch.from_numpy(expected))
    continuous = stationary_covariance(hessian, noise, 1e-9, batch) * eta / 1e-9
    assert float((continuous - found).abs().max()) > 0.05 * float(found.abs().max())
    with pytest.raises(SharpnessError, match="not below 2"):
        stationary_covariance(hessian, noise, 2 / float(torch.linalg.eigvalsh(hessian)[-1]), batch)
    with pytest.raises(SharpnessError, match="no stationary state"):
        stationary_covariance(hessian - 20 * torch.eye(4).double(), noise, eta, batch)


def test_sgd_itself_stays_at_the_stationary_loss() -> None:
    """2000 replicas of SGD on a regression: n, seed and threshold (4 standard errors) fixed beforehand."""
    model, (x, y) = fitted()
    eta, batch, replicas = 0.01, 2, 2000
    ones = torch.cat([x, torch.ones(20, 1).double()], 1)
    best = torch.cat([model.weight.detach()[0], model.bias.detach()])
    w = best.expand(replicas, 3).clone()
    generator = torch.Generator().manual_seed(7)
    for _ in range(1500):
        rows = torch.randint(0, 20, (replicas, batch), generator=generator)
        residual = (ones[rows] * w.unsqueeze(1)).sum(2) - y[rows, 0]
        w -= eta * (2 / batch) * (ones[rows] * residual.unsqueeze(2)).sum(1)
    excess = ((w - best) @ ones.mT).square().mean(1)
    predicted = stationary_loss(model, nn.MSELoss(), (x, y), eta=eta, batch_size=batch)
    error = float(excess.std()) / math.sqrt(replicas)
    assert abs(float(excess.mean()) - predicted.value) < 4 * error
    assert abs(float(excess.mean()) - 2 * predicted.value) > 4 * error
    assert predicted.details["gradient_norm"] < 1e-12


def test_basin_mass_counts_directions_at_interpolation() -> None:
    """F⁺H is the identity there: each direction holds ½ log(πη/B) of Fisher volume."""
    model, data = interpolating(tanh_network())
    found = basin_mass(model, nn.MSELoss(), data, eta=0.1, batch_size=4)
    assert found.value == pytest.approx(0.5 * 21 * math.log(math.pi * 0.1 / 4), rel=ROUNDING)
    assert found.details["rank"] == 21
    assert found.details["log_depth"] == pytest.approx(0, abs=1e-12)


def test_basin_mass_is_invariant_scales_with_eta_over_b_and_is_held_up_by_a_small_trace() -> None:
    x = inputs(20, 2)
    y = tanh_network()(x).detach() + 0.002 * inputs(20, 3, seed=2)
    plain, moved, coarse = (
        basin_mass(model, nn.MSELoss(), (x, y), eta=eta, batch_size=4)
        for model, eta in ((tanh_network(), 0.1), (Reparametrized(tanh_network()), 0.1), (tanh_network(), 0.3))
    )
    assert moved.value == pytest.approx(plain.value, rel=ROUNDING)
    assert coarse.value - plain.value == pytest.approx(0.5 * 21 * math.log(3))
    assert plain.value > plain.details["least_at_this_trace"]


def test_the_basin_of_sgd_itself_depends_on_the_coordinates() -> None:
    model, data = fitted()
    found = basin_mass(model, nn.MSELoss(), data, eta=0.1, batch_size=4, covariance="sgd")
    x, y = data
    ones = torch.cat([x, torch.ones(20, 1).double()], 1)
    hessian = 2 * ones.mT @ ones / 20
    gradients = 2 * ones * (model(x).detach() - y)
    noise = gradients.mT @ gradients / 20
    covariance = torch.from_numpy(
        solve_discrete_lyapunov((torch.eye(3) - 0.1 * hessian).numpy(), (0.01 * noise / 4).numpy())
    )
    expected = 0.5 * float(torch.logdet(2 * math.pi * hessian @ covariance))
    assert found.value == pytest.approx(expected, rel=1e-9)
    other = basin_mass(Reparametrized(model), nn.MSELoss(), data, eta=0.1, batch_size=4, covariance="sgd")
    assert other.value != pytest.approx(found.value, rel=1e-3)
    with pytest.raises(SharpnessError, match="no basin"):
        at = interpolating(tanh_network())
        basin_mass(*at[:1], nn.MSELoss(), at[1], eta=0.1, batch_size=4, covariance="sgd")


def test_noise_that_is_the_fisher_information_is_aligned_with_it() -> None:
    """Every input twice, with labels f ± 1: the gradients are ±J, their covariance is F times a number."""
    model, x = tanh_network(1), inputs(10, 2)
    out = model(x).detach()
    data = (torch.cat([x, x]), torch.cat([out + 1, out - 1]))
    for metric in ("fisher", "euclidean"):
        found = noise_fisher_alignment(model, nn.MSELoss(), data, metric=metric)
        assert found.value == pytest.approx(1, rel=1e-9)
        # scale 2: C = 4 JᵀJ/n and F = 2 JᵀJ/n.
        assert found.details["noise_over_fisher"] == pytest.approx(2, rel=1e-9)


def test_alignment_against_dense_matrices() -> None:
    x, classes = inputs(20, 2), torch.arange(20) % 3
    model = tanh_network()
    objective = Objective.of(model, nn.CrossEntropyLoss(), [(x[:7], classes[:7]), (x[7:], classes[7:])])
    jacobian, residuals, fisher = [], [], 0
    for row, label in zip(x, classes, strict=True):
        out = model(row)
        rows = [
            torch.cat([g.flatten() for g in torch.autograd.grad(o, model.parameters(), retain_graph=True)]) for o in out
        ]
        jacobian.append(torch.stack(rows))
        probabilities = out.softmax(0).detach()
        residuals.append(probabilities - torch.eye(3).double()[label])
        curvature = torch.diag(probabilities) - torch.outer(probabilities, probabilities)
        fisher = fisher + jacobian[-1].mT @ curvature @ jacobian[-1] / 20
    gradients = torch.stack([r @ j for r, j in zip(residuals, jacobian, strict=True)])
    noise = torch.cov(gradients.mT, correction=0)
    cosine = float((noise * fisher).sum() / (noise.norm() * fisher.norm()))
    exact = evaluate(FisherNoiseAlignment("euclidean"), objective, seed=0)
    assert exact.value == pytest.approx(cosine, rel=1e-9)
    probed = evaluate(FisherNoiseAlignment("euclidean", probes=300), objective, seed=0)
    assert probed.standard_error is not None
    assert 0 < abs(probed.value - cosine) < 4 * probed.standard_error
    inverse = torch.linalg.pinv(fisher, rtol=1e-11, hermitian=True)
    raised = inverse @ noise
    whitened = float(raised.trace()) / math.sqrt(17 * float((raised @ raised).trace()))
    assert evaluate(FisherNoiseAlignment(), objective, seed=0).value == pytest.approx(whitened, rel=1e-5)


def test_alignment_in_the_fisher_metric_stays_along_an_orbit() -> None:
    objective = Objective.of(linear_pair(), nn.CrossEntropyLoss(), (inputs(20, 3), torch.arange(20) % 3))
    assert evaluate(FisherNoiseAlignment(), objective, seed=0, move=change_basis).change_along_orbit < ROUNDING
    euclidean = evaluate(FisherNoiseAlignment("euclidean"), objective, seed=0, move=change_basis)
    assert euclidean.change_along_orbit > 0.01


def test_options_out_of_range() -> None:
    with pytest.raises(OptionError, match="positive step"):
        BasinMass(eta=0, batch_size=1)
    with pytest.raises(OptionError, match="no covariance"):
        BasinMass(eta=0.1, batch_size=1, covariance="guess")
    with pytest.raises(OptionError, match="needs metric='euclidean'"):
        FisherNoiseAlignment(probes=10)
