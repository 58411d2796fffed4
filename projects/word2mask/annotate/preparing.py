"""A video and its masklets → what models are to be shown of its objects (nothing decoded), and the pictures themselves.

Pictures are named by what is to be seen on them and not by their bytes: what is answered already is found without
decoding or drawing anything. When something has to be asked, one pass through the video makes all its pictures, with
one full frame in memory at a time.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.annotate import views
from word2mask.annotate.jpeg_cells import OutlinedFrame
from word2mask.annotate.masklets import Masklets, load_masklets, overlaps
from word2mask.annotate.records import ObjectRecord, ObjectViews, Picture, VideoReference
from word2mask.annotate.settings import Settings
from word2mask.annotate.store import hash_of
from word2mask.data import files
from word2mask.data.media import VideoFile
from word2mask.data.pictures import IMAGE_SUFFIXES
from word2mask.data.sources.ref_sav import STEP
from word2mask.ops.frames import uniform_frames

__all__ = ["Prepared", "data_url", "open_annotated", "prepare"]

#: So many outlined pictures of one frame are worth encoding what they have in common once.
WORTH_SHARING = 2


def open_annotated(video_path: Path, annotation_path: Path) -> tuple[VideoFile, Masklets]:
    """A video and its masklets, which fit each other.

    Raises:
        UserError: they don't, or one can't be read.
    """
    video = VideoFile(video_path)
    return video, load_masklets(annotation_path, -(-len(video) // STEP), video.size, video.name)


@dataclass
class Prepared:
    """A video, ready to be asked about.

    Attributes:
        objects: what the models are to be shown of each, or why it is dropped at once; in the order of the masklets.
        sides: of the pictures by their view, at most, in pixels.
    """

    objects: list[ObjectViews | ObjectRecord]
    sides: dict[str, int]
    _video: VideoFile
    _masklets: Masklets = field(repr=False)

    @property
    def views(self) -> list[ObjectViews]:
        """Of the objects that aren't dropped."""
        return [found for found in self.objects if isinstance(found, ObjectViews)]

    def draw(self, pictures: Iterable[Picture]) -> dict[Picture, str]:
        """Pictures as ``data:`` URLs of JPEG files; in one pass through the video.

        Raises:
            UserError: a frame can't be decoded.
        """
        wanted: dict[int, list[Picture]] = {}
        for picture in pictures:
            wanted.setdefault(picture.frame, []).append(picture)
        drawn: dict[Picture, str] = {}
        for index, frame in self._video.walk([STEP * place for place in wanted]):
            made: dict[tuple[Any, ...], Any] = {}
            outlines = sum(picture.view == "outlined" for picture in wanted[index // STEP])
            for picture in wanted[index // STEP]:
                drawn[picture] = self._draw(picture, frame, made, outlines)
        return drawn

    def _draw(self, picture: Picture, frame: np.ndarray, made: dict[tuple[Any, ...], Any], outlines: int) -> str:
        """One picture; what all pictures of a frame have in common is kept in ``made``."""
        side, frame_and_number = self.sides[picture.view], (picture.frame, picture.number)
        if picture.view == "crop":
            box = self._masklets.box(*frame_and_number)
            assert box is not None, "an object that is never seen has no pictures"
            return data_url(views.to_jpeg(views.shrunk(views.crop(frame, box), side)))
        if ("small", side) not in made:
            made["small", side] = views.shrunk(frame, side)
        small = made["small", side]
        if picture.view == "outlined" and not self._masklets.areas[frame_and_number]:
            # Without an outline the frame is the same for every object.
            if ("plain", side) not in made:
                made["plain", side] = data_url(views.to_jpeg(small, views.blocks_of_a_cell(small.shape[1])))
            return made["plain", side]
        if (picture.number, side) not in made:
            made[picture.number, side] = self._masklets.small(*frame_and_number, small.shape[:2])
        mask = made[picture.number, side]
        if picture.view == "outlined" and outlines >= WORTH_SHARING:
            if ("cells", side) not in made:
                made["cells", side] = OutlinedFrame(small)
            return data_url(made["cells", side].jpeg(mask))
        draw = {"masked": views.masked, "highlighted": views.highlighted, "outlined": views.outlined}[picture.view]
        restart = views.blocks_of_a_cell(small.shape[1]) if picture.view == "outlined" else 0
        return data_url(views.to_jpeg(draw(small, mask), restart))


def data_url(jpeg: bytes) -> str:
    """A JPEG file as a URL, which is how pictures go to services."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def prepare(reference: VideoReference, media_folder: Path, settings: Settings) -> Prepared:
    """What the models are to be shown of every object of a video.

    Raises:
        UserError: the video or its masklets can't be read.
    """
    video, masklets = open_annotated(media_folder / reference.video_path, media_folder / reference.annotation_path)
    areas = masklets.areas / (video.size[0] * video.size[1])
    largest = areas.argmax(axis=0) if areas.size else np.zeros(0, dtype=int)
    chosen = uniform_frames(len(masklets), settings.frames).tolist()
    content = _content(media_folder / reference.video_path)
    sides = dict.fromkeys(("masked", "crop", "highlighted"), settings.longest_side) | {"outlined": settings.frame_side}
    other = (
        load_masklets(media_folder / reference.besides, len(masklets), video.size, video.name)
        if reference.besides
        else None
    )
    repeated = _repeated(masklets, other, settings.same_masklet)
    objects: list[ObjectViews | ObjectRecord] = []
    for number, place in enumerate(largest.tolist()):
        share = float(areas[place, number])
        area = round(share, 6)
        if not share or share < settings.smallest_area:
            reason = "too small" if share else "never seen"
            objects.append(ObjectRecord(number, "dropped", reason, area=area, frame=place))
            continue
        if number in repeated:
            objects.append(ObjectRecord(number, "dropped", "same masklet", repeated[number], area=area, frame=place))
            continue

        def picture(view: str, frame: int, number: int = number) -> Picture:
            shown = [content, STEP * frame, masklets.rles[frame][number]["counts"].decode("ascii")]
            return Picture(number, view, frame, hash_of([*shown, view, views.DRAWING, sides[view]]))

        masked, crop, highlighted = (picture(view, place) for view in ("masked", "crop", "highlighted"))
        outlined = tuple(picture("outlined", frame) for frame in chosen)
        objects.append(ObjectViews(number, area, place, masked, crop, highlighted, outlined))
    return Prepared(objects, sides, video, masklets)


def _repeated(masklets: Masklets, other: Masklets | None, same: float) -> dict[int, str]:
    """Objects that are another's once more, with which: one of ``other``, or one before it."""
    found: dict[int, str] = {}
    if other is not None:
        for number, row in enumerate(overlaps(masklets, other)):
            if row.size and row.max() >= same:
                found[number] = f"IoU {row.max():.3f} with object {row.argmax()} of the other masklets"
    if masklets.areas.shape[-1] > 1:
        within = overlaps(masklets, masklets)
        for number in range(1, len(within)):
            before = [n for n in range(number) if n not in found and within[number, n] >= same]
            if before and number not in found:
                found[number] = f"IoU {within[number, before[0]]:.3f} with object {before[0]}"
    return found


def _content(path: Path) -> str:
    """Hash of a video's file, or of all files of its folder: it may be moved, and copied, and is the same."""
    if not files.is_folder(path):
        return _hash_of_file(path)
    frames = sorted(entry for entry in files.list_folder(path) if entry.suffix.lower() in IMAGE_SUFFIXES)
    return hash_of([[frame.name, _hash_of_file(frame)] for frame in frames])


def _hash_of_file(path: Path) -> str:
    with files.open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
