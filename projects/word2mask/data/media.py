"""Pictures and videos from disk to uint8 RGB arrays: with limits, and with one clear sentence when a file is no good.

A video is read on demand (:class:`VideoFile`): nothing but the frames asked for is decoded, so that memory stays flat
whatever its length. This module knows nothing of models; it never resizes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from word2mask.errors import UserError
from word2mask.types import Media

#: A picture or frame with more pixels than this is refused before it is decoded.
MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".webm", ".avi", ".mov", ".mkv", ".m4v", ".gif")
#: Frames decoded at a time while a whole video is walked through.
CHUNK = 8


class MissingMedia(UserError):
    """There is no such picture or video."""


class UnreadableMedia(UserError):
    """It is there, and can't be decoded or is too large."""


def open_image(path: str | Path) -> Media:
    """A picture as one frame, turned upright by its EXIF orientation.

    Returns:
        Media of kind ``"image"``, frames uint8 RGB ``[1,H,W,3]``.

    Raises:
        MissingMedia: when the file isn't there.
        UnreadableMedia: when it isn't a picture, is cut short, or has more than :data:`MAX_PIXELS`.
    """
    return Media("image", _decode_image(Path(path))[None], (0,), str(path))


def open_media(path: str | Path) -> Media | VideoFile:
    """What lies at ``path``: a picture, decoded, or a video or folder of frames as :class:`VideoFile`.

    Raises:
        MissingMedia: when nothing is there.
        UnreadableMedia: when it is neither.
    """
    path = Path(path)
    if not path.exists():
        raise MissingMedia(f"{path}: no such file or folder; check the path")
    suffix = path.suffix.lower()
    if path.is_dir() or (suffix in VIDEO_SUFFIXES and suffix != ".gif"):
        return VideoFile(path)
    if suffix == ".gif":
        video = VideoFile(path)
        return video if len(video) > 1 else open_image(path)
    if suffix in IMAGE_SUFFIXES:
        return open_image(path)
    try:
        return open_image(path)
    except UserError as image_error:
        try:
            return VideoFile(path)
        except UserError:
            raise UnreadableMedia(
                f"{path}: neither a picture nor a video; give a picture ({' '.join(IMAGE_SUFFIXES)}), a video "
                f"({' '.join(VIDEO_SUFFIXES)}) or a folder of frames"
            ) from image_error


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
        self._reader: _Reader | None = None
        if not self.path.exists():
            raise MissingMedia(f"{self.path}: no such video or folder of frames; check the path")
        height, width = self._open().size
        if height * width > MAX_PIXELS:
            raise UnreadableMedia(_too_large(self.path, height, width))

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
        if frames.shape != (distinct.size, height, width, 3):
            raise UnreadableMedia(
                f"{self.path}: frames of shape {list(frames.shape[1:])} after a first of {[height, width, 3]}; "
                "all frames of a video must have one size"
            )
        # Frames asked for in order, the usual case, need no copy.
        return frames if np.array_equal(place, np.arange(distinct.size)) else frames[place]

    def iterate(self) -> Iterator[np.ndarray]:
        """Every frame in order, uint8 RGB ``[H,W,3]``, with a few in memory at a time."""
        for start in range(0, len(self), CHUNK):
            yield from self.read(range(start, min(start + CHUNK, len(self))))

    def media(self, indices: Sequence[int] | np.ndarray) -> Media:
        """The frames at ``indices`` as :class:`~word2mask.types.Media` of kind ``"video"``."""
        return Media("video", self.read(indices), tuple(int(index) for index in indices), self.name)

    def __getstate__(self) -> dict:
        return vars(self) | {"_reader": None}

    def __repr__(self) -> str:
        return f"VideoFile({str(self.path)!r})"

    def _open(self) -> _Reader:
        if self._reader is None:
            if self.path.is_dir():
                self._reader = _FolderReader(self.path, self._frame_names)
            elif self.path.suffix.lower() == ".gif":
                self._reader = _GifReader(self.path)
            else:
                self._reader = _open_encoded(self.path)
            if self._reader.num_frames <= 0:
                raise UnreadableMedia(f"{self.path}: a video with no frames; export it again from its source")
        return self._reader


class _Reader(Protocol):
    """One way to get at frames. ``read`` receives sorted distinct indices and returns uint8 RGB ``[k,H,W,3]``."""

    num_frames: int
    size: tuple[int, int]
    fps: float | None

    def read(self, indices: list[int]) -> np.ndarray: ...


class _FolderReader:
    """Frames as pictures in a folder."""

    fps = None

    def __init__(self, folder: Path, names: tuple[str, ...] | None) -> None:
        if names is None:
            found = [entry.name for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES]
            names = tuple(sorted(found, key=_natural))
        if not names:
            raise UnreadableMedia(
                f"{folder}: a video with no frames; put the frames there as {' or '.join(IMAGE_SUFFIXES[:3])} files"
            )
        self._files = [folder / name for name in names]
        self.num_frames = len(names)
        self.size = _image_size(self._files[0])

    def read(self, indices: list[int]) -> np.ndarray:
        frames = []
        for index in indices:
            frame = _decode_image(self._files[index])
            if frame.shape[:2] != self.size:
                raise UnreadableMedia(
                    f"{self._files[index]}: a frame of {list(frame.shape[:2])} (height, width) in a video of "
                    f"{list(self.size)}; all frames of a folder must have one size"
                )
            frames.append(frame)
        return np.stack(frames)


class _GifReader:
    """An animated GIF through PIL; decord can't count its frames."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _opened(path) as image:
            self.num_frames = getattr(image, "n_frames", 1)
            self.size = (image.height, image.width)
            duration = image.info.get("duration", 0)
        self.fps = 1000.0 / duration if duration else None

    def read(self, indices: list[int]) -> np.ndarray:
        frames = []
        with _opened(self._path) as image:
            for index in indices:
                try:
                    image.seek(index)
                    frames.append(np.asarray(image.convert("RGB")))
                except (OSError, EOFError, ValueError) as error:
                    raise UnreadableMedia(_broken_frame(self._path, index, error)) from error
        return np.stack(frames)


class _DecordReader:
    """An encoded video through decord, which seeks by key frames."""

    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._path, self._error = path, decord.DECORDError
        try:
            self._video = decord.VideoReader(str(path), num_threads=1)
            self.num_frames = len(self._video)
            # A batch and not a frame: decord 0.6.0 opens some narrow videos and then can't copy their padded rows.
            first = self._video.get_batch([0, 0]).asnumpy() if self.num_frames else np.zeros((1, 0, 0, 3))
            self.fps = float(self._video.get_avg_fps()) or None
        except decord.DECORDError as error:
            raise OSError(str(error)) from error
        self.size = (int(first.shape[1]), int(first.shape[2]))

    def read(self, indices: list[int]) -> np.ndarray:
        try:
            return self._video.get_batch(indices).asnumpy()
        except (RuntimeError, self._error) as error:
            raise UnreadableMedia(_broken_frame(self._path, indices[0], error)) from error


class _OpenCVReader:
    """An encoded video through OpenCV, where decord isn't installed or can't open the file."""

    def __init__(self, path: Path) -> None:
        import cv2

        self._cv2 = cv2
        self._path = path
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise OSError("OpenCV can't open it")
        self.num_frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.fps = float(capture.get(cv2.CAP_PROP_FPS)) or None
        self.size = (int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        self._capture, self._next = capture, 0

    def read(self, indices: list[int]) -> np.ndarray:
        frames = []
        for index in indices:
            if index < self._next:
                self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, index)
                self._next = index
            while self._next < index and self._capture.grab():
                self._next += 1
            found, frame = self._capture.read()
            self._next += 1
            if not found:
                raise UnreadableMedia(_broken_frame(self._path, index, EOFError("the file ends before it")))
            frames.append(frame[:, :, ::-1])
        return np.stack(frames)


def _open_encoded(path: Path) -> _Reader:
    """The first decoder that opens the file."""
    reasons = []
    for reader in (_DecordReader, _OpenCVReader):
        try:
            return reader(path)
        except (ImportError, RuntimeError, OSError) as error:
            reasons.append(f"{reader.__name__.strip('_')}: {_first_line(error)}")
    raise UnreadableMedia(
        f"{path}: not a video that can be decoded, or cut short ({'; '.join(reasons)}); "
        f"give one of {' '.join(VIDEO_SUFFIXES)} or a folder of frames, or copy the file again from its source"
    )


def _opened(path: Path) -> Image.Image:
    """The picture with its header read and its size within the limit; nothing decoded yet."""
    if not path.is_file():
        raise MissingMedia(f"{path}: no such picture; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise UnreadableMedia(
            f"{path}: the picture is too large ({error}); scale it down to {MAX_PIXELS // 10**6} megapixels"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableMedia(
            f"{path}: not a picture that can be read ({_first_line(error)}); give one of {' '.join(IMAGE_SUFFIXES)}"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableMedia(_too_large(path, image.height, image.width))
    return image


def _decode_image(path: Path) -> np.ndarray:
    """uint8 RGB ``[H,W,3]``, upright."""
    with _opened(path) as image:
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                # PIL clips 16 bits at 255; the upper byte is the picture.
                return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            return np.asarray(upright.convert("RGB"))
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UnreadableMedia(
                f"{path}: the picture is damaged or cut short ({_first_line(error)}); copy it again from its source"
            ) from error


def _image_size(path: Path) -> tuple[int, int]:
    """``(H, W)`` of the upright picture, from its header alone."""
    with _opened(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name)]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _too_large(path: Path, height: int, width: int) -> str:
    return (
        f"{path}: {width} × {height} pixels, at most {MAX_PIXELS // 10**6} megapixels are read; "
        "scale it down (width × height)"
    )


def _broken_frame(path: Path, index: int, error: BaseException) -> str:
    return f"{path}: frame {index} can't be decoded ({_first_line(error)}); copy the file again from its source"
