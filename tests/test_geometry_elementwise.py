"""Metrics, invariance and horizontal spaces of elementwise models, against hand results and explicit components."""

from __future__ import annotations

import pytest
import sympy as sp

from symtheory.errors import DomainError, MetricError
from symtheory.geometry import METRICS, ElementwiseGeometry, Metric, geometry, weight_coordinates
from symtheory.graph.elementwise import ElementwiseModel

u, v = sp.symbols("u v", real=True)
u1, u2, u3, u4 = sp.symbols("u1:5", real=True)
HADAMARD = ElementwiseModel((u, v), u * v, (sp.diag(1, -1),))
SQUARED = ElementwiseModel((u, v), u**2 - v**2, (sp.Matrix([[0, 1], [1, 0]]),))
DEPTH_3 = ElementwiseModel((u1, u2, u3), u1 * u2 * u3, (sp.diag(1, 0, -1), sp.diag(0, 1, -1)))
DEPTH_4 = ElementwiseModel(
    (u1, u2, u3, u4), u1 * u2 * u3 * u4, (sp.diag(1, 0, 0, -1), sp.diag(0, 1, 0, -1), sp.diag(0, 0, 1, -1))
)
MODELS = {"hadamard": HADAMARD, "squared_difference": SQUARED, "depth_3": DEPTH_3, "depth_4": DEPTH_4}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
quotient_metrics = pytest.mark.parametrize("name", ["invariant", "mixed"])


def rational_point(symbols: tuple[sp.Symbol, ...]) -> dict[sp.Symbol, sp.Rational]:
    return {symbol: sp.Rational(3 * i + 4, 2 * i + 3) for i, symbol in enumerate(symbols)}


def test_hand_results_for_a_product_of_two() -> None:
    assert geometry(HADAMARD, "invariant").metric == sp.diag(u**-2, v**-2)
    mixed = geometry(HADAMARD, "mixed")
    assert mixed.metric == sp.diag(v**2, u**2)
    assert mixed.christoffel_form() == mixed.christoffel_form(sp.symbols("xi_u xi_v", real=True))
    xi_u, xi_v = sp.symbols("xi_u xi_v", real=True)
    # E–L of v² u'² + u² v'²: u'' = −2 u'v'/v + u v'²/v², and the same with u and v exchanged.
    expected = 2 * xi_u * xi_v / v - u * xi_v**2 / v**2
    assert sp.cancel(mixed.christoffel_form()[0] - expected) == 0
    for name in ("invariant", "mixed"):
        assert geometry(HADAMARD, name).horizontal_projection == sp.Matrix([[1, u / v], [v / u, 1]]) / 2
    assert geometry(HADAMARD, "pullback").metric == sp.Matrix([[v**2, u * v], [u * v, u**2]])
    assert geometry(HADAMARD).metric == sp.eye(2)
    assert geometry(HADAMARD, "invariant").vertical_gram() == sp.Matrix([[2]])


def test_weight_coordinates_are_integer_and_primitive() -> None:
    assert weight_coordinates(HADAMARD).matrix == sp.eye(2)
    assert weight_coordinates(SQUARED).matrix == sp.Matrix([[1, 1], [1, -1]])
    assert weight_coordinates(DEPTH_4).matrix == sp.eye(4)
    assert weight_coordinates(ElementwiseModel((u, v), u + v)).matrix == sp.eye(2)
    skewed = sp.Matrix([[2, 3], [0, -1]])
    matrix = weight_coordinates(ElementwiseModel((u, v), u, (skewed,))).matrix
    assert (matrix * skewed * matrix.inv()).is_diagonal()
    assert all(sp.igcd(*row) == 1 for row in matrix.tolist())


@pytest.mark.parametrize(
    ("generators", "word"),
    [
        ((sp.Matrix([[0, 1], [-1, 0]]),), "use 'euclidean'"),
        ((sp.Matrix([[0, 1], [0, 0]]),), "not diagonalizable"),
        ((sp.Matrix([[0, 2], [1, 0]]),), "not diagonalizable over the rationals"),
        ((sp.diag(1, -1), sp.Matrix([[0, 1], [1, 0]])), "do not commute"),
    ],
    ids=["rotation", "shear", "irrational", "noncommuting"],
)
def test_generators_without_joint_weights_are_refused(generators: tuple[sp.Matrix, ...], word: str) -> None:
    model = ElementwiseModel((u, v), u * v, generators)
    for name in ("invariant", "mixed"):
        with pytest.raises(MetricError, match=word):
            geometry(model, name)


@models
@quotient_metrics
def test_quotient_metrics_are_invariant_under_the_finite_action(model: ElementwiseModel, name: str) -> None:
    g = geometry(model, name)
    assert g.is_invariant()
    assert g.broken_generator() is None
    s = sp.Symbol("s", real=True)
    point = rational_point(model.coordinates)
    for generator in model.generators:
        assert g.lie_derivative(generator).is_zero_matrix
        # The independent road: pull the metric back by exp(sA) and compare at a rational point, at several s.
        flow = (generator * s).exp()
        moved = g.metric.subs(
            dict(zip(model.coordinates, flow * sp.Matrix(model.coordinates), strict=True)), simultaneous=True
        )
        pulled = (flow.T * moved * flow - g.metric).subs(point)
        for value in (sp.Rational(1, 3), sp.Rational(-2, 5)):
            assert max(abs(entry.subs(s, value).evalf(30)) for entry in pulled) < 1e-25  # thirty-digit arithmetic


@models
@quotient_metrics
def test_projection_is_orthogonal_and_kills_the_orbit(model: ElementwiseModel, name: str) -> None:
    g = geometry(model, name)
    point = rational_point(model.coordinates)
    projection, metric = g.horizontal_projection.subs(point), g.metric.subs(point)
    assert projection**2 == projection
    assert metric * projection == projection.T * metric
    for generator in model.generators:
        assert (projection * model.vector_field(generator).subs(point)).is_zero_matrix
    assert projection.rank() == g.horizontal_dimension() == 1


def test_metrics_that_are_not_invariant_name_the_generator() -> None:
    g = geometry(HADAMARD, "euclidean")
    assert not g.is_invariant()
    assert g.broken_generator() == sp.diag(1, -1)
    assert g.lie_derivative(sp.diag(1, -1)) == sp.diag(2, -2)
    with pytest.raises(MetricError, match=r"along the generator \[\[1, 0\], \[0, -1\]\].*use 'invariant'"):
        _ = g.horizontal_projection
    half_broken = Metric(sp.diag(u1**-2, 1, 1), DEPTH_3.coordinates, "half")
    assert geometry(DEPTH_3, half_broken).broken_generator() == sp.diag(1, 0, -1)


@pytest.mark.parametrize("factor", [2, u, v, u + v])
def test_a_wrong_mixed_metric_is_noticed(factor: sp.Expr) -> None:
    wrong = Metric(sp.diag(v**2 * factor, u**2), (u, v), "wrong")
    g = geometry(HADAMARD, wrong)
    right = geometry(HADAMARD, "mixed")
    if factor == 2:  # still invariant, but another horizontal space
        assert g.is_invariant()
        assert g.horizontal_projection != right.horizontal_projection
    else:
        assert not g.is_invariant()


def test_pullback_is_invariant_but_has_no_connection() -> None:
    g = geometry(HADAMARD, "pullback")
    assert g.is_invariant()
    for use in (g.christoffel, g.geodesic, g.curvature):
        with pytest.raises(MetricError, match=r"singular in u, v.*choose"):
            use()
    with pytest.raises(MetricError, match="degenerate along the orbit"):
        _ = g.horizontal_projection
    assert dict(geometry(ElementwiseModel((u,), u**2), "pullback").christoffel().items()) == {(0, 0, 0): 1 / u}


def test_euclidean_is_invariant_under_a_rotation() -> None:
    model = ElementwiseModel((u, v), u**2 + v**2, (sp.Matrix([[0, -1], [1, 0]]),))
    g = geometry(model, "euclidean")
    radial = sp.Matrix([[u**2, u * v], [u * v, v**2]]) / (u**2 + v**2)
    assert g.is_invariant()
    assert (g.horizontal_projection - radial).applyfunc(sp.cancel).is_zero_matrix


def test_a_metric_of_the_users_own() -> None:
    xi, zeta = sp.symbols("xi zeta", real=True)
    mine = Metric.from_quadratic_form(v**2 * xi**2 + u**2 * zeta**2, (u, v), (xi, zeta), "mine")
    g = geometry(HADAMARD, mine)
    assert g.name == "mine"
    assert g.metric == geometry(HADAMARD, "mixed").metric
    assert g.quadratic_form((1, 0)) == v**2
    with pytest.raises(MetricError, match="not a quadratic form"):
        Metric.from_quadratic_form(xi**2 + zeta, (u, v), (xi, zeta))
    with pytest.raises(MetricError, match="rename or reorder"):
        geometry(DEPTH_3, mine)
    with pytest.raises(MetricError, match="choose one of euclidean, invariant, mixed, pullback"):
        geometry(HADAMARD, "invariante")
    assert set(METRICS) == {"euclidean", "invariant", "mixed", "pullback"}


@models
@quotient_metrics
def test_explicit_components_are_copies_of_the_block(model: ElementwiseModel, name: str) -> None:
    size = 3
    g: ElementwiseGeometry = geometry(model, name)
    k = len(model.coordinates)
    metric, coordinates = g.components(size)
    point = {x: sp.Rational(2 * i + 5, i + 2) for i, x in enumerate(coordinates)}
    inverse = metric.subs(point).inv()
    slopes = [metric.diff(x).subs(point) for x in coordinates]
    block = g.christoffel()
    n = range(size * k)
    for a in n:
        entry = a % size
        here = {x: point[coordinates[i * size + entry]] for i, x in enumerate(model.coordinates)}
        for b in n:
            for c in range(b, size * k):
                terms = (
                    inverse[a, m] * (slopes[b][c, m] + slopes[c][b, m] - slopes[m][b, c]) for m in n if inverse[a, m]
                )
                expected = sum(terms, sp.S.Zero) / 2
                same = b % size == entry and c % size == entry
                derived = block[a // size, b // size, c // size].subs(here) if same else sp.S.Zero
                assert derived == expected


@pytest.mark.parametrize("name", ["invariant", "mixed"])
def test_curvature(name: str) -> None:
    assert geometry(SQUARED, name).curvature().is_flat
    expected = {"invariant": 0, "mixed": -6 / (u1 * u2 * u3) ** 2}[name]
    assert sp.cancel(geometry(DEPTH_3, name).curvature().scalar - expected) == 0


def test_curvature_of_the_sphere() -> None:
    sphere = Metric(sp.diag(4, 4 * sp.sin(u) ** 2), (u, v), "sphere")
    model = ElementwiseModel((u, v), u * v)
    assert sp.simplify(geometry(model, sphere).curvature().scalar) == sp.Rational(1, 2)  # 2 / radius²


def test_domain() -> None:
    g = geometry(HADAMARD, "invariant")
    assert set(g.domain_conditions) == {u, v}
    assert set(geometry(SQUARED, "mixed").domain_conditions) == {u - v, u + v}
    assert geometry(HADAMARD, "euclidean").domain_conditions == ()
    g.check_domain({"u": [1.0, -2.0], "v": [3.0, 0.5]})
    g.check_domain({"u": 1, "v": 2})
    with pytest.raises(DomainError, match="v = 0 in entry 1, outside the domain of the invariant metric"):
        g.check_domain({"u": [1.0, -2.0], "v": [3.0, 0.0]})
    with pytest.raises(DomainError, match="no value for v"):
        g.check_domain({"u": 1.0})
    with pytest.raises(DomainError, match="differ in shape"):
        g.check_domain({"u": [1.0, 2.0], "v": [1.0]})
    with pytest.raises(DomainError, match="u - v = 0"):
        geometry(SQUARED, "invariant").check_domain({"u": 2.0, "v": 2.0})
