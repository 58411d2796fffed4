"""Masks on pictures, for people: distinct colours, outlines and labels, pictures side by side, video strips.

Arrays in, arrays out; only :func:`save_picture` and :func:`save_video` touch files. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from word2mask.errors import UserError
from word2mask.inference.editing.marks import font_for

__all__ = ["PALETTE", "beside", "color_of", "dimmed", "overlay", "save_picture", "save_video", "spotlight", "strip"]

#: Colours that people with any common colour vision tell apart (Okabe and Ito, 2008, https://jfly.uni-koeln.de/color/).
PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
#: Letters of a label of which no more are looked at.
LONGEST_LABEL = 200
GAP = 4
PAPER = 255
#: Longest side of what :func:`spotlight` draws, in pixels; small pictures are enlarged to it.
SIDE = 360
#: What remains of the brightness outside of all masks.
DIMMED = 0.55


def color_of(index: int) -> tuple[int, int, int]:
    """RGB of the i-th object; the palette repeats, darker each time."""
    shade = 0.75 ** (index // len(PALETTE))
    red, green, blue = PALETTE[index % len(PALETTE)]
    return int(red * shade), int(green * shade), int(blue * shade)


def overlay(
    frame: np.ndarray,
    masks: np.ndarray,
    labels: Sequence[str] = (),
    alpha: float = 0.45,
    min_side: int = 256,
) -> np.ndarray:
    """A frame with its masks: filled, outlined in white and colour, and labelled with a number and a name.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        masks: bool ``[N,H,W]``, N may be 0.
        labels: name of each object; missing ones show the number alone.
        alpha: how much of the colour covers the object, 0…1.
        min_side: smaller frames are enlarged until their shorter side has this many pixels, so that labels can be read.

    Returns:
        uint8 RGB ``[H',W',3]``.
    """
    if masks.shape[1:] != frame.shape[:2]:
        raise ValueError(f"masks {list(masks.shape)} and frame {list(frame.shape)} differ in size")
    scale = max(1, -(-min_side // min(frame.shape[:2])))
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    canvas = cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    large = [cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for mask in masks]
    for index, mask in enumerate(large):
        inside = mask.astype(bool)
        canvas[inside] = (1 - alpha) * canvas[inside] + alpha * np.array(color_of(index), dtype=np.float32)
    picture = np.ascontiguousarray(canvas.round().astype(np.uint8))
    for index, mask in enumerate(large):
        outline, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outline, -1, (255, 255, 255), 3)
        cv2.drawContours(picture, outline, -1, color_of(index), 1)
    tags = [(mask, index, labels[index] if index < len(labels) else "") for index, mask in enumerate(large)]
    return _with_tags(picture, tags)


def _with_tags(picture: np.ndarray, tags: Sequence[tuple[np.ndarray, int, str]]) -> np.ndarray:
    """Number and name above each object's largest part, on its colour, inside the picture, none on top of another."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(12, min(picture.shape[:2]) // 24)
    taken: list[tuple[float, float, float, float]] = []
    for mask, index, label in tags:
        count, _, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        if count == 1:
            continue
        start, above, *_ = parts[1 + parts[1:, cv2.CC_STAT_AREA].argmax()]
        font = _font_of(label, size)
        text = _fitted(f"{index + 1} {label}".strip(), font, picture.shape[1] - 6)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 6, bottom - top + 6
        x = float(np.clip(start, 0, max(0, picture.shape[1] - width)))
        y = float(np.clip(above - height - 2, 0, max(0, picture.shape[0] - height)))
        while any(x < r and x + width > l and y < b and y + height > t for l, t, r, b in taken):
            y += height
            if y + height > picture.shape[0]:
                break
        taken.append((x, y, x + width, y + height))
        draw.rectangle((x, y, x + width, y + height), fill=color_of(index))
        luminance = float(np.dot(color_of(index), (0.299, 0.587, 0.114)))
        draw.text((x + 3 - left, y + 3 - top), text, font=font, fill=(0, 0, 0) if luminance > 110 else (255, 255, 255))
    return np.asarray(image)


def _font_of(label: str, size: int) -> Any:
    """A font with the characters of a label; Pillow's own has those of Latin alone."""
    if label.isascii():
        return ImageFont.load_default(size=size)
    try:
        return font_for(label, size)
    except UserError:
        return ImageFont.load_default(size=size)


def _fitted(text: str, font: Any, width: float) -> str:
    """As much of a text as is ``width`` pixels wide: whole words where it has some, and three dots for the rest."""
    if font.getlength(text[:LONGEST_LABEL]) <= width and len(text) <= LONGEST_LABEL:
        return text
    end = min(len(text), LONGEST_LABEL)
    while end > 1 and font.getlength(text[:end] + "…") > width:
        end -= 1
    # Not in the middle of a word, unless that leaves the number alone.
    words = text.rfind(" ", text.find(" ") + 1, end + 1)
    return text[: words if words > 0 else end].rstrip() + "…"


def spotlight(frame: np.ndarray, masks: np.ndarray, side: int = SIDE, is_region: bool = False) -> np.ndarray:
    """A frame in which the masks shine: outlined, lightly tinted, and the rest dimmed and greyed.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        masks: bool ``[N,H,W]``; without any pixel, the frame stays as it is.
        side: longest side of the result.
        is_region: outline only, as for a region that the question marks.

    Returns:
        uint8 RGB ``[h,w,3]``.
    """
    height, width = frame.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    smooth = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = cv2.resize(frame, size, interpolation=smooth).astype(np.float32)
    shown = [(number, mask) for number, mask in enumerate(masks) if mask.any()]
    if not shown:
        return picture.astype(np.uint8)
    # Enlarged as a soft mask and cut at a half, an outline loses its pixel stairs.
    soft = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5 for _, mask in shown]
    if not is_region:
        picture = np.where(np.any(soft, axis=0)[..., None], picture, dimmed(picture))
        for (number, _), mask in zip(shown, soft, strict=True):
            picture[mask] = 0.8 * picture[mask] + 0.2 * np.array(color_of(number), np.float32)
    canvas = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    # A white rim around the colour, where there is room for it.
    thickness = max(side // 120, 1)
    for (number, _), mask in zip(shown, soft, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if thickness > 1:
            cv2.drawContours(canvas, contours, -1, (255, 255, 255), thickness + 2, cv2.LINE_AA)
        cv2.drawContours(canvas, contours, -1, color_of(number), max(thickness, 2), cv2.LINE_AA)
    return canvas


def dimmed(picture: np.ndarray) -> np.ndarray:
    """Darker and nearly grey, float32 ``[h,w,3]``."""
    return (0.3 * picture + 0.7 * picture.mean(axis=2, keepdims=True)) * DIMMED


def beside(*pictures: np.ndarray) -> np.ndarray:
    """Pictures in a row on white, e.g. ground truth beside prediction.

    Args:
        *pictures: uint8 RGB ``[H,W,3]``, of any sizes.

    Returns:
        uint8 RGB ``[max H, ΣW + gaps, 3]``.
    """
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    canvas = np.full((height, width, 3), PAPER, dtype=np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return canvas


def strip(frames: Sequence[np.ndarray], count: int = 6) -> np.ndarray:
    """Up to ``count`` frames of a video, evenly spread, in a row.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each, one at least.
        count: how many to show.
    """
    places = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    return beside(*(frames[place] for place in places))


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes a PNG.

    Args:
        picture: uint8 RGB ``[H,W,3]``, or bool ``[H,W]``, written as 0 and 255.
        path: of the file.
    """
    pixels = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    Image.fromarray(pixels).save(path)


def save_video(frames: Iterable[np.ndarray], path: str | Path, fps: float = 8.0) -> None:
    """Writes an mp4, one frame at a time.

    Args:
        frames: uint8 RGB ``[H,W,3]`` each, of one size, one at least.
        path: of the file.
        fps: frames a second.

    Raises:
        UserError: no frame, OpenCV can't write the file, or it isn't whole: OpenCV doesn't say that a disk is full.
    """
    writer: cv2.VideoWriter | None = None
    count = 0
    try:
        for frame in frames:
            count += 1
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
                if not writer.isOpened():
                    raise UserError(f"{path}: OpenCV can't write this video; choose a name that ends in .mp4")
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise UserError(f"{path}: no frames to write")
    if (written := _frames_in(path)) != count:
        raise UserError(
            f"{path}: {written} of {count} frames could be written, so there is no room left (a full disk, or a limit "
            "on files); make room or choose another place"
        )


def _frames_in(path: str | Path) -> int:
    """Frames that lie in a video, by its packets; 0 where it can't be opened."""
    import av

    try:
        with av.open(str(path)) as container:
            return sum(bool(packet.size) for packet in container.demux(container.streams.video[0]))
    except (av.FFmpegError, IndexError):
        return 0
