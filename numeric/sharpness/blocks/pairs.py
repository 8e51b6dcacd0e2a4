"""Two linear layers with nothing or a ReLU between them as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.block import Views
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.ready import joined, stacked
from numeric.sharpness.blocks.view import Absent, View


def pair_blocks(model: nn.Module, pairs: Iterable[tuple[str, str]] | None = None, *, relu: bool = True) -> Blocks:
    """Pairs of layers W2 σ(W1 x + b1) + b2, by the names of their modules.

    relu: σ is a ReLU (or leaky), whose hidden units can be rescaled; else σ is the identity, which allows every change
    of basis and shifts of b1 that b2 makes up for. pairs: (first, second), which must not share a layer; if None, those
    that stand one behind the other in an nn.Sequential, and the linear1, linear2 of an nn.TransformerEncoderLayer with
    a ReLU, taken from the input on.
    Raises OptionError where there is none, or a module is no nn.Linear.
    """
    chosen = list(_found(model, relu) if pairs is None else pairs)
    if not chosen:
        raise OptionError(f"{type(model).__name__} has no such pair in an nn.Sequential: name the pairs")
    modules = dict(model.named_modules())
    copies: dict[str, Views] = {}
    for first, second in chosen:
        views: dict[str, View | Absent] = {}
        for place, name in enumerate((first, second), start=1):
            views |= _layer(str(place), name, modules.get(name))
        copies[f"{first} → {second}"] = views
    return stacked("relu_pair" if relu else "linear_pair", model, copies, "unit")


def _layer(place: str, name: str, module: nn.Module | None) -> dict[str, View | Absent]:
    if not isinstance(module, nn.Linear):
        raise OptionError(f"'{name}' is {type(module).__name__}: a pair is made of two nn.Linear")
    bias = View(joined(name, "bias")) if module.bias is not None else Absent((module.out_features,))
    return {f"W{place}": View(joined(name, "weight")), f"b{place}": bias}


def _found(model: nn.Module, relu: bool) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    for prefix, module in model.named_modules():
        candidates: list[tuple[str, str]] = []
        if isinstance(module, nn.Sequential):
            candidates = list(_in_sequence(prefix, module, relu))
        elif isinstance(module, nn.TransformerEncoderLayer) and relu and module.activation_relu_or_gelu == 1:
            candidates = [(joined(prefix, "linear1"), joined(prefix, "linear2"))]
        for first, second in candidates:
            if not {first, second} & used:
                used |= {first, second}
                yield first, second


def _in_sequence(prefix: str, module: nn.Sequential, relu: bool) -> Iterator[tuple[str, str]]:
    named = list(module.named_children())
    if not relu:
        for (first, one), (second, other) in pairwise(named):
            if isinstance(one, nn.Linear) and isinstance(other, nn.Linear):
                yield joined(prefix, first), joined(prefix, second)
        return
    for (first, one), (_, between), (second, other) in zip(named, named[1:], named[2:], strict=False):
        if isinstance(one, nn.Linear) and isinstance(between, nn.ReLU | nn.LeakyReLU) and isinstance(other, nn.Linear):
            yield joined(prefix, first), joined(prefix, second)
