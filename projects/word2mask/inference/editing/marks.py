"""Marks that go along with an object: a label above it, an emoji or a picture over it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from word2mask.data.pictures import open_picture
from word2mask.errors import UserError

__all__ = ["Box", "draw_label", "draw_sticker", "emoji_stamp", "font_for", "picture_stamp"]

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
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    margin = max(3, int(font.size) // 4)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = min(max((box[0] + box[2] - width) / 2, 0), max(frame.shape[1] - width, 0))
    y = min(max(box[1] - height - margin, 0), max(frame.shape[0] - height, 0))
    draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), margin, fill=plate)
    is_dark = float(np.dot(plate, (0.299, 0.587, 0.114))) < 140
    draw.text((x + margin - left, y + margin - top), text, font=font, fill=(255, 255, 255) if is_dark else (0, 0, 0))
    return np.array(picture)


def draw_sticker(frame: np.ndarray, box: Box, stamp: Image.Image) -> np.ndarray:
    """A picture in the middle of ``box``, as large as covers it.

    Args:
        frame: uint8 RGB ``[H,W,3]``.
        box: of the object.
        stamp: RGBA.
    """
    wide, high = box[2] - box[0], box[3] - box[1]
    scale = max(wide / stamp.width, high / stamp.height)
    size = (max(1, round(stamp.width * scale)), max(1, round(stamp.height * scale)))
    place = (round((box[0] + box[2] - size[0]) / 2), round((box[1] + box[3] - size[1]) / 2))
    picture = Image.fromarray(frame)
    resized = stamp.resize(size, Image.Resampling.LANCZOS)
    picture.paste(resized, place, resized)
    return np.array(picture)


def picture_stamp(path: str | Path) -> Image.Image:
    """A picture with its transparency, RGBA.

    Raises:
        UserError: it isn't there or isn't a picture.
    """
    with open_picture(Path(path)) as picture:
        return picture.convert("RGBA")


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
    bare = emoji.replace("\ufe0f", "")
    face = font_for(bare, side, EMOJI_FONTS if font is None else (font,))
    left, top, right, bottom = face.getbbox(bare)
    canvas = Image.new("RGBA", (max(1, int(right - left)), max(1, int(bottom - top))))
    # A font without colours gets the yellow of faces, and its lines in black.
    draw = ImageDraw.Draw(canvas)
    draw.text((-left, -top), bare, font=face, embedded_color=True, fill=(20, 20, 20, 255))
    pixels = np.asarray(canvas)
    if np.ptp(pixels[pixels[..., 3] > 128][:, :3].astype(int), axis=1).max(initial=0) < 16:
        disc = Image.new("RGBA", canvas.size)
        ImageDraw.Draw(disc).ellipse((1, 1, canvas.width - 2, canvas.height - 2), fill=(255, 205, 60, 255))
        canvas = Image.alpha_composite(disc, canvas)
    longest = max(canvas.size)
    square = Image.new("RGBA", (longest, longest))
    square.paste(canvas, ((longest - canvas.width) // 2, (longest - canvas.height) // 2))
    return square.resize((side, side), Image.Resampling.LANCZOS)


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
