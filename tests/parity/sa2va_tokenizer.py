"""The small tokenizer of the Sa2VA parity tests: how it is trained and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

#: In this order the published recipe adds them to a tokenizer that has the ones before.
STRUCTURE = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")
GROUNDING = ("[SEG]", "<p>", "</p>", "<vp>", "</vp>")
#: Qwen2's rule for cutting text before byte-pair merging.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: The tokenizer is trained on this; the template's markers are in it, so that their pieces merge with what is around.
CORPUS = (
    "Can you segment the dog in this image? Sure, it is the dog on the left.<|end|>\n<|assistant|>\n",
    "Please segment the red car in this image. It is the car.<|end|>\n<|user|>\nWhat is in the picture?<|end|>\n",
    "There are 2 part regions in the picture: region1, region2.\nDescribe region1 in detail.<|end|>\n",
    "The picture shows two people and a dog, near a house; the dog runs.\n\nWhat happens next? It stops.",
)


def make_tokenizer() -> Any:
    """A small byte-level BPE that cuts text as Qwen2's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [AddedToken(token, special=True, normalized=False) for token in STRUCTURE]
    size = len(alphabet) + len(special) + 150
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=special)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in GROUNDING])
    return tokenizer


def load_tokenizer(folder: Path, **tokens: str) -> Any:
    """The tokenizer as transformers' class."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        **tokens,
    )
