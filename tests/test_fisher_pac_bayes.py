"""The PAC-Bayes bound: its parts against dense oracles, and the bound against fresh data."""

from __future__ import annotations

import math

import pytest
import torch
from fisher_cases import dense_covariant_hessian, dense_fisher, inputs, outputs_of, pseudo_inverse, tanh_network
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from numeric.errors import OptionError
from numeric.sharpness import Objective
from numeric.sharpness.fisher import estimators
from numeric.sharpness.fisher.fisher_range import fisher_range
from numeric.sharpness.fisher.pac_bayes import pac_bayes
from numeric.sharpness.fisher.posterior import Posterior
from numeric.sharpness.fisher.predictive import predictive
from numeric.sharpness.fisher.relative_entropy import largest_mean, relative_entropy
from numeric.sharpness.parameters import flatten, unflatten

CLASSES = torch.arange(20) % 3


def objective() -> Objective:
    return Objective.of(tanh_network(), nn.CrossEntropyLoss(), (inputs(20, 2), CLASSES))


@pytest.mark.parametrize(("q", "budget"), [(0.0, 0.1), (0.3, 0.05), (0.9, 1.0), (1.0, 0.2)])
def test_the_inverse_of_the_relative_entropy(q: float, budget: float) -> None:
    found = largest_mean(q, budget)
    expected = 1.0 if q == 1 else brentq(lambda p: relative_entropy(q, p) - budget, max(q, 1e-300), 1 - 1e-16)
    assert found == pytest.approx(expected, rel=1e-9)
    assert relative_entropy(0.5, 1.0) == math.inf
    if q == 0:
        assert found == pytest.approx(1 - math.exp(-budget))


def test_divergence_and_draws_are_those_of_the_dense_normal_law() -> None:
    at = objective()
    theta = flatten(at.parameters)
    fisher = dense_fisher(outputs_of(at, inputs(20, 2)), "categorical", 1.0)(theta)
    span = fisher_range(at, predictive(at), estimators.exact, torch.Generator())
    posterior = Posterior(at.parameters, span, weight=20.0, variance=0.5)
    precision = 20 * fisher + 2 * torch.eye(theta.numel()).double()
    law = MultivariateNormal(theta, precision_matrix=precision)
    prior_mean = unflatten(0.1 * torch.ones_like(theta), at.parameters)
    prior = MultivariateNormal(flatten(prior_mean), 0.5 * torch.eye(theta.numel()).double())
    assert posterior.divergence(prior_mean) == pytest.approx(float(kl_divergence(law, prior)), rel=1e-9)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([flatten(posterior.draw(generator)) for _ in range(5000)])
    # Mahalanobis distances of draws are χ² with D degrees of freedom: their mean within five standard errors.
    distances = ((draws - theta) @ precision * (draws - theta)).sum(1)
    assert abs(float(distances.mean()) - theta.numel()) < 5 * math.sqrt(2 * theta.numel() / 5000)
    rotated = (draws - theta) @ torch.linalg.cholesky(precision)
    assert float((torch.cov(rotated.mT) - torch.eye(theta.numel()).double()).abs().max()) < 5 * math.sqrt(2 / 5000)


def test_the_quadratic_estimate_holds_the_covariant_hessian() -> None:
    at = objective()
    theta, outputs = flatten(at.parameters), outputs_of(at, inputs(20, 2))
    fisher = dense_fisher(outputs, "categorical", 1.0)
    hessian = dense_covariant_hessian(
        lambda t: nn.functional.cross_entropy(outputs(t), CLASSES), fisher, theta, pseudo_inverse(fisher(theta))
    )
    covariance = torch.linalg.inv(20 * fisher(theta) + 2 * torch.eye(theta.numel()).double())
    found = pac_bayes(
        at.model, nn.CrossEntropyLoss(), (inputs(20, 2), CLASSES), prior_variance=0.5, estimate="quadratic"
    )
    details = found.details
    assert details["increase"] == pytest.approx(0.5 * float((covariance * hessian).sum()), rel=1e-6)
    assert details["is_bound"] is False
    assert "not a bound" in found.notes[0]
    assert found.value == pytest.approx(
        details["loss"] + details["increase"] + math.sqrt((details["kl"] + math.log(2 * math.sqrt(20) / 0.05)) / 40)
    )
    # At zero residual, H = F, the increase is below what the trace allows.
    model, x = tanh_network(), inputs(20, 2)
    fitted = pac_bayes(
        model, nn.CrossEntropyLoss(), (x, model(x).softmax(1).detach()), prior_variance=0.5, estimate="quadratic"
    )
    assert 0 < fitted.details["increase"] < fitted.details["increase_at_most"] == pytest.approx(17 / 40, rel=1e-6)


def coins(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels that follow the first input in nine cases of ten."""
    x = inputs(n, 2, seed=seed)
    flips = torch.rand(n, generator=torch.Generator().manual_seed(1000 + seed)) < 0.1
    return x, ((x[:, 0] > 0) ^ flips).double().unsqueeze(1)


def trained(data: tuple[Tensor, Tensor]) -> nn.Module:
    model = nn.Linear(2, 1).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=50)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(data[0]), data[1])
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def test_fresh_data_stay_below_the_bound() -> None:
    """12 training sets of 200: the bound may fail for one in twenty; here it must stand, and say something."""
    fresh = coins(20_000, seed=99)
    for seed in range(100, 112):
        data = coins(200, seed)
        model = trained(data)
        found = pac_bayes(model, nn.BCEWithLogitsLoss(), data, prior_variance=10.0, draws=300, seed=seed)
        at = Objective.of(model, nn.BCEWithLogitsLoss(), data)
        span = fisher_range(at, predictive(at), estimators.exact, torch.Generator())
        posterior = Posterior(at.parameters, span, 200.0, 10.0)
        generator = torch.Generator().manual_seed(seed + 1)
        risks = []
        for _ in range(20):
            drawn = posterior.draw(generator)
            out = torch.func.functional_call(model, drawn, (fresh[0],))
            risks.append(float(((out > 0) != (fresh[1] > 0.5)).double().mean()))
        assert sum(risks) / 20 < found.value < 0.5
        assert found.details["drawn_risk"] < found.details["empirical_risk_at_most"] < found.value


def test_what_the_bound_asks_for() -> None:
    x, y = inputs(20, 2), inputs(20, 3, seed=2)
    model = tanh_network()
    with pytest.raises(OptionError, match="pass bounded="):
        pac_bayes(model, nn.MSELoss(), (x, y), prior_variance=1.0)
    with pytest.raises(OptionError, match="outside"):
        pac_bayes(model, nn.MSELoss(), (x, y), prior_variance=1.0, bounded=lambda out, y: (out - y).square().sum(1))
    with pytest.raises(OptionError, match="one number for each"):
        pac_bayes(model, nn.MSELoss(), (x, y), prior_variance=1.0, bounded=lambda out, y: (out - y).square())
    clipped = pac_bayes(
        model, nn.MSELoss(), (x, y), prior_variance=1.0, bounded=lambda out, y: (out - y).square().mean(1).clamp(max=1)
    )
    assert 0 < clipped.value <= 1
    with pytest.raises(OptionError, match="at least 8"):
        pac_bayes(model, nn.CrossEntropyLoss(), (x[:4], CLASSES[:4]), prior_variance=1.0)
    with pytest.raises(OptionError, match="delta"):
        pac_bayes(model, nn.CrossEntropyLoss(), (x, CLASSES), prior_variance=1.0, delta=2)
    with pytest.raises(OptionError, match="prior_mean lacks"):
        pac_bayes(model, nn.CrossEntropyLoss(), (x, CLASSES), prior_variance=1.0, prior_mean={})
