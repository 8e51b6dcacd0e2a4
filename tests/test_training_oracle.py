"""Training against slow independent loops, torch.optim and exact laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from training_models import DEPTH_THREE, HADAMARD, QUADRATIC, RELU_NET, normal_start, regression_data

import numeric
from numeric.training.stream import NUMBERS_PER_BLOCK, STEPS_PER_BLOCK, normal_stream
from numeric.training.stream_seed import stream_seed

# Same operations in another order: a few hundred float64 roundings, no amplification on these stable runs.
ROUNDING = 1e-11
STEPS = 600  # more than one block of noise


def replica_numbers(seed: int, purpose: str, replica: int, count: int, samples: int | None = None) -> np.ndarray:
    """(STEPS, count) numbers of one replica, drawn block by block straight from torch.Generator."""
    length = max(1, min(STEPS_PER_BLOCK, NUMBERS_PER_BLOCK // count))
    blocks = []
    for block in range(math.ceil(STEPS / length)):
        generator = torch.Generator().manual_seed(stream_seed(seed, purpose, replica, block))
        if samples is None:
            blocks.append(torch.randn(length, count, generator=generator, dtype=torch.float64))
        else:
            blocks.append(torch.randint(samples, (length, count), generator=generator))
    return torch.cat(blocks).numpy()[:STEPS]


def test_sgd_equals_a_loop_over_replicas_steps_and_samples() -> None:
    data, seed, replicas, batch, sigma, momentum, decay = regression_data(), 3, 4, 3, 0.3, 0.5, 0.1

    def schedule(step: int) -> float:
        return 0.01 / (1 + step / 100)

    optimizer = numeric.SGD(schedule, batch, label_noise=sigma, momentum=momentum, weight_decay=decay)
    runs = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=optimizer,
        steps=STEPS,
        replicas=replicas,
        seed=seed,
        initial=normal_start,
    )
    x, y = data["x"].numpy(), data["y"].numpy()
    for r in range(replicas):
        u, v = (runs.initial[name][r].numpy().copy() for name in "uv")
        velocity_u, velocity_v = np.zeros_like(u), np.zeros_like(v)
        index = replica_numbers(seed, "minibatch", r, batch, len(x))
        noise = replica_numbers(seed, "label noise", r, batch)
        for k in range(STEPS):
            gradient_u, gradient_v = np.zeros_like(u), np.zeros_like(v)
            for b in range(batch):
                row, target = x[index[k, b]], y[index[k, b]] + sigma * noise[k, b]
                residual = row @ (u * v) - target
                gradient_u += residual * row * v / batch
                gradient_v += residual * row * u / batch
            velocity_u = momentum * velocity_u + gradient_u + decay * u
            velocity_v = momentum * velocity_v + gradient_v + decay * v
            u, v = u - schedule(k) * velocity_u, v - schedule(k) * velocity_v
        np.testing.assert_allclose(runs.final["u"][r].numpy(), u, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(runs.final["v"][r].numpy(), v, rtol=ROUNDING, atol=ROUNDING)


def test_network_with_inputs_equals_a_loop_over_replicas_and_samples() -> None:
    generator = torch.Generator().manual_seed(1)
    data = {
        "x": torch.randn(7, 3, generator=generator, dtype=torch.float64),
        "y": torch.randn(7, 2, generator=generator, dtype=torch.float64),
    }
    initial = {
        "W": torch.randn(3, 4, 3, generator=generator, dtype=torch.float64),
        "V": torch.randn(3, 2, 4, generator=generator, dtype=torch.float64),
    }
    runs = numeric.train(
        RELU_NET,
        numeric.losses.squared_error,
        data,
        optimizer=numeric.GradientDescent(lr=0.02),
        steps=50,
        replicas=3,
        initial=initial,
        observables={
            "f": numeric.observables.predictor(RELU_NET, x=data["x"]),
            "loss": numeric.observables.loss,
        },
        record_at=[0, 49],
    )
    x, y = data["x"].numpy(), data["y"].numpy()
    for r in range(3):
        W, V = initial["W"][r].numpy(), initial["V"][r].numpy()
        for k in range(50):
            loss, gradient_W, gradient_V = 0.0, np.zeros_like(W), np.zeros_like(V)
            outputs = []
            for row, target in zip(x, y, strict=True):
                hidden = W @ row
                active = np.maximum(hidden, 0)
                outputs.append(V @ active)
                residual = V @ active - target
                loss += 0.5 * residual @ residual / len(x)
                gradient_V += np.outer(residual, active) / len(x)
                gradient_W += np.outer((V.T @ residual) * (hidden > 0), row) / len(x)
            if k in (0, 49):
                row_of_record = 0 if k == 0 else 1
                np.testing.assert_allclose(runs.observables["f"][row_of_record, r], outputs, rtol=ROUNDING)
                np.testing.assert_allclose(runs.observables["loss"][row_of_record, r], loss, rtol=ROUNDING)
            W, V = W - 0.02 * gradient_W, V - 0.02 * gradient_V
        np.testing.assert_allclose(runs.final["W"][r].numpy(), W, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(runs.final["V"][r].numpy(), V, rtol=ROUNDING, atol=ROUNDING)


def test_scalar_depth_three_with_scalar_target() -> None:
    runs = numeric.train(
        DEPTH_THREE,
        numeric.losses.coefficient_error,
        {"y": torch.tensor([0.8, 1.2], dtype=torch.float64)},
        optimizer=numeric.GradientDescent(lr=0.1),
        steps=40,
        replicas=2,
        seed=5,
    )
    for r in range(2):
        a, b, c = (float(runs.initial[name][r]) for name in "abc")
        for _ in range(40):
            residual = a * b * c - 1.0
            a, b, c = a - 0.1 * residual * b * c, b - 0.1 * residual * a * c, c - 0.1 * residual * a * b
        assert [float(runs.final[name][r]) for name in "abc"] == pytest.approx([a, b, c], rel=ROUNDING)


@pytest.mark.parametrize("rule", [numeric.SGD, numeric.GradientDescent])
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.0, 0.05), (0.9, 0.0), (0.9, 0.05)])
def test_momentum_and_weight_decay_equal_torch_optim(rule: type, momentum: float, decay: float) -> None:
    data = regression_data()
    runs = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=rule(lr=0.01, momentum=momentum, weight_decay=decay),
        steps=200,
        replicas=2,
        initial=normal_start,
    )
    for r in range(2):
        u, v = (torch.nn.Parameter(runs.initial[name][r].clone()) for name in "uv")
        reference = torch.optim.SGD([u, v], lr=0.01, momentum=momentum, weight_decay=decay)
        for _ in range(200):
            reference.zero_grad()
            (0.5 * (data["x"] @ (u * v) - data["y"]) ** 2).mean().backward()
            reference.step()
        torch.testing.assert_close(runs.final["u"][r], u.detach(), rtol=ROUNDING, atol=ROUNDING)
        torch.testing.assert_close(runs.final["v"][r], v.detach(), rtol=ROUNDING, atol=ROUNDING)


def test_langevin_variance_is_that_of_the_finite_step() -> None:
    # L = ½ h u², h = 4, ηh = ½: the variance T/(h(1 − ηh/2)) is 4/3 of the continuous-time T/h.
    h, eta, temperature, replicas, steps = 4.0, 0.125, 0.3, 20_000, 60
    runs = numeric.train(
        QUADRATIC,
        numeric.losses.coefficient_error,
        {"y": torch.zeros(1, dtype=torch.float64)},
        optimizer=numeric.Langevin(lr=eta, temperature=temperature),
        steps=steps,
        replicas=replicas,
        seed=11,
        initial={"u": torch.tensor(0.0)},
    )
    exact = temperature / (h * (1 - eta * h / 2)) * (1 - (1 - eta * h) ** (2 * steps))
    # Fixed beforehand: 4.5 standard errors of a normal sample's variance (7e-6) and of its mean.
    assert abs(float(runs.final["u"].var()) / exact - 1) < 4.5 * math.sqrt(2 / replicas)
    assert abs(float(runs.final["u"].mean())) < 4.5 * math.sqrt(exact / replicas)


def test_langevin_step_is_the_stated_formula() -> None:
    points: list[dict[str, torch.Tensor]] = []

    def keep(step: numeric.Step) -> torch.Tensor:
        points.append(
            {
                "u": step.point["u"].clone(),
                "g": step.gradient["u"].clone(),
                "next": step.next_point["u"].clone(),
            }
        )
        return step.loss

    numeric.train(
        QUADRATIC,
        numeric.losses.coefficient_error,
        {"y": torch.zeros(1, dtype=torch.float64)},
        optimizer=numeric.Langevin(lr=0.1, temperature=0.7),
        steps=STEPS,
        replicas=2,
        seed=4,
        observables={"loss": keep},
        record_every=1,
    )
    for r in range(2):
        noise = replica_numbers(4, "langevin", r, 1)[:, 0]
        for k in range(STEPS):
            expected = points[k]["u"][r] - 0.1 * points[k]["g"][r] + math.sqrt(2 * 0.1 * 0.7) * noise[k]
            assert float(points[k]["next"][r]) == pytest.approx(float(expected), rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_discrete_noether_holds_at_every_step(decay: float) -> None:
    eta = 0.02
    runs = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        regression_data(),
        optimizer=numeric.SGD(lr=eta, batch_size=2, label_noise=0.5, weight_decay=decay),
        steps=500,
        replicas=3,
        initial=normal_start,
        observables={at: numeric.observables.charges(HADAMARD, at) for at in ("point", "next_point", "gradient")},
        record_every=1,
    )
    before, after, source = (runs.observables[f"{at}.C"] for at in ("point", "next_point", "gradient"))
    assert before.shape == (500, 3, 5)
    assert torch.equal(after[:-1], before[1:])
    scale = runs.observables["point.C"].abs() + 1
    residual = after - (1 - eta * decay) ** 2 * before - eta**2 * source
    # Charges are differences of squares of order one: a few roundings of 1e-16 each.
    assert float((residual.abs() / scale).max()) < 1e-13
    # The law is not empty: the source moves the charge by far more than that.
    assert float((eta**2 * source).abs().max()) > 1e-4


def test_a_replica_sees_the_same_noise_whatever_their_number() -> None:
    def stream(replicas: int) -> object:
        return normal_stream("test", (3,), seed=2, replicas=replicas, dtype=torch.float64, device=torch.device("cpu"))

    few, many = stream(2), stream(7)
    for step in (0, 1, 511, 512, 5000, 3):  # across blocks and backwards
        assert torch.equal(few.at(step), many.at(step)[:2])
    numbers = torch.stack([many.at(step).clone() for step in range(2000)])
    assert len(numbers.unique()) == numbers.numel()


def test_replicas_do_not_interact() -> None:
    def final(replicas: int) -> torch.Tensor:
        return numeric.train(
            HADAMARD,
            numeric.losses.linear_regression,
            regression_data(),
            optimizer=numeric.SGD(lr=0.02, batch_size=2, label_noise=0.5),
            steps=300,
            replicas=replicas,
            initial=normal_start,
        ).final["u"]

    torch.testing.assert_close(final(2), final(9)[:2], rtol=ROUNDING, atol=ROUNDING)
    assert float((final(2)[0] - final(2)[1]).abs().max()) > 1e-2


def test_seeds_of_blocks_do_not_collide_in_their_low_word() -> None:
    words = {stream_seed(0, "a", replica, block) & 0xFFFFFFFF for replica in range(300) for block in range(300)}
    assert len(words) == 300 * 300
    assert stream_seed(0, "a", 0, 0) != stream_seed(1, "a", 0, 0) != stream_seed(1, "b", 0, 0)


def test_minibatches_are_uniform_with_replacement() -> None:
    counts = torch.zeros(4)
    repeats = []

    def count(step: numeric.Step) -> torch.Tensor:
        rows = step.batch["row"]
        counts.add_(torch.bincount(rows.flatten(), minlength=4))
        repeats.append((rows[:, 0] == rows[:, 1]).double().mean())
        return step.loss

    numeric.train(
        QUADRATIC,
        numeric.losses.coefficient_error,
        {"y": torch.zeros(4, dtype=torch.float64), "row": torch.arange(4)},
        optimizer=numeric.SGD(lr=0.1, batch_size=2),
        steps=100,
        replicas=100,
        observables={"count": count},
        record_every=1,
    )
    draws = float(counts.sum())
    assert draws == 20_000
    # χ² with 3 degrees of freedom: 21.1 is exceeded with probability 1e-4.
    assert float(((counts - draws / 4) ** 2 / (draws / 4)).sum()) < 21.1
    # Two draws coincide with probability 1/4: 4.5 standard errors over 10,000 pairs.
    assert abs(float(torch.stack(repeats).mean()) - 0.25) < 4.5 * math.sqrt(0.25 * 0.75 / 10_000)
