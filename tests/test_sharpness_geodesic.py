"""Geodesic sharpness: laws of the ball against dense algebra, closed forms, and invariance along orbits."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType
from typing import Any

import pytest
import torch
from block_models import Adapted, Encoder, prepared, sequences
from torch import Tensor, nn

import symtheory as st
from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective
from numeric.sharpness.blocks import Absent, Blocks, View, attention_blocks, bind_module, lora_blocks, pair_blocks
from numeric.sharpness.blocks.ready import ready_functions
from numeric.sharpness.parameters import Point, flatten, trainable, unflatten
from numeric.sharpness.perturbation.average import average
from numeric.sharpness.perturbation.worst_case import worst_case
from numeric.sharpness.quotient import GeodesicBall, geodesic
from symtheory import catalog

LOSS = nn.CrossEntropyLoss()
METRICS = ("mixed", "invariant")
NO_CHANGE = 1e-6
"""Relative change of a value along an orbit in float64: rounding, grown by an ascent of a few steps."""


def dense_maximum(ball: GeodesicBall, covector: Point) -> float:
    """max <c, ξ> over horizontal |ξ| ≤ radius, by dense algebra: vertical space from the action, metric from inner."""
    (geometry,) = ball.geometries
    values = {name: leaf[0] for name, leaf in geometry.values.items()}
    size = sum(leaf.numel() for leaf in values.values())
    module = geometry.functions
    basis = [unflatten(row, values) for row in torch.eye(size, dtype=torch.float64)]
    metric = torch.stack([torch.stack([module.inner(values, e, f) for f in basis]) for e in basis])
    vertical = vertical_space(module, values)
    # Horizontal: metric-orthogonal to the vertical space.
    _, _, right = torch.linalg.svd(vertical @ metric)
    horizontal = right[len(vertical) :]
    inner = horizontal @ metric @ horizontal.T
    c = horizontal @ flatten(geometry.own(covector)).reshape(-1)
    return float(ball.radius * torch.sqrt(c @ torch.linalg.solve(inner, c)))


def vertical_space(module: ModuleType, values: Point) -> Tensor:
    """Tangents of the orbit, one a row, by differentiating the action at the identity."""
    rows = []
    (h,) = {leaf.shape[-1] for leaf in values.values()}
    for unit in torch.eye(h * h, dtype=torch.float64).reshape(-1, h, h):
        identity = torch.eye(h, dtype=torch.float64)
        rows.append(flatten(torch.func.jvp(lambda g: module.act(values, {"GL": g}), (identity,), (unit,))[1]))
    return torch.stack(rows)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gauge", ["given", "balanced"])
def test_the_steepest_direction_is_that_of_dense_algebra(metric: str, gauge: Any) -> None:
    model = prepared(Adapted())
    ball = GeodesicBall.of(trainable(model), lora_blocks(model), 0.3, metric=metric, gauge=gauge)
    generator = torch.Generator().manual_seed(2)
    draw = ball.sample(generator)
    covector = {name: torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) for name, leaf in draw.items()}
    steepest = ball.steepest(covector)
    reached = sum(float((covector[name] * steepest[name]).sum()) for name in covector)
    assert reached == pytest.approx(dense_maximum(ball, covector), rel=1e-9)
    (geometry,) = ball.geometries
    values = {name: leaf[0] for name, leaf in geometry.values.items()}
    for tangent in (steepest, draw):
        assert float(ball.length(tangent)) == pytest.approx(0.3)
        for row in vertical_space(geometry.functions, values):
            vertical = {name: leaf[None] for name, leaf in unflatten(row, values).items()}
            assert float(geometry.functions.inner(geometry.values, geometry.own(tangent), vertical).abs().max()) < 1e-10
    long = {name: 3 * leaf for name, leaf in draw.items()}
    assert float(ball.length(ball.project(long))) == pytest.approx(0.3)
    assert all(ball.project(draw)[name].allclose(draw[name]) for name in draw)


@pytest.mark.parametrize("momentum", [1.0, 0.75])
@pytest.mark.parametrize("size", [0.1, 2.0])
def test_a_step_in_few_passes_is_the_step_of_its_parts(momentum: float, size: float) -> None:
    model = prepared(Encoder())
    ball = GeodesicBall.of(trainable(model), encoder_blocks(model), 0.3)
    generator = torch.Generator().manual_seed(2)
    xi, before, covector = ball.project(ball.noise(generator)), ball.sample(generator), ball.sample(generator)
    reached = ball.project({name: leaf + size * ball.steepest(covector)[name] for name, leaf in xi.items()})
    mixed = {
        name: xi[name] + momentum * (reached[name] - xi[name]) + (1 - momentum) * (xi[name] - before[name])
        for name in xi
    }
    step, wanted = ball.advance(xi, before, covector, size, momentum), ball.project(mixed)
    for name in xi:
        torch.testing.assert_close(step[name], wanted[name], rtol=1e-9, atol=1e-12)


class Product(nn.Module):
    """x · (u ⊙ v)."""

    def __init__(self, u: list[float], v: list[float]) -> None:
        super().__init__()
        self.u, self.v = (nn.Parameter(torch.tensor(values, dtype=torch.float64)) for values in (u, v))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v)


def product_blocks(model: nn.Module) -> Blocks:
    return bind_module(list(ready_functions("hadamard").values()), model, {"u": View("u"), "v": View("v")})


def rise(output: Tensor, target: Tensor) -> Tensor:
    """The loss −w for x = 1: linear in the coefficient w."""
    return -(output * target).mean()


@pytest.mark.parametrize(
    ("metric", "order", "expected"),
    [
        # |ξ| = ρ and horizontal: b = ρ/√2 (inv), b = ρ/(√2|w|) (mix); w e^{2b}, w (1 + 2b), and (u + ub)(v + vb).
        ("invariant", "exact", lambda w, rho: w * (math.exp(math.sqrt(2) * rho) - 1)),
        ("mixed", "exact", lambda w, rho: math.sqrt(2) * rho),
        ("invariant", 1, lambda w, rho: w * ((1 + rho / math.sqrt(2)) ** 2 - 1)),
        ("mixed", 1, lambda w, rho: w * ((1 + rho / (math.sqrt(2) * w)) ** 2 - 1)),
        ("invariant", 2, lambda w, rho: w * ((1 + rho / math.sqrt(2) + rho**2 / 4) ** 2 - 1)),
    ],
)
@pytest.mark.parametrize("gauge", [1.0, 5.0])
def test_one_coefficient_has_the_closed_form(metric: str, order: Any, expected: Any, gauge: float) -> None:
    u, v, rho = 0.8 * gauge, 1.5 / gauge, 0.2
    model = Product([u], [v])
    data = (torch.ones(4, 1), -torch.ones(4))
    found = geodesic(model, rise, data, product_blocks(model), rho=rho, metric=metric, order=order, steps=10)
    assert found.value == pytest.approx(expected(u * v, rho), rel=1e-9)
    assert found.details["relative_length"] == pytest.approx(1.0)
    assert found.invariant is True


def test_without_blocks_it_is_adaptive_sharpness() -> None:
    model, data = prepared(Encoder()), sequences()
    for kind, other in (("worst_case", worst_case), ("average", average)):
        own = geodesic(model, LOSS, data, Blocks(()), rho=0.05, kind=kind)  # type: ignore[arg-type]
        plain = other(model, LOSS, data, rho=0.05, adaptive="element")  # type: ignore[operator]
        assert own.value == pytest.approx(plain.value, rel=1e-9)


def encoder_blocks(model: nn.Module) -> Blocks:
    return attention_blocks(model) + pair_blocks(model)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gauge", ["given", "balanced"])
def test_it_stays_along_orbits_where_adaptive_sharpness_moves(metric: str, gauge: Any) -> None:
    model, data = prepared(Encoder()), sequences()
    blocks = encoder_blocks(model)
    for kind, rho, orders in (("worst_case", 0.1, (1, 2)), ("average", 0.02, (2, 3))):
        for order in orders:
            found = geodesic(
                model,
                LOSS,
                data,
                blocks,
                rho=rho,
                metric=metric,
                kind=kind,
                order=order,
                steps=4,
                pairs=2,
                gauge=gauge,  # type: ignore[arg-type]
            )
            assert found.change_along_orbit is not None
            assert found.change_along_orbit < NO_CHANGE
            assert found.invariant is True
    moving = worst_case(model, LOSS, data, rho=0.1, adaptive="element", steps=4, blocks=blocks)
    assert moving.invariant is False


def test_both_gauges_and_several_batches_give_one_value() -> None:
    model, (x, y) = prepared(Encoder()), sequences(12)
    batches = [(x[:6], y[:6]), (x[6:], y[6:])]
    blocks = encoder_blocks(model)
    values = [
        geodesic(model, LOSS, batches, blocks, rho=0.1, steps=4, gauge=gauge, along_orbit=False)  # type: ignore[arg-type]
        for gauge in ("given", "balanced")
    ]
    assert values[0].value == pytest.approx(values[1].value, rel=NO_CHANGE)
    assert values[0].standard_error is not None
    assert [len(found.notes) for found in values] == [1, 2]
    assert "balanced gauge" in values[1].notes[0]
    # The mean of maxima is not below the maximum of the mean, and each batch is climbed by itself.
    alone = [geodesic(model, LOSS, b, blocks, rho=0.1, steps=4, along_orbit=False).value for b in batches]
    assert values[0].details["largest"] == pytest.approx(max(alone), rel=0.2)
    assert values[0].cost == pytest.approx(4 + 2 / 3)


def test_a_metric_that_is_not_invariant_is_caught() -> None:
    model, data = prepared(Adapted()), sequences()
    views = {"G": View("lora_B.default.weight"), "H": View("lora_A.default.weight").T}
    euclidean = st.generate(catalog.load("low_rank"), "euclidean", only=("inner", "sharp", "frame")).load()
    wrong = ModuleType("wrong")
    own = ("inner", "sharp", "frame", "METRIC")
    vars(wrong).update(vars(ready_functions("low_rank")["mixed"]) | {name: getattr(euclidean, name) for name in own})
    blocks = bind_module([wrong], model, views)
    found = geodesic(model, LOSS, data, blocks, rho=0.1, metric="euclidean", gauge="given", steps=4)
    assert found.invariant is False
    # Where every point is first moved to one gauge even this stays the same along the orbit, so it proves less there.
    tame = geodesic(model, LOSS, data, blocks, rho=0.1, metric="euclidean", gauge="balanced", steps=4)
    assert tame.invariant is True


def test_what_no_block_covers_is_adaptive_or_fixed_and_named() -> None:
    model, data = prepared(Encoder()), sequences()
    blocks = attention_blocks(model)
    point = trainable(model)
    free = blocks.free_entries(point)
    assert "encoder.layers.0.linear1.weight" in free
    assert "encoder.layers.0.self_attn.in_proj_weight" not in free
    adaptive, fixed = (
        geodesic(model, LOSS, data, blocks, rho=0.1, rest=rest, steps=3, along_orbit=False)  # type: ignore[arg-type]
        for rest in ("adaptive", "fixed")
    )
    assert fixed.value < adaptive.value
    count = sum(point[name].numel() for name in free)
    assert adaptive.notes[0].startswith(
        f"{count} of {sum(p.numel() for p in point.values())} parameters are in no block"
    )
    assert "adaptive norm" in adaptive.notes[0]
    assert "left as they are" in fixed.notes[0]
    ball = GeodesicBall.of(point, blocks, 0.1, rest="fixed")
    moved = ball.displace(ball.sample(torch.Generator().manual_seed(0)))
    assert moved["readout.weight"] is point["readout.weight"]
    assert set(moved) == set(point)


def test_a_parameter_covered_in_part_moves_adaptively_elsewhere() -> None:
    model = prepared(Adapted())
    point = trainable(model)
    views = {"G": View("lora_B.default.weight").rows(0, 3), "H": View("lora_A.default.weight").T}
    blocks = bind_module(list(ready_functions("low_rank").values()), model, views)
    mask = blocks.free_entries(point)["lora_B.default.weight"]
    assert mask is not None
    assert mask.any(-1).tolist() == [False, False, False, True, True]
    ball = GeodesicBall.of(point, blocks, 0.1)
    draw = ball.sample(torch.Generator().manual_seed(0))
    assert float(ball.length(draw)) == pytest.approx(0.1)
    change = ball.displace(draw)["lora_B.default.weight"] - point["lora_B.default.weight"]
    relative = draw["lora_B.default.weight"] * point["lora_B.default.weight"]
    torch.testing.assert_close(change[3:], relative[3:])
    with pytest.raises(SharpnessError, match="is no symmetry"):  # rows left out are not moved along
        geodesic(model, LOSS, sequences(), blocks, rho=0.1)


def test_float32_at_an_ill_conditioned_point_agrees_with_float64() -> None:
    model, data = prepared(Encoder()), sequences()
    blocks = encoder_blocks(model)
    wide = Objective.of(model, LOSS, data)
    moved = blocks.move(4, 100.0)(wide.parameters)
    values = {}
    for dtype, point in ((torch.float64, wide.parameters), (torch.float32, moved)):
        at = prepared(Encoder()).to(dtype)
        at.load_state_dict({name: leaf.to(dtype) for name, leaf in point.items()}, strict=False)
        for metric in METRICS:
            found = geodesic(at, LOSS, data, encoder_blocks(at), rho=0.1, metric=metric, steps=20, along_orbit=False)
            values.setdefault(metric, []).append(found.value)
    for found in values.values():
        assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_biases_that_a_model_lacks_are_neither_moved_nor_counted() -> None:
    model, data = prepared(Encoder(bias=False)), sequences()
    blocks = attention_blocks(model)
    ball = GeodesicBall.of(trainable(model), blocks, 0.1, rest="fixed")
    draw = ball.sample(torch.Generator().manual_seed(0))
    for name in ("bq", "bk", "bv", "bo"):
        assert not draw[f"0:{name}"].any()
        assert not ball.steepest({key: torch.ones_like(leaf) * (key[2] == "W") for key, leaf in draw.items()})[
            f"0:{name}"
        ].any()
    for kind in ("worst_case", "average"):
        found = geodesic(model, LOSS, data, blocks, rho=0.1, steps=3, pairs=2, kind=kind)  # type: ignore[arg-type]
        assert found.change_along_orbit is not None
        assert found.change_along_orbit < NO_CHANGE


def test_a_symmetry_that_needs_a_bias_the_model_lacks_is_refused() -> None:
    model = prepared(Encoder())
    (block,) = attention_blocks(model).blocks
    copies = {name: {**views, "bo": Absent((8,))} for name, views in block.copies.items()}
    without = Blocks((dataclasses.replace(block, copies=copies),))
    with pytest.raises(SharpnessError, match="has no 'bo', which a symmetry of 'attention_heads' needs"):
        GeodesicBall.of(trainable(model), without, 0.1)


def test_options_out_of_range() -> None:
    model, data = prepared(Encoder()), sequences()
    blocks = attention_blocks(model)
    point = trainable(model)
    with pytest.raises(OptionError, match="order='exact': the mixed metric of 'attention_heads' has no such geodesic"):
        GeodesicBall.of(point, blocks, 0.1, order="exact")
    with pytest.raises(OptionError, match="rho=0"):
        GeodesicBall.of(point, blocks, 0.0)
    with pytest.raises(OptionError, match="nothing to perturb"):
        GeodesicBall.of(point, Blocks(()), 0.1, rest="fixed")
    with pytest.raises(OptionError, match="rest='none'"):
        GeodesicBall.of(point, blocks, 0.1, rest="none")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="gauge='own'"):
        GeodesicBall.of(point, blocks, 0.1, gauge="own")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="kind='best'"):
        geodesic(model, LOSS, data, blocks, rho=0.1, kind="best")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="has no metric 'pullback'"):
        geodesic(model, LOSS, data, blocks, rho=0.1, metric="pullback")
