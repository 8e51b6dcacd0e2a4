"""Small models with attention, adapters and pairs of layers, and data, for the tests of bound blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from numeric.models import Bert
from numeric.models.bert import BertSizes


class Mixer(nn.Module):
    """Attention of tokens to themselves, or to other features of them; then a linear readout of the mean."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.attention = attention
        self.readout = nn.Linear(attention.embed_dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        key, value = x[..., : self.attention.kdim], x[..., : self.attention.vdim]
        out: Tensor = self.readout(self.attention(x, key, value, need_weights=False)[0].mean(1))
        return out


class Encoder(nn.Module):
    """Two layers of nn.TransformerEncoder and a readout."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 10, dropout=0.0, batch_first=True, bias=bias)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.readout = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.readout(self.encoder(x).mean(1))
        return out


class Sentences(nn.Module):
    """The small BERT, its tokens read off the features' order."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = Bert(BertSizes(11, 8, 2, 2, 10, max_position_embeddings=6))
        self.readout = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.argmax(-1)
        out: Tensor = self.readout(self.bert(tokens, torch.ones_like(tokens)))
        return out


class Adapted(nn.Module):
    """A fixed linear map with a correction of low rank, as peft names it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 5).requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(8, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 5, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x.mean(1)) + self.lora_B["default"](self.lora_A["default"](x.mean(1)))
        return out


class Pooled(nn.Sequential):
    """A sequence of layers on the mean of the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x.mean(1))
        return out


def prepared(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64, with every parameter moved off its special values (zeros, ones)."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = parameter.data + 0.3 * noise
    return model


def sequences(n: int = 6) -> tuple[Tensor, Tensor]:
    """Features (n, 4, 8) and labels (n,)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, 8, generator=generator), torch.arange(n) % 3
