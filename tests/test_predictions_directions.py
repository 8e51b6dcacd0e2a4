"""The normal form of several critical directions: against a generic loss, its exact identities, its limiting law."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from torch import Tensor

from symtheory.catalog.curved_valley import curved_valley
from symtheory.predictions.critical_directions import (
    BENDING,
    DRIFT_NOISE,
    MIXED,
    NOISE,
    OUTSIDE_NOISE,
    SPREAD,
    Directions,
    directions_map,
    normal_conditions,
    oscillation_identity,
    sharpening_left,
    weighted_gap,
)
from symtheory.predictions.edge_gap import MIXED as MIXED_OF_ONE
from symtheory.predictions.edge_gap import SPREAD as SPREAD_OF_ONE
from symtheory.predictions.edge_gap import exact_gap
from symtheory.predictions.normal_form import NOISE as DEVIATION
from symtheory.predictions.normal_form import SHARPENING, STABILIZATION, XI, X, Y, normal_form
from symtheory.predictions.stationary_second_moments import CURVATURE, MOMENTUM
from symtheory.predictions.symbols import ETA

SEED = 31337


@pytest.fixture(scope="module")
def made() -> object:
    return curved_valley.predictions()["sharpness_gap"].load()


def test_one_direction_is_the_normal_form_derived_for_it() -> None:
    one = Directions(1)
    known = {
        one.positions[0]: X,
        one.distances[0]: Y,
        one.drives[0]: SHARPENING,
        one.gram[0, 0]: STABILIZATION,
        one.noise_root[0, 0]: DEVIATION,
        one.noise[0]: XI,
    }
    without = {symbol: normal_form().update[symbol].subs(MOMENTUM, 0) for symbol in (X, Y)}
    for found, wanted in zip(directions_map(1).update.values(), without.values(), strict=True):
        assert sp.expand(found.subs(known) - wanted) == 0
    # tr(ΓX) with X = 2α/β, |Yx|² = x²y² and ⟨x² − X, β(x² − X)⟩ = β Var x².
    known = {NOISE: DEVIATION**2, MIXED: MIXED_OF_ONE, SPREAD: STABILIZATION * SPREAD_OF_ONE, DRIFT_NOISE: 0}
    weighted = weighted_gap().subs(known, simultaneous=True)
    assert sp.expand(weighted * STABILIZATION / (2 * SHARPENING) - exact_gap().subs(MOMENTUM, 0)) == 0


@pytest.mark.parametrize("size", [1, 2])
def test_the_generated_step_is_the_derived_one(made: object, size: int) -> None:
    generator, symbols = torch.Generator().manual_seed(SEED), Directions(size)
    step, pairs = directions_map(size), symbols.pairs

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    bends = drawn(size, size, 5)
    bends = bends + bends.transpose(0, 1)
    root, normal, x = drawn(size, size).tril(), drawn(size), drawn(size)
    y, alpha = (part + part.mT for part in drawn(2, size, size))
    beta = torch.einsum("ijd,kld->ijkl", bends, bends)
    values: dict[sp.Symbol, float] = dict(zip(symbols.positions, x.tolist(), strict=True))
    values |= dict(zip(symbols.noise, normal.tolist(), strict=True))
    for name, matrix in ((symbols.distances, y), (symbols.drives, alpha)):
        values |= {symbol: float(matrix[i - 1, j - 1]) for symbol, (i, j) in zip(name, pairs, strict=True)}
    for a, (i, j) in enumerate(pairs):
        values |= {symbols.gram[a, b]: float(beta[i - 1, j - 1, k - 1, m - 1]) for b, (k, m) in enumerate(pairs)}
    values |= {symbols.noise_root[i, j]: float(root[i, j]) for i in range(size) for j in range(i + 1)}
    found = made.sharpness_gap_directions_step(  # type: ignore[attr-defined]
        x.expand(3, size), y.expand(3, size, size), (root @ normal).expand(3, size), alpha, beta, 0.1
    )
    for symbol, i in zip(symbols.positions, range(size), strict=True):
        assert float(step.update[symbol].subs({**values, ETA: 0.1})) == pytest.approx(float(found["x"][2, i]))
    for symbol, (i, j) in zip(symbols.distances, pairs, strict=True):
        wanted = float(step.update[symbol].subs({**values, ETA: 0.1}))
        assert wanted == pytest.approx(float(found["y"][1, i - 1, j - 1]))
        assert wanted == pytest.approx(float(found["y"][1, j - 1, i - 1]))


def test_two_steps_on_a_generic_loss_of_two_directions() -> None:
    """Coefficients of order one everywhere; averaged over x ↦ −x, two steps agree with the form to the next order."""
    eta, generator = 0.3, torch.Generator().manual_seed(SEED)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    bends, pull = drawn(3, 2, 2), drawn(3)
    bends = bends + bends.mT
    cubic, mixed, curved, bowed, quartic = drawn(2, 2, 2), drawn(2, 3, 3), drawn(3, 3), drawn(3, 3, 3), drawn(5)
    alpha, beta = torch.einsum("a,aij->ij", pull, bends), torch.einsum("aij,akl->ijkl", bends, bends)
    x0, s0 = drawn(2), drawn(3)

    def changes(epsilon: float) -> tuple[Tensor, Tensor]:
        def loss(x: Tensor, s: Tensor) -> Tensor:
            hessian = 2 / eta * torch.eye(2, dtype=torch.float64) + torch.einsum("a,aij->ij", s, bends)
            both = torch.cat([x, s])
            return (
                x @ hessian @ x / 2
                - epsilon**2 * (pull @ s)
                + torch.einsum("ijk,i,j,k->", cubic, x, x, x)
                + torch.einsum("iab,i,a,b->", mixed, x, s, s)
                + epsilon**2 * (s @ curved @ s)
                + epsilon * torch.einsum("abc,a,b,c->", bowed, s, s, s)
                + (quartic @ both) ** 4
            )

        found = []
        for sign in (1.0, -1.0):
            x, s = sign * epsilon * x0, epsilon * s0
            for _ in range(2):
                x, s = x.requires_grad_(), s.requires_grad_()
                slopes = torch.autograd.grad(loss(x, s), (x, s))
                x, s = (x - eta * slopes[0]).detach(), (s - eta * slopes[1]).detach()
            y = torch.einsum("a,aij->ij", s - epsilon * s0, bends)
            found.append(torch.cat([sign * x - epsilon * x0, y.flatten()]) / epsilon**2)
        y = torch.einsum("a,aij->ij", s0, bends)
        bent = alpha - torch.einsum("ijkl,k,l->ij", beta, x0, x0) / 2
        return torch.stack(found).mean(0), 2 * eta * torch.cat([y @ x0, bent.flatten()])

    errors = [float((a - b).abs().max()) for a, b in map(changes, (1e-3, 1e-4))]
    assert errors[0] < 0.5
    assert errors[1] < errors[0] / 8


def stationary(made: object, gram: Tensor, *, replicas: int, steps: int) -> dict[str, Tensor]:
    """Time averages (R, …) of the form with X = diag(1, 0.25), C = diag(9, 16), η = 0.02, and its coefficients."""
    generator = torch.Generator().manual_seed(SEED)
    pairs = torch.tensor([[0, 1], [1, 2]])
    beta = gram[pairs][:, :, pairs]
    wanted = torch.diag(torch.tensor([1.0, 0.25], dtype=torch.float64))
    alpha = torch.einsum("ijkl,kl->ij", beta, wanted) / 2
    x = torch.randn(replicas, 2, generator=generator, dtype=torch.float64)
    y = torch.zeros(replicas, 2, 2, dtype=torch.float64)
    scale = torch.tensor([3.0, 4.0], dtype=torch.float64)
    sums = {name: torch.zeros(1, dtype=torch.float64) for name in ("y", "xx", "mixed", "spread", "bare")}
    for k in range(steps):
        if k >= steps // 4:
            square = x.unsqueeze(2) * x.unsqueeze(1)
            excess, moved = square - wanted, (y @ x.unsqueeze(2)).squeeze(2)
            spread = torch.einsum("rij,ijkl,rkl->r", excess, beta, excess)
            for name, value in (("y", y), ("xx", square), ("mixed", moved.square().sum(1)), ("spread", spread)):
                sums[name] = sums[name] + value / (steps - steps // 4)
            sums["bare"] = sums["bare"] - (y @ square + square @ y + 0.02 * moved.unsqueeze(2) * moved.unsqueeze(1)) / (
                steps - steps // 4
            )
        draw = scale * torch.randn(replicas, 2, generator=generator, dtype=torch.float64)
        after = made.sharpness_gap_directions_step(x, y, draw, alpha, beta, 0.02)  # type: ignore[attr-defined]
        x, y = after["x"], after["y"]
    return {**sums, "X": wanted, "C": torch.diag(scale**2)}


CORRELATED = torch.tensor([[4.0, 0.5, 3.0], [0.5, 3.0, 0.4], [3.0, 0.4, 5.0]], dtype=torch.float64)


def test_identities_and_what_the_leading_order_needs(made: object) -> None:
    """n = 200 replicas, 8000 steps, |z| < 4: the identities hold for any β, ΓX + XΓ = ηC only where it commutes."""
    deviations = {}
    for name, gram in (("correlated", CORRELATED), ("orthogonal", torch.diag(CORRELATED.diagonal()))):
        found = stationary(made, gram, replicas=200, steps=8000)

        def score(values: Tensor, wanted: float) -> float:
            return (float(values.mean()) - wanted) / (float(values.std()) / len(values) ** 0.5)

        weighted = -torch.einsum("rij,ij->r", found["y"], found["X"])
        exact = made.sharpness_gap_directions_identity(  # type: ignore[attr-defined]
            found["C"].trace(), found["mixed"], found["spread"], torch.tensor(0.0), 0.02
        )
        assert abs(score(weighted - exact, 0.0)) < 4
        assert abs(score(weighted - exact + 0.02 * found["spread"] / 4, 0.0)) > 8
        for i, j in ((0, 0), (0, 1), (1, 1)):
            assert abs(score(found["bare"][:, i, j], 0.02 * float(found["C"][i, j]))) < 4
        gap = made.sharpness_gap_matrix(found["X"], found["C"], 0.02, 0.0)  # type: ignore[attr-defined]
        deviations[name] = float((-found["y"].mean(0) - gap).abs().max() / gap.abs().max())
    assert deviations["orthogonal"] < 0.2
    assert deviations["correlated"] > 0.6


def test_the_limiting_law_is_normal_where_the_bends_are_orthogonal() -> None:
    """A normal density solves the Fokker–Planck equation for orthogonal ∇S_ij; the conditions name no other case but
    equal variances."""
    symbols = Directions(2)
    pairs = range(3)
    orthogonal = {symbols.gram[a, b]: 0 for a in pairs for b in pairs if a != b}
    assert all(condition.subs(orthogonal) == 0 for condition in normal_conditions())
    alike = {symbols.amplitudes[2]: symbols.amplitudes[0]}
    assert all(condition.subs(alike) == 0 for condition in normal_conditions())
    assert len(set(normal_conditions())) == 3
    x, z = sp.Matrix(symbols.positions), sp.Matrix(symbols.displacements)
    v, w = symbols.amplitudes[0], symbols.amplitudes[2]
    heat = sp.symbols("D_1 D_2", positive=True)
    gram = sp.diag(*symbols.gram.diagonal())
    y = symbols.matrix(gram * symbols.multiplicity * z)
    rates = (2 / v, 1 / v + 1 / w, 2 / w)
    precision = sp.diag(*(rates[a] * gram[a, a] * symbols.multiplicity[a, a] ** 2 for a in pairs))
    means = [-heat[0] / (2 * v) / gram[0, 0], 0, -heat[1] / (2 * w) / gram[2, 2]]
    away = z - sp.Matrix(means)
    log_density = -(x.T * sp.diag(1 / v, 1 / w) * x)[0] / 2 - (away.T * precision * away)[0] / 2
    drift = dict(zip(x, y * x, strict=True))
    amplitudes = (v, 0, w)
    drift |= {s: (a - q) / 2 for s, a, q in zip(z, amplitudes, symbols.squares, strict=True)}
    flux = sum(sp.diff(f, s) + f * sp.diff(log_density, s) for s, f in drift.items())
    spread = sum(
        d / 2 * (sp.diff(log_density, s, 2) + sp.diff(log_density, s) ** 2) for d, s in zip(heat, x, strict=True)
    )
    assert sp.simplify(sp.expand(flux - spread)) == 0


def test_the_identity_says_that_a_step_keeps_the_covariance() -> None:
    """For symmetric Y and P in numbers, C is what (I + ηY)P(I + ηY) + η²C = P makes of it, and nothing else."""
    identity = oscillation_identity()
    given = {symbol.name: symbol for symbol in identity.free_symbols}
    eta, y, p = sp.Rational(1, 5), sp.ImmutableMatrix([[-2, 1], [1, -3]]), sp.ImmutableMatrix([[5, 2], [2, 4]])
    kept = sp.eye(2) + eta * y
    for factor in (1, 2):
        noise = sp.ImmutableMatrix(factor * (p - kept * p * kept) / eta**2)
        values = {given["Y"]: y, given["P"]: p, given["C"]: noise, ETA: eta}
        left, right = (side.xreplace(values).doit() for side in identity.args)
        assert (left == right) is (factor == 1)


def test_a_direction_outside_takes_its_part_of_the_sharpening() -> None:
    """SGD on ½(S_c + 3s)x² + ½(30 + 4s)w² − s/2 with noise: E x² = 2α/β for the α that is left, not for all of it.

    n = 200, 6000 steps, within 5 %; the pull takes a third of α.
    """
    eta, edge, curvature, sigma, chi, alpha, beta = 0.02, 100.0, 30.0, 13.0, 12.0, 1.5, 9.0
    known = {ETA: eta, CURVATURE: curvature, OUTSIDE_NOISE: sigma, BENDING: chi, SHARPENING: alpha}
    left = float(sharpening_left().subs(known))
    assert 0.6 < left / alpha < 0.75
    generator = torch.Generator().manual_seed(SEED)
    x, w, s = (torch.zeros(200, dtype=torch.float64) for _ in range(3))
    s = s - 1.0
    total = torch.zeros(200, dtype=torch.float64)
    for k in range(6000):
        xi, zeta = torch.randn(2, 200, generator=generator, dtype=torch.float64)
        slopes = (edge + 3 * s) * x + 4 * xi, (curvature + 4 * s) * w + sigma * zeta, 1.5 * x**2 + 2 * w**2 - 0.5
        x, w, s = (value - eta * slope for value, slope in zip((x, w, s), slopes, strict=True))
        total += x**2 / 4500 if k >= 1500 else 0
    assert float(total.mean()) == pytest.approx(2 * left / beta, rel=0.05)
    assert float(total.mean()) != pytest.approx(2 * alpha / beta, rel=0.3)
