"""A BERT of two thousand weights that depend on nothing but their names: what a text similarity is tested with."""

from __future__ import annotations

import zlib
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "red", "circle", "disk", "dog", "##s", "two"]
WORDS += ["small", "large", "star"]


def write(folder: Path) -> None:
    """Tokenizer and model as transformers' folders have them."""
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab={word: index for index, word in enumerate(WORDS)}).save_pretrained(folder)
    model = BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=32,
        )
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            numbers = torch.arange(weight.numel(), dtype=torch.float64)
            values = torch.sin(numbers**1.5 + zlib.crc32(name.encode()) % 1000).reshape(weight.shape)
            is_scale = name.endswith("LayerNorm.weight")
            weight.copy_(1 + 0.2 * values if is_scale else values if weight.ndim > 1 else 0.1 * values)
    model.save_pretrained(folder)
