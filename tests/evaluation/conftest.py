"""A stand-in for a model: it answers from the benchmark's own targets, well or badly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from word2mask.evaluation.interface import Benchmark, mask_shape, media_of
from word2mask.text.special_tokens import SEG
from word2mask.types import Request, Result, Sample, Segment


class Oracle:
    """Answers every request with the targets of its sample, changed by ``alter(position, sample, result)``.

    The sample is found by its question and media, which the requests of a benchmark carry unchanged.
    """

    def __init__(self, benchmark: Benchmark, alter: Callable[[int, Sample, Result], Result] | None = None):
        self.samples = [benchmark.sample(position) for position in range(len(benchmark))]
        self.requests = [benchmark.request(sample) for sample in self.samples]
        self.alter = alter or (lambda position, sample, result: result)
        self.batches: list[list[int]] = []

    def batch(self, requests: Sequence[Request]) -> list[Result]:
        positions = [self._find(request) for request in requests]
        self.batches.append(positions)
        return [self._answer(position) for position in positions]

    def _find(self, request: Request) -> int:
        for position, other in enumerate(self.requests):
            same_media = np.array_equal(_first_frame(request.media), _first_frame(other.media))
            same_regions = (request.regions is None) == (other.regions is None) and (
                request.regions is None or np.array_equal(request.regions, other.regions)
            )
            if request.turns == other.turns and same_media and same_regions:
                return position
        raise AssertionError(f"no sample asks {request.turns}")

    def _answer(self, position: int) -> Result:
        sample = self.samples[position]
        reference = next((turn.text for turn in reversed(sample.turns) if turn.role == "assistant"), "")
        masks = sample.masks if sample.masks is not None else ()
        segments = [Segment("", None, mask, np.ones(len(mask), np.float32)) for mask in masks]
        frames, height, width = mask_shape(sample) if media_of(sample) is not None else (0, 0, 0)
        text = reference.replace(SEG, "").strip()
        return self.alter(position, sample, Result(text, reference, segments, (height, width), frames))


def _first_frame(media: object) -> np.ndarray | None:
    if media is None:
        return None
    return media.read([0])[0] if hasattr(media, "read") else media.frames[0]


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle
