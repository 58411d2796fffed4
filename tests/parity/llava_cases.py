"""Conversations about a picture and a tokenizer of Llama's kind, for ``make_llava.py`` and the test of its results."""

from __future__ import annotations

import string
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

#: What stands for a picture in LLaVA's ids.
PICTURE = -200

#: Name → turns, the user first; one that ends with the user's is a prompt.
CONVERSATIONS = {
    "asked": ["What is in the picture?"],
    "answered": ["Where is the dog?\nLook well.", "On a sofa, 2 m wide."],
    "asked again": ["What is it?", "A dog.", "  And why?"],
    "answered twice": ["Hi.", "Hello!", "Ünusual wörds, too?", "Yes: 狗."],
}


def llama_tokenizer() -> Any:
    """A tokenizer that treats spaces, bytes and special tokens as Llama's does, with letters for a vocabulary."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokens += [*string.ascii_letters, *string.digits, *".,:;?!'"]
    tokenizer = Tokenizer(
        models.BPE({token: index for index, token in enumerate(tokens)}, [], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in tokens[:3]])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>"
    )
