"""The generated modules that come with the package, and blocks of copies that have equal shapes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from torch import nn

from numeric.sharpness.blocks.block import Block, Views
from numeric.sharpness.blocks.blocks import Blocks

METRICS = ("mixed", "invariant")


def ready_functions(declaration: str) -> dict[str, ModuleType]:
    """Metric → generated module of a declaration of examples/sharpness/block_declarations.py."""
    return {metric: import_module(f"numeric.sharpness.generated.{declaration}_{metric}") for metric in METRICS}


def stacked(declaration: str, model: nn.Module, copies: Mapping[str, Views], part: str = "index") -> Blocks:
    """Blocks of a ready declaration: one for all copies that have equal shapes and lack the same parameters."""
    functions = ready_functions(declaration)
    point = {name: parameter.detach() for name, parameter in model.named_parameters(remove_duplicate=False)}
    groups: dict[tuple[object, ...], dict[str, Views]] = {}
    for name, views in copies.items():
        kind = tuple((key, type(view), tuple(view.read(point).shape)) for key, view in sorted(views.items()))
        groups.setdefault(kind, {})[name] = views
    return Blocks(tuple(Block(functions, members, part) for members in groups.values()))


def joined(prefix: str, name: str) -> str:
    """A parameter's full name from its module's."""
    return f"{prefix}.{name}" if prefix else name
