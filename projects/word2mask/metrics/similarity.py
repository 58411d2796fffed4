"""How alike two phrases are, by a text model that is at hand.

GLaMM's recall of grounded captions compares phrases so (mbzuai-oryx/groundingLMM, commit e74865f,
``eval/gcg/evaluate.py``): the cosine of the mean last hidden states of ``bert-base-uncased``. Without a model,
:func:`word2mask.metrics.text.word_overlap` compares words.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Self

import torch

from word2mask.errors import UserError

#: Longest phrase in tokens; GLaMM's.
MAX_TOKENS = 512
#: Phrases whose vectors are kept.
NUM_KEPT = 4096


class EmbeddingSimilarity:
    """Cosine of two phrases' vectors, in -1…1.

    Args:
        tokenizer: a tokenizer of transformers.
        model: an encoder of transformers that gives ``last_hidden_state``, ``[1,L,D]``.
        name: what the model is called in a protocol.
    """

    def __init__(self, tokenizer: Any, model: torch.nn.Module, name: str):
        self.tokenizer = tokenizer
        self.model = model.eval()
        self.name = name
        self._embed = functools.lru_cache(maxsize=NUM_KEPT)(self.embed)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """With the model of a folder, or of a name in the local cache of Hugging Face; nothing is downloaded.

        Raises:
            UserError: there is none, or it isn't a text encoder that transformers knows.
        """
        from transformers import AutoModel, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model = AutoModel.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise UserError(
                f"no text model could be read from {folder} ({reason}); download one, e.g. `hf download "
                "google-bert/bert-base-uncased --local-dir bert`, and give its folder, or compare phrases by words"
            ) from error
        return cls(tokenizer, model, Path(folder).name)

    @property
    def description(self) -> str:
        """For a protocol's line."""
        return f"cosine of the mean hidden states of {self.name}"

    def embed(self, phrase: str) -> torch.Tensor:
        """The mean of the last hidden states of all tokens, the markers included: float32 ``[D]``."""
        inputs = self.tokenizer(phrase, return_tensors="pt", max_length=MAX_TOKENS, truncation=True)
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            states = self.model(**inputs.to(device)).last_hidden_state
        return states[0].mean(dim=0).float().cpu()

    def __call__(self, one: str, other: str) -> float:
        return float(torch.nn.functional.cosine_similarity(self._embed(one), self._embed(other), dim=0))
