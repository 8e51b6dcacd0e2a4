"""Blocks: declared parametrizations bound to the parameters of a real model, with their symmetries and geometry."""

from __future__ import annotations

from numeric.sharpness.blocks.attention import attention_blocks
from numeric.sharpness.blocks.bind import bind_module
from numeric.sharpness.blocks.block import Block
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.find import find_blocks
from numeric.sharpness.blocks.low_rank import lora_blocks
from numeric.sharpness.blocks.pairs import pair_blocks
from numeric.sharpness.blocks.view import Absent, View

__all__ = [
    "Absent",
    "Block",
    "Blocks",
    "View",
    "attention_blocks",
    "bind_module",
    "find_blocks",
    "lora_blocks",
    "pair_blocks",
]
