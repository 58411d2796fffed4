"""Grounded captions in the generic format of GranD-f: a caption, and the masks of some of its phrases.

On disk::

    <annotations>.json          [{file_name, caption, groundings}], where groundings is
                                {phrase: {token_positives: [start, end], rle_masks: […]}}
    <image_folder>/<file_name>

https://github.com/mbzuai-oryx/groundingLMM
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.fixtures import write_picture
from word2mask.data.media import open_image
from word2mask.data.sources.annotated_media import AnnotatedPictures
from word2mask.data.sources.interface import drawing, record, stack_masks
from word2mask.ops.masks import box_to_mask, encode_rle, segmentation_to_mask, union
from word2mask.text.questions import grounded_caption_question
from word2mask.text.special_tokens import PHRASE_END, PHRASE_START, SEG
from word2mask.types import Sample, Turn


class GroundedCaption(AnnotatedPictures):
    """A picture a record: its caption with one ``[SEG]`` after every phrase, which stands for all masks of the phrase.

    Phrases go in the order of the caption. Where two overlap, the one that begins first stays (the longer one,
    if they begin together). ``per_expression``: the same in fixed wording; ``extra`` holds besides ``caption``,
    ``phrases`` (one per mask) and ``file_name``, and ``expression`` is empty.
    """

    tasks = ("grounded_caption",)
    id_key = "image_id"

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        entry, _, record_id = self._locate(index)
        with record(self.name, record_id, self._file):
            caption = entry["caption"]
            media = open_image(self._media_path(entry["file_name"]))
            height, width = media.frames.shape[1:3]
            spans = _spans(entry["groundings"], len(caption))
            masks = [
                union((segmentation_to_mask(rle, height, width) for rle in grounding["rle_masks"]), height, width)
                for _, _, grounding in spans
            ]
            answer, end = "", 0
            for start, stop, _ in spans:
                answer += f"{caption[end:start]}{PHRASE_START} {caption[start:stop].strip()} {PHRASE_END} {SEG}"
                end = stop
            answer += caption[end:]
            extra = {
                "expression": "",
                "kind": entry.get("kind", ""),
                "caption": caption,
                "phrases": [caption[start:stop].strip() for start, stop, _ in spans],
                "file_name": entry["file_name"],
            }
            return Sample(
                source=self.name,
                id=record_id,
                task="grounded_caption",
                turns=(Turn("user", grounded_caption_question(rng)), Turn("assistant", answer)),
                media=media,
                masks=stack_masks(masks, (height, width), media.name) if masks else None,
                extra=extra if self.per_expression else {},
            )

    def _count_questions(self, entry: Any) -> None:
        return None

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> GroundedCaption:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        write_picture(folder / "images" / "one.jpg", size, {"red": red, "blue": blue})
        write_picture(folder / "images" / "two.jpg", size, {"green": green})
        red_rle, blue_rle, green_rle = (encode_rle(box_to_mask(box, *size)) for box in (red, blue, green))
        records = [
            {
                "file_name": "one.jpg",
                "caption": "A red box is left of a blue box.",
                # In no order, and "box" lies within "a blue box".
                "groundings": {
                    "a blue box": {"token_positives": [21, 31], "rle_masks": [blue_rle]},
                    "A red box": {"token_positives": [0, 9], "rle_masks": [red_rle]},
                    "box": {"token_positives": [28, 31], "rle_masks": [blue_rle]},
                },
            },
            {
                "file_name": "two.jpg",
                "caption": "Two halves of a box.",
                "groundings": {"Two halves": {"token_positives": [0, 10], "rle_masks": [green_rle, green_rle]}},
            },
        ]
        (folder / "captions.json").write_text(json.dumps(records))
        return cls(folder / "captions.json", folder / "images", **options)


def _spans(groundings: dict[str, dict[str, Any]], length: int) -> list[tuple[int, int, dict[str, Any]]]:
    """``(start, end, grounding)`` of every phrase that doesn't overlap one before it, in the order of the caption.

    Raises:
        ValueError: when a phrase isn't within the caption.
    """
    spans = []
    for phrase, grounding in groundings.items():
        positions = grounding["token_positives"]
        if positions and isinstance(positions[0], list):
            positions = positions[0]
        start, stop = (int(position) for position in positions)
        if not 0 <= start < stop <= length:
            raise ValueError(f"phrase '{phrase}' at {[start, stop]} of a caption of {length} characters")
        spans.append((start, stop, grounding))
    kept: list[tuple[int, int, dict[str, Any]]] = []
    for span in sorted(spans, key=lambda item: (item[0], -item[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
