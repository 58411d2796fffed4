"""A control experiment: the pictures, masks and answers of a source with the questions of other records.

A model trained on it can learn where things are, but not which of them is meant. How far it comes shows how much of a
score needs no language.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from word2mask.data.sources.interface import Source
from word2mask.types import Sample, Turn


class ShuffledText(Source):
    """A source whose user texts come from other records, drawn at every read.

    Roles, answers, masks and media stay. A record with more questions than the donor gets them in turn.

    Args:
        source: whose records to mix up; in its training view.
        name: what to call it; ``"<source> (text shuffled)"`` without.
    """

    def __init__(self, source: Source, name: str | None = None) -> None:
        self.source = source
        self.tasks = source.tasks
        self.name = name or f"{source.name} (text shuffled)"

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        if rng is None:
            raise ValueError("a text is drawn from a generator: read(index, rng)")
        sample = self.source.read(index, rng)
        if len(self) < 2:
            return sample
        donor = int(rng.integers(len(self) - 1))
        donor += donor >= index
        texts = [turn.text for turn in self.source.read(donor, rng).turns if turn.role == "user"]
        # The donor's first text isn't always taken, or its order would give away the record's own.
        texts = [texts[position] for position in rng.permutation(len(texts))]
        turns: list[Turn] = []
        for turn in sample.turns:
            turns.append(turn if turn.role != "user" else replace(turn, text=texts[len(turns) // 2 % len(texts)]))
        return replace(sample, turns=tuple(turns))

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ShuffledText:
        from word2mask.data.sources.refcoco import RefCOCO

        return cls(RefCOCO.fixture(folder, expressions_per_sample=1), **options)
