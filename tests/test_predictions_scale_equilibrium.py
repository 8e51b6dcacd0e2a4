"""The law of an invisible scale against iterated maps, real steps by autograd, and groups that have none."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from array_cases import Tensors

import symtheory as st
from symtheory import catalog
from symtheory.errors import DerivationError
from symtheory.predictions.scale_equilibrium import GRADIENT_SQUARE, RADIUS, SENSITIVITY, ScaleLaw, scale_law
from symtheory.predictions.symbols import ETA, LAMBDA
from symtheory.symmetry.scale import scales_of

VALUES = {ETA: 0.2, LAMBDA: 0.3, GRADIENT_SQUARE: 1.7}
ROUNDING = 1e-13
SCALES = {
    "weight_norm": {"rescaling2": ["W"]},
    "batch_norm": {"rescaling2": ["W", "b"]},
    "rms_norm": {"scaling": ["W"]},
    "layer_norm": {"scaling": ["W", "b"]},
    "residual_rms_norm": {"scaling": ["E", "W2"]},
    "residual_layer_norm": {"scaling": ["E", "W2"]},
    "transformer": {"scaling": ["E", "Wv", "W1"]},
}


def square_after(square: float, gradient_square: float) -> float:
    """One step of r² with ‖g‖² = G/r², written out."""
    eta, decay = VALUES[ETA], VALUES[LAMBDA]
    return (1 - eta * decay) ** 2 * square + eta**2 * gradient_square / square


@pytest.fixture(scope="module")
def law() -> ScaleLaw:
    return scale_law()


def test_iterated_steps_settle_at_the_equilibrium(law: ScaleLaw) -> None:
    for start in (0.01, 50.0):
        square = start
        for _ in range(2_000):
            square = square_after(square, VALUES[GRADIENT_SQUARE])
        assert square**2 == pytest.approx(float(law.equilibrium.subs(VALUES)), rel=1e-12)
        assert VALUES[ETA] / square == pytest.approx(float(law.effective_step.subs(VALUES)), rel=1e-12)
    assert sp.limit(law.equilibrium * 2 * LAMBDA / (ETA * GRADIENT_SQUARE), ETA, 0) == 1


@pytest.mark.parametrize("sensitivity", [0.0, 0.3, -0.5])
def test_small_deviations_shrink_at_the_rate(law: ScaleLaw, sensitivity: float) -> None:
    rest = float(law.equilibrium.subs(VALUES)) ** 0.5
    shift = 1e-5
    moved = [
        square_after(x, VALUES[GRADIENT_SQUARE] * (x / rest) ** (2 * sensitivity))
        for x in (rest * (1 + shift), rest * (1 - shift))
    ]
    kept = (moved[0] - moved[1]) / (2 * shift * rest)
    assert 1 - kept == pytest.approx(float(law.rate.subs({**VALUES, SENSITIVITY: sensitivity})), rel=1e-8)
    assert sp.expand(law.rate.subs(SENSITIVITY, 0)).coeff(ETA, 1) == 4 * LAMBDA


def bound(name: str) -> st.Parametrization:
    P = catalog.load(name)
    return P.bind(**{str(size): 3 + place for place, size in enumerate(P.free_sizes)})


def drawn(P: st.Parametrization, generator: torch.Generator, lead: tuple[int, ...]) -> tuple[Tensors, Tensors]:
    def tensors(shapes: dict) -> Tensors:
        return {
            name: torch.randn(*lead, *map(int, shape), generator=generator, dtype=torch.float64)
            for name, shape in shapes.items()
        }

    return tensors(P.parameters), tensors(P.inputs)


@pytest.mark.parametrize("name", SCALES)
def test_a_real_step_obeys_the_exact_law_and_the_scale_is_invisible(name: str) -> None:
    P = bound(name)
    module, f = st.generate(P).load(), P.predictions()["scale_equilibrium"].load()
    point, inputs = drawn(P, torch.Generator().manual_seed(3), (2,))
    leaves = {key: leaf.requires_grad_() for key, leaf in point.items()}
    output = module.predictor(leaves, **inputs)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    gradient = dict(zip(leaves, torch.autograd.grad((output * weights).sum(), list(leaves.values())), strict=True))
    eta, decay = 0.3, 0.2
    after = {key: ((1 - eta * decay) * leaf - eta * gradient[key]).detach() for key, leaf in leaves.items()}
    squares, slopes = f.scale_equilibrium_square(point), f.scale_equilibrium_square(gradient)
    assert {key: sorted(SCALES[name][key]) for key in squares} == {k: sorted(v) for k, v in SCALES[name].items()}
    for key, found in f.scale_equilibrium_square(after).items():
        law = f.scale_equilibrium(squares[key], slopes[key], eta, decay)
        assert bool(((found - law).abs() <= ROUNDING * law).all())
        wrong = law - 2 * eta**2 * slopes[key]
        assert not bool(((found - wrong).abs() <= ROUNDING * law).all())
    factor = {key: torch.full_like(leaf, 1.7).detach() for key, leaf in squares.items()}
    scaled = f.scale_equilibrium_scaled({key: leaf.detach() for key, leaf in point.items()}, factor)
    torch.testing.assert_close(module.predictor(scaled, **inputs), output.detach(), rtol=1e-11, atol=1e-11)
    for key, found in f.scale_equilibrium_square(scaled).items():
        torch.testing.assert_close(found, 1.7**2 * squares[key].detach())


def test_what_is_generated_evaluates_the_derived_expressions(law: ScaleLaw) -> None:
    f = catalog.load("rms_norm").predictions()["scale_equilibrium"].load()
    mean = torch.tensor(VALUES[GRADIENT_SQUARE], dtype=torch.float64)
    numbers = (VALUES[ETA], VALUES[LAMBDA])
    assert float(f.scale_equilibrium_fourth_power(mean, *numbers)) == pytest.approx(float(law.equilibrium.subs(VALUES)))
    found = float(f.scale_equilibrium_effective_step(mean, *numbers))
    assert found == pytest.approx(float(law.effective_step.subs(VALUES)))
    at = torch.tensor(0.4, dtype=torch.float64)
    assert float(f.scale_equilibrium_rate(at, *numbers)) == pytest.approx(
        float(law.rate.subs({**VALUES, SENSITIVITY: 0.4}))
    )
    assert law.step.free_symbols >= {RADIUS, ETA, LAMBDA}


def test_a_scale_of_single_coordinates() -> None:
    d = st.dims("d")
    u, v = st.param("u", d), st.param("v", d)
    P = st.Parametrization(u * v**-1, name="ratio")
    f = P.predictions()["scale_equilibrium"].load()
    point = {"u": torch.tensor([3.0, 1.0]), "v": torch.tensor([4.0, 2.0])}
    assert f.scale_equilibrium_square(point)["rescaling"].tolist() == [25.0, 5.0]
    moved = f.scale_equilibrium_scaled(point, {"rescaling": torch.tensor([2.0, 3.0])})
    assert moved["u"].tolist() == [6.0, 3.0] and moved["v"].tolist() == [8.0, 6.0]


def test_graphs_without_such_a_scale_say_why() -> None:
    for name in ("hadamard", "shallow_relu", "low_rank"):
        predictions = catalog.load(name).predictions()
        assert "no scale that the predictor does not see" in predictions.not_applicable["scale_equilibrium"]
    d, h = st.dims("d h")
    x, W1, W2 = st.input("x", d), st.param("W1", h, d), st.param("W2", h, d)
    weighted = st.Parametrization(st.normalize(W1 @ x + (W2 @ x) ** 3), name="weighted")
    with pytest.raises(DerivationError, match="W1 with its power 3, W2 with its power 1"):
        weighted.predictions()["scale_equilibrium"]
    assert not scales_of(weighted.symmetries()).found


def test_weighted_scales_have_no_common_power() -> None:
    """Why they are refused: under (r W1, r³ …) the two gradients fall with different powers of the scale."""
    P = st.Parametrization(
        st.normalize(st.param("W1", 4, 3) @ st.input("x", 3) + (st.param("W2", 4, 3) @ st.input("x", 3)) ** 3), name="w"
    )
    module = st.generate(P).load()
    point, inputs = drawn(P, torch.Generator().manual_seed(1), ())
    norms = []
    for s in (1.0, 2.0):
        leaves = {"W1": s**3 * point["W1"], "W2": s * point["W2"]}
        leaves = {key: leaf.requires_grad_() for key, leaf in leaves.items()}
        loss = module.predictor(leaves, **inputs)[0]
        norms.append([float(slope.norm()) for slope in torch.autograd.grad(loss, [leaves["W1"], leaves["W2"]])])
    assert np.array(norms[0]) / norms[1] == pytest.approx([8.0, 2.0])
