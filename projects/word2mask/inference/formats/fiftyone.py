"""FiftyOne: an answer as a ``fo.Sample`` of a picture or a video, with instance masks, and back.

FiftyOne isn't among the requirements, as it brings a database and pins of its own; where it is installed, this uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from word2mask.errors import UserError
from word2mask.inference.formats.plain import described, found_masks, restored
from word2mask.types import Result

if TYPE_CHECKING:
    import fiftyone as fo

#: Fields of a sample: the detections, and all else of the answer.
FIELD, DESCRIPTION = "word2mask", "word2mask_answer"


def to_fiftyone(result: Result, media: str | Path) -> fo.Sample:
    """The answer as a sample.

    Args:
        result: the answer.
        media: path of the picture or video; FiftyOne looks a sample's file up by it.

    Returns:
        A sample whose field ``word2mask`` holds ``fo.Detections`` (``label`` is the phrase, ``index`` the object from
        1, ``confidence`` its score, ``mask`` its pixels within the box); of a video, the field of each frame, which
        FiftyOne counts from 1. ``word2mask_answer`` holds all else.

    Raises:
        UserError: FiftyOne isn't installed, or the answer is about no picture.
    """
    fo = _package()
    if result.original_size is None:
        raise UserError("this answer is about no picture, so that there is nothing to show in FiftyOne")
    height, width = result.original_size
    frames: dict[int, list[Any]] = {frame: [] for frame in range(result.num_frames)}
    for number, frame, mask, (x1, y1, x2, y2) in found_masks(result):
        segment = result.segments[number]
        frames[frame].append(
            fo.Detection(
                label=segment.phrase or "object",
                bounding_box=[x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
                mask=np.ascontiguousarray(mask[y1:y2, x1:x2]),
                confidence=float(segment.scores[frame]),
                index=number + 1,
            )
        )
    sample = fo.Sample(filepath=str(media))
    sample[DESCRIPTION] = described(result)
    if result.num_frames == 1 and sample.media_type != "video":
        sample.metadata = fo.ImageMetadata(width=width, height=height)
        sample[FIELD] = fo.Detections(detections=frames[0])
        return sample
    if sample.media_type != "video":
        raise UserError(f"{media}: FiftyOne takes a video as one file (.mp4, .webm …), not as a folder of frames")
    sample.metadata = fo.VideoMetadata(frame_width=width, frame_height=height, total_frame_count=result.num_frames)
    for frame, detections in frames.items():
        sample.frames[frame + 1] = fo.Frame(**{FIELD: fo.Detections(detections=detections)})
    return sample


def from_fiftyone(sample: fo.Sample) -> Result:
    """The answer that :func:`to_fiftyone` wrote, bit for bit.

    Raises:
        UserError: a sample of something else.
    """
    try:
        description = sample[DESCRIPTION]
        height, width = description["size"]
        if sample.media_type == "video":
            frames = {frame: sample.frames[frame + 1][FIELD] for frame in range(description["num_frames"])}
        else:
            frames = {0: sample[FIELD]}
        masks: dict[tuple[int, int], np.ndarray] = {}
        for frame, detections in frames.items():
            for detection in detections.detections:
                left, top, across, down = detection.bounding_box
                x, y = round(left * width), round(top * height)
                mask = np.zeros((height, width), dtype=bool)
                mask[y : y + round(down * height), x : x + round(across * width)] = detection.mask
                masks[detection.index - 1, frame] = mask
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"a sample that word2mask didn't write ({type(error).__name__}: {error}); give what Answer.to_fiftyone "
            "returned"
        ) from error
    return restored(description, masks, "sample")


def _package() -> Any:
    try:
        import fiftyone
    except ImportError as error:
        raise UserError(
            f"the package fiftyone can't be imported ({error}); install it in an environment of its own: "
            "pip install fiftyone"
        ) from error
    return fiftyone
