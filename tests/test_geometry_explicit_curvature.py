"""Curvature in explicit components, and the curvature of quotients.

The oracles are the definition by plain derivatives at a point, known spaces, and quotient metrics on a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
import sympy as sp
from explicit_cases import forms_of, random_point, two_factors

from symtheory.errors import CalculusError, DomainError, MetricError, ShapeError
from symtheory.geometry.explicit_geometry import ExplicitGeometry
from symtheory.geometry.explicit_metric import explicit_metric

T = sp.Trace
u, v, w, x, y, z = sp.symbols("u v w x y z", real=True)


def plain_riemann(
    metric: sp.Matrix, coordinates: Sequence[sp.Symbol], here: dict[sp.Symbol, sp.Expr]
) -> dict[tuple[int, int, int, int], sp.Expr]:
    """R^i_jkl at a point as it is defined, ∂_k Γ^i_lj − ∂_l Γ^i_kj + ΓΓ − ΓΓ, from plain derivatives of the metric."""
    size = range(len(coordinates))
    slopes = [metric.diff(a) for a in coordinates]
    bends = [[slope.diff(a).subs(here) for a in coordinates] for slope in slopes]
    slopes, inverse = [slope.subs(here) for slope in slopes], metric.subs(here).inv()

    def raised(left: sp.Matrix, d: Sequence[sp.Matrix], i: int, k: int, l: int) -> sp.Expr:
        return sum(left[i, m] * (d[k][l, m] + d[l][k, m] - d[m][k, l]) for m in size) / 2

    def moved(i: int, k: int, l: int, n: int) -> sp.Expr:
        """∂_n Γ^i_kl."""
        derivative = -inverse * slopes[n] * inverse
        return raised(derivative, slopes, i, k, l) + raised(inverse, [row[n] for row in bends], i, k, l)

    gamma = {key: raised(inverse, slopes, *key) for key in product(size, repeat=3)}
    return {
        (i, j, k, l): moved(i, l, j, k)
        - moved(i, k, j, l)
        + sum(gamma[i, k, m] * gamma[m, l, j] - gamma[i, l, m] * gamma[m, k, j] for m in size)
        for i, j, k, l in product(size, repeat=4)
    }


def rational_metric(coordinates: Sequence[sp.Symbol]) -> sp.Matrix:
    a, b, c = coordinates
    return sp.Matrix([[1 + a**2, b / 3, 0], [b / 3, 2 + c**2, 0], [0, 0, 1 / (1 + b**2)]])


def test_curvature_at_a_point_is_the_definition() -> None:
    metric = rational_metric((x, y, z))
    point = [sp.Rational(2, 3), sp.Rational(-1, 2), sp.Rational(3, 4)]
    geometry = ExplicitGeometry(metric, (x, y, z))
    there, everywhere = geometry.curvature_at(point), geometry.curvature()
    here = dict(zip((x, y, z), point, strict=True))
    riemann = plain_riemann(metric, (x, y, z), here)
    for key, expected in riemann.items():
        assert there.riemann.get(key, 0) == expected
        assert sp.sympify(everywhere.riemann.get(key, 0)).subs(here) == expected
    size = range(3)
    ricci = sp.Matrix(3, 3, lambda j, l: sum(riemann[i, j, i, l] for i in size))
    scalar = (metric.subs(here).inv() * ricci).trace()
    assert there.ricci == ricci == everywhere.ricci.subs(here)
    assert there.scalar == scalar == everywhere.scalar.subs(here)
    first, second = sp.Matrix([1, 2, -1]), sp.Matrix([0, 1, 3])
    g = metric.subs(here)
    lowered = sum(
        (g * first)[i] * riemann[i, j, k, l] * second[j] * first[k] * second[l]
        for i, j, k, l in product(size, repeat=4)
    )
    area = (first.T * g * first)[0] * (second.T * g * second)[0] - (first.T * g * second)[0] ** 2
    assert there.sectional(first, second) == lowered / area
    assert everywhere.sectional(first, second).subs(here) == lowered / area


def stereographic_sphere(coordinates: Sequence[sp.Symbol]) -> sp.Matrix:
    return sp.eye(len(coordinates)) * 4 / (1 + sum(symbol**2 for symbol in coordinates)) ** 2


SPACES = {
    "sphere": (stereographic_sphere((x, y, z)), (x, y, z), 1),
    "hyperbolic": (sp.eye(3) / z**2, (x, y, z), -1),
    "polar": (sp.diag(1, x**2), (x, y), 0),
    "root": (sp.diag(1 / sp.sqrt(x), x), (x, y), None),
}


@pytest.mark.parametrize("name", ["sphere", "hyperbolic", "polar"])
def test_spaces_of_constant_curvature(name: str) -> None:
    metric, coordinates, expected = SPACES[name]
    k = len(coordinates)
    geometry = ExplicitGeometry(metric, coordinates)
    first, second = random_point(k, 6), random_point(k, 7)
    for found in (geometry.curvature(), geometry.curvature_at(random_point(k, 8))):
        assert found.sectional(first, second) == expected
        assert found.scalar == k * (k - 1) * expected
        assert (found.ricci - (k - 1) * expected * found.metric).applyfunc(sp.cancel).is_zero_matrix
        assert found.is_flat == (expected == 0)
    assert geometry.quotient_sectional(first, second, random_point(k, 8)) == expected


def test_curvature_with_a_constant_left_open() -> None:
    r = sp.Symbol("r", positive=True)
    sphere = ExplicitGeometry(r**2 * stereographic_sphere((x, y)), (x, y))
    assert sphere.curvature_at((1, 2)).sectional((1, 0), (1, 1)) == r**-2


def test_points_where_roots_are_no_rational_numbers() -> None:
    metric, coordinates, _ = SPACES["root"]
    found = ExplicitGeometry(metric, coordinates).curvature_at((2, 1)).scalar
    gauss = sp.diff(sp.sqrt(x) ** sp.Rational(1, 2) * sp.diff(sp.sqrt(x), x), x) / -sp.sqrt(x) * x ** sp.Rational(1, 4)
    assert abs((found - 2 * gauss.subs(x, 2)).evalf(30)) < 1e-25  # thirty digits


def hopf_field(coordinates: Sequence[sp.Symbol]) -> list[sp.Expr]:
    """The rotation z → iz of S^{2m+1} ⊂ C^{m+1} in stereographic coordinates from the last real axis.

    With p = (2x, |x|² − 1)/(1 + |x|²) and the last complex coordinate p_{N−1} + i p_N: the flow p ↦ Jp, pushed to x.
    """
    r2 = sum(symbol**2 for symbol in coordinates)
    p = [2 * symbol / (1 + r2) for symbol in coordinates] + [(r2 - 1) / (1 + r2)]
    moved = [(-p[i + 1] if i % 2 == 0 else p[i - 1]) for i in range(len(p))]
    last, dot = p[-1], moved[-1]
    return [sp.cancel(moved[i] / (1 - last) + p[i] * dot / (1 - last) ** 2) for i in range(len(coordinates))]


def test_hopf_fibration() -> None:
    coordinates = (x, y, z)
    field = hopf_field(coordinates)
    sphere = ExplicitGeometry(stereographic_sphere(coordinates), coordinates, [field, [2 * part for part in field]])
    for seed in (9, 10):
        point = random_point(3, seed)
        assert sphere.curvature_at(point).sectional((1, 0, 2), (0, 1, 1)) == 1
        assert sphere.quotient_sectional((1, 0, 2), (0, 1, 1), point) == 4


def test_complex_projective_plane() -> None:
    """S⁵ → CP²: 4 on a complex line, 1 on a totally real plane."""
    coordinates = sp.symbols("s:5", real=True)
    sphere = ExplicitGeometry(stereographic_sphere(coordinates), coordinates, [hopf_field(coordinates)])
    # At x = 0 the sphere stands at (0, 0, 0, 0, 0, −1), and e_1, e_2 and e_3, e_4 span the complex lines.
    first, turned, other = (sp.eye(5)[:, i] for i in range(3))
    assert sphere.quotient_sectional(first, turned, [0] * 5) == 4
    assert sphere.quotient_sectional(first, other, [0] * 5) == 1
    assert sphere.quotient_sectional(first, turned + other, [0] * 5) == sp.Rational(5, 2)


def test_cone_of_the_flat_space_over_phases() -> None:
    """R⁴ / U(1) is the cone over S²(½): curvature (4 − 1)/r² across the axis, 0 along it."""
    coordinates = (u, v, x, y)
    cone = ExplicitGeometry(sp.eye(4), coordinates, [(-v, u, -y, x)])
    point = random_point(4, 11)
    r2 = sum(value**2 for value in point)
    a, b, c, d = point
    across = [(-c, d, a, -b), (-d, -c, b, a)]
    assert cone.quotient_sectional(*across, point) == 3 / r2
    assert cone.quotient_sectional(across[0], point, point) == 0


def test_quotient_of_a_product_of_vectors_against_a_slice() -> None:
    """Rank-one 2×2 matrices u vᵀ under both metrics: O'Neill against the quotient metric written down on v_1 = 1."""
    points, velocities = two_factors(2, 2, 1)
    for name in ("invariant", "mixed"):
        form = forms_of(points, velocities)[name]
        if name == "invariant":  # alone its horizontal fields commute with each other vertically
            (G, H), (a, b) = points, velocities
            form += T((a * H.T + G * b.T) * (a * H.T + G * b.T).T)
        metric, coordinates = explicit_metric(form, points, velocities)
        a1, a2, b1, b2 = coordinates
        geometry = ExplicitGeometry(metric, coordinates, [(a1, a2, -b1, -b2)])
        slice_ = {a1: x, a2: y, b1: sp.S.One, b2: z}
        here = dict(zip((x, y, z), random_point(3, 12), strict=True))
        g = metric.subs(slice_)
        tangent = sp.Matrix([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
        field = sp.Matrix([x, y, -1, -z])
        along = g * field
        quotient = tangent.T * (g - along * along.T / (field.T * along)[0]) * tangent
        riemann = plain_riemann(quotient.applyfunc(sp.cancel), (x, y, z), here)
        h = quotient.subs(here)
        first, second = sp.Matrix([1, -1, 2]), sp.Matrix([0, 2, 1])
        numerator = sum(
            (h * first)[i] * riemann[i, j, k, l] * second[j] * first[k] * second[l]
            for i, j, k, l in product(range(3), repeat=4)
        )
        area = (first.T * h * first)[0] * (second.T * h * second)[0] - (first.T * h * second)[0] ** 2
        point = [value.subs(here) for value in slice_.values()]
        found = geometry.quotient_sectional(tangent * first, tangent * second, point)
        assert found == numerator / area != geometry.curvature_at(point).sectional(tangent * first, tangent * second)
        shifted = tangent * first + 5 * field.subs(here)
        assert geometry.quotient_sectional(shifted, tangent * second, point) == found
        # Elsewhere on the same orbit it is the same quotient: u → 3u, v → v/3, and the tangents with it.
        scale = sp.diag(3, 3, sp.Rational(1, 3), sp.Rational(1, 3))
        moved = geometry.quotient_sectional(scale * tangent * first, scale * tangent * second, scale * sp.Matrix(point))
        assert moved == found


def test_one_coordinate_of_a_product() -> None:
    p, q = (sp.MatrixSymbol(name, 1, 1) for name in "uv")
    a, b = (sp.MatrixSymbol(name, 1, 1) for name in ("xi_u", "xi_v"))
    metric, (s, t) = explicit_metric(T((p.T * p).inv() * a.T * a) + T((q.T * q).inv() * b.T * b), [p, q], [a, b])
    geometry = ExplicitGeometry(metric, (s, t), [(s, -t)])
    assert metric == sp.diag(s**-2, t**-2)
    assert dict(geometry.christoffel().items()) == {(0, 0, 0): -1 / s, (1, 1, 1): -1 / t}
    assert geometry.christoffel_at((0.5, 3))[0, 0, 0] == sp.Integer(-2)  # the float is exact
    assert geometry.christoffel_at((2, 3)) == {(0, 0, 0): -sp.Rational(1, 2), (1, 1, 1): -sp.Rational(1, 3)}
    assert geometry.curvature().is_flat
    assert geometry.curvature_at({s: 2, t: 0.5}).is_flat
    assert geometry.horizontal_projection_at((2, 3)) == sp.Matrix([[1, sp.Rational(2, 3)], [sp.Rational(3, 2), 1]]) / 2
    with pytest.raises(MetricError, match="span no plane"):  # the quotient is a line
        geometry.quotient_sectional((1, 0), (0, 1), (2, 3))


def test_dependent_fields_of_two_factors() -> None:
    """Orbits of GL(2) on 3×2 and 3×2: four fields, given with copies; the projection leaves the product's tangent."""
    points, velocities = two_factors(3, 3, 2)
    metric, coordinates = explicit_metric(forms_of(points, velocities)["mixed"], points, velocities)
    G, H = sp.Matrix(3, 2, coordinates[:6]), sp.Matrix(3, 2, coordinates[6:])
    units = [sp.Matrix(2, 2, lambda i, j, n=n: int(2 * i + j == n)) for n in range(4)]
    fields = [[*(-G * unit), *(H * unit.T)] for unit in units]
    doubled = [fields[0], [0] * 12, [p + q for p, q in zip(fields[0], fields[1], strict=True)], *fields]
    point, first, second = random_point(12, 13), random_point(12, 14), random_point(12, 15)
    plain, copies = (ExplicitGeometry(metric, coordinates, given) for given in (fields, doubled))
    projection = copies.horizontal_projection_at(point)
    assert projection == plain.horizontal_projection_at(point)
    assert projection.trace() == 8 == projection.rank()
    jacobian = sp.Matrix([*(G * H.T)]).jacobian(coordinates).xreplace(dict(zip(coordinates, point, strict=True)))
    assert jacobian * projection == jacobian
    assert copies.quotient_sectional(first, second, point) == plain.quotient_sectional(first, second, point)


def test_fields_of_one_direction_need_not_be_isometries_themselves() -> None:
    """u·(rotation) spans the orbits as well: what counts is the metric on horizontal vectors."""
    rotation = [-v, u, sp.S.Zero]
    flat = sp.eye(3)
    plain = ExplicitGeometry(flat, (u, v, w), [[*rotation[:2], 1]])
    scaled = ExplicitGeometry(flat, (u, v, w), [[u * part for part in (*rotation[:2], 1)]])
    # Screw motions of pitch one: R³ / R has the metric dr² + r²/(1 + r²) dφ², of curvature 3/(1 + r²)².
    point = (2, 1, 5)
    for geometry in (plain, scaled):
        assert geometry.quotient_sectional((1, 0, 0), (0, 1, 0), point) == sp.Rational(3, 36)


def test_what_defines_no_quotient_is_refused() -> None:
    with pytest.raises(MetricError, match=r"not invariant along \(u, -v, 0\)"):
        ExplicitGeometry(sp.eye(3), (u, v, w), [(u, -v, 0)]).quotient_sectional((1, 0, 0), (0, 0, 1), (1, 2, 3))
    cone = ExplicitGeometry(sp.eye(3), (u, v, w), [(-v, u, 0)])
    with pytest.raises(DomainError, match=r"dimension 0, others 1.*choose another point"):
        cone.quotient_sectional((1, 0, 0), (0, 1, 0), (0, 0, 1))
    with pytest.raises(MetricError, match="degenerate along the orbit"):
        ExplicitGeometry(sp.diag(1, -1, 1), (u, v, w), [(1, 1, 0)]).horizontal_projection_at((0, 0, 0))
    with pytest.raises(ShapeError, match="a vertical field has 2 components: give 3"):
        ExplicitGeometry(sp.eye(3), (u, v, w), [(1, 2)])
    with pytest.raises(ShapeError, match="a tangent vector has 2 components"):
        cone.quotient_sectional((1, 0), (0, 1, 0), (1, 0, 1))


def test_points_where_there_is_no_answer() -> None:
    geometry = ExplicitGeometry(sp.diag(1 / u, v**2), (u, v))
    for ask in (geometry.christoffel_at, geometry.curvature_at):
        with pytest.raises(MetricError, match=r"singular at u = 1, v = 0: choose another point"):
            ask((1, 0))
        with pytest.raises(DomainError, match="undefined at the point"):
            ask((0, 1))
        with pytest.raises(DomainError, match="no value for v"):
            ask({u: 1})
        with pytest.raises(DomainError, match="3 values: give 2"):
            ask((1, 2, 3))
    with pytest.raises(CalculusError, match="no exact value"):
        ExplicitGeometry(sp.diag(1, sp.sin(u) ** 2), (u, v)).curvature_at((1, 1))
    with pytest.raises(MetricError, match="span no plane"):
        geometry.curvature_at((1, 1)).sectional((1, 2), (2, 4))
    with pytest.raises(MetricError, match="not symmetric"):
        ExplicitGeometry(sp.Matrix([[1, u], [0, 1]]), (u, v))
