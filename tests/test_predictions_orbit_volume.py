"""Orbit volume: Gram determinants against dense linear algebra, laws in other coordinates against quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from array_cases import Arrays, rows_against_rows
from matrix_cases import declared as graph_of
from prediction_cases import PHI, declared, gradient, names, predictions
from scipy.integrate import dblquad, quad
from scipy.special import k0

import symtheory as st
from symtheory import catalog
from symtheory.catalog.depth_product import product_of
from symtheory.predictions.symbols import LAMBDA, PREDICTOR, TEMPERATURE
from symtheory.symmetry.edge_group import GENERAL, EdgeGroup
from symtheory.symmetry.factor import Factor

ROUNDING = 1e-11
"""Of log-determinants of a few dozen fields with entries of order one."""

WITHOUT_GENERATORS = {"multihead_attention", "layer_norm", "residual_layer_norm", "heads_with_an_axis"}
MATRICES = (
    "low_rank",
    "rows_against_rows",
    "lora",
    "deep_linear",
    "chain4",
    "state_space",
    "attention",
    "multihead_attention",
    "heads_with_an_axis",
    "linear_attention",
    "shallow_relu",
    "deep_relu",
    "quadratic",
    "cp_decomposition",
    "bilinear",
    "mixture_of_experts",
    "layer_norm",
    "rms_norm",
    "residual",
    "tied_embedding",
    "transformer",
)
"""Closed spectra, dense blocks, numbers among matrices, copies, shifts with charges, shifts that biases make up for."""


def elements(factor: Factor, *, charges: bool) -> list[np.ndarray]:
    """An orthonormal basis of a factor's Lie algebra, or of its symmetric part."""
    shape = tuple(int(size) for size in factor.element_shape)
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    if not isinstance(factor, EdgeGroup):
        return list(units)
    sign = 1 if charges else -1
    if factor.algebra == GENERAL and not charges:
        return list(units)
    if factor.algebra != GENERAL and charges:
        return []
    projected = [(unit + sign * unit.swapaxes(-1, -2)) / 2 for unit in units]
    # Each pair of entries comes twice.
    distinct: dict[bytes, np.ndarray] = {}
    for element in projected:
        if np.abs(element).max() > 0:
            distinct.setdefault(np.abs(element).tobytes(), element / np.linalg.norm(element))
    return list(distinct.values())


def dense(name: str, point: Arrays, *, charges: bool) -> float:
    """½ log det of the Gram matrix of all fields, or of the charges' gradients, as rows over all parameters."""
    rows = []
    for factor in graph_of(name).symmetries():
        if charges and not factor.has_charge:
            continue
        is_shift = factor.kind == "translation"
        for element in elements(factor, charges=charges):
            field = factor.field(element, point)
            row = np.concatenate([np.ravel(field.get(key, np.zeros_like(value))) for key, value in point.items()])
            rows.append(
                row / np.linalg.norm(row)
                if is_shift and len(field) == 1
                else row * (2 if charges and not is_shift else 1)
            )
    matrix = np.array(rows)
    return float(np.linalg.slogdet(matrix @ matrix.T)[1] / 2)


def random_point(name: str, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {key: rng.standard_normal(tuple(map(int, shape))) for key, shape in graph_of(name).parameters.items()}


def tensors(point: Arrays) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in point.items()}


@pytest.mark.parametrize("name", MATRICES)
def test_determinants_of_charges_and_of_generators(name: str) -> None:
    prediction = graph_of(name).predictions()["orbit_volume"]
    module = prediction.load()
    points = [random_point(name, seed) for seed in (0, 1)]
    batch = tensors({key: np.stack([point[key] for point in points]) for key in points[0]})
    expected = [dense(name, point, charges=True) for point in points]
    assert module.orbit_volume(batch).tolist() == pytest.approx(expected, abs=ROUNDING)
    assert st.generate(graph_of(name)).load().gauge_correction(batch).tolist() == pytest.approx(expected, abs=ROUNDING)
    assert ("orbit_volume_generators" in prediction.formulas) == (name not in WITHOUT_GENERATORS)
    if name not in WITHOUT_GENERATORS:
        expected = [dense(name, point, charges=False) for point in points]
        assert module.orbit_volume_generators(batch).tolist() == pytest.approx(expected, abs=ROUNDING)
    else:
        assert any(note.startswith("U is left out: ") for note in prediction.notes)


def test_balanced_determinant_of_two_factors() -> None:
    """½(Σ log σ_i + Σ_{i<j} log(σ_i + σ_j)) up to one constant, at balanced points with singular values σ."""
    rng = np.random.default_rng(3)
    module = graph_of("low_rank").predictions()["orbit_volume"].load()
    left, right, inner = (np.linalg.qr(rng.standard_normal((size, 2)))[0] for size in (4, 3, 2))
    differences = []
    for sigma in ([3.0, 1.0], [0.2, 0.1], [5.0, 4.9]):
        root = np.sqrt(sigma)[:, None] * inner.T
        point = tensors({"G": left @ root, "H": right @ root})
        formula = (np.log(sigma).sum() + np.log(sum(sigma))) / 2
        differences.append(float(module.orbit_volume(point)) - formula)
    assert differences == pytest.approx([differences[0]] * 3, abs=ROUNDING)


def test_skew_generators_make_the_difference() -> None:
    """V − U is a constant for rescalings, and none where GL has antisymmetric generators."""
    for name, constant in (("shallow_relu", True), ("low_rank", False)):
        module = graph_of(name).predictions()["orbit_volume"].load()
        points = [tensors(random_point(name, seed)) for seed in range(3)]
        differences = [float(module.orbit_volume(point) - module.orbit_volume_generators(point)) for point in points]
        assert (np.ptp(differences) < ROUNDING) == constant


@pytest.mark.parametrize("case", ["hadamard", "squared_difference", "depth_3", "square_times", "mixed_powers"])
def test_jacobian_of_a_coordinate(case: str) -> None:
    """V + ½ log JJᵀ is log |det ∂(w, c)/∂θ| by complex steps, and so is the closed form where there is one."""
    module = predictions(case)["orbit_volume"].load()
    theta = np.random.default_rng(5).standard_normal((len(names(case)), 4))
    point = tensors(dict(zip(names(case), theta, strict=True)))
    step = 1e-30
    rows = [gradient(case, theta)]
    for charge in range(len(names(case)) - 1):
        shifted = [theta + step * 1j * np.eye(len(theta))[i][:, None] for i in range(len(theta))]
        values = [
            list(module.orbit_volume_charges(tensors(dict(zip(names(case), s, strict=True)))).values()) for s in shifted
        ]
        rows.append(np.stack([np.asarray(value[charge]).imag / step for value in values]))
    jacobian = np.moveaxis(np.stack(rows), -1, 0)
    expected = np.log(np.abs(np.linalg.det(jacobian)))
    found = module.orbit_volume(point) + module.orbit_volume_slope(point)
    assert found.numpy() == pytest.approx(expected, abs=ROUNDING)
    if hasattr(module, "orbit_volume_density"):
        charges = module.orbit_volume_charges(point)
        w = torch.from_numpy(np.asarray(PHI[case](*theta)))
        assert module.orbit_volume_density(w, *charges.values()).numpy() == pytest.approx(-expected, abs=ROUNDING)
    else:
        assert case not in ("hadamard", "squared_difference")


def test_law_of_a_product_in_its_coordinates() -> None:
    """Mass of a box in (w, c) under dudv, against p(w, c) dw dc: the reference measure is the one printed."""
    density = predictions("hadamard")["orbit_volume"].load().orbit_volume_density
    box = (0.2, 0.9), (-0.5, 0.7)
    number = torch.tensor
    derived, _ = dblquad(lambda c, w: float(density(number(w), number(c)).exp()), *box[0], *box[1])
    grid = (np.arange(3000) + 0.5) / 1000 - 1.5
    u, v = np.meshgrid(grid, grid)
    w, c = u * v, u**2 - v**2
    inside = (w > box[0][0]) & (w < box[0][1]) & (c > box[1][0]) & (c < box[1][1])
    assert inside.sum() * 1e-6 == pytest.approx(2 * derived, rel=2e-3)  # (u, v) and (−u, −v); cells cut by the border


def test_weight_decay_makes_the_law_of_w_a_bessel_function() -> None:
    relations = {relation.lhs: relation.rhs for relation in predictions("hadamard")["orbit_volume"].relations}
    law = relations[sp.Function("p_decay")(PREDICTOR)].subs(sp.Function("L")(PREDICTOR), 0)
    at = sp.lambdify(
        (PREDICTOR, LAMBDA, TEMPERATURE),
        law * sp.Symbol("Z", positive=True),
        modules=[{"besselk": lambda n, x: k0(x)}, "numpy"],
    )
    for w in (0.3, -1.1):
        # p(w) = ∫ exp(−λ(u² + v²)/2T) δ(uv − w) du dv, over u > 0 and u < 0.
        marginal = 2 * quad(lambda u, w: np.exp(-0.7 * (u**2 + (w / u) ** 2) / 0.8) / u, 0, np.inf, (w,), limit=200)[0]
        assert 2 * at(w, 0.7, 0.4) == pytest.approx(marginal, rel=1e-8)


def test_singular_values_on_the_balanced_slice() -> None:
    """For h = 1 and no loss but decay: ‖G‖² and ‖H‖² are chi-squared, given that they are equal."""
    law = graph_of("low_rank").predictions()["orbit_volume"].formulas["orbit_volume_singular_values"]
    assert "0.5" in law.render()  # (4 + 3)/2 − 2 − 1
    free = catalog.load("low_rank").predictions()["orbit_volume"].load().orbit_volume_singular_values
    sigma = torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    n, m = 5, 2
    conditional = (n / 2 - 1 + m / 2 - 1) * sigma[:, 0].log()
    found = free(sigma, m=m, n=n)
    assert float((found - conditional).std()) < ROUNDING


def test_singular_values_of_two_directions() -> None:
    """h = 2, n = m = 2: moments of σ under the derived law against matrices whose charges happen to be small."""
    graph = rows_against_rows().bind(n=2, m=2, h=2)
    log_law = graph.predictions()["orbit_volume"].load().orbit_volume_singular_values
    generator = torch.Generator().manual_seed(8)
    kept = []
    for _ in range(20):
        G, H = (torch.randn(200_000, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
        near = (G @ G.mT - H @ H.mT).square().sum((-2, -1)) < 0.12**2
        kept.append(torch.linalg.svdvals(G[near].mT @ H[near]))
    sigma = torch.cat(kept)
    # exp(−‖θ‖²/2) is exp(−Σ σ) on the slice; the law's mean of a function by quadrature over σ1 > σ2.
    x = (torch.arange(400, dtype=torch.float64) + 0.5) * 0.03
    s1, s2 = torch.meshgrid(x, x, indexing="ij")
    grid = torch.stack((s1, s2), -1).reshape(-1, 2)
    weights = (log_law(grid) - grid.sum(-1)).exp() * (grid[:, 0] > grid[:, 1])
    for function in (lambda s: s.sum(-1), lambda s: (s[..., 0] - s[..., 1]).abs()):
        predicted = float((weights * function(grid)).sum() / weights.sum())
        values = function(sigma)
        error = float(values.std() / len(values) ** 0.5)
        assert len(values) > 1_000 and abs(float(values.mean()) - predicted) < 4 * error + 0.03


def test_statement_at_symbolic_size_names_measure_and_noise() -> None:
    text = str(catalog.load("low_rank").predictions()["orbit_volume"])
    assert "p(sigma) = exp(-L(sigma)/T)*Product(sigma[i]**(-h + m/2 + n/2 - 1), (i, 1, h))" in text
    assert "eigenvalues of Gᵀ G + Hᵀ H" in text and "the slice's own volume for p(theta)" in text
    assert "not minibatch noise" in text
    text = str(declared("hadamard").predictions()["orbit_volume"])
    assert "p(w, c) = exp(-L(w)/T)/(2*Z*sqrt(c**2 + 4*w**2))" in text and "dw dc for p(w, c)" in text


def test_balanced_law_of_a_deep_product() -> None:
    for depth in (3, 5):
        relations = {
            relation.lhs: relation.rhs for relation in product_of(depth).predictions()["orbit_volume"].relations
        }
        law = relations[sp.Function("p_balanced")(PREDICTOR)].subs(sp.Function("L")(PREDICTOR), 0)
        slope = sp.log(law.subs(PREDICTOR, 2) / law.subs(PREDICTOR, 1)) / sp.log(2)
        assert float(slope) == pytest.approx(-2 * (depth - 1) / depth)


def test_compact_orbits_need_no_slice() -> None:
    """w = ‖θ‖²/… of three numbers: r² dr, so √w dw; nothing is conserved."""
    d = st.dims("d")
    a, b, c = (st.param(name, d) for name in "abc")
    prediction = st.Parametrization(a * a + b * b + c * c, name="radial").predictions()["orbit_volume"]
    law = {relation.lhs: relation.rhs for relation in prediction.relations}[sp.Function("p")(PREDICTOR)]
    loss = sp.Function("L")(PREDICTOR)
    assert sp.simplify(law.subs(loss, 0).subs(PREDICTOR, 4) / law.subs(loss, 0).subs(PREDICTOR, 1)) == 2
    assert prediction.measure == "dw for p(w)"


def test_a_parameter_called_w_takes_the_laws_of_w_away() -> None:
    prediction = st.Parametrization(st.param("w", 3) * st.param("v", 3), name="named").predictions()["orbit_volume"]
    assert "orbit_volume_density" not in prediction.formulas and "p(w" not in str(prediction)
    assert any("rename it" in note for note in prediction.notes)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tanh_net", "has no continuous symmetry"),
        ("tied_product", "has no charge, so there is no gauge slice"),
        ("softmax_classifier", "are linear: their slices are parallel"),
    ],
)
def test_where_it_does_not_apply(name: str, reason: str) -> None:
    assert reason in catalog.load(name).predictions().not_applicable["orbit_volume"]
