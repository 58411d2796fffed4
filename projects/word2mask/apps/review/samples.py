"""What a reviewer sees of an object: the texts of its record, and frames of its video with the way of its outline."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from word2mask.annotate import views
from word2mask.annotate.preparing import data_url, open_annotated
from word2mask.data.annotations import require_folder
from word2mask.data.sources.ref_sav import STEP
from word2mask.errors import UserError
from word2mask.ops.frames import uniform_frames

__all__ = ["draw_samples", "facts_of", "frames_of"]

#: Frames that are shown in turn, and their longest side in pixels.
FRAMES = 16
SIDE = 640


def draw_samples(dataset: Path, count: int | None, seed: int) -> list[dict[str, Any]]:
    """Kept objects of a run, drawn without replacement.

    Args:
        dataset: folder that the annotation wrote.
        count: how many; ``None`` takes all, in their order.
        seed: of the drawing.

    Returns:
        their records, as in ``records_*.jsonl``.

    Raises:
        UserError: no such folder, or no kept object in it.
    """
    require_folder(dataset, "the dataset of an annotation run")
    lines = [line for file in sorted(dataset.glob("records_*.jsonl")) for line in file.read_text().splitlines()]
    kept = [record for line in lines if (record := json.loads(line))["status"] == "kept"]
    if not kept:
        raise UserError(f"{dataset}: no kept object in records_*.jsonl; nothing to review")
    if count is None or count >= len(kept):
        return kept
    return random.Random(seed).sample(kept, count)


def frames_of(record: dict[str, Any], media_folder: Path) -> list[dict[str, Any]]:
    """Evenly spread frames, and where the object is in them.

    Returns:
        of each: ``frame`` (its number in the video), ``picture`` (a data URL), ``size`` (its width and height in
        pixels), ``outline`` (closed ways ``[[x, y], …]`` in these pixels, around parts and holes) and ``seen``.

    Raises:
        UserError: the video or its masklets can't be read.
    """
    video, masklets = open_annotated(media_folder / record["video_path"], media_folder / record["anno_path"])
    places = uniform_frames(len(masklets), FRAMES).tolist()
    shown = []
    for index, frame in video.walk([STEP * place for place in places]):
        small = views.shrunk(frame, SIDE)
        mask = masklets.small(index // STEP, record["number"], small.shape[:2])
        height, width = mask.shape
        shown.append(
            {
                "frame": index,
                "picture": data_url(views.to_jpeg(small)),
                "size": [width, height],
                "outline": _ways(mask),
                "seen": bool(mask.any()),
            }
        )
    return shown


def facts_of(record: dict[str, Any]) -> list[str]:
    """What else is known of an object, in a few words each."""
    facts = [f"{len(record['long'].split())} words"]
    if record.get("area"):
        facts.append(f"largest in frame {STEP * record['frame']}, {record['area']:.1%} of it")
    if record.get("iou") is not None:
        facts.append(f"found again with an IoU of {record['iou']:.2f}")
    return facts + [f"{role}: {name}" for role, name in record.get("models", {}).items()]


def _ways(mask: np.ndarray) -> list[list[list[int]]]:
    """The borders of a mask, uint8 ``[H,W]``: of its parts, and of holes in them."""
    found, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return [[[int(x), int(y)] for x, y in way.reshape(-1, 2)] for way in found]
