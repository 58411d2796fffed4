"""Byte-level tokenizers for small models: any Unicode text round-trips, because every byte is a token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

#: Structural tokens of a Qwen2 chat model with InternVL's media and reference tokens; ``<|endoftext|>`` pads.
STRUCTURE_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
)

# Qwen2's pattern, but for numbers: two digits are one token, so that a coordinate of 0…99 is one token, and so is the
# comma with its space between two of them.
_PATTERN = (
    r", (?=\p{N})|(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_tokenizer(corpus: Iterable[str] = (), vocab_size: int = 0) -> Any:
    """Trains a byte-level BPE on a corpus; with no corpus it has the 256 bytes and the structural tokens only.

    Args:
        corpus: lines of text.
        vocab_size: size to reach, structural tokens included.

    Returns:
        A ``PreTrainedTokenizerFast``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    structure = [AddedToken(token, special=True, normalized=False) for token in STRUCTURE_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=max(vocab_size, len(alphabet) + len(structure)),
        initial_alphabet=sorted(alphabet),
        special_tokens=structure,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(STRUCTURE_TOKENS[3:]),
        clean_up_tokenization_spaces=False,
    )
