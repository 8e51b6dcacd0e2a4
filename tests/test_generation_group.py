"""Generated predictor, action, charges and projections against what a group and a gradient flow must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generation_cases import (
    BINDING,
    CASES,
    DECLARATIONS,
    INVARIANT_CASES,
    PREDICTORS,
    Point,
    close,
    declaration,
    flatten,
    generated,
    module,
    random_algebra,
    random_point,
    random_tangent,
    shapes,
    unflatten,
)
from oracles import mpmath_value
from scipy.integrate import solve_ivp
from torch import Tensor

import symtheory as st
from symtheory import catalog

ROUNDING = 1e-12
"""Float64 against float64: a few dozen roundings of 1.1e-16 of terms that may be ten times the result."""

FLOW = 1e-9
"""Charges along a gradient flow that DOP853 integrates to a relative tolerance of 1e-12."""

names = pytest.mark.parametrize("name", DECLARATIONS)
cases = pytest.mark.parametrize(("name", "metric"), CASES)
invariant_cases = pytest.mark.parametrize(("name", "metric"), INVARIANT_CASES)


@names
def test_predictor_is_the_declared_function(name: str) -> None:
    point = random_point(name, batch=(4,))
    assert close(module(name).predictor(point), PREDICTORS[name](**point), ROUNDING)


@names
def test_act_leaves_the_predictor_and_moves_the_point(name: str) -> None:
    m, point, g = module(name), random_point(name, batch=(3,)), random_algebra(name, 1, (3,))
    moved = m.act(point, g)
    assert close(m.predictor(moved), m.predictor(point), ROUNDING)
    assert (flatten(moved) - flatten(point)).abs().max() > 0.01


@names
def test_act_is_a_group_action(name: str) -> None:
    """The groups of these declarations commute, so that Lie algebra coordinates add up."""
    m, point = module(name), random_point(name)
    g, h = random_algebra(name, 1), random_algebra(name, 2)
    total = {key: g[key] + h[key] for key in g}
    assert close(m.act(m.act(point, g), h), m.act(point, total), ROUNDING)
    assert close(m.act(point, {key: torch.zeros_like(g[key]) for key in g}), point, 0.0)


@names
def test_vertical_is_the_infinitesimal_action(name: str) -> None:
    m, point, algebra = module(name), random_point(name), random_algebra(name, 1)
    zero = {key: torch.zeros_like(value) for key, value in algebra.items()}
    _, tangent = torch.func.jvp(lambda g: m.act(point, g), (zero,), (algebra,))
    assert close(m.vertical(point, algebra), tangent, ROUNDING)


@names
def test_vertical_does_not_move_the_predictor(name: str) -> None:
    m, point = module(name), random_point(name)
    _, change = torch.func.jvp(m.predictor, (point,), (m.vertical(point, random_algebra(name, 1)),))
    assert change.abs().max() < ROUNDING


def _random_loss(name: str) -> tuple[Tensor, Tensor]:
    """Matrix and target of the loss ½ ‖A w − y‖², which mixes all coordinates."""
    generator = torch.Generator().manual_seed(5)
    count = module(name).predictor(random_point(name)).numel()
    a = torch.randn((count + 1, count), generator=generator, dtype=torch.float64) / count
    return a, torch.randn(count + 1, generator=generator, dtype=torch.float64)


@names
def test_charges_stay_constant_under_gradient_flow(name: str) -> None:
    m, start = module(name), random_point(name)
    a, y = _random_loss(name)

    def loss(vector: Tensor) -> Tensor:
        return ((a @ PREDICTORS[name](**unflatten(vector, name)).reshape(-1) - y) ** 2).sum() / 2

    def flow(_: float, x: np.ndarray) -> np.ndarray:
        return -torch.func.grad(loss)(torch.from_numpy(x)).numpy()

    end = torch.from_numpy(
        solve_ivp(flow, (0.0, 1.0), flatten(start).numpy(), "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    )
    assert (end - flatten(start)).abs().max() > 0.01
    assert close(m.conserved(unflatten(end, name)), m.conserved(start), FLOW)


@names
def test_charges_equal_sympy(name: str) -> None:
    point = random_point(name)
    for key, values in module(name).conserved(point).items():
        charge = declaration(name).conserved()[key]
        symbols = {symbol: float(point[symbol.name].reshape(-1)[0]) for symbol in charge.free_symbols}
        assert float(values.reshape(-1)[0]) == pytest.approx(float(mpmath_value(charge, symbols)), rel=ROUNDING)


@names
def test_gauge_correction_is_half_the_logarithm_of_the_volume(name: str) -> None:
    m, point = module(name), random_point(name)

    def charges(vector: Tensor) -> Tensor:
        return flatten(m.conserved(unflatten(vector, name)))

    slopes = torch.autograd.functional.jacobian(charges, flatten(point))
    expected = torch.linalg.slogdet(slopes @ slopes.mT).logabsdet / 2
    assert close(m.gauge_correction(point), expected, ROUNDING)


@invariant_cases
def test_projection_is_a_self_adjoint_projection_along_the_orbit(name: str, metric: str) -> None:
    m, point = module(name, metric), random_point(name)
    xi, zeta = random_tangent(name, 1), random_tangent(name, 2)
    project = m.project_horizontal
    once = project(point, xi)
    assert close(project(point, once), once, ROUNDING)
    left, right = m.inner(point, once, zeta), m.inner(point, xi, project(point, zeta))
    assert close(left, right, ROUNDING)
    vertical = m.vertical(point, random_algebra(name, 3))
    assert flatten(project(point, vertical)).abs().max() < ROUNDING
    assert m.inner(point, once, vertical).abs() < ROUNDING * (1 + m.norm(point, once) * m.norm(point, vertical))
    gone = {key: xi[key] - once[key] for key in xi}
    _, change = torch.func.jvp(m.predictor, (point,), (gone,))
    assert change.abs().max() < ROUNDING * 10


@names
def test_euclidean_metric_has_no_projection_and_says_why(name: str) -> None:
    made = generated(name, "euclidean")
    assert not hasattr(made.load(), "project_horizontal")
    assert "not invariant along the generator" in made.omitted["project_horizontal"]
    assert "hessian_trace: the euclidean metric is not invariant" in made.source


def _pushed_inner(name: str, metric: str) -> tuple[Tensor, Tensor]:
    """<ξ, ζ> at a point, and the same of the tangents and the point moved by a group element."""
    m, point, g = module(name, metric), random_point(name), random_algebra(name, 4)
    xi, zeta = random_tangent(name, 1), random_tangent(name, 2)

    def push(tangent: Point) -> Point:
        return torch.func.jvp(lambda p: m.act(p, g), (point,), (tangent,))[1]

    return m.inner(point, xi, zeta), m.inner(m.act(point, g), push(xi), push(zeta))


@invariant_cases
def test_inner_is_invariant(name: str, metric: str) -> None:
    here, moved = _pushed_inner(name, metric)
    assert close(moved, here, 10 * ROUNDING)


@names
def test_euclidean_inner_is_not_invariant(name: str) -> None:
    here, moved = _pushed_inner(name, "euclidean")
    assert (moved - here).abs() > 1e-3


@cases
def test_all_metrics_share_the_group(name: str, metric: str) -> None:
    point, g = random_point(name), random_algebra(name, 1)
    assert close(module(name, metric).act(point, g), module(name).act(point, g), 0.0)


# Matrix calculus: a change of basis on an inner edge.


def _low_rank() -> tuple[Point, Point]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {"G": draw(5, 4, 2), "H": draw(5, 3, 2)}, {"GL": torch.eye(2, dtype=torch.float64) + 0.3 * draw(5, 2, 2)}


def test_low_rank_predictor_action_and_charges() -> None:
    m = st.generate(catalog.load("low_rank")).load()
    point, g = _low_rank()
    moved = m.act(point, g)
    assert close(m.predictor(point), torch.einsum("bnh,bmh->bnm", point["G"], point["H"]), ROUNDING)
    assert close(moved["G"], point["G"] @ torch.linalg.inv(g["GL"]), ROUNDING)
    assert close(m.predictor(moved), m.predictor(point), ROUNDING)
    gram = torch.einsum("bnh,bnk->bhk", point["G"], point["G"]) - torch.einsum("bmh,bmk->bhk", point["H"], point["H"])
    assert close(m.conserved(point), {"GL": gram}, ROUNDING)


def test_low_rank_action_of_several_elements_on_one_point() -> None:
    """(2, 2, 2) and (2, 2): sizes at which torch.linalg.solve would read the unbatched matrix as vectors."""
    m = st.generate(catalog.load("low_rank")).load()
    generator = torch.Generator().manual_seed(1)
    point = {name: torch.randn(2, 2, generator=generator, dtype=torch.float64) for name in ("G", "H")}
    g = torch.eye(2, dtype=torch.float64) + 0.3 * torch.randn(2, 2, 2, generator=generator, dtype=torch.float64)
    together = m.act(point, {"GL": g})
    for index, element in enumerate(g):
        alone = m.act(point, {"GL": element})
        assert close({name: leaf[index] for name, leaf in together.items()}, alone, ROUNDING)


def test_low_rank_action_composes() -> None:
    m = st.generate(catalog.load("low_rank")).load()
    point, g = _low_rank()
    twice = m.act(m.act(point, g), g)
    assert close(twice, m.act(point, {"GL": g["GL"] @ g["GL"]}), 10 * ROUNDING)


def test_shallow_relu_predictor_action_and_charges() -> None:
    m = st.generate(catalog.load("shallow_relu")).load()
    generator = torch.Generator().manual_seed(0)
    point = {
        "V": torch.randn((6, 2, 3), generator=generator, dtype=torch.float64),
        "W": torch.randn((6, 3, 4), generator=generator, dtype=torch.float64),
    }
    x = torch.randn((6, 4), generator=generator, dtype=torch.float64)
    g = {"rescaling": torch.rand((6, 3), generator=generator, dtype=torch.float64) + 0.5}
    hidden = torch.einsum("bhd,bd->bh", point["W"], x).clamp(min=0)
    assert close(m.predictor(point, x), torch.einsum("bkh,bh->bk", point["V"], hidden), ROUNDING)
    assert close(m.predictor(m.act(point, g), x), m.predictor(point, x), ROUNDING)
    assert (m.act(point, g)["W"] - point["W"]).abs().max() > 0.1
    balance = (point["V"] ** 2).sum(-2) - (point["W"] ** 2).sum(-1)
    assert close(m.conserved(point), {"rescaling": balance}, ROUNDING)


def test_sizes_of_the_cases_are_the_bound_ones() -> None:
    assert shapes("matrices") == {"u": (BINDING["n"], BINDING["m"]), "v": (BINDING["n"], BINDING["m"])}
    assert shapes("scalars") == {"u": (), "v": ()}
