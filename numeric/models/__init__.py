"""Small loaders of trained models that packages carry, in plain torch."""

from __future__ import annotations

from numeric.models.bert import Bert
from numeric.models.minilm import load_minilm
from numeric.models.wordpiece import WordPiece

__all__ = ["Bert", "WordPiece", "load_minilm"]
