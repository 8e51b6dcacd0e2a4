"""Low-rank adapters as blocks."""

from __future__ import annotations

import re

from torch import nn

from numeric.errors import OptionError
from numeric.sharpness.blocks.block import Views
from numeric.sharpness.blocks.blocks import Blocks
from numeric.sharpness.blocks.ready import stacked
from numeric.sharpness.blocks.view import View

FIRST = re.compile(r"(^|\.)lora_A(?=\.|$)")


def lora_blocks(model: nn.Module) -> Blocks:
    """Every pair of parameters (…lora_A…, …lora_B…) that adds B A to a weight, A of shape (r, d) and B (k, r).

    The names are those of peft and most LoRA code. Symmetry: (B, A) ↦ (B g⁻¹, g A).
    A fresh adapter with B = 0 has lost rank: measure after training.
    Raises OptionError for a model without such a pair.
    """
    names = {name for name, _ in model.named_parameters()}
    copies: dict[str, Views] = {}
    for name in sorted(names):
        other = FIRST.sub(r"\1lora_B", name)
        if other != name and other in names:
            copies[name] = {"G": View(other), "H": View(name).T}
    if not copies:
        raise OptionError(
            f"{type(model).__name__} has no parameters named lora_A and lora_B: bind them with bind_module"
        )
    return stacked("low_rank", model, copies)
