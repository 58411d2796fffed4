"""An answer as plain JSON: words, and for each object its phrase, scores, boxes and masks as COCO run lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from word2mask.errors import UserError
from word2mask.inference.masks import blank_masks
from word2mask.ops.masks import decode_rle, encode_rle, mask_to_box
from word2mask.types import Result, Segment

__all__ = ["described", "exact", "from_json", "restored", "found_masks", "to_json"]


def to_json(result: Result, media: str = "", question: str = "") -> dict[str, Any]:
    """The answer in plain types; :func:`from_json` gives it back, bit for bit.

    Args:
        result: the answer.
        media: name of the picture or video.
        question: what was asked.

    Returns:
        ``media``, ``question``, ``answer``, ``raw_answer``, ``size`` (``[H, W]`` or ``null``), ``num_frames`` and
        ``objects``, each with ``phrase``, ``span``, ``confidence``, ``found`` (on any frame), and per frame
        ``scores``, ``boxes`` (``[x1, y1, x2, y2]`` in pixels, ends exclusive; ``null`` where no pixel is) and ``masks``
        (COCO's compressed run lengths).
    """
    objects = []
    for segment in result.segments:
        rles, boxes = [], []
        for mask in segment.masks:
            rles.append(encode_rle(mask))
            box = mask_to_box(mask)
            boxes.append(None if box is None else list(box))
        objects.append(
            {
                "phrase": segment.phrase,
                "span": None if segment.span is None else list(segment.span),
                "confidence": round(segment.confidence, 4),
                "found": segment.is_found,
                "scores": exact(segment.scores),
                "boxes": boxes,
                "masks": rles,
            }
        )
    return {
        "media": media,
        "question": question,
        "answer": result.text,
        "raw_answer": result.raw_text,
        "size": None if result.original_size is None else list(result.original_size),
        "num_frames": result.num_frames,
        "objects": objects,
    }


def from_json(content: Mapping[str, Any]) -> Result:
    """The answer that :func:`to_json` wrote.

    Raises:
        UserError: something else.
    """
    try:
        size = content["size"]
        segments = []
        for entry in content["objects"]:
            masks = blank_masks(1, len(entry["masks"]), size, "auto")[0]
            for frame, rle in enumerate(entry["masks"]):
                masks[frame] = decode_rle(rle)
            span = None if entry["span"] is None else (int(entry["span"][0]), int(entry["span"][1]))
            segments.append(Segment(entry["phrase"], span, masks, np.array(entry["scores"], dtype=np.float32)))
        return Result(
            text=content["answer"],
            raw_text=content["raw_answer"],
            segments=segments,
            original_size=None if size is None else (int(size[0]), int(size[1])),
            num_frames=int(content["num_frames"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"not an answer as word2mask writes it ({type(error).__name__}: {error}); give what an answer.json holds"
        ) from error


def described(result: Result) -> dict[str, Any]:
    """All of an answer but its masks, in plain types: what a format of masks alone has no place for."""
    return {
        "text": result.text,
        "raw_text": result.raw_text,
        "size": None if result.original_size is None else list(result.original_size),
        "num_frames": result.num_frames,
        "segments": [
            {
                "phrase": segment.phrase,
                "span": None if segment.span is None else list(segment.span),
                "scores": exact(segment.scores),
            }
            for segment in result.segments
        ],
    }


def restored(description: Any, masks: Mapping[tuple[int, int], np.ndarray], origin: str) -> Result:
    """The answer of what :func:`described` says and its masks.

    Args:
        description: of the answer.
        masks: (segment, frame) → bool ``[H,W]``; where there is none, the object isn't found.
        origin: what was read, for the message.

    Raises:
        UserError: the description is missing or malformed, or a mask is of another size.
    """
    try:
        size = description["size"]
        num_frames = int(description["num_frames"])
        segments = []
        for number, entry in enumerate(description["segments"]):
            filled = blank_masks(1, num_frames, size, "auto")[0]
            nothing = np.zeros(size, dtype=bool)
            for frame in range(num_frames):
                mask = masks.get((number, frame), nothing)
                if mask.shape != nothing.shape:
                    raise ValueError(f"a mask of {list(mask.shape)} in an answer of {list(size)}")
                filled[frame] = mask
            span = entry["span"]
            scores = np.array(entry["scores"], dtype=np.float32)
            segments.append(Segment(entry["phrase"], None if span is None else (span[0], span[1]), filled, scores))
        return Result(
            text=description["text"],
            raw_text=description["raw_text"],
            segments=segments,
            original_size=None if size is None else (int(size[0]), int(size[1])),
            num_frames=num_frames,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{origin}: not written by word2mask, or changed since ({type(error).__name__}: {error}); give what an "
            "Answer wrote, with its entry 'word2mask'"
        ) from error


def found_masks(result: Result) -> Iterator[tuple[int, int, np.ndarray, tuple[int, int, int, int]]]:
    """Every mask that isn't empty, frame by frame: (segment, frame, mask bool ``[H,W]``, box)."""
    for frame in range(result.num_frames):
        for number, segment in enumerate(result.segments):
            mask = segment.masks[frame]
            box = mask_to_box(mask)
            if box is not None:
                yield number, frame, mask, box


def exact(scores: np.ndarray) -> list[float]:
    """Float32 numbers in the shortest decimals that read back as the same.

    >>> exact(np.array([0.9, 0.25], dtype=np.float32))
    [0.9, 0.25]
    """
    return [float(str(score)) for score in np.asarray(scores, dtype=np.float32)]
