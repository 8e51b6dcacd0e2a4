"""The blocks that can be found in a model without being told."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.attention import attention_blocks
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.low_rank import lora_blocks
from numeric.sharpness.blocks.pairs import pair_blocks
from numeric.sharpness.blocks.view import View

BINDINGS = (attention_blocks, lora_blocks, pair_blocks)


def find_blocks(model: nn.Module) -> Blocks | None:
    """Attention, low-rank adapters and pairs of layers about a ReLU, whichever the model has; None if it has none.

    They are found by the kinds and names of modules: `Blocks.check_invariance` tells whether they are symmetries. What
    sees a parameter that is frozen, or tied to one of another name, is left out.
    """
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    found: Blocks | None = None
    for binding in BINDINGS:
        try:
            blocks = _within(binding(model), names)
        except OptionError:  # a model without this kind
            continue
        if len(blocks):
            found = blocks if found is None else found + blocks
    return found


def _within(blocks: Blocks, names: Set[str]) -> Blocks:
    """The copies of the blocks that see parameters of these names alone."""
    kept = []
    for block in blocks.blocks:
        copies = {
            name: views
            for name, views in block.copies.items()
            if all(view.name in names for view in views.values() if isinstance(view, View))
        }
        if copies:
            kept.append(replace(block, copies=copies))
    return Blocks(tuple(kept))
