"""A task of a mean over samples for a sentence encoder: finding the paraphrase of a sentence among fixed ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from numeric.models.bert import Bert
from numeric.models.wordpiece import WordPiece

SCALE = 20.0
"""By what sentence-transformers multiplies cosines before the softmax (dimensionless)."""


class SentenceMatching(nn.Module):
    """Sentences -> logits (batch, candidates): 20 × cosine with the embeddings of fixed candidate sentences.

    The candidates (candidates, width) are a buffer, embedded once by the model as it was loaded: the loss of a sentence
    does not depend on the others of its batch, as in-batch negatives would make it.
    """

    def __init__(self, encoder: Bert, candidates: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("candidates", candidates)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        candidates = self.get_buffer("candidates")
        return SCALE * self.encoder(input_ids, attention_mask) @ candidates.mT


def sentence_matching(
    encoder: Bert, tokenizer: WordPiece, pairs: Sequence[tuple[str, str]], batch: int
) -> tuple[SentenceMatching, list[dict[str, Tensor]]]:
    """The model, and batches of the task: the first sentence of each pair, labelled with the place of its second."""
    with torch.no_grad():
        candidates = encoder(**tokenizer([second for _, second in pairs]))
    labels = torch.arange(len(pairs))
    chunks = [slice(start, start + batch) for start in range(0, len(pairs), batch)]
    data = [{**tokenizer([first for first, _ in pairs[rows]]), "labels": labels[rows]} for rows in chunks]
    return SentenceMatching(encoder, candidates).eval(), data
