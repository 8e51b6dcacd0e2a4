"""Exponential map and logarithm in closed form: inverse to each other, and geodesics by independent integration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from generation_cases import Point, close, module, random_point, random_tangent
from scipy.integrate import solve_ivp

from symtheory import catalog
from symtheory.errors import DerivationError
from symtheory.geometry import ElementwiseGeometry, Metric, geometry
from symtheory.graph.elementwise import ElementwiseModel

Vector = list[mpmath.mpf]

NAMES = ("hadamard", "depth_product", "squared_difference")
METRICS = ("mixed", "invariant", "euclidean")
CASES = [(name, metric, False) for name in NAMES for metric in METRICS]
CASES += [(name, "invariant", True) for name in NAMES]
"""Declaration, metric, and whether horizontal geodesics are asked for where a form for all tangents exists as well."""

cases = pytest.mark.parametrize(("name", "metric", "horizontal"), CASES)
generated_cases = pytest.mark.parametrize(("name", "metric"), [case[:2] for case in CASES if not case[2]])

DIGITS = 50
FIFTY = mpmath.mpf(10) ** -45
"""At 50 digits: a hundred roundings, and denominators down to a thousandth."""

ROUNDING = 1e-12
"""Float64, for the same hundred roundings."""

INTEGRATOR = 1e-9
"""DOP853 at rtol 1e-12, its accumulated error and that of the differences, 3e-11 at their step, and a margin of ten."""

u, v = sp.symbols("u v", real=True)
HADAMARD = ElementwiseModel((u, v), u * v, (sp.diag(1, -1),))


def geometry_of(name: str, metric: str) -> ElementwiseGeometry:
    return catalog.load(name).geometry(metric)


def at(expressions: Sequence[sp.Expr], symbols: Sequence[sp.Symbol]) -> Callable[..., Vector]:
    """The expressions as a function of numbers, in arithmetic of mpmath."""
    function = sp.lambdify(symbols, list(expressions), modules="mpmath", cse=False)
    return lambda *values: list(map(mpmath.mpf, function(*values)))


class Maps:
    """A geometry with its exponential map and logarithm as functions of numbers, at the precision that is set."""

    def __init__(self, name: str, metric: str, horizontal: bool) -> None:
        self.geometry = g = geometry_of(name, metric)
        exponential, logarithm = g.exponential(horizontal), g.logarithm(horizontal)
        assert exponential.kind == logarithm.kind
        self.kind = exponential.kind
        xi = list(exponential.velocity.values())
        start = list(exponential.initial.values())
        self._exponential = at(list(exponential.image.values()), [*start, *xi])
        self._logarithm = at(list(logarithm.tangent.values()), [*start, *logarithm.other.values()])
        self._form = at([g.quadratic_form(xi)], [*g.coordinates, *xi])
        self.predictor = at([g.model.predictor], g.coordinates)
        projection = g.horizontal_projection if self.kind == "horizontal" else sp.eye(len(xi))
        self._projection = at(list(projection * sp.Matrix(xi)), [*g.coordinates, *xi])

    def exponential(self, point: Vector, xi: Vector) -> Vector:
        return self._exponential(*point, *xi)

    def logarithm(self, point: Vector, other: Vector) -> Vector:
        return self._logarithm(*point, *other)

    def square(self, point: Vector, xi: Vector) -> mpmath.mpf:
        return self._form(*point, *xi)[0]

    def tangent(self, point: Vector, xi: Vector) -> Vector:
        """The tangent itself, or its horizontal part where the closed form is for those."""
        return self._projection(*point, *xi)


def random_start(maps: Maps, seed: int) -> tuple[Vector, Vector]:
    """A point with no weight coordinate near zero, signs at random, and a tangent for which the maps are meant."""
    rng = np.random.default_rng(seed)
    size = len(maps.geometry.coordinates)
    sizes = [(0.5 + 0.9 * place + 0.4 * rng.random()) * rng.choice([-1, 1]) for place in range(size)]
    point = [mpmath.mpf(float(value)) for value in sizes]
    return point, maps.tangent(point, [mpmath.mpf(float(value)) for value in 0.15 * rng.standard_normal(size)])


def gap(left: Vector, right: Vector) -> mpmath.mpf:
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


@cases
def test_logarithm_inverts_the_exponential_at_fifty_digits(name: str, metric: str, horizontal: bool) -> None:
    maps = Maps(name, metric, horizontal)
    with mpmath.workdps(DIGITS):
        for seed in range(5):
            point, xi = random_start(maps, seed)
            assert gap(maps.logarithm(point, maps.exponential(point, xi)), xi) < FIFTY


@cases
def test_exponential_of_the_logarithm_reaches_the_other_point_or_its_orbit(
    name: str, metric: str, horizontal: bool
) -> None:
    maps = Maps(name, metric, horizontal)
    with mpmath.workdps(DIGITS):
        for seed in range(5):
            point, _ = random_start(maps, seed)
            # Any point near, not one that the exponential map has made.
            other = [x * mpmath.mpf(1.3 - 0.2 * place) for place, x in enumerate(point)]
            reached = maps.exponential(point, maps.logarithm(point, other))
            if maps.kind == "all":
                assert gap(reached, other) < FIFTY
                continue
            assert gap(maps.predictor(*reached), maps.predictor(*other)) < FIFTY
            log = maps.logarithm(point, other)
            assert gap(maps.tangent(point, log), log) < FIFTY
            # Where the predictor agrees and weight coordinates have the same signs, the orbit is the same: the group
            # element that takes one to the other is positive and scales the predictor by one.
            weights = [list(map(mpmath.sign, _weights(maps.geometry, p))) for p in (reached, other)]
            assert weights[0] == weights[1]
            assert gap(maps.logarithm(point, reached), log) < FIFTY


def _weights(g: ElementwiseGeometry, point: Vector) -> Vector:
    return [point[0] + point[1], point[0] - point[1]] if g.model.predictor == u**2 - v**2 else point


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["mixed", "invariant"])
def test_moving_the_other_point_in_its_orbit_changes_no_horizontal_logarithm(name: str, metric: str) -> None:
    maps = Maps(name, metric, True)
    with mpmath.workdps(DIGITS):
        point, xi = random_start(maps, 1)
        other = maps.exponential(point, xi)
        for generator in maps.geometry.model.generators:
            moved = mpmath.expm(mpmath.matrix(generator.tolist()) * mpmath.mpf(0.4)) * mpmath.matrix(other)
            assert gap(list(moved), other) > 0.1
            # mpmath's matrix exponential loses a few of the fifty digits.
            assert gap(maps.logarithm(point, list(moved)), xi) < 1e5 * FIFTY


@cases
def test_length_of_the_logarithm_is_that_of_the_geodesic_and_symmetric(
    name: str, metric: str, horizontal: bool
) -> None:
    """‖log‖² = ∫‖γ'‖² dt along the exact geodesic, whose speed is constant; and the way back is as long."""
    maps = Maps(name, metric, horizontal)
    g, curve = maps.geometry, maps.geometry.geodesic(horizontal)
    symbols = [*curve.initial.values(), *curve.velocity.values(), curve.time]
    path = at([curve.explicit()[x] for x in g.coordinates], symbols)
    velocity = at([sp.diff(curve.explicit()[x], curve.time) for x in g.coordinates], symbols)
    with mpmath.workdps(DIGITS):
        for seed in range(3):
            point, xi = random_start(maps, seed)
            other = maps.exponential(point, xi)
            squares = []
            for moment in (mpmath.mpf(0), mpmath.mpf(1) / 3, mpmath.mpf(1)):
                here, now = path(*point, *xi, moment), velocity(*point, *xi, moment)
                squares.append(maps.square(here, now))
                if maps.kind == "horizontal":
                    assert gap(maps.tangent(here, now), now) < FIFTY
            assert gap(squares, [squares[0]] * 3) < FIFTY
            log = maps.logarithm(point, other)
            assert abs(maps.square(point, log) - squares[0]) < FIFTY
            assert abs(maps.square(other, maps.logarithm(other, point)) - squares[0]) < FIFTY


@cases
def test_third_order_expansion_is_the_taylor_geodesic(name: str, metric: str, horizontal: bool) -> None:
    """exp(s ξ) against the polynomial from the geodesic equation: they differ from the fourth order in s on."""
    maps = Maps(name, metric, horizontal)
    curve = maps.geometry.geodesic()
    taylor = at(list(curve.taylor(3).values()), [*curve.initial.values(), *curve.velocity.values(), curve.time])
    with mpmath.workdps(DIGITS):
        point, xi = random_start(maps, 2)
        errors = []
        for step in (mpmath.mpf("1e-4"), mpmath.mpf("5e-5")):
            exact = maps.exponential(point, [step * x for x in xi])
            errors.append(gap(exact, taylor(*point, *xi, step)))
        # Of order s⁴: halving s divides by 16, up to the next term, 1e-4 of it. Straight lines have no error at all.
        assert errors[0] < FIFTY or abs(mpmath.log(errors[0] / errors[1], 2) - 4) < 1e-2


def christoffel_by_differences(
    metric: Callable[[np.ndarray], np.ndarray], point: np.ndarray, velocity: np.ndarray
) -> np.ndarray:
    """Γ(ξ, ξ) from fourth-order differences of the metric matrix: no derivative by SymPy."""
    step, size = 3e-4, len(point)
    slopes = np.empty((size, size, size))
    for index in range(size):
        e = step * np.eye(size)[index]
        near, far = metric(point + e) - metric(point - e), metric(point + 2 * e) - metric(point - 2 * e)
        slopes[index] = (8 * near - far) / (12 * step)
    first_kind = np.einsum("lmk,k,l->m", slopes, velocity, velocity)
    first_kind -= np.einsum("klm,l,m->k", slopes, velocity, velocity) / 2
    return np.linalg.solve(metric(point), first_kind)


def integrated(g: ElementwiseGeometry, point: Vector, xi: Vector) -> np.ndarray:
    """γ(1) of the geodesic equation from scipy."""
    size = len(point)
    matrix = sp.lambdify(g.coordinates, g.metric.tolist(), modules="math")

    def flow(_: float, state: np.ndarray) -> np.ndarray:
        force = christoffel_by_differences(lambda x: np.array(matrix(*x)), state[:size], state[size:])
        return np.concatenate([state[size:], -force])

    start = np.array([float(value) for value in [*point, *xi]])
    return solve_ivp(flow, (0, 1), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:size, -1]


@cases
def test_exponential_is_the_end_of_the_integrated_geodesic(name: str, metric: str, horizontal: bool) -> None:
    maps = Maps(name, metric, horizontal)
    for seed in range(2):
        point, xi = random_start(maps, seed)
        expected = integrated(maps.geometry, point, xi)
        found = np.array([float(value) for value in maps.exponential(point, xi)])
        np.testing.assert_allclose(found, expected, rtol=INTEGRATOR)


@pytest.mark.parametrize(("name", "metric"), [(name, metric) for name in NAMES for metric in ("mixed", "invariant")])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_error_of_an_order_falls_one_order_faster(name: str, metric: str, order: int) -> None:
    maps, m = Maps(name, metric, False), module(name, metric)
    point, xi = random_start(maps, 3)
    errors = []
    for scale in (0.02, 0.01):
        step = [scale * 5 * x for x in xi]
        curve = m.geodesic(_leaves(maps, point), _leaves(maps, step), order=order)
        with mpmath.workdps(DIGITS):
            exact = maps.exponential(point, step)
        errors.append(
            max(abs(float(a) - float(curve[x.name])) for a, x in zip(exact, maps.geometry.coordinates, strict=True))
        )
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.1)  # the next order is 2 % of it


def _leaves(maps: Maps, values: Vector) -> Point:
    """One entry, without a batch, in the only axis."""
    pairs = zip(maps.geometry.coordinates, values, strict=True)
    return {x.name: torch.tensor([float(value)], dtype=torch.float64) for x, value in pairs}


# Generated functions


def _tangent(m: ModuleType, name: str, point: Point, kind: str) -> Point:
    xi = {key: 0.1 * leaf for key, leaf in random_tangent(name, 1, (3,)).items()}
    return m.project_horizontal(point, xi) if kind == "horizontal" else xi


@generated_cases
def test_generated_functions_equal_the_symbolic_ones(name: str, metric: str) -> None:
    maps, m = Maps(name, metric, False), module(name, metric)
    point = random_point(name, batch=(3,))
    xi = _tangent(m, name, point, maps.kind)
    other = m.exponential(point, xi)
    log = m.logarithm(point, other)
    for entry in range(next(iter(point.values())).numel()):
        here, along, there = (
            [mpmath.mpf(float(leaf.reshape(-1)[entry])) for leaf in p.values()] for p in (point, xi, other)
        )
        for made, expected in ((other, maps.exponential(here, along)), (log, maps.logarithm(here, there))):
            found = [float(leaf.reshape(-1)[entry]) for leaf in made.values()]
            np.testing.assert_allclose(found, [float(value) for value in expected], rtol=ROUNDING, atol=ROUNDING)


@generated_cases
def test_generated_functions_invert_each_other_and_give_the_exact_geodesic(name: str, metric: str) -> None:
    maps, m = Maps(name, metric, False), module(name, metric)
    point = random_point(name, batch=(3,))
    xi = _tangent(m, name, point, maps.kind)
    assert close(m.exponential(point, xi), m.geodesic(point, xi, order="exact"), ROUNDING)
    assert close(m.logarithm(point, m.exponential(point, xi)), xi, ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_outside_the_domain_the_generated_exponential_is_nan(name: str) -> None:
    """Where the logarithm's condition fails, exponential(logarithm) says so: no geodesic crosses the boundary."""
    m, point = module(name, "mixed"), random_point(name)
    # Swapping what is larger, or one sign, turns the sign of every declared predictor.
    first, *_, last = point
    other = dict(point) | {first: point[last], last: -point[first] if name != "squared_difference" else point[first]}
    assert bool((m.predictor(other) * m.predictor(point) < 0).all())
    reached = m.exponential(point, m.logarithm(point, other))
    assert all(bool(leaf.isnan().all()) for leaf in reached.values())
    documentation = f"{m.exponential.__doc__} {m.logarithm.__doc__}"
    assert "nan where" in documentation and "It exists where" in documentation


# Domains and refusals


def test_conditions_say_where_the_closed_forms_hold() -> None:
    mixed, invariant = geometry(HADAMARD, "mixed"), geometry(HADAMARD, "invariant")
    log = mixed.logarithm()
    u_0, v_0 = log.initial.values()
    there_u, there_v = log.other.values()
    assert log.positive == (there_u * there_v / (u_0 * v_0),)
    assert invariant.logarithm().positive == (there_u / u_0, there_v / v_0)
    exponential = mixed.exponential()
    assert exponential.positive == (1 + 2 * exponential.velocity[u] / u_0,)
    assert invariant.exponential().positive == ()


def test_quadrature_without_a_power_law() -> None:
    """The length of the curve u ↦ e^u in the line: exp and log of the line, carried over."""
    g = geometry(ElementwiseModel((u,), sp.exp(u)), "pullback")
    log = g.logarithm()
    (start,), (other,) = log.initial.values(), log.other.values()
    assert sp.simplify(log.tangent[u] - (sp.exp(other - start) - 1)) == 0


def test_rotations_have_circles_for_orbits() -> None:
    model = ElementwiseModel((u, v), u**2 + v**2, (sp.Matrix([[0, -1], [1, 0]]),))
    log = geometry(model, Metric((u**2 + v**2) * sp.eye(2), (u, v), "conformal")).logarithm()
    u_0, v_0 = log.initial.values()
    there_u, there_v = log.other.values()
    growth = (there_u**2 + there_v**2) / (u_0**2 + v_0**2)
    assert log.kind == "horizontal"
    assert sp.simplify(log.tangent[u] - u_0 * (growth - 1) / 2) == 0


def test_no_closed_form_says_why() -> None:
    coupled = geometry(HADAMARD, Metric(sp.diag(1 + v**2, 1), (u, v), "coupled"))
    for derive in (coupled.exponential, coupled.logarithm):
        with pytest.raises(DerivationError, match=r"has no closed form.*not invariant"):
            derive()
    bent = ElementwiseModel((u, v), u * v + (u * v) ** 3, HADAMARD.generators)
    assert geometry(bent, "invariant").exponential(horizontal=True).kind == "horizontal"
    with pytest.raises(DerivationError, match="along a horizontal geodesic has no closed inverse"):
        geometry(bent, "invariant").logarithm(horizontal=True)


def test_a_parameter_may_be_called_as_the_other_point() -> None:
    other_u = sp.Symbol("other_u", real=True)
    model = ElementwiseModel((u, other_u), u * other_u, HADAMARD.generators)
    log = geometry(model, "mixed").logarithm()
    assert len({*log.initial.values(), *log.other.values(), u, other_u}) == 6
