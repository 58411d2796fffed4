"""Marks that go along with an object: a label above it, an emoji or a picture over it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from word2mask.data.pictures import decode_image
from word2mask.errors import UserError

__all__ = [
    "Box",
    "draw_label",
    "draw_sticker",
    "emoji_note",
    "emoji_stamp",
    "font_for",
    "font_within",
    "picture_stamp",
    "plate_size",
]

#: (left, top, right, bottom) in pixels, the far ends exclusive.
Box = tuple[float, float, float, float]

#: Fonts with emoji, in colour first, then with Chinese, then with whatever else: where systems keep them.
EMOJI_FONTS = (
    "NotoColorEmoji.ttf",
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/System/Library/Fonts/Apple Color Emoji.ttc",
    "seguiemj.ttf",
    "DejaVuSans.ttf",
)
TEXT_FONTS = (
    "DejaVuSans-Bold.ttf",
    "arialbd.ttf",
    "/System/Library/Fonts/Helvetica.ttc",
    "NotoSansCJK-Bold.ttc",
    "NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "msyhbd.ttc",
    "msyh.ttc",
)
#: Smallest letters of a label, in pixels.
SMALLEST = 8
#: Colour fonts of bitmaps come in one size: Noto's and Apple's.
BITMAP_SIZES = (109, 160, 136, 128)


def draw_label(
    frame: np.ndarray, box: Box, text: str, color: tuple[int, int, int] | None, font: ImageFont.FreeTypeFont
) -> np.ndarray:
    """A text on a plate above ``box``, inside the frame.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        box: of the object.
        text: one line.
        color: RGB of the plate; dark without.
        font: has every character of the text.

    Returns:
        uint8 RGB ``[H,W,3]``; beyond the plate, the frame.
    """
    plate = (24, 24, 24) if color is None else color
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    left, top, _, _ = font.getbbox(text)
    margin, (width, height) = _margin(font), plate_size(text, font)
    x = min(max((box[0] + box[2] - width) / 2, 0), max(frame.shape[1] - width, 0))
    y = min(max(box[1] - height - margin, 0), max(frame.shape[0] - height, 0))
    draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), margin, fill=plate)
    is_dark = float(np.dot(plate, (0.299, 0.587, 0.114))) < 140
    draw.text((x + margin - left, y + margin - top), text, font=font, fill=(255, 255, 255) if is_dark else (0, 0, 0))
    return np.array(picture)


def plate_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """``(width, height)`` of a text's plate in pixels."""
    left, top, right, bottom = font.getbbox(text)
    return round(right - left) + 2 * _margin(font), round(bottom - top) + 2 * _margin(font)


def _margin(font: ImageFont.FreeTypeFont) -> int:
    return max(3, int(font.size) // 4)


def font_within(text: str, size: int, width: int, fonts: Sequence[str]) -> ImageFont.FreeTypeFont:
    """The font of :func:`font_for`, smaller where the plate would be wider than ``width``; 8 pixels at least."""
    font = font_for(text, size, fonts)
    while size > SMALLEST and plate_size(text, font)[0] > width:
        size -= 1
        font = font_for(text, size, fonts)
    return font


def draw_sticker(frame: np.ndarray, box: Box, stamp: Image.Image) -> np.ndarray:
    """A picture over ``box``, as large as covers it, in its middle but whole: it stays inside the frame.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        box: of the object.
        stamp: RGBA; where it would have to be larger than the frame to cover the box, it is as large as fits.

    Returns:
        uint8 RGB ``[H,W,3]``.
    """
    wide, high = box[2] - box[0], box[3] - box[1]
    height, width = frame.shape[:2]
    scale = min(max(wide / stamp.width, high / stamp.height), width / stamp.width, height / stamp.height)
    size = (min(width, max(1, round(stamp.width * scale))), min(height, max(1, round(stamp.height * scale))))
    middle = (box[0] + box[2] - size[0]) / 2, (box[1] + box[3] - size[1]) / 2
    place = (round(min(max(middle[0], 0), width - size[0])), round(min(max(middle[1], 0), height - size[1])))
    picture = Image.fromarray(frame)
    resized = stamp.resize(size, Image.Resampling.LANCZOS)
    picture.paste(resized, place, resized)
    return np.array(picture)


def picture_stamp(path: str | Path) -> Image.Image:
    """A picture with its transparency, RGBA.

    Raises:
        UserError: it isn't there, isn't a picture or is cut short.
    """
    return Image.fromarray(decode_image(Path(path), "RGBA"))


@lru_cache(maxsize=8)
def emoji_stamp(emoji: str, font: str | None = None, side: int = 256) -> Image.Image:
    """An emoji as a square picture, RGBA ``side`` × ``side``.

    Args:
        emoji: one.
        font: a font file; the system's without.
        side: in pixels.

    Raises:
        UserError: no font has it.
    """
    canvas = _drawn(emoji, font, side)
    if not _is_colored(canvas):
        # The yellow of faces, and its lines in black.
        disc = Image.new("RGBA", canvas.size)
        ImageDraw.Draw(disc).ellipse((1, 1, canvas.width - 2, canvas.height - 2), fill=(255, 205, 60, 255))
        canvas = Image.alpha_composite(disc, canvas)
    longest = max(canvas.size)
    square = Image.new("RGBA", (longest, longest))
    square.paste(canvas, ((longest - canvas.width) // 2, (longest - canvas.height) // 2))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def emoji_note(emoji: str, font: str | None = None) -> str | None:
    """What to tell of an emoji that is drawn without its colours, or ``None``.

    Raises:
        UserError: no font has it.
    """
    if _is_colored(_drawn(emoji, font, 64)):
        return None
    return (
        f"{emoji} was drawn in black on yellow: there is no font with coloured emoji here; install one (Debian: "
        "fonts-noto-color-emoji) or give a picture"
    )


def _drawn(emoji: str, font: str | None, side: int) -> Image.Image:
    """An emoji as its font has it, RGBA, on nothing."""
    bare = emoji.replace("\ufe0f", "")
    face = font_for(bare, side, EMOJI_FONTS if font is None else (font,))
    left, top, right, bottom = face.getbbox(bare)
    canvas = Image.new("RGBA", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), bare, font=face, embedded_color=True, fill=(20, 20, 20, 255))
    # The font's room around the sign isn't the sign's: it would make an oval of the disc behind a face.
    return canvas.crop(canvas.getbbox())


def _is_colored(picture: Image.Image) -> bool:
    """Whether any pixel has a hue."""
    pixels = np.asarray(picture)
    return bool(np.ptp(pixels[pixels[..., 3] > 128][:, :3].astype(int), axis=1).max(initial=0) >= 16)


def font_for(text: str, size: int, fonts: Sequence[str] = TEXT_FONTS) -> ImageFont.FreeTypeFont:
    """The first font that has every character of a text.

    Args:
        text: one line.
        size: in pixels; a font of bitmaps has a size of its own.
        fonts: names or paths, the preferred ones first.

    Raises:
        UserError: no font has them all.
    """
    for name in fonts:
        for height in (size, *BITMAP_SIZES):
            try:
                font = ImageFont.truetype(name, height)
            except OSError:  # not installed, or not in this size
                continue
            if _has_all(font, text):
                return font
            break
    wanted = "emoji" if fonts is EMOJI_FONTS else "characters"
    raise UserError(
        f'no font here has the {wanted} of "{text}"; install one (Debian: fonts-noto-color-emoji, fonts-noto-cjk) or '
        "give a font file or a picture"
    )


def _has_all(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether each character has a sign of its own: not the one that stands for those that a font lacks."""
    lacking = bytes(font.getmask("\U000fffff"))
    return all(character.isspace() or bytes(font.getmask(character)) != lacking for character in text)
