"""Blocks bound to real modules: views, orbits along which the function stays, and bindings that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from block_models import Adapted, Encoder, Mixer, Pooled, Sentences, prepared, sequences
from torch import Tensor, nn

from numeric.errors import OptionError, SharpnessError
from numeric.sharpness import Objective
from numeric.sharpness.blocks import Absent, Blocks, View, attention_blocks, bind_module, lora_blocks, pair_blocks
from numeric.sharpness.blocks.balance import balanced
from numeric.sharpness.blocks.elements import random_element
from numeric.sharpness.blocks.ready import ready_functions
from numeric.sharpness.parameters import trainable

SAME_FUNCTION = 1e-9
"""Rounding of a forward pass in float64 after group elements of condition 100."""

Q = "attention.in_proj_weight"

VIEWS = {
    "whole": View(Q),
    "rows": View(Q).rows(8, 16),
    "columns": View(Q).columns(2, 6).T,
    "both": View(Q).rows(3, 9).columns(1, 5),
    "heads": View(Q).rows(8, 16).split(0, 2).T,
    "permuted": View(Q).split(1, 4).permute(2, 0, 1),
    "kernel": View("kernel").flatten(2, 3, 3).T,
    "vector": View("attention.in_proj_bias").rows(16, 24).split(0, 2),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_a_view_reads_it_writes_back(name: str) -> None:
    view = VIEWS[name]
    generator = torch.Generator().manual_seed(0)
    point = {
        Q: torch.randn(24, 8, generator=generator),
        "attention.in_proj_bias": torch.randn(24, generator=generator),
        "kernel": torch.randn(4, 2, 3, 3, generator=generator),
    }
    before = {key: leaf.clone() for key, leaf in point.items()}
    value = view.read(point)
    view.write(point, value)
    assert all(torch.equal(point[key], before[key]) for key in point)
    other = torch.randn(value.shape, generator=generator, requires_grad=True)
    view.write(point, other)
    assert torch.equal(view.read(point), other)
    assert torch.equal(view.region(torch.ones_like(point[view.name])).sum(), torch.tensor(float(value.numel())))
    (gradient,) = torch.autograd.grad(point[view.name].sum(), other)
    assert torch.equal(gradient, torch.ones_like(other))
    assert int((point[view.name] != before[view.name]).sum()) == value.numel()


def mixer(**options: object) -> Callable[[], nn.Module]:
    return lambda: Mixer(nn.MultiheadAttention(8, 2, batch_first=True, **options))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Blocks]]] = {
    "packed": (mixer(), attention_blocks),
    "separate": (mixer(kdim=5, vdim=6), attention_blocks),
    "no biases": (mixer(bias=False), attention_blocks),
    "encoder": (Encoder, lambda m: attention_blocks(m) + pair_blocks(m)),
    "encoder without biases": (lambda: Encoder(bias=False), lambda m: attention_blocks(m) + pair_blocks(m)),
    "bert": (Sentences, attention_blocks),
    "lora": (Adapted, lora_blocks),
    "relu": (lambda: Pooled(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)), pair_blocks),
    "linear": (lambda: Pooled(nn.Linear(8, 6), nn.Linear(6, 3)), lambda m: pair_blocks(m, relu=False)),
    "linear without bias": (
        lambda: Pooled(nn.Linear(8, 6, bias=False), nn.Linear(6, 3, bias=False)),
        lambda m: pair_blocks(m, [("0", "1")], relu=False),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_function_stays_along_the_orbit_and_every_block_moves(name: str) -> None:
    make, bind = MODELS[name]
    model = prepared(make())
    blocks = bind(model)
    objective = Objective.of(model, nn.CrossEntropyLoss(), sequences())
    blocks.check_invariance(objective)
    batch = next(objective.batches())
    before = objective.output(objective.parameters, batch)
    moved = blocks.move(3, 100.0)(objective.parameters)
    after = objective.output(moved, batch)
    assert float((after - before).abs().max() / before.abs().max()) < SAME_FUNCTION
    for block in blocks.blocks:
        for view in block.views():
            here, there = view.read(objective.parameters), view.read(moved)
            unmoved = view.name.endswith(("out_proj.bias", "dense.bias", "1.bias", "2.bias"))
            assert unmoved or float((here - there).abs().max()) > 1e-3
    assert all(leaf.equal(model.get_parameter(key)) for key, leaf in objective.parameters.items())


def test_an_orbit_is_the_same_at_every_call_and_another_for_another_seed() -> None:
    model = prepared(Encoder())
    blocks, point = attention_blocks(model), trainable(model)
    first, again, other = (blocks.move(seed)(point) for seed in (1, 1, 2))
    name = "encoder.layers.0.self_attn.in_proj_weight"
    assert first[name].equal(again[name])
    assert not first[name].equal(other[name])
    assert blocks.move(torch.Generator().manual_seed(5))(point)[name].shape == point[name].shape
    with pytest.raises(OptionError, match="from 1 to 100"):
        blocks.move(0, 1e4)


WRONG = {
    "transposed": {"Wo": View("attention.out_proj.weight").split(0, 2)},
    "keys for values": {"Wv": View(Q).rows(8, 16).split(0, 2).T, "Wk": View(Q).rows(16, 24).split(0, 2).T},
    "interleaved heads": {"Wq": View(Q).rows(0, 8).split(0, 4).permute(1, 2, 0)},
    "another bias": {
        "bq": View("attention.in_proj_bias").rows(8, 16).split(0, 2),
        "bk": View("attention.in_proj_bias").rows(0, 8).split(0, 2),
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_binding_is_named_before_anything_is_measured(name: str) -> None:
    model = prepared(mixer()())
    (block,) = attention_blocks(model).blocks
    ((copy, views),) = block.copies.items()
    wrong = dataclasses.replace(block, copies={copy: {**views, **WRONG[name]}})
    objective = Objective.of(model, nn.CrossEntropyLoss(), sequences())
    with pytest.raises(
        SharpnessError, match=r"block 'attention' \(attention_heads\) is no symmetry .* changes the output"
    ):
        Blocks((wrong,)).check_invariance(objective)


def test_what_looks_like_a_pair_but_is_none() -> None:
    model = prepared(Pooled(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3)))
    with pytest.raises(SharpnessError, match="block '0 → 2'"):
        pair_blocks(model, [("0", "2")]).check_invariance(Objective.of(model, nn.CrossEntropyLoss(), sequences()))


def test_blocks_that_do_not_fit_the_model() -> None:
    model = prepared(mixer()())
    blocks, point = attention_blocks(model), trainable(model)
    with pytest.raises(OptionError, match=r"two blocks see the same entries of 'attention\.in_proj_weight'"):
        (blocks + blocks).free_entries(point)
    with pytest.raises(OptionError, match=r"'attention.in_proj_weight', which is not among those measured"):
        blocks.free_entries({"readout.weight": point["readout.weight"]})
    assert set(blocks.free_entries(point)) == {"readout.weight", "readout.bias"}
    with pytest.raises(OptionError, match=r"no nn\.MultiheadAttention"):
        attention_blocks(nn.Linear(2, 2))
    with pytest.raises(OptionError, match="no parameters named lora_A"):
        lora_blocks(nn.Linear(2, 2))
    with pytest.raises(OptionError, match="name the pairs"):
        pair_blocks(nn.Linear(2, 2))
    with pytest.raises(OptionError, match="cuts after it rearranges"):
        View(Q).T.rows(0, 2)


def test_a_head_that_has_lost_rank_is_named() -> None:
    model = prepared(Encoder())
    weight = model.get_parameter("encoder.layers.1.self_attn.in_proj_weight")
    weight.data[8 + 4] = weight.data[8 + 5]  # two equal rows of the keys of head 1
    (block,) = attention_blocks(model).blocks
    block.check_domain(prepared(Encoder()).state_dict(), "mixed")
    with pytest.raises(SharpnessError, match=r"block 'encoder.layers.1.self_attn', head 1: gram_Wk = .* full rank"):
        block.check_domain(trainable(model), "mixed")
    with pytest.raises(OptionError, match="has no metric 'euclidean': it has mixed, invariant"):
        block.metric("euclidean")


def test_a_declaration_of_the_users_own_is_bound_by_views() -> None:
    model = prepared(Adapted())
    functions = list(ready_functions("low_rank").values())
    views = {"G": View("lora_B.default.weight"), "H": View("lora_A.default.weight").T}
    blocks = bind_module(functions, model, views, name="adapter")
    assert blocks.names == ("adapter",)
    blocks.check_invariance(Objective.of(model, nn.CrossEntropyLoss(), sequences()))
    with pytest.raises(OptionError, match="declares G, H, and the views are of G"):
        bind_module(functions, model, {"G": views["G"]})
    with pytest.raises(
        SharpnessError, match=r"'H' with shape \('m', 'h'\) and its view has \(2, 8\) \(so far n = 5, h = 2"
    ):
        bind_module(functions, model, {**views, "H": View("lora_A.default.weight")})


def test_absent_biases_stay_at_zero() -> None:
    absent = Absent((2, 4))
    point = {"w": torch.ones(3, dtype=torch.float64)}
    assert absent.read(point).equal(torch.zeros(2, 4, dtype=torch.float64))
    absent.write(point, torch.ones(2, 4))
    assert list(point) == ["w"]


def test_group_elements_are_as_badly_conditioned_as_asked() -> None:
    kinds = {
        "g": ("GL", ("h", "h")),
        "o": ("O", ("h", "h")),
        "f": ("O_fixing_ones", ("h", "h")),
        "r": ("rescaling", ("h",)),
        "s": ("scaling", ()),
        "t": ("translation", ("h",)),
    }
    functions = SimpleNamespace(NAME="test", PARAMETERS={"W": ("d", "h")}, GROUP=kinds)
    point = {"W": torch.ones(3, 5, 4, dtype=torch.float64)}
    element = random_element(functions, point, 50.0, 0.1, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert torch.linalg.cond(element["g"]).tolist() == pytest.approx([50.0] * 3)
    identity = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    for name in "of":
        torch.testing.assert_close(element[name] @ element[name].mT, identity)
    torch.testing.assert_close(element["f"].sum(-1), torch.ones(3, 4, dtype=torch.float64))
    assert float(element["r"].min()) >= 50**-0.5
    assert float(element["r"].max()) <= 50**0.5
    assert element["s"].shape == (3,)
    with pytest.raises(SharpnessError, match="kind 'unknown'"):
        unknown = SimpleNamespace(NAME="test", PARAMETERS={"W": ("d", "h")}, GROUP={"x": ("unknown", ("h",))})
        random_element(unknown, point, 2.0, 1.0, torch.Generator())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["attention_heads", "low_rank", "linear_pair", "relu_pair"])
def test_the_balanced_gauge_has_equal_sides_on_the_same_orbit(name: str) -> None:
    functions = ready_functions(name)["mixed"]
    sizes = {"a": 2, "d": 7, "h": 3, "k": 5, "n": 6, "m": 7, "dq": 5, "dk": 6, "dv": 7}
    generator = torch.Generator().manual_seed(0)
    point: dict[str, Tensor] = {
        key: torch.randn(2, *(sizes[s] for s in shape), generator=generator, dtype=torch.float64)
        for key, shape in functions.PARAMETERS.items()
    }
    element = random_element(functions, point, 100.0, 1.0, generator)
    far = functions.act(point, {k: e if functions.GROUP[k][0] != "translation" else 0 * e for k, e in element.items()})
    for key, charge in functions.conserved(balanced(functions, far)).items():
        if functions.GROUP[key][0] != "translation":
            assert float(charge.abs().max()) < 1e-8


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("family", ["bert", "vit"])
def test_models_of_hugging_face_are_bound_by_their_attributes(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    generator = torch.Generator().manual_seed(0)
    if family == "bert":
        model = transformers.BertModel(transformers.BertConfig(vocab_size=20, **sizes))
        inputs = {"input_ids": torch.randint(20, (3, 5), generator=generator)}
    else:
        model = transformers.ViTModel(transformers.ViTConfig(image_size=8, patch_size=4, **sizes))
        inputs = {"pixel_values": torch.randn(3, 3, 8, 8, generator=generator)}
    blocks = attention_blocks(prepared(model))
    assert len(blocks.names) == 2
    objective = Objective.of(model, lambda out, _: out.last_hidden_state.mean(), {**inputs, "labels": torch.zeros(3)})
    blocks.check_invariance(objective)
