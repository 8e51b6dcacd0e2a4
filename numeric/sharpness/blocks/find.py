"""The blocks that can be found in a model without being told."""

from __future__ import annotations

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.attention import attention_blocks
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.low_rank import lora_blocks
from numeric.sharpness.blocks.pairs import pair_blocks

BINDINGS = (attention_blocks, lora_blocks, pair_blocks)


def find_blocks(model: nn.Module) -> Blocks | None:
    """Attention, low-rank adapters and pairs of layers about a ReLU, whichever the model has; None if it has none.

    They are found by the kinds and names of modules: `Blocks.check_invariance` tells whether they are symmetries.
    """
    found: Blocks | None = None
    for binding in BINDINGS:
        try:
            blocks = binding(model)
        except OptionError:  # a model without this kind
            continue
        found = blocks if found is None else found + blocks
    return found
