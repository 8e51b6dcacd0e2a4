"""A declared parametrization of a user's own bound to a model."""

from __future__ import annotations

from types import ModuleType

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.block import Block, Views
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.elements import read_sizes


def bind_module(functions: ModuleType | list[ModuleType], model: nn.Module, views: Views, *, name: str = "") -> Blocks:
    """A declared parametrization bound to a module's parameters.

    functions: its generated module (``st.generate(P, metric).load()``), or one for every metric. views: declared
    parameter → View of a parameter of the model, or Absent. name: how messages call the block; the declaration's, if
    empty. Raises OptionError for declared parameters without a view, and for views of parameters that the model lacks.
    """
    modules = functions if isinstance(functions, list) else [functions]
    declared = set(modules[0].PARAMETERS)
    if set(views) != declared:
        raise OptionError(
            f"{modules[0].NAME} declares {', '.join(sorted(declared))}, and the views are of {', '.join(sorted(views))}"
        )
    block = Block({module.METRIC: module for module in modules}, {name or modules[0].NAME: views})
    point = {key: parameter.detach() for key, parameter in model.named_parameters()}
    Blocks((block,)).free_entries(point)
    read_sizes(block.module, block.read(point))
    return Blocks((block,))
