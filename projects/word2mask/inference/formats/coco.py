"""COCO: one dataset of an answer, for a video one picture a frame, and back.

As pycocotools and most annotation programs read it (cocodataset.org/#format-data, "1. Object Detection"), with the
``score`` of "results" beside. What COCO has no place for stands under ``word2mask``, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from word2mask.errors import UserError
from word2mask.inference.formats.plain import described, exact, found_masks, restored
from word2mask.ops.masks import decode_rle, encode_rle
from word2mask.types import Result

#: Name of the category of an object for which there are no words.
UNNAMED = "object"


def to_coco(result: Result, media: str = "") -> dict[str, Any]:
    """The answer as a COCO dataset.

    Args:
        result: the answer.
        media: name of the picture; of a video, whose frames are then called ``NAME/00000.png``, ``NAME/00001.png`` …

    Returns:
        ``images`` (of a video with ``frame_index``), ``categories`` (one a phrase) and ``annotations``, one for every
        object and frame where it is found: ``segmentation`` (compressed run lengths), ``bbox`` (x, y, width, height),
        ``area``, ``score``, ``phrase``, ``span``, ``segment`` (from 0) and ``track_id`` (from 1, one an object).

    Raises:
        UserError: an answer without a picture has nothing to say in COCO.
    """
    if result.original_size is None:
        raise UserError("this answer is about no picture, so that there is nothing to write in COCO's format")
    height, width = result.original_size
    is_video = result.num_frames > 1
    stem = PurePath(media).stem
    images = []
    for frame in range(result.num_frames):
        name = f"{stem}/{frame:05}.png" if is_video else PurePath(media).name
        image = {"id": frame + 1, "file_name": name, "width": width, "height": height}
        images.append(image | ({"frame_index": frame} if is_video else {}))
    names = list(dict.fromkeys(segment.phrase or UNNAMED for segment in result.segments))
    categories = [{"id": place, "name": name, "supercategory": ""} for place, name in enumerate(names, start=1)]
    scores = [exact(segment.scores) for segment in result.segments]
    annotations = []
    for number, frame, mask, (x1, y1, x2, y2) in found_masks(result):
        segment = result.segments[number]
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": frame + 1,
                "category_id": names.index(segment.phrase or UNNAMED) + 1,
                "segmentation": encode_rle(mask),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "score": scores[number][frame],
                "phrase": segment.phrase,
                "span": None if segment.span is None else list(segment.span),
                "segment": number,
                "track_id": number + 1,
            }
        )
    return {
        "info": {"description": result.text},
        "images": images,
        "annotations": annotations,
        "categories": categories,
        "word2mask": described(result),
    }


def from_coco(content: Mapping[str, Any]) -> Result:
    """The answer that :func:`to_coco` wrote, bit for bit.

    Raises:
        UserError: something else.
    """
    masks: dict[tuple[int, int], np.ndarray] = {}
    try:
        for entry in content["annotations"]:
            masks[int(entry["segment"]), int(entry["image_id"]) - 1] = decode_rle(entry["segmentation"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"COCO dataset: an annotation that word2mask didn't write ({type(error).__name__}: {error}); "
            "give what Answer.to_coco returned"
        ) from error
    return restored(content.get("word2mask"), masks, "COCO dataset")
