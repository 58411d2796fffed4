"""What the data sets of referring expressions in videos share: a video or an expression a record, and its masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import load_json, require_folder
from word2mask.data.media import VideoFile
from word2mask.data.sources.interface import Source, draw, drawing, record
from word2mask.errors import UserError
from word2mask.ops.frames import random_frames
from word2mask.ops.masks import segmentation_to_mask
from word2mask.text.questions import no_target_answer, segmentation_answer, video_segmentation_question
from word2mask.types import Sample, Turn

#: Masks of each expression, bool ``[k,H,W]`` or ``None`` where nothing fits it, and the void, bool ``[k,H,W]``.
Annotations = tuple[list[np.ndarray | None], np.ndarray | None]


class ReferringVideos(Source):
    """A video a record; up to ``expressions_per_sample`` expressions as turns of one conversation, on the same frames.

    Expressions are drawn without replacement. Each answer has one ``[SEG]`` for all objects of its expression together;
    where nothing fits, it says so in words. ``per_expression``: an expression a record; ``media`` is ``None``, masks
    are ``[1,T,H,W]`` for all T frames of ``extra["video"]``, and ``extra`` holds besides ``video_id``,
    ``expression_id``, ``frame_names`` and ``no_target`` (whether nothing fits; then ``masks`` is ``None``).

    Args:
        name: what to call it.
        file: where the expressions stand.
        videos: video → its record of that file, with ``expressions``: ``{id: {exp, …}}`` and, unless ``_open`` and
            ``_frame_names`` are its own, ``frames``.
        media_folder: where the videos lie, for each a folder of ``.jpg`` frames unless ``_open`` is its own.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.

    Raises:
        UserError: when a record is damaged, or there is no expression at all.
    """

    tasks = ("video_refer",)

    def __init__(
        self,
        name: str,
        file: Path,
        videos: dict[str, dict],
        media_folder: Path,
        frames_per_sample: int,
        expressions_per_sample: int,
        per_expression: bool,
    ) -> None:
        self.name = name
        self.per_expression = per_expression
        self.frames_per_sample = frames_per_sample
        self.expressions_per_sample = expressions_per_sample
        self._file = file
        self._media_folder = media_folder
        self._videos: dict[str, dict] = {}
        self._expressions: list[tuple[str, str]] = []
        for video_id, video in videos.items():
            with record(name, video_id, file):
                ids = list(video["expressions"].keys())
            if ids:
                self._videos[video_id] = video
                self._expressions += [(video_id, expression_id) for expression_id in ids]
        if not self._expressions:
            raise UserError(f"{file}: no expression in it; check that it is the file of this split")
        self._video_ids = list(self._videos)

    def media_folders(self) -> tuple[Path, ...]:
        return (self._media_folder,)

    def __len__(self) -> int:
        return len(self._expressions if self.per_expression else self._video_ids)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        if self.per_expression:
            return self._read_expression(*self._expressions[index], rng)
        video_id = self._video_ids[index]
        with record(self.name, video_id, self._file):
            file = self._open(video_id)
            frames = random_frames(len(file), self.frames_per_sample, rng)
            chosen = self._draw(video_id, rng)
            found, void = self._annotations(video_id, chosen, frames, file)
            turns: list[Turn] = []
            for expression_id, masks in zip(chosen, found, strict=True):
                text = self._text(video_id, expression_id)
                turns += [_question(text, rng), _answer(text, masks, rng)]
            media = file.media(frames)
            return Sample(self.name, video_id, "video_refer", tuple(turns), media, _stack(found), void)

    def _read_expression(self, video_id: str, expression_id: str, rng: np.random.Generator) -> Sample:
        record_id = f"{video_id}/{expression_id}"
        with record(self.name, record_id, self._file):
            file, text = self._open(video_id), self._text(video_id, expression_id)
            turns = [_question(text, rng)]
            extra = {
                "video": file,
                "expression": text,
                "kind": self._videos[video_id]["expressions"][expression_id].get("kind", ""),
                "video_id": video_id,
                "expression_id": expression_id,
                "frame_names": self._frame_names(video_id, file),
            }
            extra |= self._describe(video_id, expression_id, file)
            masks = void = None
            if self.is_labelled:
                found, void = self._annotations(video_id, [expression_id], np.arange(len(file)), file)
                turns.append(_answer(text, found[0], rng))
                masks = _stack(found)
                extra["no_target"] = masks is None
            return Sample(self.name, record_id, "video_refer", tuple(turns), None, masks, void, extra=extra)

    @property
    def is_labelled(self) -> bool:
        """Whether there are masks; without, an expression's sample has only its question, for a submission."""
        return True

    def _draw(self, video_id: str, rng: np.random.Generator) -> list[str]:
        """The expressions of a training sample."""
        return draw(list(self._videos[video_id]["expressions"]), self.expressions_per_sample, rng)

    def _text(self, video_id: str, expression_id: str) -> str:
        """The words of an expression.

        Raises:
            UserError: when there are none.
        """
        text = self._videos[video_id]["expressions"][expression_id]["exp"].strip()
        if not text:
            raise UserError(f"expression {expression_id} in {self._file} has no words")
        return text

    def _open(self, video_id: str) -> VideoFile:
        """The frames that have masks."""
        names = [f"{frame}.jpg" for frame in sorted(self._videos[video_id]["frames"])]
        return VideoFile(self._media_folder / video_id, names)

    def _frame_names(self, video_id: str, file: VideoFile) -> list[str]:
        """What the data set calls each frame of ``file``."""
        return sorted(self._videos[video_id]["frames"])

    def _describe(self, video_id: str, expression_id: str, file: VideoFile) -> dict[str, Any]:
        """What ``extra`` holds besides."""
        return {}

    @abstractmethod
    def _annotations(
        self, video_id: str, expression_ids: Sequence[str], frames: np.ndarray, file: VideoFile
    ) -> Annotations:
        """The masks of some expressions, and the void, on the frames ``[k]`` of ``file``.

        Raises:
            UserError: naming the file of masks that is missing, damaged or doesn't fit the video.
        """


class TrackedVideos(ReferringVideos):
    """The same with masks in one JSON file, ``{anno_id: [run lengths | null, one a frame]}``.

    An expression lists its objects in ``anno_id``; they are OR-ed, as published. An empty list: nothing fits.

    Args:
        media_folder: where the videos lie, for each a folder of ``.jpg`` frames.
        file: where the expressions stand, ``{videos: {video: {frames: […], expressions: {id: {exp, anno_id: […]}}}}}``.
        mask_file: where the masks stand; ``None`` where they aren't published, which ``per_expression`` alone can read.
        frames_per_sample: frames drawn for a training sample.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it.

    Raises:
        UserError: when a file or folder is missing or damaged, or there is no expression at all.
    """

    def __init__(
        self,
        media_folder: Path,
        file: Path,
        mask_file: Path | None,
        frames_per_sample: int,
        expressions_per_sample: int,
        per_expression: bool,
        name: str,
    ) -> None:
        require_folder(media_folder, "a folder of frames for each video")
        if mask_file is None and not per_expression:
            raise UserError(f"{name}: the masks of {file} aren't published; train on another split")
        self._mask_file = mask_file
        self._masks: dict[str, list] = {} if mask_file is None else load_json(mask_file, dict)
        videos = load_videos(name, file)
        super().__init__(name, file, videos, media_folder, frames_per_sample, expressions_per_sample, per_expression)

    @property
    def is_labelled(self) -> bool:
        return self._mask_file is not None

    def _annotations(
        self, video_id: str, expression_ids: Sequence[str], frames: np.ndarray, file: VideoFile
    ) -> Annotations:
        expressions = self._videos[video_id]["expressions"]
        return [self._mask(expressions[number]["anno_id"], frames, file) for number in expression_ids], None

    def _mask(self, annotation_ids: Sequence, frames: np.ndarray, file: VideoFile) -> np.ndarray | None:
        """The union of objects on some frames: bool ``[k,H,W]``; ``None`` of none."""
        union = None
        for annotation_id in annotation_ids:
            if str(annotation_id) not in self._masks:
                raise UserError(f"no object {annotation_id} in {self._mask_file}; the two files don't belong together")
            what = f"object {annotation_id} in {self._mask_file}"
            masks = track_masks(self._masks[str(annotation_id)], frames, file, what)
            union = masks if union is None else np.logical_or(union, masks, out=union)
        return union


def load_videos(name: str, file: Path) -> dict[str, dict]:
    """The videos of a file of expressions in MeViS's and Ref-YouTube-VOS's form.

    Args:
        name: of the source, for messages.
        file: ``{videos: {video: {frames: […], expressions: {id: {exp, …}}}}}``.

    Raises:
        UserError: when it isn't there, isn't that, or a video with expressions has no frames.
    """
    videos = load_described(file)
    for video_id, video in videos.items():
        with record(name, video_id, file):
            if video["expressions"] and not video["frames"]:
                raise UserError(f"a video with no frames in {file}")
    return videos


def load_described(file: Path) -> dict[str, dict]:
    """The videos of a file of expressions, ``{videos: {video: {…}}}``.

    Raises:
        UserError: when it isn't there, or isn't that.
    """
    videos = load_json(file, dict).get("videos")
    if not isinstance(videos, dict):
        raise UserError(f"{file}: not a file of expressions for videos: no object 'videos'")
    return videos


def track_masks(track: Any, frames: np.ndarray, file: VideoFile, what: str) -> np.ndarray:
    """An object's masks on some frames, nothing where it isn't seen; only these are decoded.

    Args:
        track: for each frame run lengths, several of them (OR-ed), or nothing.
        frames: ``[k]`` which ones.
        file: the video, whose number of frames and size the track must have.
        what: the object and its file, for messages.

    Returns:
        bool ``[k,H,W]``.

    Raises:
        UserError: when the track is shorter than the video, or a mask is damaged or of another size.
    """
    if not isinstance(track, list) or len(track) < len(file):
        length = f"{len(track)} frames" if isinstance(track, list) else type(track).__name__
        raise UserError(f"{what}: expected a mask for each of the {len(file)} frames of {file.name}, got {length}")
    masks = np.zeros((len(frames), *file.size), dtype=bool)
    for mask, frame in zip(masks, frames, strict=True):
        if track[frame]:
            try:
                mask[:] = segmentation_to_mask(track[frame], *file.size)
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{what}, frame {frame}: {error}") from error
    return masks


def _question(text: str, rng: np.random.Generator) -> Turn:
    return Turn("user", video_segmentation_question(text.rstrip("."), rng))


def _answer(text: str, masks: np.ndarray | None, rng: np.random.Generator) -> Turn:
    if masks is None:
        return Turn("assistant", no_target_answer(text, rng, medium="video"))
    return Turn("assistant", segmentation_answer(1, rng))


def _stack(found: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The masks that there are, bool ``[N,k,H,W]``; ``None`` without any."""
    masks = [mask for mask in found if mask is not None]
    return np.stack(masks) if masks else None
