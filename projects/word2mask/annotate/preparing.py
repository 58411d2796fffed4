"""A video and its masklets → the views of its objects. Only the frames that are shown are decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from word2mask.annotate import views
from word2mask.annotate.records import ObjectRecord, ObjectViews, VideoReference
from word2mask.annotate.settings import Settings
from word2mask.data.annotations import load_json
from word2mask.data.sources.ref_sav import STEP, SAVVideo
from word2mask.errors import UserError
from word2mask.ops.frames import uniform_frames
from word2mask.ops.masks import decode_rle, pack_rle

__all__ = ["load_masklets", "prepare"]


def load_masklets(path: Path, num_frames: int, size: tuple[int, int]) -> list[list[dict[str, Any]]]:
    """Run lengths of every object on every annotated frame, ``[T][N]``, checked, as pycocotools takes them.

    Args:
        path: SA-V's file.
        num_frames: annotated frames of the video.
        size: ``(H, W)`` of the video.

    Raises:
        UserError: the file is damaged or belongs to another video.
    """
    frames = load_json(path, dict).get("masklet")
    if not isinstance(frames, list) or len(frames) != num_frames:
        length = f"{len(frames)} frames" if isinstance(frames, list) else type(frames).__name__
        raise UserError(f"{path}: expected masks ('masklet') of {num_frames} frames, every {STEP}th, got {length}")
    if len({len(objects) for objects in frames if isinstance(objects, list)}) > 1:
        raise UserError(f"{path}: frames with different numbers of objects; get the file again from its source")
    try:
        masklets = [[pack_rle(rle) for rle in objects] for objects in frames]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: {error}") from error
    wrong = next((rle["size"] for objects in masklets for rle in objects if tuple(rle["size"]) != size), None)
    if wrong is not None:
        raise UserError(f"{path}: masks of {wrong} for a video of {list(size)} (height, width)")
    return masklets


def prepare(reference: VideoReference, media_folder: Path, settings: Settings) -> list[ObjectViews | ObjectRecord]:
    """What the models are shown of every object of a video, or why an object is dropped at once.

    Raises:
        UserError: the video or its masklets can't be read.
    """
    video = SAVVideo(media_folder / reference.video_path)
    masklets = load_masklets(media_folder / reference.annotation_path, len(video), video.size)
    pixels = video.size[0] * video.size[1]
    areas = np.array([coco.area(objects) if objects else [] for objects in masklets], dtype=float) / pixels
    chosen = uniform_frames(len(video), settings.frames)
    largest = areas.argmax(axis=0) if areas.size else np.zeros(0, dtype=int)
    big = [number for number in range(areas.shape[1]) if areas[largest[number], number] >= settings.smallest_area]
    big = [number for number in big if areas[largest[number], number] > 0]
    wanted = sorted({*chosen.tolist(), *(int(largest[number]) for number in big)}) if big else []
    frames = dict(zip(wanted, video.read(wanted), strict=True)) if wanted else {}
    side = settings.longest_side
    # Made smaller once for all objects; the crop alone is taken from the full frame.
    small = {place: views.shrunk(frame, side) for place, frame in frames.items()}

    def masks_of(place: int, number: int) -> np.ndarray:
        return views.shrunk(decode_rle(masklets[place][number]), side)

    prepared: list[ObjectViews | ObjectRecord] = []
    for number in range(areas.shape[1]):
        frame, area = int(largest[number]), round(float(areas[largest[number], number]), 6)
        if number not in big:
            reason = "too small" if area > 0 else "never seen"
            prepared.append(ObjectRecord(number, "dropped", reason, area=area, frame=frame))
            continue
        mask = decode_rle(masklets[frame][number])
        seen, there = small[frame], views.shrunk(mask, side)
        outlined = (views.outlined(small[place], masks_of(place, number)) for place in chosen.tolist())
        prepared.append(
            ObjectViews(
                number,
                area,
                frame,
                views.to_jpeg(views.masked(seen, there), side),
                views.to_jpeg(views.crop(frames[frame], mask), side),
                views.to_jpeg(views.highlighted(seen, there), side),
                tuple(views.to_jpeg(picture, side) for picture in outlined),
            )
        )
    return prepared
