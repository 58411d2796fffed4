"""The picture or video of a request: from bytes that a user sent to media that a session takes, checked on the way."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from typing import NoReturn

from word2mask.apps.sent_media import Extent, is_picture, video_extent
from word2mask.apps.server.limits import Limits
from word2mask.apps.server.problems import Problem
from word2mask.apps.server.uploads import Store, Upload
from word2mask.data.media import VideoFile, open_image
from word2mask.data.pictures import image_size
from word2mask.errors import UserError
from word2mask.types import Media

__all__ = ["Budget", "Material", "bytes_of_data_url", "open_material"]

#: Header of the only addresses that are taken.
DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,")


class Budget:
    """Bytes of decoded pictures that may be held at a time.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._size = size
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Reserves bytes.

        Raises:
            Problem: no such many are left.
        """
        with self._lock:
            if count > self._size:
                raise Problem(
                    400, "the picture needs more memory than the server has for one; scale it down", "too_large"
                )
            if count > self._left:
                raise Problem(429, "the pictures that wait fill the memory; try again later", "memory_full", None, 1)
            self._left -= count

    def give_back(self, count: int) -> None:
        """Releases what :meth:`take` reserved."""
        with self._lock:
            self._left += count


class Material:
    """Media, and what has to be put away when the answer is there.

    Attributes:
        media: for the session.
    """

    def __init__(self, media: Media | VideoFile, store: Store, upload: Upload, budget: Budget, taken: int) -> None:
        self.media = media
        self._store, self._upload, self._budget, self._taken = store, upload, budget, taken

    @property
    def is_video(self) -> bool:
        """Whether it takes long."""
        return not isinstance(self.media, Media)

    def close(self) -> None:
        """Deletes the file, unless it is an upload that others may ask about; a second call does nothing."""
        if not self._upload.is_listed:
            self._store.remove(self._upload)
        self._budget.give_back(self._taken)
        self._taken = 0


def bytes_of_data_url(url: str, limits: Limits) -> bytes:
    """The bytes that a data URL carries. Nothing else is followed: no network, no file.

    Raises:
        Problem: any other address, or broken base64.
    """
    header = DATA_URL.match(url[:200])
    if header is None:
        raise Problem(
            400,
            "only data URLs are taken (data:image/png;base64,…), the server opens no addresses and no paths; send the "
            "bytes, or upload them to /v1/files and name the file's id",
            "bad_url",
        )
    encoded = url[header.end() :]
    if len(encoded) * 3 // 4 > limits.file_bytes:
        raise Problem(413, f"the file is larger than {limits.file_bytes} bytes; send less", "file_too_large")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "the data URL isn't base64; encode the file's bytes again", "bad_base64") from None


def open_material(upload: Upload, store: Store, limits: Limits, budget: Budget) -> Material:
    """Opens a file that was sent. Pictures are decoded, videos as the session comes to their frames.

    Raises:
        Problem: it can't be read, or is over a limit; a private file is deleted then.
    """
    try:
        extent = None if is_picture(upload.path.suffix) else video_extent(upload.path, limits.frames)
        if extent is not None and (extent.num_frames > 1 or upload.path.suffix != ".gif"):
            _check_video(upload, extent, limits)
            return Material(_SentVideo(upload.path), store, upload, budget, 0)
        height, width = _checked_size(upload, limits)
        taken = height * width * 3
        budget.take(taken)
        try:
            picture = open_image(upload.path)
        except BaseException:
            budget.give_back(taken)
            raise
        return Material(Media("image", picture.frames, (0,), "picture"), store, upload, budget, taken)
    except (UserError, OSError, ValueError, MemoryError) as error:
        _discard(store, upload)
        _say(error, store)
    except BaseException:
        _discard(store, upload)
        raise


class _SentVideo(VideoFile):
    """A video whose messages don't show where it lies."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return "video"


def _discard(store: Store, upload: Upload) -> None:
    if not upload.is_listed:
        store.remove(upload)


def _say(error: Exception, store: Store) -> NoReturn:
    """The error without the path, which is nobody's business."""
    if isinstance(error, UserError):
        message = store.conceal(str(error))
    else:
        message = f"the file can't be read ({type(error).__name__}); save it again in another program"
    raise Problem(400, message, "bad_media") from None


def _checked_size(upload: Upload, limits: Limits) -> tuple[int, int]:
    """``(H, W)`` from the header, before anything is decoded."""
    height, width = image_size(upload.path)
    if height * width > limits.pixels:
        raise UserError(f"{upload.path}: {width} × {height} pixels, at most {limits.pixels} are taken; scale it down")
    return height, width


def _check_video(upload: Upload, extent: Extent, limits: Limits) -> None:
    """Before anything is decoded."""
    count, height, width = extent.num_frames, extent.height, extent.width
    if height * width > limits.pixels:
        raise UserError(
            f"{upload.path}: frames of {width} × {height} pixels, at most {limits.pixels} are taken; scale it down"
        )
    if count > limits.frames:
        raise UserError(f"{upload.path}: more than {limits.frames} frames, which is the most; send a part of it")
    if count * height * width > limits.video_pixels:
        raise UserError(
            f"{upload.path}: {count} frames of {width} × {height} are {count * height * width} pixels, at most "
            f"{limits.video_pixels} are taken; scale it down or send a part of it"
        )
