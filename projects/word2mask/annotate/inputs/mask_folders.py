"""Folders of frames with masks, as DAVIS, YouTube-VOS and MeViS have them → masklets in SA-V's layout.

    DAVIS, YouTube-VOS     JPEGImages/[480p/]<video>/<frame>.jpg,
                           Annotations/[480p/]<video>/<frame>.png (palette: an object a colour)
    MeViS                  JPEGImages/<video>/<frame>.jpg, mask_dict.json {anno_id: [run lengths | null, one a frame]},
                           meta_expressions.json {videos: {video: {frames, expressions: {id: {anno_id: […]}}}}}

The frames stay where they are; of the masks every fourth is taken, which is what Ref-SAV's reader looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.annotate.inputs.sav import distinct, relative, write_masklets
from word2mask.annotate.records import VideoReference
from word2mask.data.annotations import load_json, require_folder
from word2mask.data.media import VideoFile
from word2mask.data.sources.ref_sav import STEP
from word2mask.data.sources.referring_videos import load_described
from word2mask.errors import UserError
from word2mask.ops.masks import segmentation_to_mask

__all__ = ["find_mask_folders"]

#: In a picture with a palette: neither object nor background (DAVIS 2017).
VOID = 255


def find_mask_folders(folder: str | Path, masklets: str | Path) -> list[VideoReference]:
    """The videos of a folder, their masks rewritten.

    Args:
        folder: with ``JPEGImages``.
        masklets: folder to write ``<video>_manual.json`` into; what is there already stays.

    Returns:
        references whose paths begin at ``folder``.

    Raises:
        UserError: a folder is missing, or masks don't fit their video.
    """
    root, out = Path(folder), Path(masklets)
    videos = _videos(require_folder(root / "JPEGImages", "a folder of frames for each video"))
    if (root / "mask_dict.json").is_file():
        tracks = _mevis(root, videos)
    else:
        labels = require_folder(root / "Annotations", "masks beside JPEGImages, or mask_dict.json beside it,")
        tracks = (
            (name, place, _labelled(place, labels / place.relative_to(root / "JPEGImages"))) for name, place in videos
        )
    references = []
    for name, place, objects in tracks:
        file = out / f"{name}_manual.json"
        if not file.is_file():
            write_masklets(file, name, [objects[number] for number in sorted(objects)], len(VideoFile(place)), "manual")
        references.append(VideoReference(name, relative(place, root), relative(file, root)))
    return distinct(references, root)


def _videos(folder: Path) -> list[tuple[str, Path]]:
    """Folders with frames, at any depth (DAVIS puts a resolution between)."""
    places = sorted({frame.parent for frame in folder.rglob("*.jpg")})
    if not places:
        raise UserError(f"{folder}: no .jpg frames below it; check the folder")
    return [(place.name, place) for place in places]


def _labelled(frames: Path, labels: Path) -> dict[int, list[np.ndarray]]:
    """Masks of every object on every fourth frame, from pictures of labels with the frames' names."""
    names = sorted((path.stem for path in frames.glob("*.jpg")), key=lambda stem: (len(stem), stem))[::STEP]
    pictures = {}
    for name in names:
        file = labels / f"{name}.png"
        if not file.is_file():
            raise UserError(f"{file}: no mask for frame {name}; expected one for every {STEP}th frame at least")
        pictures[name] = _read_labels(file)
    numbers = sorted({int(value) for picture in pictures.values() for value in np.unique(picture)} - {0})
    return {number: [pictures[name] == number for name in names] for number in numbers}


def _read_labels(file: Path) -> np.ndarray:
    """The number of the object at every pixel, 0 for none: uint8 ``[H,W]``."""
    try:
        with Image.open(file) as picture:
            mode, values = picture.mode, np.array(picture)
    except OSError as error:
        raise UserError(f"{file}: not a picture ({error}); copy it again from its source") from None
    if mode not in ("P", "L", "1"):
        raise UserError(f"{file}: a picture of mode {mode}; expected a palette (an object a colour) or black and white")
    if mode == "P":
        values[values == VOID] = 0
    return values.astype(np.uint8)


def _mevis(root: Path, videos: list[tuple[str, Path]]) -> Iterator[tuple[str, Path, dict[int, list[Any]]]]:
    """Videos with the objects that their expressions name."""
    masks = load_json(root / "mask_dict.json", dict)
    described = load_described(root / "meta_expressions.json")
    for name, place in videos:
        if name not in described:
            raise UserError(f"{root / 'meta_expressions.json'}: no video {name}, of which there are frames")
        expressions = described[name]["expressions"].values()
        numbers = sorted({int(number) for expression in expressions for number in expression["anno_id"]})
        size, num_frames = VideoFile(place).size, len(VideoFile(place))
        objects: dict[int, list[Any]] = {}
        for number in numbers:
            track = masks.get(str(number))
            if not isinstance(track, list) or len(track) != num_frames:
                raise UserError(
                    f"{root / 'mask_dict.json'}: object {number}: expected masks of the {num_frames} frames of {name}"
                )
            objects[number] = [_mask(rle, size, root, number) for rle in track[::STEP]]
        yield name, place, objects


def _mask(rle: Any, size: tuple[int, int], root: Path, number: int) -> np.ndarray:
    if not rle:
        return np.zeros(size, dtype=bool)
    try:
        return segmentation_to_mask(rle, *size)
    except ValueError as error:
        raise UserError(f"{root / 'mask_dict.json'}: object {number}: {error}") from error
