"""Metrics beyond the three of a group: trace forms of one's own, sums, relaxed ones, Gauss–Newton and Fisher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor

import symtheory as st
from symtheory import catalog
from symtheory.errors import CalculusError, MetricError, SingularMetricError
from symtheory.geometry import GaussNewton, MatrixGeometry

ROUNDING = 1e-9
"""Some hundred float64 operations through inverses of Gram matrices of condition up to some thousands."""

n, m, h = st.dims("n m h")
G, H, dG, dH = (sp.MatrixSymbol(name, rows, h) for name, rows in (("G", n), ("H", m), ("dG", n), ("dH", m)))
VELOCITIES = {"G": dG, "H": dH}
PUBLISHED = st.TraceMetric(
    sp.Trace((G.T * G) ** -1 * dG.T * dG) + sp.Trace((H.T * H) ** -1 * dH.T * dH), VELOCITIES, "published"
)
NOT_INVARIANT = st.TraceMetric(
    sp.Trace(dG.T * dG) / sp.Trace(G.T * G)
    + sp.Trace(dH.T * dH) * sp.Trace(G.T * G)
    + sp.Trace((sp.Identity(h) + H.T * H) * dH.T * dH),
    VELOCITIES,
    "not_invariant",
)
DIAGONAL = st.TraceMetric(
    sp.Trace(sp.DiagonalMatrix(G.T * G) ** -1 * dG.T * dG) + sp.Trace(sp.DiagonalMatrix(H.T * H) * dH.T * dH),
    VELOCITIES,
    "diagonal",
)
SUM = st.WeightedSum([(1, "invariant"), (0.5, "mixed")])
RELAXED = st.Relaxed("invariant", 1e-4)
FAMILIES = [PUBLISHED, NOT_INVARIANT, DIAGONAL, SUM, RELAXED]
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def low_rank() -> Any:
    return catalog.load("low_rank")


def arrays(seed: int, *batch: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"G": (5, 3), "H": (4, 3)}
    return {k: torch.randn(*batch, *s, generator=generator, dtype=torch.float64) for k, s in shapes.items()}


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    scale = max(1.0, *(float(value.abs().max()) for value in b.values()))
    return max(float((a[key] - b[key]).abs().max()) for key in b) / scale


def test_the_published_metric_as_a_trace_form_is_the_invariant_one() -> None:
    own, known = low_rank().geometry(PUBLISHED), low_rank().geometry("invariant")
    assert isinstance(own, MatrixGeometry)
    assert own.metric == known.metric
    assert own.is_invariant()
    assert own.christoffel_form() == known.christoffel_form()


@pytest.mark.parametrize(("family", "invariant"), [(PUBLISHED, True), (NOT_INVARIANT, False), (DIAGONAL, False)])
def test_invariance_is_found_out(family: st.TraceMetric, invariant: bool) -> None:
    assert low_rank().geometry(family).is_invariant() is invariant


def test_a_sum_of_invariant_metrics_is_invariant_and_a_relaxed_one_is_not() -> None:
    assert low_rank().geometry(SUM).is_invariant()
    assert not low_rank().geometry(RELAXED).is_invariant()
    assert not low_rank().geometry(st.WeightedSum([(1, "invariant"), (1, "euclidean")])).is_invariant()


@families
def test_generated_connection_is_that_of_the_metric(family: Any) -> None:
    """𝒢Γ = D_ξ𝒢 ξ − ½ ∇⟨ξ, ξ⟩ by automatic differentiation, and sharp undoes flat."""
    module = st.generate(low_rank(), metric=family).load()
    point, xi = arrays(0), arrays(1)
    half_slope = torch.func.grad(lambda at: module.inner(at, xi, xi) / 2)(point)
    along = torch.func.jvp(lambda at: module.flat(at, xi), (point,), (xi,))[1]
    first_kind = {key: along[key] - half_slope[key] for key in point}
    assert difference(module.flat(point, module.christoffel_form(point, xi)), first_kind) < ROUNDING
    assert difference(module.sharp(point, module.flat(point, xi)), xi) < ROUNDING


@pytest.mark.parametrize("family", [PUBLISHED, SUM, RELAXED], ids=lambda family: family.name)
def test_projection_kills_vertical_tangents_and_is_self_adjoint(family: Any) -> None:
    module = st.generate(low_rank(), metric=family).load()
    point, xi, zeta = (arrays(seed) for seed in range(3))
    a = torch.randn(3, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    gone = module.project_horizontal(point, module.vertical(point, {"GL": a}))
    assert max(float(value.abs().max()) for value in gone.values()) < ROUNDING
    left = module.inner(point, module.project_horizontal(point, xi), zeta)
    right = module.inner(point, xi, module.project_horizontal(point, zeta))
    assert abs(float(left - right)) < ROUNDING * float(module.norm(point, xi) * module.norm(point, zeta))


def test_a_sum_that_needs_a_sylvester_equation_has_a_connection_in_code_alone() -> None:
    chain = catalog.load("deep_linear").bind(d=4, h1=3, h2=3, k=5)
    geometry = chain.geometry(SUM)
    with pytest.raises(CalculusError, match="a sum of 2 products has no inverse as a product"):
        geometry.christoffel_form()
    module = st.generate(chain, metric=SUM).load()
    generator = torch.Generator().manual_seed(0)
    point, xi = (
        {
            key: torch.randn([int(s) for s in shape], generator=generator, dtype=torch.float64)
            for key, shape in chain.parameters.items()
        }
        for _ in range(2)
    )
    half_slope = torch.func.grad(lambda at: module.inner(at, xi, xi) / 2)(point)
    along = torch.func.jvp(lambda at: module.flat(at, xi), (point,), (xi,))[1]
    first_kind = {key: along[key] - half_slope[key] for key in point}
    assert difference(module.flat(point, module.christoffel_form(point, xi)), first_kind) < ROUNDING


def test_a_relaxed_metric_is_defined_where_a_factor_has_lost_rank() -> None:
    module = st.generate(low_rank(), metric=RELAXED).load()
    exact = st.generate(low_rank(), metric="invariant").load()
    point, xi = arrays(0), arrays(1)
    point["G"][:, 2] = point["G"][:, 1]
    with pytest.raises(ValueError, match=r"^gram_G = Gᵀ G has eigenvalues from .* outside the domain of the invariant"):
        exact.check_domain(point)
    module.check_domain(point)
    assert all(bool(value.isfinite().all()) for value in module.christoffel_form(point, xi).values())
    assert module.relaxation_effect(point)["gram_G = Gᵀ G"] > 1e6


def test_relaxation_changes_lengths_by_no_more_than_it_says() -> None:
    module, exact = (st.generate(low_rank(), metric=metric).load() for metric in (RELAXED, "invariant"))
    point, xi = arrays(0), arrays(1)
    bound = max(float(value) for value in module.relaxation_effect(point).values())
    ratio = float(exact.inner(point, xi, xi) / module.inner(point, xi, xi))
    assert 1 < ratio <= 1 + bound
    assert bound < 1e-2


def test_a_relaxed_metric_has_sizes_at_which_the_exact_one_is_singular() -> None:
    bound = low_rank().bind(n=2, m=4, h=3)
    with pytest.raises(SingularMetricError, match=r"G\.T\*G is 3×3 and has rank 2 at most; choose sizes"):
        bound.geometry("invariant")
    assert bound.geometry(RELAXED).metric.has(sp.Trace)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (sp.Trace(dG.T * dG), "is zero on 'H'"),
        (sp.Trace(dG.T * dG) + sp.Trace(dH.T * dH) + sp.Trace(dG.T * G * dH.T * H), "couples 'G' with dH"),
        (sp.Trace(sp.MatrixSymbol("Q", h, h) * dG.T * dG) + sp.Trace(dH.T * dH), "'Q' in the metric 'bad' is no param"),
        (
            sp.Trace(sp.MatrixSymbol("G", h, h) * dG.T * dG) + sp.Trace(dH.T * dH),
            "another shape than the parameter, n×h",
        ),
        (sp.Trace(G.T * dG) + sp.Trace(dH.T * dH), "cannot be read"),
        (sp.Trace(dG.T * G * dG.T * G) + sp.Trace(dH.T * dH), "not a sum of Tr"),
    ],
)
def test_a_form_that_is_no_metric_is_refused(form: sp.Expr, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        low_rank().geometry(st.TraceMetric(form, VELOCITIES, "bad"))


def test_a_form_without_a_velocity_is_refused() -> None:
    with pytest.raises(MetricError, match="has no velocity for H"):
        low_rank().geometry(st.TraceMetric(sp.Trace(dG.T * dG), {"G": dG}))


def test_other_families_are_refused_where_they_do_not_fit() -> None:
    product = catalog.load("hadamard")
    with pytest.raises(MetricError, match="is a trace form, and the graph acts on coordinates"):
        product.geometry(PUBLISHED)
    with pytest.raises(MetricError, match="a relaxation is meant for Gram matrices"):
        product.geometry(RELAXED)
    with pytest.raises(MetricError, match="the weight -1 is not positive"):
        st.WeightedSum([(-1, "mixed")])
    with pytest.raises(MetricError, match="a weighted sum needs at least one metric"):
        st.WeightedSum([])
    with pytest.raises(MetricError, match="the relaxation 0 is not positive"):
        st.Relaxed("mixed", 0)
    with pytest.raises(MetricError, match="the loss 'hinge' has no Gauss-Newton metric"):
        st.GaussNewton("hinge")


def test_a_weighted_sum_on_coordinates_is_the_sum_of_matrices() -> None:
    product = catalog.load("hadamard")
    u, v = product.geometry("mixed").coordinates
    assert product.geometry(SUM).metric == sp.Matrix([[1 / u**2 + v**2 / 2, 0], [0, 1 / v**2 + u**2 / 2]]).applyfunc(
        sp.factor
    )


# Metrics pulled back from the predictor's values

LOSSES = {
    "squared": lambda f: (f**2 / 2).sum(),
    "logistic": lambda f: torch.nn.functional.softplus(f).sum(),
    "poisson": lambda f: f.exp().sum(),
    "softmax": lambda f: f.logsumexp(-1),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("family", [st.GaussNewton, st.Fisher])
def test_gauss_newton_is_the_jacobian_around_the_hessian_of_the_loss(family: Any, loss: str) -> None:
    module = st.generate(catalog.load("shallow_relu"), metric=family(loss)).load()
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    point, xi, zeta = ({"V": draw(3, 4), "W": draw(4, 5)} for _ in range(3))
    x = draw(7, 5)
    jacobian = torch.func.jacrev(lambda at: module.predictor(at, x))(point)
    hessian = torch.func.vmap(torch.func.hessian(LOSSES[loss]))(module.predictor(point, x))
    pushed = [sum((jacobian[k] * t[k]).flatten(2).sum(-1) for k in point) for t in (xi, zeta)]
    expected = torch.einsum("si,sij,sj->s", pushed[0], hessian, pushed[1]).mean()
    found = module.inner(point, xi, zeta, x)
    assert torch.allclose(found, expected, rtol=1e-12)
    covector = module.flat(point, xi, x)
    assert torch.allclose(sum((covector[k] * zeta[k]).sum() for k in point), expected, rtol=1e-12)
    assert torch.allclose(module.norm(point, xi, x) ** 2, module.inner(point, xi, xi, x), rtol=1e-12)
    vertical = module.vertical(point, {"rescaling": draw(4)})
    assert abs(float(module.inner(point, vertical, zeta, x))) < 1e-12 * float(module.norm(point, zeta, x) + 1)
    batch = {key: torch.stack([value, 2 * value]) for key, value in point.items()}
    doubled = {key: torch.stack([value, value]) for key, value in xi.items()}
    both = module.inner(batch, doubled, doubled, x)
    assert torch.allclose(both[0], module.inner(point, xi, xi, x), rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
def test_gauss_newton_on_coordinates(loss: str) -> None:
    product = catalog.load("hadamard")
    matrix = product.geometry(GaussNewton(loss)).metric
    u, v = product.geometry("mixed").coordinates
    phi = torch.tensor(0.6, dtype=torch.float64)
    curvature = float(torch.func.hessian(LOSSES[loss])(phi))
    expected = curvature * np.array([[4.0, 0.6], [0.6, 0.09]])
    assert np.allclose(np.array(matrix.subs({u: sp.Rational(3, 10), v: 2}), dtype=float), expected, rtol=1e-12)


def test_the_pullback_of_a_product_of_matrices_is_a_trace_form() -> None:
    geometry = low_rank().geometry("pullback")
    sizes = {n: 3, m: 4, h: 2}
    rng = np.random.default_rng(0)
    names = ("G", "H", "xi_G", "xi_H", "zeta_G", "zeta_H")
    values = {name: rng.standard_normal((3 if name.endswith("G") else 4, 2)) for name in names}
    first = values["xi_G"] @ values["H"].T + values["G"] @ values["xi_H"].T
    second = values["zeta_G"] @ values["H"].T + values["G"] @ values["zeta_H"].T
    bound = geometry.metric.subs(sizes)
    matrices = {symbol: sp.Matrix(values[symbol.name]) for symbol in bound.atoms(sp.MatrixSymbol)}
    assert abs(float(bound.subs(matrices).doit()) - float((first * second).sum())) < 1e-10


def test_a_metric_that_is_zero_along_orbits_has_no_connection() -> None:
    network = catalog.load("shallow_relu")
    geometry = network.geometry(st.Fisher("softmax"))
    assert geometry.is_invariant()
    for ask in (geometry.christoffel_form, geometry.geodesic, lambda: geometry.horizontal_projection):
        with pytest.raises(MetricError, match="is zero along orbits, so it has no connection"):
            ask()
    with pytest.raises(CalculusError, match="is no trace form of the parameters"):
        _ = geometry.metric
    with pytest.raises(CalculusError):
        _ = network.geometry("pullback").metric
    made = st.generate(network, metric=st.Fisher("softmax"))
    assert {"project_horizontal", "christoffel_form", "sharp", "check_domain"} <= set(made.omitted)
    with pytest.raises(MetricError, match="takes several values"):
        catalog.load("hadamard").geometry(st.Fisher("softmax"))


# Explicit components, and graphs that have no geometry of matrices


def test_explicit_components_are_those_of_the_matrices() -> None:
    bound = low_rank().bind(n=2, m=2, h=1)
    geometry = low_rank().geometry("invariant")
    explicit = bound.geometry("invariant").explicit()
    point = [sp.Rational(value, 3) for value in (1, 2, 4, 5)]
    xi = [sp.Rational(value, 2) for value in (3, -1, 2, 7)]
    values = dict(zip(explicit.coordinates, point, strict=True))
    form = [value.subs(values) for value in explicit.christoffel().form(xi)]
    matrices = {"G": point[:2], "H": point[2:], "xi_G": xi[:2], "xi_H": xi[2:]}
    expected: list[sp.Expr] = []
    for value in geometry.christoffel_form().values():
        at = value.subs({n: 2, m: 2, h: 1})
        known = {symbol: sp.Matrix(2, 1, matrices[symbol.name]) for symbol in at.atoms(sp.MatrixSymbol)}
        expected += list(sp.Matrix(at.subs(known).doit()))
    assert form == expected


def test_explicit_components_know_the_orbits() -> None:
    """K(X, Y) of the quotient is that of the total space plus O'Neill's term, and blind to vertical parts."""
    geometry = low_rank().bind(n=2, m=2, h=1).geometry("mixed").explicit()
    point, x, y = (1, 2, 3, -1), (1, 0, 2, 1), (0, 1, 1, -2)
    curvature = geometry.quotient_sectional(x, y, point)
    vertical = (-1, -2, 3, -1)
    moved = tuple(a + 5 * b for a, b in zip(x, vertical, strict=True))
    assert curvature == geometry.quotient_sectional(moved, y, point)


def test_explicit_components_need_sizes_and_one_copy() -> None:
    with pytest.raises(MetricError, match=r"need sizes in numbers: bind\(h=…, m=…, n=…\) first"):
        low_rank().geometry("mixed").explicit()
    heads = catalog.load("grouped_query_attention").bind(n=2, d=4, groups=2, r=1, h=2)
    with pytest.raises(MetricError, match="'Wq' has a matrix for every copy"):
        heads.geometry("mixed").explicit()


def test_copies_in_another_order_or_not_at_all_are_refused() -> None:
    """Residual stream with heads: rotations of the stream move all heads alike, changes of basis each by itself."""
    X, E, U = st.input("X", 3, 4), st.param("E", 4, 3), st.param("U", 3, 4)
    Wq, Wk, Wv = (st.param(name, 2, 3, 2) for name in ("Wq", "Wk", "Wv"))
    Wo = st.param("Wo", 2, 2, 3)
    s = X @ E
    s = s + (st.softmax((s @ Wq) @ (s @ Wk).T) @ (s @ Wv) @ Wo).sum(axis=0)
    stream = st.Parametrization(s @ U, name="stream")
    with pytest.raises(CalculusError, match="some factors move 'Wq' copy by copy and others all copies alike"):
        stream.geometry("mixed")


def test_two_axes_of_copies_in_different_order_are_matched() -> None:
    a, b, rows, width, size = 2, 3, 4, 5, 2
    X = st.input("X", rows, width)
    Wq, Wk = st.param("Wq", a, b, width, size), st.param("Wk", b, a, width, size)
    scores = (X @ Wq) @ (X @ Wk).transpose(1, 0, 2, 3).T
    crossed = st.Parametrization(scores, name="crossed")
    module = st.generate(crossed, metric="invariant").load()
    rng = np.random.default_rng(0)
    point, xi = (
        {key: torch.tensor(rng.standard_normal([int(s) for s in shape])) for key, shape in crossed.parameters.items()}
        for _ in range(2)
    )
    g = {name: torch.tensor(value) for name, value in crossed.symmetries().sample(rng, condition=4.0).items()}
    there, pushed = torch.func.jvp(lambda at: module.act(at, g), (point,), (xi,))
    assert torch.allclose(module.inner(there, pushed, pushed), module.inner(point, xi, xi), rtol=1e-10)
    assert (
        difference(
            module.project_horizontal(there, pushed),
            torch.func.jvp(lambda at: module.act(at, g), (point,), (module.project_horizontal(point, xi),))[1],
        )
        < ROUNDING
    )
