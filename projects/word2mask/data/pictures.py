"""Pictures from disk to uint8 RGB arrays: what is refused, and in which words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from word2mask.data import files
from word2mask.errors import UserError

#: A picture or frame with more pixels than this is refused before it is decoded.
MAX_PIXELS = 64_000_000
#: So many zeros at the end of a JPEG are no picture: a file was given its size, and not its content.
ZEROS = 64
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".webm", ".avi", ".mov", ".mkv", ".m4v", ".gif")


class MissingMedia(UserError):
    """There is no such picture or video."""


class UnreadableMedia(UserError):
    """It is there, and can't be decoded or is too large."""


class NotAPicture(UnreadableMedia):
    """It has no picture's header."""


class NotAVideo(UnreadableMedia):
    """There is no video in it, or not the beginning of one."""


def is_there(path: Path, look: Callable[[Path], bool] = files.exists) -> bool:
    """Whether there is a file or folder; ``look`` tells it.

    Raises:
        MissingMedia: it can't be told: a name that is too long, or a folder that may not be looked into.
    """
    try:
        return look(path)
    except OSError as error:
        raise MissingMedia(f"{path}: can't be looked at ({error.strerror}); check the path") from error


def open_picture(path: Path) -> Image.Image:
    """The picture with its header read and its size within the limit; nothing decoded yet."""
    if not is_there(path, files.is_file):
        raise MissingMedia(f"{path}: no such picture; check the path")
    try:
        with warnings.catch_warnings():
            # What Pillow has to say of a damaged header it says again when it decodes, or it doesn't matter.
            warnings.simplefilter("ignore")
            image = Image.open(path if path.is_file() else files.open_file(path))
    except Image.DecompressionBombError as error:
        # Pillow stops before it gives the size, but says how many pixels there are.
        pixels = re.search(r"\d+", str(error))
        many = f"{int(pixels[0]) / 1e6:.0f} megapixels, " if pixels else ""
        raise UnreadableMedia(
            f"{path}: the picture is too large: {many}at most {MAX_PIXELS // 10**6} megapixels are read; scale it down"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise NotAPicture(_not_a_picture(path, error)) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableMedia(too_large(path, image.height, image.width))
    return image


def decode_image(path: Path, mode: Literal["RGB", "RGBA"] = "RGB") -> np.ndarray:
    """uint8 ``[H,W,3]``, or ``[H,W,4]`` with transparency, upright."""
    with open_picture(path) as image:
        try:
            if image.format == "JPEG":
                _check_end(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith("I;16") and mode == "RGB":
                # PIL clips 16 bits at 255; the upper byte is the picture.
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            return np.asarray(image if image.mode == mode else image.convert(mode))
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UnreadableMedia(_damaged(path, error)) from error


def image_size(path: Path) -> tuple[int, int]:
    """``(H, W)`` of the upright picture, from its header alone."""
    with open_picture(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


def _check_end(image: Image.Image) -> None:
    """Raise OSError where a JPEG ends in zeros instead of its mark, as a copy does that was broken off.

    Its decoder takes zeros for pixels and paints the rest grey without a word.
    """
    file: Any = image.fp
    place = file.tell()
    size, zeros = file.seek(0, 2), 0
    while zeros < size:
        many = min(1 << 16 if zeros else ZEROS, size - zeros)
        file.seek(size - zeros - many)
        rest = file.read(many).rstrip(b"\0")
        zeros += many - len(rest)
        if rest:
            break
    file.seek(max(size - zeros - 2, 0))
    has_mark = file.read(2) == b"\xff\xd9"
    file.seek(place)
    if zeros >= ZEROS and not has_mark:
        raise OSError(f"its last {zeros} bytes are zeros")


def first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _not_a_picture(path: Path, error: BaseException) -> str:
    """What to say of a file without a picture's header."""
    if files.size_of(path) == 0:
        return _empty(path, "picture")
    # What Pillow says of an unknown kind is no more than that, with the path once more; all else is about a known one.
    if not isinstance(error, UnidentifiedImageError):
        return _damaged(path, error)
    kinds = " ".join(IMAGE_SUFFIXES)
    return f"{path}: not a picture that can be read; copy it again from its source, or give one of {kinds}"


def _damaged(path: Path, error: BaseException) -> str:
    return f"{path}: the picture is damaged or cut short ({first_line(error)}); copy it again from its source"


def not_a_video(path: Path) -> str:
    """What to say of a file in which no decoder finds a video."""
    if files.size_of(path) == 0:
        return _empty(path, "video")
    return (
        f"{path}: not a video that can be decoded, or cut short; copy the file again from its source, or give one of "
        f"{' '.join(VIDEO_SUFFIXES)} or a folder of frames"
    )


def _empty(path: Path, kind: str) -> str:
    return f"{path}: not a {kind} that can be read: the file is empty; copy it again from its source"


def too_large(path: Path, height: int, width: int) -> str:
    return (
        f"{path}: {width} × {height} pixels, at most {MAX_PIXELS // 10**6} megapixels are read; "
        "scale it down (width × height)"
    )


def other_size(path: Path, shape: tuple[int, ...], first: tuple[int, ...]) -> str:
    """What to say of a frame ``[h,w,3]`` of another size than the first frame's ``[H,W]``."""
    return (
        f"{path}: a frame of {list(shape[:2])} (height, width) after a first of {list(first[:2])}; all frames of a "
        "video must have one size"
    )


def broken_frame(path: Path, index: int, error: BaseException) -> str:
    """What to say of a frame that can't be decoded."""
    return f"{path}: frame {index} can't be decoded ({first_line(error)}); copy the file again from its source"
