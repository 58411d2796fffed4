"""Pictures and videos from disk to uint8 RGB arrays: with limits, and with one clear sentence when a file is no good.

A video is read on demand (:class:`VideoFile`): nothing but the frames asked for is decoded, so that memory stays flat
whatever its length. This module knows nothing of models; it never resizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from word2mask.data import files
from word2mask.data.av_reader import AVReader
from word2mask.data.pictures import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    VIDEO_SUFFIXES,
    MissingMedia,
    NotAPicture,
    NotAVideo,
    UnreadableMedia,
    decode_image,
    is_there,
    other_size,
    too_large,
)
from word2mask.data.video_readers import FolderReader, GifReader, Reader, open_encoded
from word2mask.types import Media

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "VIDEO_SUFFIXES",
    "MissingMedia",
    "UnreadableMedia",
    "VideoFile",
    "open_image",
    "open_media",
]

#: Frames decoded at a time while a whole video is walked through.
CHUNK = 8


def open_image(path: str | Path) -> Media:
    """A picture as one frame, turned upright by its EXIF orientation.

    Returns:
        Media of kind ``"image"``, frames uint8 RGB ``[1,H,W,3]``.

    Raises:
        MissingMedia: when the file isn't there.
        UnreadableMedia: when it isn't a picture, is cut short, or has more than :data:`MAX_PIXELS`.
    """
    return Media("image", decode_image(Path(path))[None], (0,), str(path))


def open_media(path: str | Path) -> Media | VideoFile:
    """What lies at ``path``: a picture, decoded, or a video or folder of frames as :class:`VideoFile`.

    Raises:
        MissingMedia: when nothing is there.
        UnreadableMedia: when it is neither.
    """
    path = Path(path)
    if not is_there(path):
        raise MissingMedia(f"{path}: no such file or folder; check the path")
    suffix = path.suffix.lower()
    if files.is_folder(path) or (suffix in VIDEO_SUFFIXES and suffix != ".gif"):
        return VideoFile(path)
    if suffix == ".gif":
        video = VideoFile(path)
        return video if len(video) > 1 else open_image(path)
    if suffix in IMAGE_SUFFIXES:
        return open_image(path)
    # By its content, where the name doesn't say; what is of a kind and damaged says so itself.
    try:
        return open_image(path)
    except NotAPicture:
        pass
    try:
        return VideoFile(path)
    except NotAVideo as error:
        raise UnreadableMedia(
            f"{path}: neither a picture nor a video; give a picture ({' '.join(IMAGE_SUFFIXES)}), a video "
            f"({' '.join(VIDEO_SUFFIXES)}) or a folder of frames"
        ) from error


class VideoFile:
    """A video on disk: ``.mp4``, ``.webm``, ``.avi``, ``.gif`` …, or a folder of ``.jpg`` / ``.png`` frames.

    The file is opened at the first use and again in every process that receives a copy by pickle.

    Args:
        path: the file or the folder.
        frame_names: for a folder, the files of the frames in order (as MeViS lists them); all pictures of the folder,
            sorted naturally (``2.jpg`` before ``10.jpg``), without.

    Raises:
        MissingMedia: when it isn't there.
        UnreadableMedia: when it can't be decoded, has no frame, or is larger than :data:`MAX_PIXELS` a frame.
    """

    def __init__(self, path: str | Path, frame_names: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self._frame_names = None if frame_names is None else tuple(frame_names)
        self._reader: Reader | None = None
        if not is_there(self.path):
            raise MissingMedia(f"{self.path}: no such video or folder of frames; check the path")
        height, width = self._open().size
        if height * width > MAX_PIXELS:
            raise UnreadableMedia(too_large(self.path, height, width))

    def __len__(self) -> int:
        """Number of frames T."""
        return self._open().num_frames

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)`` of every frame."""
        return self._open().size

    @property
    def fps(self) -> float | None:
        """Frames a second; ``None`` for a folder of frames, which doesn't say."""
        return self._open().fps

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return str(self.path)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The frames at ``indices``, in that order; repeats are allowed, and only these are decoded.

        Returns:
            uint8 RGB ``[k,H,W,3]``.

        Raises:
            IndexError: when an index is outside ``0 … T-1``.
            UnreadableMedia: when a frame can't be decoded or is of another size than the first.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        height, width = self.size
        if wanted.size == 0:
            return np.zeros((0, height, width, 3), dtype=np.uint8)
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(f"{self.path}: frames {wanted.tolist()} asked for, there are 0 … {len(self) - 1}")
        distinct, place = np.unique(wanted, return_inverse=True)
        frames = self._open().read(distinct.tolist())
        self._check_shape(frames.shape[1:])
        # Frames asked for in order, the usual case, need no copy.
        return frames if np.array_equal(place, np.arange(distinct.size)) else frames[place]

    def walk(self, indices: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """The frames at ``indices`` in order, each once, ``(index, uint8 RGB [H,W,3])``; one at a time in memory.

        Raises:
            IndexError: when an index is outside ``0 … T-1``.
            UnreadableMedia: as :meth:`read`.
        """
        wanted, reader = sorted(set(indices)), self._open()
        if wanted and not (wanted[0] >= 0 and wanted[-1] < len(self)):
            raise IndexError(f"{self.path}: frames {wanted} asked for, there are 0 … {len(self) - 1}")
        frames = reader.walk(wanted) if isinstance(reader, AVReader) else (reader.read([i])[0] for i in wanted)
        for index, frame in zip(wanted, frames, strict=True):
            self._check_shape(frame.shape)
            yield index, frame

    def iterate(self) -> Iterator[np.ndarray]:
        """Every frame in order, uint8 RGB ``[H,W,3]``, with a few in memory at a time."""
        for start in range(0, len(self), CHUNK):
            yield from self.read(range(start, min(start + CHUNK, len(self))))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != (*self.size, 3):
            raise UnreadableMedia(other_size(self.path, shape, self.size))

    def media(self, indices: Sequence[int] | np.ndarray) -> Media:
        """The frames at ``indices`` as :class:`~word2mask.types.Media` of kind ``"video"``."""
        return Media("video", self.read(indices), tuple(int(index) for index in indices), self.name)

    def __getstate__(self) -> dict:
        return vars(self) | {"_reader": None}

    def __repr__(self) -> str:
        return f"VideoFile({str(self.path)!r})"

    def _open(self) -> Reader:
        if self._reader is None:
            reader: Reader
            if files.is_folder(self.path):
                reader = FolderReader(self.path, self._frame_names)
            elif self.path.suffix.lower() == ".gif":
                reader = GifReader(self.path)
            else:
                reader = open_encoded(self.path)
            self._reader = reader
            if reader.num_frames <= 0:
                raise UnreadableMedia(f"{self.path}: a video with no frames; export it again from its source")
        return self._reader
