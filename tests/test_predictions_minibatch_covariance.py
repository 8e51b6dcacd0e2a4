"""Covariance by minibatches: against all batches of a small sample one by one, and against real training."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

import numeric
import symtheory as st

ETA = 0.35


@cache
def functions() -> ModuleType:
    return st.Parametrization(st.param("u", 3), name="plain").predictions()["finite_step_covariance"].load()


def regression(count: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, D), y (N,) and the least-squares solution, which leaves residuals."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(count, size, generator=generator, dtype=torch.float64)
    y = x.sum(-1) + torch.randn(count, generator=generator, dtype=torch.float64)
    return x, y, torch.linalg.lstsq(x, y.unsqueeze(-1)).solution.squeeze(-1)


def by_samples(x: Tensor, y: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    """Hessians (N, D, D) and gradients (N, D) of ½(x·w − y)² at the minimum."""
    return x.unsqueeze(-1) * x.unsqueeze(-2), (x @ best - y).unsqueeze(-1) * x


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_it_is_stationary_when_all_batches_are_tried(batch: int, replacement: bool) -> None:
    x, y, best = regression(4, 2)
    hessians, gradients = by_samples(x, y, best)
    covariance = functions().finite_step_covariance_minibatch(hessians, gradients, ETA, batch, replacement)
    batches = list(product(range(4), repeat=batch) if replacement else combinations(range(4), batch))
    after = torch.zeros_like(covariance)
    for chosen in map(list, batches):
        step = torch.eye(2, dtype=torch.float64) - ETA * hessians[chosen].mean(0)
        push = ETA * gradients[chosen].mean(0)
        after += (step @ covariance @ step.T + torch.outer(push, push)) / len(batches)
    torch.testing.assert_close(after, covariance, rtol=1e-10, atol=1e-14)
    assert torch.linalg.eigvalsh(covariance)[0] > 0


def test_all_samples_without_replacement_make_no_noise() -> None:
    hessians, gradients = by_samples(*regression(4, 2))
    covariance = functions().finite_step_covariance_minibatch(hessians, gradients, ETA, 4, False)
    assert covariance.abs().max() < 1e-14


def test_equal_hessians_give_the_covariance_of_additive_noise() -> None:
    hessians, gradients = by_samples(*regression(5, 3))
    hessian, centred = hessians.mean(0), gradients - gradients.mean(0)
    alike = functions().finite_step_covariance_minibatch(hessian.expand_as(hessians), gradients, ETA, 2, True, 0.1)
    additive = functions().finite_step_covariance(hessian, centred.T @ centred / 5 / 2, ETA, 0.1)
    torch.testing.assert_close(alike, additive, rtol=1e-9, atol=1e-12)


def test_flat_directions_stay_at_zero() -> None:
    hessians, gradients = by_samples(*regression(5, 2))
    wide = torch.nn.functional.pad(hessians, (0, 1, 0, 1)), torch.nn.functional.pad(gradients, (0, 1))
    found = functions().finite_step_covariance_minibatch(*wide, ETA, 2)
    plain = functions().finite_step_covariance_minibatch(hessians, gradients, ETA, 2)
    torch.testing.assert_close(found, torch.nn.functional.pad(plain, (0, 1, 0, 1)), rtol=1e-8, atol=1e-12)


def test_training_settles_at_it_and_not_at_that_of_additive_noise() -> None:
    """3,000 replicas of SGD on pairs of samples; the trace, time averages first, within 4 standard errors."""
    x, y, best = regression(12, 3)
    module = st.generate(st.Parametrization(st.param("u", 3), name="plain")).load()
    runs = numeric.train(
        module,
        numeric.losses.linear_regression,
        {"x": x, "y": y},
        optimizer=numeric.SGD(lr=0.25, batch_size=2),
        steps=221,
        replicas=3_000,
        seed=11,
        initial={"u": best},
        observables={"predictor": numeric.observables.predictor(module)},
        record_at=list(range(40, 221, 20)),
        dtype=torch.float64,
        progress=False,
    )
    distances = (runs.observables["predictor"].to(torch.float64) - best).square().sum(-1).mean(0).numpy()
    error = distances.std(ddof=1) / np.sqrt(len(distances))
    hessians, gradients = by_samples(x, y, best)
    whole = functions().finite_step_covariance_minibatch(hessians, gradients, 0.25, 2)
    additive = functions().finite_step_covariance(hessians.mean(0), gradients.T @ gradients / 12 / 2, 0.25)
    assert abs(distances.mean() - float(whole.trace())) < 4 * error
    assert abs(distances.mean() - float(additive.trace())) > 8 * error
