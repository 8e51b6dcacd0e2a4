"""Geodesics of matrices against the differential equation, integrated to rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matrix_cases import Dense, dense, derived_christoffel, geometry, number, projection
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from symtheory.geometry.matrix.connection import christoffel_form

TAYLOR_CASES = [
    ("low_rank", "invariant"),
    ("low_rank", "mixed"),
    ("chain3", "mixed"),
    ("deep_linear", "mixed"),
    ("state_space", "mixed"),
    ("shallow_relu", "mixed"),
    ("heads_without_biases", "invariant"),
    ("linear_attention", "mixed"),
    ("transformer", "mixed"),
]
CASES = [*TAYLOR_CASES, ("chain5", "invariant"), ("residual", "mixed"), ("layer_norm", "invariant")]
cases = pytest.mark.parametrize(("name", "metric"), CASES)

TIMES = np.array([0.004, 0.008])
SLOPE = 0.1
"""Allowed distance of a measured order from the whole number: the next term of the series is of relative size t times
a ratio of derivatives, a few units for points near the identity."""
KEPT = 1e-9
"""What the integrator (relative tolerance 1e-12) leaves of a conserved quantity of size one."""


def _point(name: str, metric: str) -> np.ndarray:
    """A point at which Gram matrices are well-conditioned: every matrix near a rectangular identity."""
    own = dense(name, metric)
    rng = np.random.default_rng(5)
    shapes = own.shapes.items()
    return own.joined({key: np.eye(*shape[-2:]) + 0.3 * rng.standard_normal(shape) for key, shape in shapes})


def _velocity(name: str, metric: str) -> np.ndarray:
    xi = dense(name, metric).random(6)
    return xi / np.abs(xi).max()


def _solved(acceleration: Callable, point: np.ndarray, xi: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Position and velocity at the times: (times, 2, D)."""

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        position, velocity = np.split(state, 2)
        return np.concatenate([velocity, acceleration(position, velocity)])

    start = np.concatenate([point, xi])
    found = solve_ivp(slope, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14)
    return found.y.T.reshape(len(times), 2, -1)


def _derived(name: str, metric: str, point: np.ndarray, xi: np.ndarray, times: np.ndarray) -> np.ndarray:
    own, connection = dense(name, metric), geometry(name, metric).connection
    return _solved(lambda x, v: -derived_christoffel(own, connection, x, v), point, xi, times)


@pytest.mark.parametrize(("name", "metric"), TAYLOR_CASES)
def test_taylor_polynomials_have_errors_of_the_next_order(name, metric):
    """The curve itself is integrated with the dense metric, so that all of γ'' and γ''' comes from elsewhere."""
    own, geodesic = dense(name, metric), geometry(name, metric).geodesic()
    point, xi = _point(name, metric), _velocity(name, metric)
    exact = _solved(lambda x, v: -own.christoffel(x, v), point, xi, TIMES)[:, 0]
    for order in (1, 2, 3):
        curve = geodesic.taylor(order)
        errors = []
        for time, reached in zip(TIMES, exact, strict=True):
            values = own.point_values(point) | own.tangent_values(xi) | {geodesic.time: float(time)}
            near = own.joined({key: number(value, values) for key, value in curve.items()})
            errors.append(np.abs(near - reached).max())
        assert np.log2(errors[1] / errors[0]) == pytest.approx(order + 1, abs=SLOPE)


@cases
def test_geodesics_keep_their_speed(name, metric):
    own, point, xi = dense(name, metric), _point(name, metric), _velocity(name, metric)
    curve = _derived(name, metric, point, xi, np.array([0.1, 0.2]))
    speeds = [own.inner(position, velocity, velocity) for position, velocity in curve]
    assert_allclose(speeds, own.inner(point, xi, xi), rtol=KEPT)


@cases
def test_geodesics_that_start_horizontal_stay_horizontal(name, metric):
    """All fields are Killing fields, so that ⟨γ', X⟩ is conserved; zero at first, it stays zero."""
    own, point = dense(name, metric), _point(name, metric)
    xi = _velocity(name, metric)
    xi = xi - projection(_fields(own, point), own.matrix(point)) @ xi
    for position, velocity in _derived(name, metric, point, xi, np.array([0.1, 0.2])):
        fields, matrix = _fields(own, position), own.matrix(position)
        lengths = np.sqrt(np.einsum("ij,jk,ik->i", fields, matrix, fields).max() * (velocity @ matrix @ velocity))
        assert np.abs(fields @ matrix @ velocity).max() <= KEPT * max(1.0, lengths)


def _fields(own: Dense, x: np.ndarray) -> np.ndarray:
    """The group's fields at a point in straightened coordinates."""
    wanted = own.split(x)
    shapes = {key: tuple(int(s) for s in shape) for key, shape in own.parametrization.parameters.items()}
    values = {key: value.reshape(shapes[key]) for key, value in wanted.items()}
    made_up = {one.parameter for one in own.model.straightening}
    for _ in made_up:  # each pass settles one parameter more, since each depends on those before it
        reached = own.split(own.straight(values))
        values |= {key: values[key] + (wanted[key] - reached[key]).reshape(shapes[key]) for key in made_up}
    return np.concatenate(list(own.fields(values).values()))


@pytest.mark.parametrize("name", ("tied_product", "softmax_classifier", "tanh_net"))
def test_where_the_metric_is_constant_geodesics_are_straight(name):
    geodesic = geometry(name, "mixed").geodesic()
    lines = {key: symbol + geodesic.time * geodesic.velocity[key] for key, symbol in geodesic.point.items()}
    assert geodesic.closed_form == lines
    assert geodesic.taylor(3) == lines


def test_no_other_closed_form_is_claimed():
    assert geometry("low_rank", "mixed").geodesic().closed_form is None


def test_velocities_may_have_any_names():
    """Symbols of one's own for ξ, with the names of the metric's Gram matrices kept apart from them."""
    found, own = geometry("low_rank", "mixed"), dense("low_rank", "mixed")
    symbols = found.model.tangent("gram")
    form = christoffel_form(found.blocks, symbols)
    assert not {symbol.name for symbol in symbols.values()} & {
        symbol.name for symbol in form.definitions if symbol not in found.definitions
    }
    assert own.dimension == 14
