"""Attention of real models as blocks: one for every layer, with all its heads and all its biases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.block import Views
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.ready import joined, stacked
from numeric.sharpness.blocks.view import Absent, View


@dataclass(frozen=True)
class Layout:
    """Attributes under which a module keeps its four linear maps and its number of heads; "../" is its parent."""

    query: str
    key: str
    value: str
    output: str
    heads: str


LAYOUTS = (
    # Hugging Face's BERT, RoBERTa, ELECTRA, ViT, DeiT …
    Layout("query", "key", "value", "../output.dense", "num_attention_heads"),
    # … DistilBERT, and CLIP, SigLIP
    Layout("q_lin", "k_lin", "v_lin", "out_lin", "n_heads"),
    Layout("q_proj", "k_proj", "v_proj", "out_proj", "num_heads"),
)
"""Attention as models keep it that have no nn.MultiheadAttention: one line for each way."""


def attention_blocks(model: nn.Module) -> Blocks:
    """Every attention in the model: nn.MultiheadAttention (so nn.TransformerEncoder), and what `LAYOUTS` describes.

    A layer's block holds Wq, bq, Wk, bk, Wv, bv, Wo of every head and the bias bo that the heads share. Its symmetry:
    for each head an invertible matrix between queries and keys, one between values and output, shifts of bk, and shifts
    of bv that bo makes up for, summed over heads. Biases that a layer lacks stay at zero.
    Raises OptionError for a model without attention that is kept in one of these ways.
    """
    copies = {**dict(_multihead(model)), **dict(_described(model))}
    if not copies:
        ways = ", ".join(f"({layout.query}, {layout.key}, {layout.value}, {layout.output})" for layout in LAYOUTS)
        raise OptionError(
            f"{type(model).__name__} has no nn.MultiheadAttention and no attention kept as {ways}: bind it with "
            "bind_module and views of your own"
        )
    return stacked("attention_heads", model, copies, "head")


def _multihead(model: nn.Module) -> Iterator[tuple[str, Views]]:
    for prefix, module in model.named_modules():
        if not isinstance(module, nn.MultiheadAttention):
            continue
        width, heads = module.embed_dim, module.num_heads
        views: dict[str, View | Absent] = {}
        for place, key in enumerate("qkv"):
            rows = place * width, (place + 1) * width
            if module.in_proj_weight is None:
                weight = View(joined(prefix, f"{key}_proj_weight"))
            else:
                weight = View(joined(prefix, "in_proj_weight")).rows(*rows)
            views[f"W{key}"] = weight.split(0, heads).T
            has_bias = module.in_proj_bias is not None
            bias = View(joined(prefix, "in_proj_bias")).rows(*rows).split(0, heads)
            views[f"b{key}"] = bias if has_bias else Absent((heads, width // heads))
        yield prefix, views | _output(joined(prefix, "out_proj"), module.out_proj, heads)


def _described(model: nn.Module) -> Iterator[tuple[str, Views]]:
    modules = dict(model.named_modules())
    for prefix, module in modules.items():
        for layout in LAYOUTS:
            paths = [_path(prefix, name) for name in (layout.query, layout.key, layout.value, layout.output)]
            linear = [modules.get(path) for path in paths]
            heads = getattr(module, layout.heads, None)
            if isinstance(heads, int) and all(isinstance(part, nn.Linear) for part in linear):
                views: dict[str, View | Absent] = {}
                for key, path, part in zip("qkv", paths, linear, strict=False):
                    assert isinstance(part, nn.Linear)  # checked above
                    views |= _input(key, path, part, heads)
                assert isinstance(linear[-1], nn.Linear)  # checked above
                yield prefix, views | _output(paths[-1], linear[-1], heads)


def _input(key: str, path: str, linear: nn.Linear, heads: int) -> dict[str, View | Absent]:
    bias = Absent((heads, linear.out_features // heads))
    return {
        f"W{key}": View(joined(path, "weight")).split(0, heads).T,
        f"b{key}": bias if linear.bias is None else View(joined(path, "bias")).split(0, heads),
    }


def _output(path: str, linear: nn.Linear, heads: int) -> dict[str, View | Absent]:
    return {
        "Wo": View(joined(path, "weight")).T.split(0, heads),
        "bo": Absent((linear.out_features,)) if linear.bias is None else View(joined(path, "bias")),
    }


def _path(prefix: str, name: str) -> str:
    """A name relative to a module's, as a full one."""
    if name.startswith("../"):
        return joined(prefix.rpartition(".")[0], name.removeprefix("../"))
    return joined(prefix, name)
