"""Folders of frames with masks, as DAVIS, YouTube-VOS and MeViS have them → masklets in SA-V's layout.

    DAVIS, YouTube-VOS     JPEGImages/[480p/]<video>/<frame>.jpg,
                           Annotations/[480p/]<video>/<frame>.png (palette: an object a colour)
    MeViS                  JPEGImages/<video>/<frame>.jpg, mask_dict.json {anno_id: [run lengths | null, one a frame]},
                           meta_expressions.json {videos: {video: {frames, expressions: {id: {anno_id: […]}}}}}

The frames stay where they are; of the masks every fourth is taken, which is what Ref-SAV's reader looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.annotate.inputs.sav import distinct, relative, write_masklets
from word2mask.annotate.inputs.unreadable import Unreadable
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


#: The masks of a video's objects on its annotated frames, by the objects' numbers.
Tracks = dict[int, list[np.ndarray]]


def find_mask_folders(
    folder: str | Path, masklets: str | Path, watch: Callable[[int, int], None] | None = None
) -> list[VideoReference]:
    """The videos of a folder, their masks rewritten.

    Args:
        folder: with ``JPEGImages``.
        masklets: folder to write ``<video>_manual.json`` into; what is there already and newer than its source stays,
            and isn't read again.
        watch: called with (videos done, videos) after each.

    Returns:
        references whose paths begin at ``folder``.

    Raises:
        UserError: a folder is missing, or of no video the masks can be read; of others, that is a warning.
    """
    root, out = Path(folder), Path(masklets)
    videos = _videos(require_folder(root / "JPEGImages", "a folder of frames for each video"))
    source: _Labels | _MeViS
    if (root / "mask_dict.json").is_file():
        source = _MeViS(root)
    else:
        labels = require_folder(root / "Annotations", "masks beside JPEGImages, or mask_dict.json beside it,")
        source = _Labels(root / "JPEGImages", labels)
    named = {place: out / f"{name}_manual.json" for name, place in videos}
    found = [VideoReference(name, relative(place, root), relative(named[place], root)) for name, place in videos]
    references = distinct(found, root)
    unreadable = Unreadable()
    for done, (name, place) in enumerate(videos, start=1):
        file, objects = named[place], None
        if not file.is_file() or file.stat().st_mtime < source.changed(place):
            source.load()
            with unreadable.noted(file):
                objects, num_frames = source.read(name, place), len(VideoFile(place))
            if objects is not None:
                write_masklets(file, name, [objects[number] for number in sorted(objects)], num_frames, "manual")
        if watch is not None:
            watch(done, len(videos))
    unreadable.check(len(videos))
    return references


def _videos(folder: Path) -> list[tuple[str, Path]]:
    """Folders with frames, at any depth (DAVIS puts a resolution between)."""
    places = sorted({frame.parent for frame in folder.rglob("*.jpg")})
    if not places:
        raise UserError(f"{folder}: no .jpg frames below it; check the folder")
    return [(place.name, place) for place in places]


class _Labels:
    """Pictures of labels with the frames' names.

    Args:
        frames: ``JPEGImages``.
        labels: ``Annotations``.
    """

    def __init__(self, frames: Path, labels: Path) -> None:
        self._frames, self._labels = frames, labels

    def changed(self, place: Path) -> float:
        """When the youngest picture of a video's labels was written, in seconds since 1970; 0 without any."""
        folder = self._labels / place.relative_to(self._frames)
        return max((file.stat().st_mtime for file in folder.glob("*.png")), default=0.0)

    def load(self) -> None:
        """There is nothing to read but each video's own."""

    def read(self, name: str, place: Path) -> Tracks:
        """The masks of a video."""
        return _labelled(place, self._labels / place.relative_to(self._frames))


def _labelled(frames: Path, labels: Path) -> Tracks:
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


class _MeViS:
    """The objects that the expressions of MeViS name. Its file of all masks is read when the first are needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._described = load_described(root / "meta_expressions.json")
        self._masks: dict[str, Any] | None = None
        names = ("mask_dict.json", "meta_expressions.json")
        self._changed = max((root / name).stat().st_mtime for name in names)

    def changed(self, place: Path) -> float:
        """When the files were written, in seconds since 1970."""
        return self._changed

    def load(self) -> None:
        """Reads the masks of all videos, once."""
        if self._masks is None:
            self._masks = load_json(self._root / "mask_dict.json", dict)

    def read(self, name: str, place: Path) -> Tracks:
        """The masks of a video."""
        root, described = self._root, self._described
        assert self._masks is not None
        if name not in described:
            raise UserError(f"{root / 'meta_expressions.json'}: no video {name}, of which there are frames")
        expressions = described[name]["expressions"].values()
        numbers = sorted({int(number) for expression in expressions for number in expression["anno_id"]})
        video = VideoFile(place)
        objects: Tracks = {}
        for number in numbers:
            track = self._masks.get(str(number))
            if not isinstance(track, list) or len(track) != len(video):
                raise UserError(
                    f"{root / 'mask_dict.json'}: object {number}: expected masks of the {len(video)} frames of {name}"
                )
            objects[number] = [_mask(rle, video.size, root, number) for rle in track[::STEP]]
        return objects


def _mask(rle: Any, size: tuple[int, int], root: Path, number: int) -> np.ndarray:
    if not rle:
        return np.zeros(size, dtype=bool)
    try:
        return segmentation_to_mask(rle, *size)
    except ValueError as error:
        raise UserError(f"{root / 'mask_dict.json'}: object {number}: {error}") from error
