"""Inverse design: targets whose designs are known, the forward road by other means, and designs that cannot be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize_scalar

import symtheory as st
from symtheory.errors import CodegenError, DeclarationError, DerivationError, SymtheoryError
from symtheory.inverse_design import confirm_coordinates, coordinates
from symtheory.inverse_design.no_closed_form import NoClosedForm
from symtheory.inverse_design.parse import parse_target
from symtheory.inverse_design.profile import THETA, Profile

QUADRATURE = 1e-8
"""Relative error of scipy's quadrature and of a bounded minimisation."""

POINTS = (0.1, 0.4, 1.3, 2.5)

CASES = {
    "l1, label noise": ("abs(w)", "label_noise", {}),
    "l1, decay": ("abs(w)", "weight_decay", {}),
    "l1/2, label noise": ("sqrt(abs(w))", "label_noise", {}),
    "l1/2, decay": ("sqrt(abs(w))", "weight_decay", {}),
    "l3/2, label noise": ("abs(w)**1.5", "label_noise", {}),
    "l3/2, decay": ("abs(w)**1.5", "weight_decay", {}),
    "elastic net": ("2*abs(w) + w**2", "label_noise", {}),
    "log, decay": ("log(1 + w**2)", "weight_decay", {}),
    "log of size, decay": ("log(1 + abs(w))", "weight_decay", {}),
    "exponential, decay": ("exp(abs(w))", "weight_decay", {}),
    "smooth": ("1 + w**2", "label_noise", {}),
}
"""Targets of w of both signs."""


def function(design: st.DesignedParametrization) -> sp.Lambda:
    """φ as a function of a float."""
    return sp.lambdify(THETA, design.design.function, "math")


@pytest.mark.parametrize("case", CASES)
def test_bias_of_phi_by_numbers_is_the_target(case: str) -> None:
    """min over a − b = w of what the mechanism minimises, by differences and a search over b: no derivation."""
    target, mechanism, options = CASES[case]
    designed = st.design(target, mechanism, **options)
    phi, penalty = function(designed), sp.lambdify("w", designed.design.target.expression, "math")

    def cost(theta: float) -> float:
        return theta**2 if mechanism == "weight_decay" else ((phi(theta + 1e-6) - phi(theta - 1e-6)) / 2e-6) ** 2

    def inverse(value: float) -> float:
        low, high = 0.0, 20.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if phi(middle) < value else (low, middle)
        return high

    def of_two(b: float) -> float:
        return cost(inverse(w + b)) + cost(inverse(b))

    for w in POINTS:
        if len(designed.parameters) == 1:
            found = cost(inverse(w))
            assert phi(-inverse(w)) == pytest.approx(-w, rel=1e-9)
        else:
            found = min(of_two(0.0), minimize_scalar(of_two, bounds=(0, 3), method="bounded").fun)
        shift = penalty(0.0) if mechanism == "weight_decay" else 0.0
        assert found == pytest.approx(penalty(w) - shift, rel=2e-6)


def test_mirror_potential_of_one_copy_by_integration() -> None:
    """θ' = −φ'(θ) g: in w this is d Q'(w)/dt = −g, here with Q = w log w and Q = −log w."""
    for target, dual in (("w*log(w)", lambda w: np.log(w) + 1), ("-log(w)", lambda w: -1 / w)):
        designed = st.design(target, "mirror")
        phi = sp.lambdify(THETA, designed.design.function)
        slope = sp.lambdify(THETA, sp.diff(designed.design.function, THETA))
        flow = solve_ivp(lambda _, theta, slope=slope: 0.5 * slope(theta), (0, 0.5), [0.8], rtol=1e-11, atol=1e-13)
        start, end = phi(0.8), phi(flow.y[0, -1])
        assert dual(end) - dual(start) == pytest.approx(0.25, rel=QUADRATURE)
        assert designed.domain == "w > 0"


def test_entropy_on_the_simplex_is_normalized_squares_and_not_softmax() -> None:
    designed = st.design("w*log(w)", "mirror", of="simplex")
    assert "Kullback-Leibler" in designed.design.statement
    generator = np.random.default_rng(3)
    theta, pull = generator.uniform(0.5, 1.5, 4), generator.normal(size=4)

    def flow(_: float, point: np.ndarray) -> np.ndarray:
        w = point**2 / (point @ point)
        return 2 * point / (point @ point) * (pull - w @ pull)

    ended = solve_ivp(flow, (0, 0.7), theta, rtol=1e-11, atol=1e-13).y[:, -1]
    change = np.log(ended**2) - np.log(theta**2)
    assert np.ptp(change - pull * change.std() / pull.std()) == pytest.approx(0, abs=1e-7)
    with pytest.raises(DerivationError, match=r"only c θ²"):
        st.design("-log(w)", "mirror", of="simplex")


@pytest.mark.parametrize(
    ("target", "mechanism", "of", "text"),
    [
        ("abs(w)", "weight_decay", "groups", "a * v * 2"),
        ("3*sqrt(abs(w))", "weight_decay", "groups", "* sp.Rational(16, 9)"),
        ("abs(w)", "label_noise", "groups", "k ** sp.Rational(-1, 2)"),
        ("abs(w)", "weight_decay", "singular_values", "G @ H.T * 2"),
        ("abs(w)**(2/3)", "weight_decay", "singular_values", "W1 @ W2 @ W3"),
        ("abs(w)", "label_noise", "singular_values", "G @ H.T"),
        ("-log(w)", "orbit_volume", "singular_values", "u @ u.T"),
    ],
)
def test_norms_of_groups_and_matrices(target: str, mechanism: str, of: str, text: str) -> None:
    designed = st.design(target, mechanism, of=of)
    assert text in designed.source() and designed.design.confirmation


def test_nuclear_norm_by_the_singular_value_decomposition() -> None:
    """The balanced factors √σ reach the norm; no solver is needed for that half."""
    designed = st.design("abs(w)", "weight_decay", of="singular_values", shape=(4, 3))
    w = np.random.default_rng(0).normal(size=(4, 3))
    left, values, right = np.linalg.svd(w, full_matrices=False)
    G, H = left * np.sqrt(values / 2), right.T * np.sqrt(values / 2)
    assert np.allclose(2 * G @ H.T, w)
    assert (G**2).sum() + (H**2).sum() == pytest.approx(values.sum(), rel=1e-12)
    assert designed.parameters["G"] == (4, 3) and designed.predictor.shape == (4, 3)


@pytest.mark.parametrize(("power", "radial"), [(-1, 2), (-1, 3), (2, 3), (-3, 4)])
def test_radius_has_the_density_that_is_wanted(power: int, radial: int) -> None:
    """P(w < c) of normal θ against the same by the target's density with respect to dr."""
    designed = st.design(f"{power}*log(w)", "orbit_volume", radial=radial)
    theta = np.random.default_rng(5).normal(size=(200_000, radial))
    r = np.linalg.norm(theta, axis=1)
    w = sp.lambdify("r", designed.design.function)(r)

    def density(w: float) -> float:  # exp(−R) dr/dw with the loss r²/2, r = exp(−R/(n − 1))
        r = w ** (-power / (radial - 1))
        return w**-power * abs(power) / (radial - 1) * r / w * np.exp(-(r**2) / 2)

    share = quad(density, 0, 1)[0] / quad(density, 0, np.inf)[0]
    assert (w < 1).mean() == pytest.approx(share, abs=4 * 0.5 / np.sqrt(len(w)))  # four standard errors


@pytest.mark.parametrize("target", ["w", "-2*w"])
def test_orbit_volume_of_a_linear_target_takes_all_reals(target: str) -> None:
    designed = st.design(target, "orbit_volume", radial=3)
    assert designed.domain == "every real w" and "st.log" in designed.source()


def test_products_have_the_target_with_its_factor() -> None:
    for target, mechanism, length in (("3*abs(w)**1.5", "label_noise", 4), ("5*sqrt(abs(w))", "weight_decay", 4)):
        designed = st.design(target, mechanism, products=True)
        assert len(designed.parameters) == length
        assert "symbolically" in designed.design.confirmation
    with pytest.raises(DerivationError, match="no L"):
        st.design("sqrt(abs(w))", "label_noise", products=True)


def test_after_a_linear_map() -> None:
    total_variation = st.design("abs(w)", "weight_decay", after="differences", name="tv")
    assert "st.cumsum(u ** 2 - v ** 2)" in total_variation.source()
    assert total_variation.core.predictor.shape == total_variation.predictor.shape
    d, k = st.dims("d k")
    transformed = st.design("abs(w)", "label_noise", after=st.constant("B", d, k), products=True)
    assert str(transformed.predictor.shape) == "(d,)" and "B @ (u * v / 2)" in transformed.source()
    assert transformed.bind(d=3, k=2).design.mechanism == "label_noise"


@pytest.mark.parametrize(
    ("target", "mechanism", "options"),
    [
        *CASES.values(),
        ("w*log(w)", "mirror", {}),
        ("abs(w)**1.5", "mirror", {}),
        ("w**4", "mirror", {}),
        ("exp(w)", "mirror", {}),
        ("abs(w)", "weight_decay", {"of": "groups"}),
        ("abs(w)", "label_noise", {"of": "singular_values"}),
        ("w*log(w)", "mirror", {"of": "simplex"}),
        ("2*log(w)", "orbit_volume", {"radial": 3}),
        ("abs(w)", "weight_decay", {"after": "differences"}),
        ("cosh(w)", "mirror", {"numeric": True}),
    ],
)
def test_source_declares_the_same_graph(target: str, mechanism: str, options: dict[str, object]) -> None:
    designed = st.design(target, mechanism, name="mine", **options)
    names: dict[str, object] = {}
    exec(designed.source(), names)
    assert names["mine"].declaration_hash == designed.declaration_hash


WRONG = {
    "twice the argument": lambda profile: Profile(profile.function.subs(THETA, 2 * THETA), profile.signs),
    "another power": lambda profile: Profile(sp.Abs(profile.function) ** sp.Rational(3, 2), profile.signs),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    ("target", "mechanism"),
    [("abs(w)", "label_noise"), ("abs(w)", "weight_decay"), ("abs(w)*log(abs(w))", "mirror"), ("w*log(w)", "mirror")],
)
def test_a_wrong_phi_does_not_pass_the_forward_road(
    monkeypatch: pytest.MonkeyPatch, target: str, mechanism: str, wrong: object
) -> None:
    honest = coordinates.closed_profile
    monkeypatch.setattr(coordinates, "closed_profile", lambda *arguments: wrong(honest(*arguments)))
    with pytest.raises(DerivationError, match=r"the forward derivation gives|of this declaration|no prediction"):
        st.design(target, mechanism)


def test_a_wrong_constant_of_a_product_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from symtheory.inverse_design import products

    honest = products._scale
    monkeypatch.setattr(products, "_scale", lambda *arguments: 2 * honest(*arguments))
    with pytest.raises(DerivationError, match="smallest objective"):
        st.design("abs(w)", "weight_decay", of="groups")
    with pytest.raises(DerivationError, match="smallest objective"):
        st.design("abs(w)", "label_noise", of="singular_values")


def test_the_sign_of_the_volume_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """exp(+R) instead of exp(−R) is noticed by the Gram determinants."""
    from symtheory.inverse_design import confirm_volume

    honest = confirm_volume._log_volume
    monkeypatch.setattr(confirm_volume, "_log_volume", lambda *arguments: -honest(*arguments))
    for of in ("coordinates", "singular_values"):
        with pytest.raises(DerivationError, match="is off by"):
            st.design("-log(w)", "orbit_volume", of=of)


def test_without_a_closed_form_there_is_a_spline_that_says_so() -> None:
    with pytest.raises(NoClosedForm, match=r"no elementary closed form: numeric=True"):
        st.design("cosh(w)", "mirror")
    designed = st.design("cosh(w)", "mirror", numeric=True)
    assert designed.design.is_numeric and "in numbers alone" in designed.design.confirmation
    assert "numeric" in str(designed) and not st.design("w**2", "mirror", numeric=True).design.is_numeric
    spline = st.generate(designed).load().predictor
    import torch

    theta = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    w = spline({"u": theta})
    (slope,) = torch.autograd.grad(w.sum(), theta)
    assert torch.allclose(slope**2, 1 / torch.cosh(w), rtol=1e-4)  # 4e-6 is stated for the middle between knots
    for value, root in zip(w.tolist(), theta.tolist(), strict=True):
        assert quad(lambda x: np.sqrt(np.cosh(x)), 0, value)[0] == pytest.approx(root, abs=1e-6)


BAD: list[tuple[str, str, dict[str, object], type[SymtheoryError], str]] = [
    ("abs(w", "mirror", {}, DeclarationError, "no formula"),
    ("abs(x)", "mirror", {}, DeclarationError, "symbol 'x' is unknown"),
    ("3", "label_noise", {}, DeclarationError, "does not depend on w"),
    ("__import__('os').getcwd()", "mirror", {}, DeclarationError, "unknown"),
    ("w.real", "mirror", {}, DeclarationError, "no part of a formula"),
    ("w**9**9**9", "mirror", {}, DeclarationError, "exponent"),
    ("1/0*w", "mirror", {}, DeclarationError, "divides by zero"),
    ("log(-w)", "mirror", {}, DeclarationError, "not a real number"),
    ("abs(w)", "tides", {}, DerivationError, "no mechanism 'tides'"),
    ("abs(w)", "mirror", {}, DerivationError, "strictly convex"),
    ("-w**2", "mirror", {}, DerivationError, "not positive"),
    ("log(1+w**2)", "mirror", {}, DerivationError, "not positive"),
    ("-log(w)", "weight_decay", {}, DerivationError, "never negative"),
    ("1/(1+w**2)", "weight_decay", {}, DerivationError, "does not grow"),
    ("abs(w)", "orbit_volume", {}, DerivationError, "nothing keeps"),
    ("log(w)", "orbit_volume", {"of": "singular_values"}, DerivationError, "asks for m - 1 columns"),
    ("abs(w)", "mirror", {"of": "groups"}, DerivationError, "do not commute"),
    ("abs(w)", "label_noise", {"of": "simplex"}, DerivationError, "designed for mirror"),
    ("abs(w)", "label_noise", {"of": "towns"}, DeclarationError, "'towns' is unknown"),
    ("abs(w)", "label_noise", {"after": "lunch"}, DeclarationError, "after='lunch'"),
    ("exp(abs(w)) - 1", "weight_decay", {"of": "groups"}, DerivationError, "is none"),
    ("1/abs(w)", "label_noise", {}, DerivationError, "not seen to grow"),
]


@pytest.mark.parametrize(("target", "mechanism", "options", "kind", "words"), BAD)
def test_what_cannot_be_is_refused_in_one_line(
    target: str, mechanism: str, options: dict[str, object], kind: type[SymtheoryError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        st.design(target, mechanism, **options)
    assert "\n" not in str(caught.value)


def test_text_is_parsed_as_sympy_writes_it() -> None:
    w = sp.Symbol("w", real=True)
    for text, wanted in {"sqrt(abs(w))": sp.sqrt(sp.Abs(w)), "-w**2/2+0.5": sp.Rational(1, 2) - w**2 / 2}.items():
        assert parse_target(text) == wanted
    for parts in itertools.combinations(("w", "2", "exp(w)"), 2):
        assert parse_target("*".join(parts)) == sp.sympify("*".join(parts), locals={"w": w})


def test_agreement_needs_every_point() -> None:
    w = sp.Symbol("w", positive=True)
    assert confirm_coordinates.agreement(w**2, w**2) == "symbolically"
    with pytest.raises(DerivationError, match="forward derivation"):
        confirm_coordinates.agreement(w**2, w**2 * (1 + sp.Float("1e-8")))


@pytest.mark.parametrize("name", ["a b", "class", "st", "1st"])
def test_a_name_that_is_no_variable_writes_no_module(name: str) -> None:
    designed = st.design("w**2", "weight_decay", name=name)
    with pytest.raises(CodegenError, match="cannot be a variable"):
        designed.source()
    assert "mine = " in designed.source("mine")
