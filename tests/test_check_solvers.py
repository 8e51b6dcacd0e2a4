"""The numerical inverse and the constrained minimisers behind the checks, against slow independent oracles."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from check_problems import wide_regression

from numeric.comparison.mechanisms.constrained_minimum import dual_newton, weighted_basis_pursuit
from numeric.comparison.mechanisms.monotone_inverse import monotone_inverse
from numeric.errors import CheckError
from numeric.row_space import row_space

ROUNDING = 1e-13  # relative; the inverses below lose at most a digit or two of float64


def test_the_inverse_of_sinh_over_twelve_orders_of_magnitude() -> None:
    values = torch.tensor([-1e6, -1.0, -1e-6, 0.0, 1e-6, 3.0, 1e6], dtype=torch.float64)
    assert torch.allclose(monotone_inverse(torch.sinh, values), torch.asinh(values), rtol=ROUNDING, atol=0)


def test_the_inverse_stays_on_the_branch_before_a_pole() -> None:
    values = torch.tensor([-1e8, -5.0, 0.1, 1e3], dtype=torch.float64)
    assert torch.allclose(monotone_inverse(torch.tan, values), torch.atan(values), rtol=ROUNDING, atol=0)


def test_a_value_that_is_not_attained_is_nan() -> None:
    found = monotone_inverse(torch.tanh, torch.tensor([0.5, 1.5], dtype=torch.float64))
    assert float(found[0]) == pytest.approx(math.atanh(0.5), rel=ROUNDING)
    assert torch.isnan(found[1])


def test_a_falling_function_has_no_inverse_here() -> None:
    assert torch.isnan(monotone_inverse(lambda t: -t, torch.tensor([0.5, -2.0], dtype=torch.float64))).all()


def test_basis_pursuit_finds_the_best_vertex() -> None:
    x, y = wide_regression(3, 7, seed=0).values()
    weights = torch.linspace(0.5, 2.0, 7, dtype=torch.float64)
    best = math.inf
    for support in combinations(range(7), 3):  # the optimum of a linear program is at a vertex
        w = torch.linalg.solve(x[:, support], y)
        best = min(best, float((weights[list(support)] * w.abs()).sum()))
    found = weighted_basis_pursuit(x, y, weights)
    assert torch.allclose(x @ found, y, atol=1e-9)  # the tolerance of HiGHS is 1e-7, and it does better
    assert float((weights * found.abs()).sum()) == pytest.approx(best, rel=1e-9)


def test_basis_pursuit_without_a_solution_is_an_error() -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    with pytest.raises(CheckError, match="no solution"):
        weighted_basis_pursuit(x, torch.tensor([0.0, 1.0], dtype=torch.float64), torch.ones(3, dtype=torch.float64))


def test_the_dual_problem_of_a_quadratic_gives_the_weighted_least_norm() -> None:
    x, y = wide_regression(3, 7, seed=0).values()
    rows, target = row_space(x, y)
    weights = torch.linspace(0.5, 2.0, 7, dtype=torch.float64)
    found, residual = dual_newton(
        lambda tau: tau / weights, lambda tau: 1 / weights, rows, target, torch.zeros_like(target)
    )
    scaled = x / weights.sqrt()
    expected = (torch.linalg.pinv(scaled) @ y) / weights.sqrt()
    assert residual < ROUNDING
    assert torch.allclose(found, expected, rtol=1e-11, atol=0)


def test_the_dual_problem_of_a_power_satisfies_its_optimality_conditions() -> None:
    x, y = wide_regression(3, 7, seed=0).values()
    rows, target = row_space(x, y)
    found, residual = dual_newton(lambda tau: tau**3, lambda tau: 3 * tau**2 + 1e-12, rows, target, target.clone())
    slope = found.sign() * found.abs() ** (1 / 3)
    outside = slope - torch.linalg.pinv(x) @ (x @ slope)
    assert residual < 1e-9  # SOLVED in constrained_minimum
    assert torch.linalg.vector_norm(outside) < 1e-7 * torch.linalg.vector_norm(slope)


def test_the_row_space_has_the_solutions_of_the_regression() -> None:
    x, y = wide_regression(3, 7, seed=0).values()
    twice = torch.cat([x, x[:1]])
    rows, target = row_space(twice, torch.cat([y, y[:1]]))
    assert rows.shape == (3, 7)
    assert torch.allclose(rows @ rows.mT, torch.eye(3, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(x @ (rows.mT @ target), y, atol=1e-13)
