"""What Ref-YouTube-VOS and Ref-DAVIS17 share: one object an expression, a number in indexed pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from word2mask.data import files
from word2mask.data.annotations import load_pickle, require_folder
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import check_split
from word2mask.data.sources.referring_videos import Annotations, ReferringVideos, load_videos, track_masks
from word2mask.errors import UserError

#: The colour that belongs to no object and isn't looked at (DAVIS 2017 unsupervised).
VOID = 255


class IndexedVideos(ReferringVideos):
    """A video a record, or an expression: see :class:`~word2mask.data.sources.referring_videos.ReferringVideos`.

    On disk::

        <folder>/<split>/JPEGImages/<video>/<frame>.jpg
        <folder>/<split>/Annotations/<video>/<frame>.png            indexed: 0 nothing, 1 … 254 the objects, 255 void
        <folder>/meta_expressions/<split>/meta_expressions.json     {videos: {video: {frames: […],
                                                                     expressions: {id: {exp, obj_id}}}}}
        <folder>/<split>/mask_dict.pkl, or <folder>/mask_dict.pkl   in place of Annotations

    ``mask_dict.pkl`` is a pickled ``{number: [run lengths | None, one a frame]}`` with a number for each expression,
    counted over the sorted videos and the sorted ids (as texts) of each one's expressions: VISA's packing
    (``utils/d2_datasets/refytvos_utils.py`` of https://github.com/cilinyan/VISA, ec158fd), which Sa2VA's training data
    has taken over. It knows no void. Where both are there, the pictures are read.

    Args:
        folder: of all splits.
        split: those that ``meta_expressions`` has.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file or folder is missing, damaged or unsafe, has no expression of the split, or a split
            without masks is to be trained on.
    """

    #: Splits that are published without masks.
    unlabelled: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        name = name or folder.resolve().name
        self.split = split
        meta = require_folder(folder / "meta_expressions", "<split>/meta_expressions.json")
        check_split(name, split, [path.parent.name for path in meta.glob("*/meta_expressions.json")], meta)
        frames_folder = require_folder(folder / split / "JPEGImages", "a folder of frames for each video")
        if split in self.unlabelled and not per_expression:
            raise UserError(f"{name}: '{split}' is published without masks; train on another split")
        file = meta / split / "meta_expressions.json"
        videos = load_videos(name, file)
        self._annotation_folder = folder / split / "Annotations"
        self._mask_file: Path | None = None
        if split not in self.unlabelled and not files.is_folder(self._annotation_folder):
            self._mask_file, self._tracks = _load_tracks(
                [folder / split / "mask_dict.pkl", folder / "mask_dict.pkl"], self._annotation_folder
            )
            self._numbers = _number_expressions(videos)
            if len(self._tracks) != sum(map(len, self._numbers.values())):
                raise UserError(
                    f"{self._mask_file}: masks of {len(self._tracks)} expressions, {file} has "
                    f"{sum(map(len, self._numbers.values()))}; the two files don't belong together"
                )
        super().__init__(
            name,
            file,
            self._select(videos, meta),
            frames_folder,
            frames_per_sample,
            expressions_per_sample,
            per_expression,
        )

    @property
    def is_labelled(self) -> bool:
        return self.split not in self.unlabelled

    def media_folders(self) -> tuple[Path, ...]:
        masks = () if self._mask_file is not None or self.split in self.unlabelled else (self._annotation_folder,)
        return (self._media_folder, *masks)

    def _select(self, videos: dict[str, dict], meta: Path) -> dict[str, dict]:
        """Those of the videos in the split's file that belong to it."""
        return videos

    def _annotations(
        self, video_id: str, expression_ids: Sequence[str], frames: np.ndarray, file: VideoFile
    ) -> Annotations:
        if self._mask_file is not None:
            numbers = self._numbers[video_id]
            return [self._pickled(str(numbers[key]), frames, file) for key in expression_ids], None
        names = self._frame_names(video_id, file)
        folder = self._annotation_folder / video_id
        indices = np.stack([read_indices(folder / f"{names[frame]}.png", file.size) for frame in frames])
        void = indices == VOID
        expressions = self._videos[video_id]["expressions"]
        masks: list[np.ndarray | None] = [indices == object_of(expressions[key]) for key in expression_ids]
        return masks, void if void.any() else None

    def _pickled(self, number: str, frames: np.ndarray, file: VideoFile) -> np.ndarray:
        if number not in self._tracks:
            raise UserError(f"no expression {number} in {self._mask_file}; the two files don't belong together")
        return track_masks(self._tracks[number], frames, file, f"expression {number} in {self._mask_file}")


def object_of(expression: dict) -> int:
    """The number of an expression's object.

    Raises:
        UserError: when it can't be the colour of an object.
    """
    number = int(expression["obj_id"])
    if not 0 < number < VOID:
        raise UserError(f"obj_id {number}; objects are numbered from 1 to {VOID - 1}")
    return number


def read_indices(path: Path, size: tuple[int, int]) -> np.ndarray:
    """An indexed picture's indices, uint8 ``[H,W]``, not its colours.

    Raises:
        UserError: when it isn't there, isn't an indexed picture, is damaged, or isn't of ``size`` ``(H, W)``.
    """
    if not files.is_file(path):
        raise UserError(f"{path}: no such mask; each frame needs one")
    try:
        with files.open_file(path) as file, Image.open(file) as picture:
            if picture.mode not in ("P", "L"):
                raise UserError(
                    f"{path}: a picture of mode {picture.mode}; expected an indexed one, an object a colour"
                )
            if (picture.height, picture.width) != size:
                raise UserError(
                    f"{path}: a mask of {[picture.height, picture.width]} for a frame of {list(size)} (height, width)"
                )
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: the mask is damaged or cut short ({error}); copy it again from its source") from error


def _load_tracks(places: Sequence[Path], annotation_folder: Path) -> tuple[Path, dict]:
    """The first of the pickles that is there, and its content."""
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise UserError(f"{annotation_folder}: no such folder; expected masks there, or in {places[-1]}")
    tracks = load_pickle(path)
    if not isinstance(tracks, dict):
        raise UserError(f"{path}: expected a pickled dict of masks, got {type(tracks).__name__}")
    return path, tracks


def _number_expressions(videos: dict[str, dict]) -> dict[str, dict[str, int]]:
    """video → expression → its number in ``mask_dict.pkl``."""
    numbers: dict[str, dict[str, int]] = {}
    count = 0
    for video_id in sorted(videos):
        ids = sorted(videos[video_id]["expressions"])
        numbers[video_id] = dict(zip(ids, range(count, count + len(ids)), strict=True))
        count += len(ids)
    return numbers
