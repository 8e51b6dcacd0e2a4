"""Relative flatness against the dense Hessian, on every road, and along the reparametrizations it survives."""

from __future__ import annotations

import pytest
import torch
from sharpness_problems import classes, perceptron, scale_layers, scale_units
from torch import Tensor, nn
from torch.func import functional_call

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective, evaluate
from numeric.sharpness.flatness.relative_flatness import RelativeFlatness, relative_flatness
from numeric.sharpness.parameters import Point

CROSS_ENTROPY = nn.CrossEntropyLoss()
ROUNDING = 1e-9


def oracle(model: nn.Module, x: Tensor, y: Tensor, layer: str) -> float:
    """Σ_{s,s'} ⟨w_s, w_{s'}⟩ tr H_{s,s'} from all second derivatives."""
    name = f"{layer}.weight"
    weight = model.get_parameter(name).detach()

    def loss(flat: Tensor) -> Tensor:
        value: Tensor = CROSS_ENTROPY(functional_call(model, {name: flat.reshape(weight.shape)}, (x,)), y)
        return value

    rows = weight.flatten(1)
    hessian = torch.autograd.functional.hessian(loss, rows)
    return float(torch.einsum("si,ti,sjtj->", rows, rows, hessian))


class Tokens(nn.Module):
    """A linear layer on each of five tokens, mixed by attention, and a convolution before them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(4, 4)  # registered first, called last
        self.conv = nn.Conv1d(1, 4, 3, padding=1)
        self.each = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.tanh(self.each(torch.tanh(self.conv(x[:, None])).transpose(1, 2)))
        mixed, _ = self.attention(tokens, tokens, tokens)
        out: Tensor = self.head(mixed.mean(dim=1))
        return out


@pytest.mark.parametrize(("layer", "products"), [("0", 5), ("2", 6), ("4", 4)])
def test_a_perceptron_takes_one_product_for_each_output(layer: str, products: int) -> None:
    model, (x, y) = perceptron(), classes()
    found = relative_flatness(model, CROSS_ENTROPY, (x, y), layer=layer)
    assert found.value == pytest.approx(oracle(model, x, y, layer), rel=ROUNDING)
    assert found.details == {"layer": layer, "method": "outputs", "products": products}
    assert found.standard_error is None
    if layer == "4":
        assert relative_flatness(model, CROSS_ENTROPY, (x, y)).value == found.value


@pytest.mark.parametrize(("layer", "method"), [("head", "outputs"), ("each", "weights"), ("conv", "weights")])
def test_tokens_convolutions_and_attention(layer: str, method: str) -> None:
    model, (x, y) = Tokens().double(), classes(8)
    found = relative_flatness(model, CROSS_ENTROPY, (x, y), layer=layer)
    assert found.value == pytest.approx(oracle(model, x, y, layer), rel=ROUNDING)
    assert found.details["method"] == method
    assert found.standard_error is None
    assert relative_flatness(model, CROSS_ENTROPY, (x, y)).details["layer"] == "head"


def test_a_layer_used_twice_takes_the_road_through_its_weights() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.inner, self.head = nn.Linear(5, 5), nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(torch.tanh(self.inner(torch.tanh(self.inner(x)))))
            return out

    model, (x, y) = Twice().double(), classes()
    found = relative_flatness(model, CROSS_ENTROPY, (x, y), layer="inner")
    assert found.details["method"] == "weights"
    assert found.value == pytest.approx(oracle(model, x, y, "inner"), rel=ROUNDING)


def test_random_products_estimate_without_bias() -> None:
    model, (x, y) = Tokens().double(), classes(8)
    exact = oracle(model, x, y, "each")
    objective = Objective.of(model, CROSS_ENTROPY, (x, y))
    found = [evaluate(RelativeFlatness("each", probes=15), objective, seed=seed) for seed in range(60)]
    assert {each.details["method"] for each in found} == {"probes"}
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    error = float(values.std()) / 60**0.5
    assert error < 0.15 * abs(exact)
    assert abs(float(values.mean()) - exact) < 4 * error
    claimed = torch.tensor([each.standard_error for each in found], dtype=torch.float64)
    # 60 seeds know a standard deviation to 9 %.
    assert float(claimed.square().mean().sqrt()) == pytest.approx(float(values.std()), rel=0.4)
    assert "15 random" in found[0].notes[0]


def test_batches_give_the_mean_and_its_error() -> None:
    model, (x, y) = perceptron(), classes(30)
    batches = [(x[:10], y[:10]), (x[10:14], y[10:14]), (x[14:], y[14:])]
    found = relative_flatness(model, CROSS_ENTROPY, batches)
    assert found.value == pytest.approx(oracle(model, x, y, "4"), rel=ROUNDING)
    assert found.standard_error is not None
    assert found.cost == pytest.approx(1 + 4 * 2, abs=3)


@pytest.mark.parametrize("layer", ["0", "2", "4"])
def test_layers_may_be_scaled(layer: str) -> None:
    objective = Objective.of(perceptron(), CROSS_ENTROPY, classes())
    scaled = evaluate(RelativeFlatness(layer), objective, seed=0, move=scale_layers)
    assert scaled.change_along_orbit is not None
    assert scaled.change_along_orbit < ROUNDING

    def last_two(point: Point) -> Point:
        return {
            **point,
            "2.weight": 3 * point["2.weight"],
            "2.bias": 3 * point["2.bias"],
            "4.weight": point["4.weight"] / 3,
        }

    scaled = evaluate(RelativeFlatness(layer), objective, seed=0, move=last_two)
    assert scaled.change_along_orbit is not None
    assert scaled.change_along_orbit < ROUNDING


def test_single_units_may_not_be_scaled() -> None:
    objective = Objective.of(perceptron(), CROSS_ENTROPY, classes())
    assert evaluate(RelativeFlatness("2"), objective, seed=0, move=scale_units).invariant is False


def test_the_road_through_the_weights_moves_with_the_whole_point() -> None:
    model, (x, y) = Tokens().double(), classes(8)
    objective = Objective.of(model, CROSS_ENTROPY, (x, y))

    def elsewhere(point: Point) -> Point:
        return {**point, "conv.weight": 2 * point["conv.weight"]}

    moved = evaluate(RelativeFlatness("each"), objective.at(elsewhere(objective.parameters)), seed=0)
    with torch.no_grad():
        model.conv.weight.mul_(2)
    assert moved.value == pytest.approx(oracle(model, x, y, "each"), rel=ROUNDING)


def test_layers_that_cannot_be_measured() -> None:
    x, y = classes()
    with pytest.raises(OptionError, match="no layer 'head'"):
        relative_flatness(perceptron(), CROSS_ENTROPY, (x, y), layer="head")
    with pytest.raises(OptionError, match="no weight matrix"):
        relative_flatness(perceptron(), CROSS_ENTROPY, (x, y), layer="1")
    with pytest.raises(OptionError, match=r"no nn\.Linear"):
        relative_flatness(perceptron(), CROSS_ENTROPY, (x, y), keep=lambda name: name.endswith("bias"))
    with pytest.raises(OptionError, match="at least two"):
        RelativeFlatness(probes=1)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, slope: Tensor) -> Tensor:
        return slope


def test_a_model_without_second_derivatives() -> None:
    class Rough(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = Once.apply(self.inner(x))
            return out

    with pytest.raises(SharpnessError, match="second derivatives"):
        relative_flatness(Rough().double(), CROSS_ENTROPY, classes())
