"""Laws of a product of two matrices under label noise, against automatic differentiation and dense linear algebra."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import sympy as sp
import torch
from matrix_products import SPELLINGS, after_step, factors, product
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

import symtheory as st
from symtheory.errors import DerivationError
from symtheory.predictions.predictions import Predictions

ONE, JOINT = "stationary_density", "joint_stationary_density"
T = 0.3
"""ησ²."""

SHAPES = [(3, 3, 2), (4, 2, 1), (2, 3, 4), (3, 4, 2)]


def functions(mechanism: str, n: int, m: int, h: int, spelling: str = "G @ H.T") -> ModuleType:
    return product(spelling, n, m, h).predictions()[mechanism].load()


def drawn(spelling: str, n: int, m: int, h: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = product(spelling, n, m, h).parameters
    return {
        name: torch.randn(*map(int, shape), generator=generator, dtype=torch.float64) for name, shape in shapes.items()
    }


def target_of(n: int, m: int, rank: int) -> Tensor:
    """(n, m) with the singular values 1.6, …, 0.7."""
    generator = torch.Generator().manual_seed(5)
    left, right = (
        torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))[0] for size in (n, m)
    )
    return ((left * torch.linspace(1.6, 0.7, rank, dtype=torch.float64)) @ right.mT).contiguous()


def settled(mechanism: str, n: int, m: int, h: int) -> tuple[Tensor, Tensor, Tensor]:
    """The target, and the factors of the point over it that the noise leaves alone."""
    y = target_of(n, m, min(n, m, h))
    empty = {"G": torch.zeros(n, h), "H": torch.zeros(m, h)}
    point = getattr(functions(mechanism, n, m, h), f"{mechanism}_gauge")(y, empty)
    return y, *factors("G @ H.T", point)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("sizes", [(3, 4, 2), (3, 3, 1)])
def test_drift_pull_and_charge_are_the_moments_of_one_step(spelling: str, sizes: tuple[int, int, int]) -> None:
    """A step is quadratic in its noise, so that unit vectors give its mean exactly: f(0) + ½ Σ f(e) + f(−e) − 2f(0)."""
    n, m, _ = sizes
    module, point, eta = functions(JOINT, *sizes, spelling), drawn(spelling, *sizes), 1e-6
    first, second = factors(spelling, point)
    w, y, sigma = first @ second, target_of(n, m, 2), (T / eta) ** 0.5

    def change(noise: Tensor) -> tuple[Tensor, Tensor]:
        moved = after_step(first, second, w - y - sigma * noise, eta)
        charge = moved[0].mT @ moved[0] - moved[1] @ moved[1].mT
        return (moved[0] @ moved[1] - w) / eta, (charge - (first.mT @ first - second @ second.mT)) / eta

    units = torch.eye(n * m, dtype=torch.float64).reshape(-1, n, m)
    still, up, down = (change(noise) for noise in (torch.zeros_like(w), units, -units))
    mean, charge = (s + (u + d - 2 * s).sum(0) / 2 for s, u, d in zip(still, up, down, strict=True))
    derived = module.joint_stationary_density_drift(point, y, eta, sigma)
    torch.testing.assert_close(mean, derived, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(charge, T * module.joint_stationary_density_charge_drift(point), rtol=1e-4, atol=1e-4)
    spread = (up[0] - down[0]) / (2 * sigma)
    torch.testing.assert_close(spread, module.joint_stationary_density_pull(point, units), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", SHAPES)
def test_the_gauge_is_a_point_over_w_that_noise_leaves_alone(sizes: tuple[int, int, int]) -> None:
    module = functions(JOINT, *sizes)
    y, first, second = settled(JOINT, *sizes)
    torch.testing.assert_close(first @ second, y)
    drift = module.joint_stationary_density_charge_drift({"G": first, "H": second.mT})
    torch.testing.assert_close(drift, torch.zeros_like(drift))


@pytest.mark.parametrize("sizes", [(6, 6, 2), (4, 4, 1)])
def test_singular_values_drift_as_second_derivatives_say(sizes: tuple[int, int, int]) -> None:
    """The mean change of s by noise N is ½ tr of the Hessian of s(W(θ + JᵀN)) at N = 0, times η²σ²."""
    n, m, h = sizes
    module = functions(ONE, *sizes)
    _, first, second = settled(ONE, *sizes)

    def singular_values(noise: Tensor) -> Tensor:
        moved = after_step(first, second, noise.reshape(n, m))
        return torch.linalg.svdvals(moved[0] @ moved[1])[:h]

    origin = torch.zeros(n * m, dtype=torch.float64)
    # Forward over reverse differentiates svdvals twice where values beyond the rank are equal; tiny noise parts them.
    origin = origin + 1e-9 * torch.randn(n * m, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = 1e-3
    units = step * torch.eye(n * m, dtype=torch.float64)
    bent = sum(singular_values(u) + singular_values(-u) - 2 * singular_values(0 * u) for u in units) / step**2
    s = singular_values(0 * origin)
    own, other = s[:, None].expand(h, h), s[None, :].expand(h, h)
    apart = ~torch.eye(h, dtype=torch.bool)
    repulsion = torch.where(apart, module.stationary_density_repulsion(own, other, n, m), 0.0).nan_to_num().sum(-1)
    derived = module.stationary_density_single(s, n, m, h) + repulsion
    torch.testing.assert_close(bent / 2, derived, rtol=1e-5, atol=1e-5)
    slopes = torch.stack([(singular_values(u) - singular_values(-u)) / (2 * step) for u in units])
    torch.testing.assert_close(
        slopes.T @ slopes, torch.diag(module.stationary_density_restoring(s, n, m) ** 2), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("n", "h"), [(6, 2), (9, 3), (4, 1)])
def test_the_law_of_singular_values_carries_no_flux(n: int, h: int) -> None:
    module, eta = functions(ONE, n, n, h), 0.01
    s = torch.linspace(0.4, 1.7, h, dtype=torch.float64)
    sigma = (T / eta) ** 0.5
    slope = torch.func.grad(lambda v: module.stationary_density(v, eta, sigma, n))(s)
    own, other = s[:, None].expand(h, h), s[None, :].expand(h, h)
    repulsion = torch.where(own == other, 0.0, module.stationary_density_repulsion(own, other, n, n)).sum(-1)
    drift = T * (module.stationary_density_single(s, n, n, h) + repulsion)
    drift = drift - module.stationary_density_restoring(s, n, n) * s

    def diffusion(v: Tensor) -> Tensor:
        return T * module.stationary_density_restoring(v, n, n) ** 2

    bend = torch.func.grad(lambda v: diffusion(v).sum())(s)
    torch.testing.assert_close(slope, (2 * drift - bend) / diffusion(s))


def test_the_law_of_the_nuclear_norm_is_that_of_the_joint_law() -> None:
    law = product("G @ H.T", 7, 7, 2).predictions()[ONE]
    module, settings = law.load(), (0.01, (T / 0.01) ** 0.5, 7)

    radii, radial = (torch.as_tensor(part) for part in np.polynomial.laguerre.laggauss(30))
    shares, angular = (torch.as_tensor(part) for part in np.polynomial.legendre.leggauss(60))
    # s₁ = ru and s₂ = r(1 − u) with u < ½: the density is a power of r, e^(−r/T), and smooth in between.
    r, u = T * radii[:, None], (1 + shares) / 4
    s = torch.stack([r * u, r * (1 - u)], dim=-1)
    weight = (radii.exp() * radial)[:, None] * angular * r * module.stationary_density(s, *settings).exp()
    mass, first = weight.sum(), (r * weight).sum()
    mean = law.relations[1].rhs
    known = {"eta": 0.01, "sigma": settings[1]}
    number = float(mean.subs({symbol: known[symbol.name] for symbol in mean.free_symbols}))
    assert float(first / mass) == pytest.approx(number, rel=1e-9)
    assert number == pytest.approx(4 * T)  # Gamma of shape h(n − h − 1)/2 and scale ησ²


def kernel_of(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """K = JJᵀ, (nm, nm), its eigenvalues that are not zero, and their eigenvectors as columns."""
    n, m = first.shape[0], second.shape[1]
    units = torch.eye(n * m, dtype=torch.float64).reshape(-1, n, m)
    kernel = (units @ second.mT @ second + first @ first.mT @ units).reshape(n * m, n * m)
    values, vectors = torch.linalg.eigh(kernel)
    live = values > 1e-9 * values[-1]
    return kernel, values[live], vectors[:, live]


@pytest.mark.parametrize("sizes", SHAPES)
def test_variances_solve_the_lyapunov_equation(sizes: tuple[int, int, int]) -> None:
    n, m, _ = sizes
    module, eta, sigma = functions(JOINT, *sizes), 0.2, 0.1
    y, first, second = settled(JOINT, *sizes)
    kernel, _, basis = kernel_of(first, second)
    inner = basis.mT @ kernel @ basis
    kept = torch.eye(len(inner), dtype=torch.float64) - eta * inner
    solution = solve_discrete_lyapunov(kept.numpy(), (eta**2 * inner @ inner).numpy())
    covariance = basis @ torch.as_tensor(solution) @ basis.mT
    left, _, right = torch.linalg.svd(y)
    frame = torch.kron(left.mT.contiguous(), right.contiguous())  # vec is row by row: U'WV = (U' ⊗ V') vec W
    rotated = sigma**2 * frame @ covariance @ frame.mT
    variance = module.joint_stationary_density_frame_variance(y, eta, sigma)
    torch.testing.assert_close(rotated.diagonal().reshape(n, m), variance, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(rotated, torch.diag(variance.reshape(-1)), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sizes", SHAPES)
def test_the_mean_balances_second_derivatives_of_the_drift(sizes: tuple[int, int, int]) -> None:
    """θ = θ₀ + JᵀX + d: L[J d] is the mean second-order change of the drift, and E W − Y is J d and that of W.

    X has the covariance K⁻¹ Σ K⁻¹ of small steps, Σ = TK/2.
    """
    n, m, _ = sizes
    module, eta = functions(JOINT, *sizes), 1e-3
    sigma = (T / eta) ** 0.5
    y, first, second = settled(JOINT, *sizes)
    kernel, curvatures, vectors = kernel_of(first, second)
    spread = vectors * (T / (2 * curvatures)).sqrt()

    def moved(x: Tensor) -> tuple[Tensor, Tensor]:
        return after_step(first, second, -x.reshape(n, m))

    def drift(x: Tensor) -> Tensor:
        left, right = moved(x)
        residual = left @ right - y
        return -(residual @ right.mT @ right + left @ left.mT @ residual).flatten()

    def predictor(x: Tensor) -> Tensor:
        left, right = moved(x)
        return (left @ right).flatten()

    origin = torch.zeros(n * m, dtype=torch.float64)
    bent, curved = (
        torch.einsum("kab,ac,bc->k", torch.func.jacrev(torch.func.jacrev(f))(origin), spread, spread) / 2
        for f in (drift, predictor)
    )
    change = torch.linalg.pinv(kernel, rtol=1e-9) @ (bent + T * y.flatten()) + curved
    derived = (module.joint_stationary_density_mean(y, eta, sigma) - y).flatten()
    on_manifold = vectors @ vectors.mT  # beyond it the mean is second order in the fluctuations, too
    torch.testing.assert_close(on_manifold @ change, derived, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("sizes", SHAPES)
def test_singular_values_around_a_target_by_second_derivatives(sizes: tuple[int, int, int]) -> None:
    n, m, h = sizes
    module, eta = functions(JOINT, *sizes), 1e-3
    sigma = (T / eta) ** 0.5
    y, first, second = settled(JOINT, *sizes)
    _, curvatures, vectors = kernel_of(first, second)
    rank = min(n, m, h)
    step, total = 1e-3, torch.zeros(rank, dtype=torch.float64)
    for curvature, vector in zip(curvatures, vectors.T, strict=True):
        x = step * vector.reshape(n, m) / curvature
        values = []
        for sign in (1, -1):
            left, right = after_step(first, second, -sign * x)
            # Along the orbit of θ₀ + JᵀX the product itself moves to second order: that is in the mean of W.
            values.append(torch.linalg.svdvals(left @ right)[:rank])
        plain = after_step(first, second, -x)
        second_order = plain[0] @ plain[1] - y - step * vector.reshape(n, m)
        u, s, vh = torch.linalg.svd(y, full_matrices=False)
        along = (u.mT @ second_order @ vh.mT).diagonal()[:rank]
        total += T * curvature / 2 * ((values[0] + values[1] - 2 * s[:rank]) / 2 - along) / step**2
    u, s, vh = torch.linalg.svd(y, full_matrices=False)
    shift = (u.mT @ (module.joint_stationary_density_mean(y, eta, sigma) - y) @ vh.mT).diagonal()[:rank]
    derived = module.joint_stationary_density_singular_values(y, eta, sigma)
    torch.testing.assert_close(derived[:rank], s[:rank] + shift + total, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(derived[rank:], torch.zeros(min(n, m) - rank, dtype=torch.float64))


def laws_of(spelling: str, n: int, m: int, h: int) -> Predictions:
    return product(spelling, n, m, h).predictions()


def test_the_closed_law_is_refused_with_its_reason() -> None:
    with pytest.raises(DerivationError, match="3×4: the noise moves the charge"):
        laws_of("G @ H.T", 3, 4, 1)[ONE]
    with pytest.raises(DerivationError, match="takes the smallest singular value to 0"):
        laws_of("G @ H.T", 4, 4, 2)[ONE]
    assert ONE in laws_of("G @ H.T", 5, 5, 2)


def test_spelling_does_not_matter_and_other_products_are_left_alone() -> None:
    laws = [laws_of(spelling, 5, 5, 2) for spelling in SPELLINGS]
    for mechanism, relation in ((ONE, 0), (ONE, 1), (JOINT, 0), (JOINT, 1)):
        assert len({str(found[mechanism].relations[relation]) for found in laws}) == 1
    n, k = st.dims("n k")
    chain = st.Parametrization(st.param("A", n, k) @ st.param("B", k, k) @ st.param("C", k, n), name="chain")
    tied = st.Parametrization(st.param("A", n, k) @ st.param("A", n, k).T, name="tied")
    for graph in (chain, tied):
        assert {ONE, JOINT} <= set(graph.predictions().not_applicable)


def test_symbolic_sizes_state_what_numbers_give() -> None:
    n, m, h = st.dims("n m h")
    general = st.Parametrization(st.param("G", n, h) @ st.param("H", m, h).T, name="general").predictions()
    bound = laws_of("G @ H.T", 6, 6, 2)
    for mechanism, relation in ((ONE, 1), (ONE, 2), (JOINT, 0)):
        found = general[mechanism].relations[relation].rhs.subs({n: 6, m: 6, h: 2}).doit()
        assert sp.simplify(found - bound[mechanism].relations[relation].rhs.doit()) == 0
    assert "-h + n/2 > 0" in str(general[ONE])
    swapped = st.Parametrization(st.param("G", m, h) @ st.param("H", n, h).T, name="swapped").predictions()
    assert "m*H.T*H + (-n)*G.T*G = 0" in str(swapped[JOINT])
