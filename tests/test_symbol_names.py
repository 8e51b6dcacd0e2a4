"""Parameters may be called like the symbols of the theory: the numbers stay right, or one clear line refuses."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from torch import Tensor

import symtheory as st
from symtheory.errors import DeclarationError

ROUNDING = 1e-12
NAMES = [
    ("t", "s"),
    ("u", "u_0"),
    ("b", "b_u"),
    ("p1", "p2"),
    ("u", "g_rescaling"),
    ("u", "zeta_u"),
    ("u", "a_rescaling"),
]


def product(first: str, second: str) -> st.Parametrization:
    d = st.dims("d")
    return st.Parametrization(st.param(first, d) * st.param(second, d), name="product")


def results(first: str, second: str) -> list[Tensor]:
    """What the generated functions return at one point, in the order of the parameters."""
    m = st.generate(product(first, second), "mixed").load()
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.rand(3, generator=generator, dtype=torch.float64) + 0.5 for _ in range(3))
    point = {first: a, second: b}
    xi = m.project_horizontal(point, {first: c, second: -a})
    tangents = [m.geodesic(point, xi, 0.1, order) for order in (1, 2, 3, "exact")]
    tangents += [xi, m.act(point, {"rescaling": c}), m.vertical(point, {"rescaling": c}), m.christoffel_form(point, xi)]
    numbers = [m.norm(point, xi), m.stationary_density(a, 1.0, 0.1, 0.5), m.gauge_correction(point)]
    gradient = m.discrete_noether(point, xi, 0.1, 0.2)["rescaling"]
    return [*(leaf for tangent in tangents for leaf in tangent.values()), *numbers, gradient]


@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_names_do_not_change_the_numbers(names: tuple[str, str]) -> None:
    for value, expected in zip(results(*names), results("u", "v"), strict=True):
        torch.testing.assert_close(value, expected, rtol=ROUNDING, atol=ROUNDING)


def test_taylor_geodesic_of_a_parameter_called_t() -> None:
    geodesics = [product(*names).geometry("mixed").geodesic() for names in (("t", "s"), ("u", "v"))]
    mine, expected = ([str(value) for value in geodesic.taylor(3).values()] for geodesic in geodesics)
    values = {"t": 0.1, "u_0": 0.7, "v_0": 1.3, "xi_u": 0.4, "xi_v": -0.2}
    renamed = {"t": 0.1, "t_0": 0.7, "s_0": 1.3, "xi_t": 0.4, "xi_s": -0.2}
    for one, other in zip(mine, expected, strict=True):
        assert sp.sympify(one).subs(renamed) == pytest.approx(float(sp.sympify(other).subs(values)), rel=ROUNDING)


@pytest.mark.parametrize(("name", "word"), [("xi_u", "velocity of 'u'"), ("g_u", "gradient of 'u'")])
def test_a_name_that_would_stand_for_two_things_is_refused(name: str, word: str) -> None:
    with pytest.raises(DeclarationError, match=rf"'{name}' is named as the {word}: rename"):
        st.generate(product("u", name))


def test_the_name_of_the_target_takes_the_density_away() -> None:
    predictions = product("y", "v").predictions()
    assert "called y" in predictions.not_applicable["stationary_density"]
    assert set(predictions) == {"discrete_noether", "mirror", "label_noise", "weight_decay", "orbit_volume"}


def test_group_elements_are_named_apart_from_parameters() -> None:
    n, h = st.dims("n h")
    factor = st.Parametrization(st.param("B", n, h) @ st.param("A", h, h)).symmetries()["GL"]
    assert str(factor.element) not in factor.shapes
    assert product("t", "v").symmetries()["rescaling"].element[0] != sp.Symbol("t", real=True)
