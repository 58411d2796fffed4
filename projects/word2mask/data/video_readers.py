"""Ways to get at the frames of a video: a folder of pictures, an animated GIF, or an encoded file by a decoder."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Protocol

import numpy as np

from word2mask.data import files
from word2mask.data.av_reader import AVReader, check_one_size
from word2mask.data.counted_reader import CountedReader
from word2mask.data.pictures import (
    IMAGE_SUFFIXES,
    NotAVideo,
    UnreadableMedia,
    broken_frame,
    decode_image,
    first_line,
    image_size,
    not_a_video,
    open_picture,
)

# Read by OpenCV when it first opens a file; its FFmpeg would write to stderr what the exception says.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Reader(Protocol):
    """One way to get at frames. ``read`` receives sorted distinct indices and returns uint8 RGB ``[k,H,W,3]``."""

    num_frames: int
    size: tuple[int, int]
    fps: float | None

    def read(self, indices: list[int]) -> np.ndarray: ...


class FolderReader:
    """Frames as pictures in a folder."""

    fps: float | None = None

    def __init__(self, folder: Path, names: tuple[str, ...] | None) -> None:
        if names is None:
            found = [entry.name for entry in files.list_folder(folder) if entry.suffix.lower() in IMAGE_SUFFIXES]
            names = tuple(sorted(found, key=_natural))
        if not names:
            raise UnreadableMedia(
                f"{folder}: a video with no frames; put the frames there as {' or '.join(IMAGE_SUFFIXES[:3])} files"
            )
        self._files = [folder / name for name in names]
        self.num_frames = len(names)
        self.size = image_size(self._files[0])

    def read(self, indices: list[int]) -> np.ndarray:
        frames = []
        for index in indices:
            frame = decode_image(self._files[index])
            if frame.shape[:2] != self.size:
                raise UnreadableMedia(
                    f"{self._files[index]}: a frame of {list(frame.shape[:2])} (height, width) in a video of "
                    f"{list(self.size)}; all frames of a folder must have one size"
                )
            frames.append(frame)
        return np.stack(frames)


class GifReader:
    """An animated GIF through PIL; decord can't count its frames."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_picture(path) as image:
            self.num_frames = getattr(image, "n_frames", 1)
            self.size = (image.height, image.width)
            duration = image.info.get("duration", 0)
        self.fps: float | None = 1000.0 / duration if duration else None

    def read(self, indices: list[int]) -> np.ndarray:
        frames = []
        with open_picture(self._path) as image:
            for index in indices:
                try:
                    image.seek(index)
                    frames.append(np.asarray(image.convert("RGB")))
                except (OSError, EOFError, ValueError) as error:
                    raise UnreadableMedia(broken_frame(self._path, index, error)) from error
        return np.stack(frames)


class DecordReader:
    """An encoded video through decord, where PyAV leaves it: frames that are to be turned askew, for one.

    decord 0.6.0 gives other pixels than a full reading after a jump in H.265, in open groups of pictures and in AVI
    whose frames come out of turn.
    """

    def __init__(self, path: Path) -> None:
        # Before decord, which lets every library loaded later see its own, older codecs: PyAV couldn't write WebM then.
        import av  # noqa: F401
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._path, self._error = path, decord.DECORDError
        try:
            self._video = decord.VideoReader(files.ffmpeg_name(path), num_threads=1)
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
            raise UnreadableMedia(broken_frame(self._path, indices[0], error)) from error


class OpenCVReader:
    """An encoded video through OpenCV, where the others can't open the file."""

    def __init__(self, path: Path) -> None:
        import cv2

        self._cv2 = cv2
        self._path = path
        capture = cv2.VideoCapture(files.ffmpeg_name(path))
        if not capture.isOpened():
            raise OSError("OpenCV can't open it")
        self.num_frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        if not self.num_frames and capture.grab():
            raise UnreadableMedia(
                f"{path}: a bare stream of frames, which says neither how many there are nor when they are shown; put "
                f"it into a container: ffmpeg -framerate 25 -i {path.name} -c copy {path.stem}.mp4"
            )
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
                raise UnreadableMedia(broken_frame(self._path, index, EOFError("the file ends before it")))
            frames.append(frame[:, :, ::-1])
        return np.stack(frames)


def open_encoded(path: Path) -> Reader:
    """The first decoder that opens the file.

    Raises:
        NotAVideo: none does.
        UnreadableMedia: it is cut short, or its frames are of several sizes.
    """
    for reader in (AVReader, CountedReader, DecordReader, OpenCVReader):
        try:
            if not issubclass(reader, AVReader):
                check_one_size(path)
            return reader(path)
        except (ImportError, RuntimeError, OSError) as error:
            logging.getLogger(__name__).debug("%s: %s: %s", path, reader.__name__, first_line(error))
    raise NotAVideo(not_a_video(path))


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name)]
