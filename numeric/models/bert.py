"""BERT's encoder in plain torch, under the parameter names of Hugging Face's BertModel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class BertSizes:
    """Sizes of a BERT; the names are those of its config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12


class Embeddings(nn.Module):
    """Words, positions and types added up and normalized."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.word_embeddings = nn.Embedding(sizes.vocab_size, width)
        self.position_embeddings = nn.Embedding(sizes.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(sizes.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=sizes.layer_norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[-1], device=tokens.device)
        added = self.position_embeddings(positions) + self.token_type_embeddings.weight[0]
        out: Tensor = self.LayerNorm(self.word_embeddings(tokens) + added)
        return out


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ/√h) V for every head, joined."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.num_attention_heads = sizes.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.num_attention_heads, -1)).transpose(-2, -3)
            for part in (self.query, self.key, self.value)
        )
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~visible[:, None, None, :], -torch.inf)
        return (scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2)


class Joined(nn.Module):
    """A linear map added to a residual stream, then normalized."""

    def __init__(self, inputs: int, sizes: BertSizes) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, sizes.hidden_size)
        self.LayerNorm = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)

    def forward(self, x: Tensor, stream: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(self.dense(x) + stream)
        return out


class Layer(nn.Module):
    """Attention, then two linear maps with a GELU between, each with its residual and norm."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(sizes), "output": Joined(sizes.hidden_size, sizes)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(sizes.hidden_size, sizes.intermediate_size)})
        self.output = Joined(sizes.intermediate_size, sizes)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, visible), x)
        out: Tensor = self.output(functional.gelu(self.intermediate["dense"](x)), x)
        return out


class Bert(nn.Module):
    """Tokens and mask, both (batch, length), 1 for real tokens -> mean of the last layer's tokens, of length 1.

    The mean over real tokens (batch, hidden_size), normalized, is the sentence embedding of sentence-transformers.
    """

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.embeddings = Embeddings(sizes)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(sizes) for _ in range(sizes.num_hidden_layers))})

    def tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The last layer's tokens (batch, length, hidden_size)."""
        x: Tensor = self.embeddings(input_ids)
        for layer in self.encoder["layer"].children():
            x = layer(x, attention_mask.bool())
        return x

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        weights = attention_mask[..., None].to(self.embeddings.LayerNorm.weight.dtype)
        mean = (self.tokens(input_ids, attention_mask) * weights).sum(-2) / weights.sum(-2)
        return functional.normalize(mean, dim=-1)
