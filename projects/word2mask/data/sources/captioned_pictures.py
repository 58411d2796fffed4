"""What the data sets of grounded captions share: a picture, its caption, and the masks of some of its phrases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from word2mask.data.media import open_image
from word2mask.data.sources.annotated_media import AnnotatedPictures
from word2mask.data.sources.interface import drawing, record, stack_masks
from word2mask.ops.masks import segmentation_to_mask, union
from word2mask.text.questions import grounded_caption_question
from word2mask.text.special_tokens import PHRASE_END, PHRASE_START, SEG
from word2mask.types import Sample, Turn


@dataclass(frozen=True)
class Phrase:
    """A phrase of a caption.

    Attributes:
        start: its first character.
        stop: the character after its last.
        segmentations: its masks, each as :func:`~word2mask.ops.masks.segmentation_to_mask` reads it.
    """

    start: int
    stop: int
    segmentations: tuple[Any, ...]


class CaptionedPictures(AnnotatedPictures):
    """A picture a record: its caption with one ``[SEG]`` after every phrase, which stands for all masks of the phrase.

    Phrases go in the order of the caption. Where two overlap, the one that begins first stays (the longer one, if they
    begin together); two at the same place are one. A phrase whose masks are empty stays as words. A record without any
    phrase is left out, as the published readers do. ``per_expression``: the same in fixed wording; ``extra`` holds
    besides ``caption``, ``phrases`` (one per mask) and ``file_name``, and ``expression`` is empty.
    """

    tasks = ("grounded_caption",)

    @abstractmethod
    def _phrases(self, entry: Any) -> list[Phrase]:
        """The phrases of a record that have masks, in any order.

        Raises:
            ValueError: when a phrase isn't within the caption.
        """

    def _caption(self, entry: Any) -> str:
        """The caption, which ``_phrases`` counts in."""
        return entry["caption"]

    def _file_name(self, entry: Any) -> str:
        """Of the picture, within the folder."""
        return entry["file_name"]

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        entry, _, record_id = self._locate(index)
        with record(self.name, record_id, self._file):
            caption, file_name = self._caption(entry), self._file_name(entry)
            media = open_image(self._media_path(file_name))
            size = media.frames.shape[1:3]
            grounded = []
            for phrase in _apart(self._phrases(entry)):
                mask = union((segmentation_to_mask(found, *size) for found in phrase.segmentations), *size)
                if mask.any():
                    grounded.append((phrase, mask))
            if not grounded:
                raise ValueError("the masks of all its phrases are empty")
            answer, end = "", 0
            for phrase, _ in grounded:
                words = caption[phrase.start : phrase.stop].strip()
                answer += f"{caption[end : phrase.start]}{PHRASE_START} {words} {PHRASE_END} {SEG}"
                end = phrase.stop
            extra = {
                "expression": "",
                "kind": entry.get("kind", ""),
                "caption": caption,
                "phrases": [caption[phrase.start : phrase.stop].strip() for phrase, _ in grounded],
                "file_name": file_name,
            }
            return Sample(
                source=self.name,
                id=record_id,
                task=self.tasks[0],
                turns=(Turn("user", grounded_caption_question(rng)), Turn("assistant", answer + caption[end:])),
                media=media,
                masks=stack_masks([mask for _, mask in grounded], size, media.name),
                extra=extra if self.per_expression else {},
            )

    def _usable_positions(self) -> list[int]:
        return [position for position, entry in enumerate(self._records) if self._is_usable(entry)]

    def _is_usable(self, entry: Any) -> bool:
        try:
            return bool(self._phrases(entry))
        except (KeyError, ValueError, TypeError, IndexError, AttributeError):
            return True  # Who reads the record says what is wrong with it.

    def _size(self, entry: Any) -> tuple[int, int]:
        return self.frames_per_sample, len(self._caption(entry))

    def _count_questions(self, entry: Any) -> None:
        return None


def plain_caption(text: str) -> str:
    """A caption without the quotation marks around it, as the readers of GLaMM and Sa2VA take it."""
    return text.strip('"').strip()


def check_span(phrase: str, start: int, stop: int, length: int) -> tuple[int, int]:
    """``(start, stop)`` when it lies within a caption of ``length`` characters.

    Raises:
        ValueError: naming the phrase.
    """
    if not 0 <= start < stop <= length:
        raise ValueError(f"phrase '{phrase}' at {[start, stop]} of a caption of {length} characters")
    return start, stop


def _apart(phrases: Iterable[Phrase]) -> list[Phrase]:
    """Phrases that don't overlap one before them, in the order of the caption; those at one place as one."""
    joined: dict[tuple[int, int], Phrase] = {}
    for phrase in phrases:
        place = (phrase.start, phrase.stop)
        others = joined[place].segmentations if place in joined else ()
        joined[place] = Phrase(*place, (*others, *phrase.segmentations))
    kept: list[Phrase] = []
    for place in sorted(joined, key=lambda item: (item[0], -item[1])):
        if not kept or place[0] >= kept[-1].stop:
            kept.append(joined[place])
    return kept
