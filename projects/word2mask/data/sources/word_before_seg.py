"""Answers in which a word stands before every ``[SEG]``: for models that read the state just before it.

LISA's state is that of the token before ``[SEG]``. Where a language model already has a word whose state says where
something is, such as InternVL's ``<box>``, that word is the better neighbour than whatever the sentence has there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.text.special_tokens import BOX_START, SEG
from word2mask.types import Sample


class WordBeforeSeg(Source):
    """A source with a word put before each ``[SEG]`` of its answers; all else stays.

    Args:
        source: whose answers to change.
        word: of the language model's vocabulary, without spaces.
    """

    def __init__(self, source: Source, word: str = BOX_START) -> None:
        self.source = source
        self.word = word
        self.tasks = source.tasks
        self.name = source.name

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        sample = self.source.read(index, rng)
        turns = [
            turn if turn.role == "user" else replace(turn, text=turn.text.replace(SEG, self.word + SEG))
            for turn in sample.turns
        ]
        return replace(sample, turns=tuple(turns))

    def sizes(self) -> np.ndarray:
        return self.source.sizes()

    def media_folders(self) -> tuple[Path, ...]:
        return self.source.media_folders()

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> WordBeforeSeg:
        from word2mask.data.sources.refcoco import RefCOCO

        return cls(RefCOCO.fixture(folder, expressions_per_sample=1), **options)
