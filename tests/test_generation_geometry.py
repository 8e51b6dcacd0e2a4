"""Generated metric, connection, geodesics and domain check against automatic differentiation and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generation_cases import (
    CASES,
    Point,
    close,
    declaration,
    flatten,
    generated,
    levi_civita,
    metric_matrix,
    module,
    own_metric,
    random_point,
    random_tangent,
    unflatten,
)
from oracles import mpmath_value
from scipy.integrate import solve_ivp
from torch import Tensor

ROUNDING = 1e-12
"""Float64 against float64 or 50 digits: a few dozen roundings of terms that may be ten times the result."""

AUTODIFF = 1e-10
"""The dense oracle solves with a metric matrix whose condition number reaches about 1e3."""

SLOPE = 0.1
"""Deviation of a measured order of convergence from the expected one, at steps where the next order is 1 % of it."""

ALL_CASES = [*CASES, ("hadamard", "own")]
TAYLOR = [
    ("hadamard", "invariant"),
    ("hadamard", "mixed"),
    ("hadamard", "own"),
    ("squared_difference", "invariant"),
    ("squared_difference", "mixed"),
    ("depth_product", "mixed"),
    ("square_by_line", "mixed"),
    ("scalars", "mixed"),
]

cases = pytest.mark.parametrize(("name", "metric"), ALL_CASES)
taylor_cases = pytest.mark.parametrize(("name", "metric"), TAYLOR)
exact_cases = pytest.mark.parametrize(("name", "metric"), CASES)

BY_HAND = {
    "euclidean": lambda p, a, b: a["u"] * b["u"] + a["v"] * b["v"],
    "invariant": lambda p, a, b: a["u"] * b["u"] / p["u"] ** 2 + a["v"] * b["v"] / p["v"] ** 2,
    "mixed": lambda p, a, b: a["u"] * b["u"] * p["v"] ** 2 + a["v"] * b["v"] * p["u"] ** 2,
    "own": lambda p, a, b: (
        (1 + p["u"] ** 2) * a["u"] * b["u"]
        + (1 + p["v"] ** 2) * a["v"] * b["v"]
        + p["u"] * p["v"] * (a["u"] * b["v"] + a["v"] * b["u"]) / 2
    ),
}
"""The metrics of u ⊙ v, coordinate by coordinate, as published or as declared."""


@pytest.mark.parametrize("metric", BY_HAND)
def test_inner_of_hadamard_is_the_published_metric(metric: str) -> None:
    point, xi, zeta = random_point("hadamard"), random_tangent("hadamard", 1), random_tangent("hadamard", 2)
    expected = BY_HAND[metric](point, xi, zeta).sum(-1)
    assert close(module("hadamard", metric).inner(point, xi, zeta), expected, ROUNDING)


@cases
def test_inner_equals_the_symbolic_metric(name: str, metric: str) -> None:
    m, point, xi = module(name, metric), random_point(name), random_tangent(name, 1)
    geometry = declaration(name).geometry(own_metric() if metric == "own" else metric)
    total = 0.0
    for entry in range(next(iter(point.values())).numel()):
        values = {x: float(point[x.name].reshape(-1)[entry]) for x in geometry.coordinates}
        form = geometry.quadratic_form([float(xi[x.name].reshape(-1)[entry]) for x in geometry.coordinates])
        total += float(mpmath_value(form, values))
    assert float(m.inner(point, xi, xi)) == pytest.approx(total, rel=ROUNDING)
    assert float(m.norm(point, xi)) == pytest.approx(total**0.5, rel=ROUNDING)


@cases
def test_inner_is_symmetric_and_positive(name: str, metric: str) -> None:
    matrix = metric_matrix(name, metric, flatten(random_point(name)))
    assert close(matrix, matrix.mT, ROUNDING)
    assert torch.linalg.eigvalsh(matrix).min() > 1e-3


@cases
def test_christoffel_form_is_the_levi_civita_connection(name: str, metric: str) -> None:
    point, xi = random_point(name), random_tangent(name, 1)
    expected = unflatten(levi_civita(name, metric, flatten(point), flatten(xi)), name)
    assert close(module(name, metric).christoffel_form(point, xi), expected, AUTODIFF)


def _integrated(name: str, metric: str, point: Point, xi: Point, times: list[float]) -> list[Point]:
    """The geodesic at some times from scipy, with the connection of the dense oracle."""
    start = torch.cat([flatten(point), flatten(xi)]).numpy()
    size = len(start) // 2

    def flow(_: float, state: np.ndarray) -> np.ndarray:
        x, v = torch.from_numpy(state[:size].copy()), torch.from_numpy(state[size:].copy())
        return np.concatenate([state[size:], -levi_civita(name, metric, x, v).numpy()])

    solution = solve_ivp(flow, (0.0, max(times)), start, "DOP853", t_eval=times, rtol=1e-13, atol=1e-14)
    return [unflatten(torch.from_numpy(state[:size].copy()), name) for state in solution.y.T]


@taylor_cases
def test_taylor_geodesics_converge_at_their_order(name: str, metric: str) -> None:
    m, point = module(name, metric), random_point(name)
    xi = {key: 0.5 * leaf for key, leaf in random_tangent(name, 1).items()}
    times = [0.01, 0.02]
    reference = _integrated(name, metric, point, xi, times)
    for order in (1, 2, 3):
        errors = [
            float((flatten(m.geodesic(point, xi, t, order=order)) - flatten(exact)).norm())
            for t, exact in zip(times, reference, strict=True)
        ]
        assert np.log2(errors[1] / errors[0]) == pytest.approx(order + 1, abs=SLOPE)


@cases
def test_taylor_geodesics_equal_the_symbolic_ones(name: str, metric: str) -> None:
    m, point, xi = module(name, metric), random_point(name), random_tangent(name, 1)
    geodesic = declaration(name).geometry(own_metric() if metric == "own" else metric).geodesic()
    first = {key: float(leaf.reshape(-1)[0]) for key, leaf in point.items()}
    values = {symbol: first[x.name] for x, symbol in geodesic.initial.items()}
    values |= {symbol: float(xi[x.name].reshape(-1)[0]) for x, symbol in geodesic.velocity.items()}
    values[geodesic.time] = 0.3
    for order in (1, 2, 3):
        curve = m.geodesic(point, xi, 0.3, order=order)
        for x, expression in geodesic.taylor(order).items():
            expected = float(mpmath_value(expression, values))
            assert float(curve[x.name].reshape(-1)[0]) == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING * 10)


def _exact_curve(name: str, metric: str) -> tuple[Point, Point]:
    """A point and a velocity for which the closed form holds: horizontal wherever a projection exists."""
    m, point = module(name, metric), random_point(name)
    xi = {key: 0.1 * leaf for key, leaf in random_tangent(name, 1).items()}
    return point, m.project_horizontal(point, xi) if hasattr(m, "project_horizontal") else xi


@exact_cases
def test_exact_geodesic_solves_the_equation_at_constant_speed(name: str, metric: str) -> None:
    m = module(name, metric)
    point, xi = _exact_curve(name, metric)

    def curve(t: Tensor) -> Tensor:
        return flatten(m.geodesic(point, xi, t, order="exact"))

    def velocity(t: Tensor) -> Tensor:
        return torch.func.jvp(curve, (t,), (torch.ones_like(t),))[1]

    time = torch.tensor(0.7, dtype=torch.float64)
    _, acceleration = torch.func.jvp(velocity, (time,), (torch.ones_like(time),))
    there, moving = curve(time), velocity(time)
    assert close(acceleration, -levi_civita(name, metric, there, moving), AUTODIFF)
    assert close(m.norm(unflatten(there, name), unflatten(moving, name)), m.norm(point, xi), ROUNDING)
    if hasattr(m, "project_horizontal"):
        straight = m.project_horizontal(unflatten(there, name), unflatten(moving, name))
        assert close(flatten(straight), moving, ROUNDING)
    start = torch.zeros_like(time)
    assert close(curve(start), flatten(point), ROUNDING)
    assert close(velocity(start), flatten(xi), ROUNDING)


def test_the_published_geodesics_are_there_in_closed_form() -> None:
    """u e^{bt} in the invariant metric, u √(1 + 2bt) in the mixed one, with du/u = dv/v = b."""
    point, b, t = random_point("hadamard"), torch.tensor([0.3, 0.1], dtype=torch.float64), 0.8
    xi = {key: b * leaf for key, leaf in point.items()}
    grown = {"invariant": torch.exp(b * t), "mixed": torch.sqrt(1 + 2 * b * t)}
    for metric, factor in grown.items():
        expected = {key: leaf * factor for key, leaf in point.items()}
        assert close(module("hadamard", metric).geodesic(point, xi, t, order="exact"), expected, ROUNDING)


@pytest.mark.parametrize("order", [0, 4, "closed", None])
def test_another_order_is_refused_with_the_choices(order: object) -> None:
    m, point, xi = module("hadamard"), random_point("hadamard"), random_tangent("hadamard", 1)
    with pytest.raises(ValueError, match=r'not available: choose 1, 2, 3 or "exact"$'):
        m.geodesic(point, xi, order=order)


def test_exact_is_refused_where_no_closed_form_is_known() -> None:
    m, point, xi = module("hadamard", "own"), random_point("hadamard"), random_tangent("hadamard", 1)
    with pytest.raises(ValueError, match=r"order 'exact' is not available: choose 1, 2 or 3$"):
        m.geodesic(point, xi, order="exact")


# Domain


@cases
def test_a_point_of_the_domain_passes(name: str, metric: str) -> None:
    module(name, metric).check_domain(random_point(name, batch=(3,)))


@pytest.mark.parametrize(
    ("name", "metric", "leaf", "index", "message"),
    [
        ("hadamard", "invariant", "u", (1,), r"^u = 0 at index \(1,\), outside the domain of the invariant metric: "),
        ("hadamard", "mixed", "v", (0,), r"^v = 0 at index \(0,\), outside the domain of the mixed metric: "),
        ("depth_product", "invariant", "u3", (1,), r"^u3 = 0 at index \(1,\), .* where u3 is not zero$"),
        ("matrices", "invariant", "v", (2, 1), r"^v = 0 at index \(2, 1\), outside"),
        ("scalars", "invariant", "u", (), r"^u = 0, outside the domain of the invariant metric: "),
    ],
)
def test_a_point_outside_the_domain_gets_one_clear_line(
    name: str, metric: str, leaf: str, index: tuple[int, ...], message: str
) -> None:
    m, point = module(name, metric), random_point(name)
    point[leaf][index] = 0.0
    with pytest.raises(ValueError, match=message) as caught:
        m.check_domain(point)
    assert "\n" not in str(caught.value)
    xi = random_tangent(name, 1)
    assert not all(bool(leaf.isfinite().all()) for leaf in m.christoffel_form(point, xi).values())


def test_the_domain_of_squared_difference_ends_at_equal_magnitudes() -> None:
    m, point = module("squared_difference", "invariant"), random_point("squared_difference")
    m.check_domain(point)
    point["v"] = -point["u"]
    with pytest.raises(ValueError, match=r"^u \+ v = 0 at index \(0,\), outside"):
        m.check_domain(point)


def test_the_euclidean_metric_has_no_boundary() -> None:
    zero = {key: torch.zeros_like(leaf) for key, leaf in random_point("hadamard").items()}
    module("hadamard", "euclidean").check_domain(zero)
    assert "It is defined at every point." in generated("hadamard", "euclidean").source
