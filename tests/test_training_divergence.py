"""Divergence: the exact step, and what is kept."""

from __future__ import annotations

import math

import pytest
import torch
from training_models import HADAMARD, QUADRATIC, normal_start, regression_data

import numeric
from numeric.errors import DivergedError
from numeric.training.divergence import WINDOW

QUADRATIC_DATA = {"y": torch.zeros(1, dtype=torch.float64)}
OBSERVE = {"loss": numeric.observables.loss}


def first_bad_step(start: float, factor: float) -> int:
    """First k with ½ (2 u_k)² not finite, u_k = factor^k u_0, by the plain recursion."""
    u, step = start, 0
    while math.isfinite(0.5 * ((2 * u) * (2 * u))):
        u, step = u - (1 - factor) * u, step + 1
    return step


@pytest.mark.parametrize("lr", [0.6, 1.3, 3.0])
def test_the_step_is_exact_and_records_before_it_are_kept(lr: float) -> None:
    # u' = (1 − 4 lr) u. 0.6: far beyond one window of steps; 3.0: within a few windows.
    expected = first_bad_step(1.0, 1 - 4 * lr)
    with pytest.raises(DivergedError, match=rf"step {expected} \(replica 1\).*lower lr") as caught:
        numeric.train(
            QUADRATIC,
            numeric.losses.coefficient_error,
            QUADRATIC_DATA,
            optimizer=numeric.GradientDescent(lr=lr),
            steps=5000,
            replicas=3,
            initial={"u": torch.tensor([1e-9, 1.0, 0.5])},
            observables=OBSERVE,
            record_every=1,
        )
    runs = caught.value.runs
    assert runs.status == "diverged" and runs.diverged_at == expected
    assert runs.steps.tolist() == list(range(expected))
    assert runs.observables["loss"].shape == (expected, 3)
    assert bool(torch.isfinite(runs.observables["loss"]).all())


def test_cases_lie_in_different_windows() -> None:
    windows = {first_bad_step(1.0, 1 - 4 * lr) // WINDOW for lr in (0.6, 1.3, 3.0)}
    assert len(windows) == 3


def test_the_last_update_counts() -> None:
    # Tiny steps keep u near 1; only the last one, far too long, leaves the finite numbers.
    with pytest.raises(DivergedError, match="step 7 ") as caught:
        numeric.train(
            QUADRATIC,
            numeric.losses.coefficient_error,
            QUADRATIC_DATA,
            optimizer=numeric.GradientDescent(lr=lambda step: 1e308 if step == 6 else 1e-9),
            steps=7,
            initial={"u": torch.tensor(1.0)},
            observables=OBSERVE,
        )
    assert caught.value.runs.diverged_at == 7 and len(caught.value.runs.steps) == 7


def test_keep_lets_the_others_go_on() -> None:
    start = normal_start(torch.Generator().manual_seed(1))
    both = {name: torch.stack([leaf, 40 * leaf]) for name, leaf in start.items()}

    def train(initial: dict[str, torch.Tensor], replicas: int) -> numeric.Runs:
        return numeric.train(
            HADAMARD,
            numeric.losses.linear_regression,
            regression_data(),
            optimizer=numeric.SGD(lr=0.02, batch_size=2, label_noise=0.1),
            steps=400,
            replicas=replicas,
            initial=initial,
            observables=OBSERVE,
            on_divergence="keep",
        )

    runs, alone = train(both, 2), train(start, 1)
    assert runs.diverged_steps[0] == -1 and runs.diverged_steps[1] == runs.diverged_at
    assert runs.status == "diverged" and alone.status == "completed"
    # Same noise; the batched sums may round differently.
    torch.testing.assert_close(runs.final["u"][0], alone.final["u"][0], rtol=1e-11, atol=1e-11)
    assert not bool(torch.isfinite(runs.final["u"][1]).all())
    finite = torch.isfinite(runs.observables["loss"][:, 1])
    assert torch.equal(finite, runs.steps < runs.diverged_at)
