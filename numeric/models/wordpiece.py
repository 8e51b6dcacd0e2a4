"""WordPiece tokens of short texts, as the uncased BERT models take them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

UNKNOWN, CLASS, SEPARATOR, PADDING = "[UNK]", "[CLS]", "[SEP]", "[PAD]"


class WordPiece:
    """The longest pieces first, from a vocabulary with one piece a line; words in lower case, accents left out."""

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self.numbers = {piece: number for number, piece in enumerate(lines)}

    def pieces(self, text: str) -> list[str]:
        """The text's pieces, without the marks at its ends."""
        plain = unicodedata.normalize("NFD", text.lower())
        plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
        return [piece for word in re.findall(r"\w+|[^\w\s]", plain) for piece in self._word(word)]

    def _word(self, word: str) -> list[str]:
        found: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in self.numbers), None)
            if end is None:
                return [UNKNOWN]
            found.append(mark + word[start:end])
            start = end
        return found

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """{"input_ids", "attention_mask"}, integers (len(texts), longest), padded at the right."""
        rows = [[CLASS, *self.pieces(text), SEPARATOR] for text in texts]
        longest = max(map(len, rows))
        ids = [[self.numbers[piece] for piece in row + [PADDING] * (longest - len(row))] for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
