"""Supervision: an answer as ``sv.Detections``, one a frame, and back (extra ``formats``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from word2mask.errors import UserError
from word2mask.inference.formats.plain import described, restored
from word2mask.ops.masks import mask_to_box
from word2mask.types import Result

if TYPE_CHECKING:
    import supervision as sv

#: Where what isn't of one detection stands in the metadata of each frame's detections.
KEY = "word2mask"


def to_supervision(result: Result) -> list[sv.Detections]:
    """Detections of every frame, of the objects that are found there.

    ``class_id`` is the object's number from 0, ``tracker_id`` the same from 1, ``confidence`` its score on the frame;
    ``data["class_name"]`` holds the phrases, and the metadata all else of the answer.

    Returns:
        T detections; none without a picture.

    Raises:
        UserError: the package supervision isn't there.
    """
    sv = _package()
    description = described(result)
    found = []
    for frame in range(result.num_frames):
        masks = [segment.masks[frame] for segment in result.segments]
        boxes = [mask_to_box(mask) for mask in masks]
        members = [number for number, box in enumerate(boxes) if box is not None]
        height, width = result.original_size or (0, 0)
        detections = sv.Detections(
            xyxy=np.array([boxes[number] for number in members], dtype=np.float32).reshape(-1, 4),
            mask=np.array([masks[number] for number in members], dtype=bool).reshape(-1, height, width),
            confidence=np.array([result.segments[number].scores[frame] for number in members], dtype=np.float32),
            class_id=np.array(members, dtype=int),
            tracker_id=np.array(members, dtype=int) + 1,
            data={"class_name": np.array([result.segments[number].phrase for number in members], dtype=str)},
            metadata={KEY: description | {"frame": frame}},
        )
        found.append(detections)
    return found


def from_supervision(detections: Sequence[sv.Detections]) -> Result:
    """The answer that :func:`to_supervision` wrote, bit for bit.

    Raises:
        UserError: something else.
    """
    masks: dict[tuple[int, int], np.ndarray] = {}
    description: Any = None
    for one in detections:
        description = one.metadata.get(KEY)
        if description is None or one.mask is None or one.class_id is None:
            raise UserError("detections that word2mask didn't write; give what Answer.to_supervision returned")
        for number, mask in zip(one.class_id, one.mask, strict=True):
            masks[int(number), description["frame"]] = np.asarray(mask, dtype=bool)
    return restored(description, masks, "detections")


def _package() -> Any:
    try:
        import supervision
    except ImportError as error:
        raise UserError(
            f"the package supervision can't be imported ({error}); install it: pip install 'word2mask[formats]'"
        ) from error
    return supervision
