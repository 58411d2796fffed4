"""A request on its way through a session: what is asked, what was written, and masks that are still to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from word2mask.inference.frames import View
from word2mask.inference.tracking import FeatureStore, TrackedFrame
from word2mask.mllms.interface import Kept
from word2mask.types import Example, Generation, Request, Result

__all__ = ["Job", "Tracking", "Written"]


@dataclass
class Job:
    """A request on its way.

    Attributes:
        request: whose regions are masks by now.
        view: of its media.
        example: what the model reads.
        settings: how the answer is written.
        kept: what the language model keeps of the conversation that the request goes on with.
        store: encoded frames of that conversation's media.
        found: the masks of a picture, where they were found together with those of others.
    """

    request: Request
    view: View | None
    example: Example
    settings: Generation
    kept: Kept | None = None
    store: FeatureStore | None = None
    found: TrackedFrame | None = None


@dataclass
class Written:
    """What the language model has written.

    Attributes:
        raw_text: as generated, with all special tokens.
        marked_text: with the markup of phrases and masks only.
        states: ``[N,D]`` at the ``[SEG]``.
    """

    raw_text: str
    marked_text: str
    states: torch.Tensor


@dataclass
class Tracking(Iterator[TrackedFrame]):
    """The words of an answer, and its masks frame by frame: (frame, bool ``[N,H,W]``, float32 ``[N]``).

    The masks of a frame are there when its turn comes, and aren't kept here.

    Attributes:
        result: the answer without segments; its ``num_frames`` counts what has arrived, where the video is live.
        objects: phrase and span of each object, as a :class:`~word2mask.types.Segment` has them.
    """

    result: Result
    objects: tuple[tuple[str, tuple[int, int] | None], ...]
    frames: Iterator[TrackedFrame]

    def __next__(self) -> TrackedFrame:
        return next(self.frames)
