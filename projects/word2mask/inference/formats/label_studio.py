"""Label Studio: an answer as tasks with predictions painted by brush, one task a frame, and back.

On import Label Studio shows the predictions over the picture, and a person corrects them
(labelstud.io/guide/predictions). The brush's run lengths are described in
:mod:`word2mask.data.convert.label_studio`, which reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from word2mask.data.convert.label_studio import decode_brush
from word2mask.errors import UserError
from word2mask.inference.formats.plain import described, exact, found_masks, restored
from word2mask.types import Result

#: Names of the tags in :func:`labeling_config`, which results refer to.
TAG, IMAGE = "word2mask", "image"
UNNAMED = "object"
#: Widths in bits of the run lengths, as label-studio-converter chooses them.
_WIDTHS = (3, 4, 8, 16)
_WORD = 8


def to_label_studio(result: Result, media: Sequence[str], model: str = "word2mask") -> list[dict[str, Any]]:
    """The answer as tasks to import.

    Args:
        result: the answer.
        media: the addresses under which Label Studio finds the picture, or each frame of a video (its brush paints on
            pictures only).
        model: what is shown as the model's version.

    Returns:
        T tasks with one prediction each; :func:`labeling_config` makes the project's configuration for them.

    Raises:
        UserError: not as many addresses as frames.
    """
    if len(media) != result.num_frames:
        raise UserError(
            f"{len(media)} addresses for {result.num_frames} frames; Label Studio's brush paints on pictures: give the "
            "address of the picture, or of every frame of the video"
        )
    description = described(result)
    scores = [exact(segment.scores) for segment in result.segments]
    found: list[list[dict[str, Any]]] = [[] for _ in media]
    for number, frame, mask, _ in found_masks(result):
        segment = result.segments[number]
        found[frame].append(
            {
                "id": f"segment{number}",
                "type": "brushlabels",
                "from_name": TAG,
                "to_name": IMAGE,
                "original_width": mask.shape[1],
                "original_height": mask.shape[0],
                "image_rotation": 0,
                "score": scores[number][frame],
                "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [segment.phrase or UNNAMED]},
            }
        )
    return [
        {
            "data": {IMAGE: address, "text": result.text, "word2mask": description | {"frame": frame}},
            "predictions": [
                {
                    "model_version": model,
                    "score": float(np.mean([entry["score"] for entry in entries])) if entries else 0.0,
                    "result": entries,
                }
            ],
        }
        for frame, (address, entries) in enumerate(zip(media, found, strict=True))
    ]


def from_label_studio(tasks: Sequence[dict[str, Any]]) -> Result:
    """The answer that :func:`to_label_studio` wrote, bit for bit.

    Raises:
        UserError: something else.
    """
    masks: dict[tuple[int, int], np.ndarray] = {}
    description: Any = None
    try:
        for task in tasks:
            description = task["data"]["word2mask"]
            for entry in task["predictions"][0]["result"]:
                size = entry["original_height"], entry["original_width"]
                number = int(entry["id"].removeprefix("segment"))
                masks[number, description["frame"]] = decode_brush(entry["value"]["rle"], *size)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"tasks that word2mask didn't write ({type(error).__name__}: {error}); give what Answer.to_label_studio "
            "returned"
        ) from error
    return restored(description, masks, "tasks")


def labeling_config(results: Iterable[Result]) -> str:
    """The labeling configuration (XML) of a project that takes the tasks of these answers, with a label a phrase."""
    phrases = dict.fromkeys(segment.phrase or UNNAMED for result in results for segment in result.segments)
    labels = "".join(f"\n    <Label value={quoteattr(phrase)}/>" for phrase in phrases)
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"/>\n'
        f'  <BrushLabels name="{TAG}" toName="{IMAGE}">{labels}\n  </BrushLabels>\n</View>\n'
    )


def encode_brush(mask: np.ndarray) -> list[int]:
    """A mask in Label Studio's own run lengths, as the bytes that its JSON lists; ``decode_brush`` reads them.

    Args:
        mask: bool ``[H,W]``; it becomes RGBA, all four 255 where it is true, as label-studio-converter's ``mask2rle``
            makes it of a mask of 0 and 255.
    """
    flat = np.asarray(mask, dtype=bool).reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = 4 * np.diff(np.concatenate([starts, [flat.size]]))
    bits = [f"{4 * flat.size:032b}{_WORD - 1:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    longest = 1 << _WIDTHS[-1]
    for length, is_inside in zip(lengths.tolist(), flat[starts].tolist(), strict=True):
        word = f"{255 if is_inside else 0:08b}"
        while length:
            part = min(length, longest)
            choice = next(place for place, width in enumerate(_WIDTHS) if part <= 1 << width)
            # One bit says that it is a run, two choose the width, then the length less one and the value.
            bits.append(f"1{choice:02b}{part - 1:0{_WIDTHS[choice]}b}{word}")
            length -= part
    stream = np.frombuffer("".join(bits).encode("ascii"), dtype=np.uint8) - ord("0")
    return np.packbits(stream).tolist()
