"""Hand-written torch for the geometry of G Hᵀ: what the generated functions are measured against.

G is (heads, n, h), H is (heads, m, h), tangents alike; the action is (G A⁻¹, H Aᵀ). With P = GᵀG and Q = HᵀH

    invariant   ⟨ξ, ζ⟩ = Tr(P⁻¹ ξ_Gᵀζ_G + Q⁻¹ ξ_Hᵀζ_H)
    mixed       ⟨ξ, ζ⟩ = Tr(Q ξ_Gᵀζ_G + P ξ_Hᵀζ_H)

A Christoffel form takes three small products for each factor, XᵀX, Xᵀξ and ξᵀξ, two solves with XᵀX, and two tall
products. `VARIANTS` combines ways to do each; `BEST` holds the fastest of them on one CPU thread.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_sylvester
from torch import Tensor, baddbmm, bmm

Tangent = dict[str, Tensor]
Form = Callable[[Tangent, Tangent], Tangent]
Products = tuple[Tensor, Tensor, Tensor]

HEADS, ROWS, RANK = 12, 768, 64
METRICS = ("invariant", "mixed")
OTHER = {"G": "H", "H": "G"}


def sample(
    dtype: torch.dtype = torch.float32, *, heads: int = HEADS, rows: int = ROWS, rank: int = RANK
) -> tuple[Tangent, Tangent]:
    """A point and a tangent with standard normal entries."""
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(heads, rows, rank, generator=generator, dtype=dtype) for _ in range(4)]
    return {"G": draws[0], "H": draws[1]}, {"G": draws[2], "H": draws[3]}


# The three small products XᵀX, Xᵀξ, ξᵀξ.


def separate(x: Tensor, xi: Tensor) -> Products:
    """Three products."""
    return bmm(x.mT, x), bmm(x.mT, xi), bmm(xi.mT, xi)


def joined(x: Tensor, xi: Tensor) -> Products:
    """One product of [X ξ] with itself."""
    rank, both = x.shape[-1], torch.cat([x, xi], -1)
    product = bmm(both.mT, both)
    return product[..., :rank, :rank], product[..., :rank, rank:], product[..., rank:, rank:]


def half_joined(x: Tensor, xi: Tensor) -> Products:
    """Xᵀ[X ξ] in one product, ξᵀξ apart."""
    product = bmm(x.mT, torch.cat([x, xi], -1))
    first, second = product.chunk(2, -1)
    return first, second, bmm(xi.mT, xi)


def lower_gram(x: Tensor) -> Tensor:
    """XᵀX with its upper right quarter left out: a Cholesky factorization does not read it."""
    half = x.shape[-1] // 2
    gram = x.new_zeros(x.shape[0], x.shape[-1], x.shape[-1])
    gram[..., :half] = bmm(x.mT, x[..., :half])
    gram[..., half:, half:] = bmm(x[..., half:].mT, x[..., half:])
    return gram


def full_gram(x: Tensor) -> Tensor:
    """XᵀX from three quarters of the multiplications."""
    half, gram = x.shape[-1] // 2, lower_gram(x)
    gram[..., :half, half:] = gram[..., half:, :half].mT
    return gram


def symmetric(x: Tensor, xi: Tensor) -> Products:
    """Three products, those that are symmetric from three quarters of their multiplications."""
    return lower_gram(x), bmm(x.mT, xi), full_gram(xi)


# Solves with a positive definite matrix: (matrix, right-hand sides) to solutions.


def cholesky_inverse(matrix: Tensor) -> Tensor:
    """The inverse from a Cholesky factor; reads the lower triangle alone."""
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(matrix)[0])


def triangular_inverse(matrix: Tensor) -> Tensor:
    """The inverse as L⁻ᵀL⁻¹ with matrix = LLᵀ."""
    one = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root = torch.linalg.solve_triangular(torch.linalg.cholesky_ex(matrix)[0], one, upper=False)
    return bmm(root.mT, root)


def by_inverse(invert: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """Multiply by the inverse."""

    def solve(matrix: Tensor, *sides: Tensor) -> tuple[Tensor, ...]:
        inverse = invert(matrix)
        return tuple(bmm(inverse, side) for side in sides)

    return solve


def by_solve(solver: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """Solve for all right-hand sides at once."""

    def solve(matrix: Tensor, *sides: Tensor) -> tuple[Tensor, ...]:
        return solver(matrix, torch.cat(sides, -1)).chunk(len(sides), -1)

    return solve


SOLVES = {
    "cholesky_inverse": by_inverse(cholesky_inverse),
    "triangular_inverse": by_inverse(triangular_inverse),
    "inv": by_inverse(torch.linalg.inv),
    "cholesky_solve": by_solve(lambda matrix, side: torch.cholesky_solve(side, torch.linalg.cholesky_ex(matrix)[0])),
    "solve": by_solve(torch.linalg.solve),
}


# The tall sum X A + Y B.


def accumulated(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """The second product added in place to the first."""
    return bmm(x, a).baddbmm_(y, b)


def added(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """Two products and a sum, with the operator @."""
    return x @ a + y @ b


def copied(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """The second product added to the first, out of place."""
    return baddbmm(bmm(x, a), y, b)


def concatenated(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """One product [X Y] [A; B]."""
    return bmm(torch.cat([x, y], -1), torch.cat([a, b], -2))


def christoffel(metric: str, products: Callable = separate, solve: str = "cholesky_inverse", tall=accumulated) -> Form:
    """Γ(ξ, ξ) of a metric, put together from one way to do each part."""

    def form(point: Tangent, xi: Tangent) -> Tangent:
        a, b = coefficients(metric, products, SOLVES[solve], point, xi)
        return {key: tall(point[key], a[key], xi[key], b[key]) for key in point}

    return form


def coefficients(
    metric: str, products: Callable, solve: Callable, point: Tangent, xi: Tangent
) -> tuple[Tangent, Tangent]:
    """The small matrices a, b with Γ(ξ, ξ) = X a + ξ b for each factor X."""
    a, b = {}, {}
    for key in point:
        gram, cross, square = products(point[key], xi[key])
        bent, turned = solve(gram, square, cross + cross.mT)
        if metric == "invariant":
            a[key], b[key] = bent, turned.neg_()
        else:
            a[OTHER[key]], b[OTHER[key]] = bent.neg_().mT, turned.mT
    return a, b


VARIANTS: dict[str, dict[str, object]] = {
    "symmetric products": {"products": symmetric},
    "separate products": {},
    "symmetric products, L⁻ᵀL⁻¹": {"products": symmetric, "solve": "triangular_inverse"},
    "[X ξ] joined, one product": {"products": joined},
    "Xᵀ[X ξ] joined": {"products": half_joined},
    "separate products, L⁻ᵀL⁻¹": {"solve": "triangular_inverse"},
    "linalg.inv": {"solve": "inv"},
    "cholesky_solve": {"solve": "cholesky_solve"},
    "linalg.solve": {"solve": "solve"},
    "tall: baddbmm out of place": {"tall": copied},
    "tall: two products, then +": {"tall": added},
    "tall: [X ξ] joined": {"tall": concatenated},
}


# torch.func.jvp is wrong through cholesky_inverse (pytorch #196682) and cholesky_solve (#196694); torch 2.13 has both.
DIFFERENTIABLE = "those with right forward derivatives"


def differentiable(metric: str) -> Form:
    """The fastest version that torch.func may differentiate in every mode."""
    return christoffel(metric, **VARIANTS["symmetric products, L⁻ᵀL⁻¹"])


def naive(metric: str) -> Form:
    """Γ(ξ, ξ) as the formula is written, from left to right, with linalg.inv."""

    def form(point: Tangent, xi: Tangent) -> Tangent:
        result = {}
        for key, x in point.items():
            v, y, w = xi[key], point[OTHER[key]], xi[OTHER[key]]
            if metric == "invariant":
                s = torch.linalg.inv(x.mT @ x)
                result[key] = -v @ s @ (v.mT @ x + x.mT @ v) + x @ s @ v.mT @ v
            else:
                result[key] = (v @ (w.mT @ y + y.mT @ w) - x @ w.mT @ w) @ torch.linalg.inv(y.mT @ y)
        return result

    return form


def inner(
    metric: str, invert: Callable[[Tensor], Tensor] = cholesky_inverse
) -> Callable[[Tangent, Tangent, Tangent], Tensor]:
    """⟨ξ, ζ⟩ from small products alone, shape (heads,)."""

    def product(point: Tangent, xi: Tangent, zeta: Tangent) -> Tensor:
        total = 0
        for key, x in point.items():
            other = key if metric == "invariant" else OTHER[key]
            weight = invert(bmm(x.mT, x)) if metric == "invariant" else bmm(x.mT, x)
            total = total + (weight * bmm(xi[other].mT, zeta[other])).sum((-2, -1))
        return total

    return product


def geodesic(metric: str) -> Callable[..., Tangent]:
    """X + tξ − t²/2 Γ(ξ, ξ), the sum folded into the small matrices."""

    def curve(point: Tangent, xi: Tangent, t: float = 1.0) -> Tangent:
        a, b = coefficients(metric, symmetric, SOLVES["cholesky_inverse"], point, xi)
        for key in point:
            a[key] = a[key] * (-t * t / 2)
            b[key] = b[key] * (-t * t / 2)
            a[key].diagonal(dim1=-2, dim2=-1).add_(1.0)
            b[key].diagonal(dim1=-2, dim2=-1).add_(t)
        return {key: accumulated(point[key], a[key], xi[key], b[key]) for key in point}

    return curve


# Automatic differentiation: Γ = g⁻¹ (D_θ(∂E/∂ξ)[ξ] − ∂E/∂θ) with E = ½⟨ξ, ξ⟩.


def energy(metric: str) -> Callable[[Tangent, Tangent], Tensor]:
    """½⟨ξ, ξ⟩, summed over the heads; linalg.inv has the cheapest derivatives."""
    product = inner(metric, torch.linalg.inv)
    return lambda point, xi: product(point, xi, xi).sum() / 2


def lowered(metric: str) -> Form:
    """g Γ(ξ, ξ): a forward pass over a reverse pass, and a reverse pass; faster than both gradients in one."""
    by_point, by_tangent = (torch.func.grad(energy(metric), argnums=index) for index in (0, 1))

    def form(point: Tangent, xi: Tangent) -> Tangent:
        _, change = torch.func.jvp(lambda moving: by_tangent(moving, xi), (point,), (xi,))
        pull = by_point(point, xi)
        return {key: change[key] - pull[key] for key in point}

    return form


def autodiff(metric: str) -> Form:
    """Automatic differentiation, then the closed-form inverse of the metric."""
    lower = lowered(metric)

    def form(point: Tangent, xi: Tangent) -> Tangent:
        covector = lower(point, xi)
        if metric == "invariant":
            return {key: bmm(covector[key], bmm(x.mT, x)) for key, x in point.items()}
        return {OTHER[key]: bmm(covector[OTHER[key]], cholesky_inverse(bmm(x.mT, x))) for key, x in point.items()}

    return form


def autodiff_cg(metric: str, *, keep_graph: bool = False, tolerance: float = 1e-6, most: int = 200) -> Form:
    """Automatic differentiation, then conjugate gradients on g, each head on its own.

    A product with g is a gradient of the energy. With `keep_graph`, the graph of one gradient is kept and a product is
    a reverse pass through it, so that inverses are computed once.
    """
    lower = lowered(metric)
    gradient = torch.func.grad(energy(metric), argnums=1)

    def form(point: Tangent, xi: Tangent) -> Tangent:
        covector = lower(point, xi)
        if not keep_graph:
            return conjugate_gradients(lambda v: gradient(point, v), covector, tolerance, most)
        _, pull = torch.func.vjp(lambda v: gradient(point, v), xi)
        return conjugate_gradients(lambda v: pull(v)[0], covector, tolerance, most)

    return form


def dot(a: Tangent, b: Tangent) -> Tensor:
    """Euclidean product of every head, shape (heads, 1, 1)."""
    return sum((a[key] * b[key]).sum((-2, -1), keepdim=True) for key in a)


def conjugate_gradients(apply: Callable[[Tangent], Tangent], covector: Tangent, tolerance: float, most: int) -> Tangent:
    """The tangent with g·tangent = covector, to a relative residual of `tolerance` in every head."""
    residual = direction = covector
    solution = {key: torch.zeros_like(value) for key, value in covector.items()}
    size = dot(residual, residual)
    target = size * tolerance**2
    for _ in range(most):
        image = apply(direction)
        step = size / dot(direction, image)
        solution = {key: torch.addcmul(solution[key], step, direction[key]) for key in solution}
        residual = {key: torch.addcmul(residual[key], -step, image[key]) for key in residual}
        before, size = size, dot(residual, residual)
        if bool((size <= target).all()):
            return solution
        direction = {key: torch.addcmul(residual[key], size / before, direction[key]) for key in residual}
    raise RuntimeError(f"conjugate gradients did not reach {tolerance:g} in {most} iterations")


# Horizontal projection ξ ↦ (ξ_G + G Λ, ξ_H − H Λᵀ).


def moved(point: Tangent, xi: Tangent, algebra: Tensor, dtype: torch.dtype) -> Tangent:
    """ξ plus the vertical tangent of Λ, computed in `dtype`, in the dtype of ξ."""
    algebra = algebra.to(dtype)
    result = {
        "G": baddbmm(xi["G"].to(dtype), point["G"].to(dtype), algebra),
        "H": baddbmm(xi["H"].to(dtype), point["H"].to(dtype), algebra.mT, alpha=-1),
    }
    return {key: value.to(xi[key].dtype) for key, value in result.items()}


def project_mixed(point: Tangent, xi: Tangent) -> Tangent:
    """Mixed metric: Λ = ½(ξ_HᵀH Q⁻¹ − P⁻¹ Gᵀξ_G)."""
    g, h = point["G"], point["H"]
    left = bmm(cholesky_inverse(lower_gram(g)), bmm(g.mT, xi["G"]))
    right = bmm(bmm(xi["H"].mT, h), cholesky_inverse(lower_gram(h)))
    return moved(point, xi, (right - left) / 2, g.dtype)


def sylvester_terms(point: Tangent, xi: Tangent, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """P, Q, N = Hᵀξ_H and M = ξ_GᵀG of A Λᵀ + Λᵀ A = P N − M Q with A = P Q (invariant metric)."""
    g, h = point["G"].to(dtype), point["H"].to(dtype)
    return bmm(g.mT, g), bmm(h.mT, h), bmm(h.mT, xi["H"].to(dtype)), bmm(xi["G"].to(dtype).mT, g)


def solve_by_eigh(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """One symmetric eigendecomposition: Q = CCᵀ, CᵀPC = V D Vᵀ, W = CV, T = C⁻ᵀV, so that A = T D Wᵀ and WᵀT = 1.

    Λᵀ = T Y Wᵀ with (d_i + d_j) Y_ij = d_i (TᵀNT)_ij − (WᵀMW)_ij.
    """
    c = torch.linalg.cholesky_ex(q)[0]
    d, v = torch.linalg.eigh(bmm(bmm(c.mT, p), c))
    w, t = bmm(c, v), torch.linalg.solve_triangular(c.mT, v, upper=True)
    rows = d[..., :, None]
    y = (rows * bmm(bmm(t.mT, n), t)).sub_(bmm(bmm(w.mT, m), w)).div_(rows + d[..., None, :])
    return bmm(bmm(w, y.mT), t.mT)


def solve_by_svd(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """As by `eigh`, from the singular values of LᵀC with P = LLᵀ: the condition number is not squared once more."""
    c, l = torch.linalg.cholesky_ex(q)[0], torch.linalg.cholesky_ex(p)[0]
    _, s, vt = torch.linalg.svd(bmm(l.mT, c))
    v = vt.mT
    w, t = bmm(c, v), torch.linalg.solve_triangular(c.mT, v, upper=True)
    rows = (s * s)[..., :, None]
    y = (rows * bmm(bmm(t.mT, n), t)).sub_(bmm(bmm(w.mT, m), w)).div_(rows + rows.mT)
    return bmm(bmm(w, y.mT), t.mT)


def equation(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of A Λᵀ + Λᵀ A = B."""
    return bmm(p, q), bmm(p, n).baddbmm_(m, q, alpha=-1)


def solve_by_eig(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """The generic eigendecomposition A = V D V⁻¹, complex."""
    a, b = equation(p, q, n, m)
    d, v = torch.linalg.eig(a)
    y = torch.linalg.solve(v, bmm(b.to(v.dtype), v)) / (d[..., :, None] + d[..., None, :])
    return torch.linalg.solve(v, bmm(v, y), left=False).real.mT


def solve_by_schur(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """A loop over scipy.linalg.solve_sylvester (Bartels–Stewart)."""
    pairs = zip(*(term.numpy() for term in equation(p, q, n, m)), strict=True)
    return torch.from_numpy(np.stack([solve_sylvester(a, a, b).T for a, b in pairs]))


def solve_by_kronecker(p: Tensor, q: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """The h² × h² system (A ⊗ 1 + 1 ⊗ Aᵀ) vec Λᵀ = vec B."""
    (a, b), rank = equation(p, q, n, m), p.shape[-1]
    one = torch.eye(rank, dtype=a.dtype)
    system = a[:, :, None, :, None] * one[:, None, :] + one[:, None, :, None] * a.mT[:, None, :, None, :]
    solution = torch.linalg.solve(system.reshape(-1, rank**2, rank**2), b.reshape(-1, rank**2, 1))
    return solution.reshape(b.shape).mT


def projection(solver: Callable[..., Tensor], solved: torch.dtype, applied: torch.dtype | None = None) -> Form:
    """Invariant metric: products and equation in one dtype; Λ applied in another, that of ξ unless said."""

    def project(point: Tangent, xi: Tangent) -> Tangent:
        algebra = solver(*sylvester_terms(point, xi, solved))
        return moved(point, xi, algebra, applied or xi["G"].dtype)

    return project


SINGLE, DOUBLE = torch.float32, torch.float64
EIGENDECOMPOSITION, SCHUR = "eigh, float64", "scipy Schur loop, float64"
PROJECTIONS: dict[str, Form] = {
    "eigh, float64, Λ applied in float64": projection(solve_by_eigh, DOUBLE, DOUBLE),
    EIGENDECOMPOSITION: projection(solve_by_eigh, DOUBLE),
    "eigh, float32": projection(solve_by_eigh, SINGLE),
    "svd, float64, Λ applied in float64": projection(solve_by_svd, DOUBLE, DOUBLE),
    "svd, float64": projection(solve_by_svd, DOUBLE),
    "svd, float32": projection(solve_by_svd, SINGLE),
    "eig, float64": projection(solve_by_eig, DOUBLE),
    SCHUR: projection(solve_by_schur, DOUBLE, DOUBLE),
    "scipy Schur loop, float32": projection(solve_by_schur, SINGLE),
}

BEST_VARIANT = "symmetric products"
BEST: dict[str, dict[str, Callable]] = {
    metric: {
        "christoffel_form": christoffel(metric, **VARIANTS[BEST_VARIANT]),
        "inner": inner(metric),
        "geodesic": geodesic(metric),
    }
    for metric in METRICS
}
BEST["mixed"]["project_horizontal"] = project_mixed
BEST["invariant"]["project_horizontal"] = PROJECTIONS[EIGENDECOMPOSITION]


# Accuracy of the projection on ill-conditioned factors.


def ill_conditioned(condition: float = 1e4) -> tuple[Tangent, Tangent]:
    """One head in float32 whose G and H have singular values from 1 to 1/condition, and a standard normal tangent."""
    generator = torch.Generator().manual_seed(1)
    point, xi = {}, {}
    for key in ("G", "H"):
        tall, square = (torch.randn(rows, RANK, generator=generator, dtype=DOUBLE) for rows in (ROWS, RANK))
        spectrum = torch.logspace(0, -float(np.log10(condition)), RANK, dtype=DOUBLE)
        factor = torch.linalg.qr(tall)[0] * spectrum @ torch.linalg.qr(square)[0].T
        point[key] = factor.to(SINGLE)[None]
        xi[key] = torch.randn(1, ROWS, RANK, generator=generator)
    return point, xi


BITS = 149  # every finite float32 is an integer multiple of 2^-149


def exact(matrix: Tensor) -> np.ndarray:
    """A float32 matrix times 2^149, as Python integers."""
    return np.array([[int(value * 2.0**BITS) for value in row] for row in matrix.tolist()], dtype=object)


def reference_projection(point: Tangent, xi: Tangent) -> Tangent:
    """Horizontal projection of one head in the invariant metric: exact products, then mpmath with 60 digits.

    The equation's condition number may reach the fourth power of that of G and H, 1e16 here, so that float64 would
    leave no digit that is certain, and 60 leave more than 40.
    """
    import mpmath as mp

    g, h, v, w = (exact(block[0]) for block in (point["G"], point["H"], xi["G"], xi["H"]))
    with mp.workdps(60):
        p, q, n, m = (
            mp.matrix([[mp.ldexp(entry, -2 * BITS) for entry in row] for row in product.tolist()])
            for product in (g.T @ g, h.T @ h, h.T @ w, v.T @ g)
        )
        c = mp.cholesky(q)
        d, u = mp.eigsy(c.T * p * c)
        big, t = c * u, mp.inverse(c.T) * u
        y, z = t.T * n * t, big.T * m * big
        size = range(len(d))
        middle = mp.matrix([[(d[i] * y[i, j] - z[i, j]) / (d[i] + d[j]) for j in size] for i in size])
        algebra = big * middle.T * t.T
        scaled = np.array([[int(mp.ldexp(algebra[i, j], BITS)) for j in size] for i in size], dtype=object)
    results = {"G": (v << BITS) + g @ scaled, "H": (w << BITS) - h @ scaled.T}
    denominator = 1 << 2 * BITS
    return {
        key: torch.tensor([[[value / denominator for value in row] for row in block.tolist()]], dtype=DOUBLE)
        for key, block in results.items()
    }


def relative_error(result: Tangent, reference: Tangent) -> float:
    """Frobenius norm of the error over that of the reference, the larger of both blocks."""
    errors = ((result[key].to(DOUBLE) - value).norm() / value.norm() for key, value in reference.items())
    return max(float(error) for error in errors)
