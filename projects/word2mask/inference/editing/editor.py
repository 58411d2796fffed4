"""What changes the frames: the protocol, by which a diffusion model can take the place, and the built-in effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from word2mask.data.pictures import decode_image
from word2mask.inference.editing import ink, marks, removal, surroundings, tones
from word2mask.inference.editing.instruction import Instruction

__all__ = ["BuiltInEditor", "Editor"]

#: Frames on either side over which the box of a label or sticker is averaged, so that it doesn't tremble.
STEADY = 4
#: What a label or sticker doesn't go by: parts that are thinner than this share of the square root of the object's
#: area, on either side of their middle, unless less than so much of it is thicker; and parts whose area is less than
#: this share of the largest one's.
THIN, MOST_OF_IT, SPECK = 0.03, 0.5, 0.02


class Editor(Protocol):
    """Anything that can carry out an instruction."""

    def edit(
        self, frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], span: range, instruction: Instruction
    ) -> Iterator[np.ndarray]:
        """Changes the frames of a span.

        Args:
            frames: uint8 RGB ``[H,W,3]`` each: the whole video, decoded as it is asked for. Going forward is quick, and
                a few dozen frames are kept.
            masks: float32 ``[H,W]`` each, 0…1, the thing that the instruction names, with soft edges; all 0 on a frame
                without it. What is asked for "everything but" it comes inverted.
            span: the frames to change.
            instruction: as it was understood.

        Yields:
            one frame for each of ``span``, in order: uint8 ``[H,W,3]``, or RGBA ``[H,W,4]`` for a cut-out.
        """
        ...


class BuiltInEditor:
    """The effects of this package.

    Args:
        font: a font file for labels and emoji; the system's fonts without.
    """

    def __init__(self, font: str | Path | None = None) -> None:
        self._font = None if font is None else str(font)

    @property
    def _text_fonts(self) -> tuple[str, ...]:
        return marks.TEXT_FONTS if self._font is None else (self._font,)

    def edit(
        self, frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], span: range, instruction: Instruction
    ) -> Iterator[np.ndarray]:
        """As :meth:`Editor.edit` says.

        Raises:
            UserError: a picture or font that the effect needs isn't there.
        """
        if instruction.effect.name == "remove":
            yield from removal.remove(frames, masks, span)
        elif instruction.effect.name in ("label", "sticker"):
            yield from self._marked(frames, masks, span, instruction)
        else:
            change = self._change(instruction, frames[span.start].shape[:2])
            for index in span:
                yield change(frames[index], masks[index])

    def notes(self, instruction: Instruction) -> tuple[str, ...]:
        """What can't be had here as it was asked for, in sentences.

        Raises:
            UserError: no font has the words or the emoji, or the picture that the effect needs can't be read.
        """
        effect = instruction.effect
        if effect.picture:
            decode_image(Path(effect.picture))
        if effect.name == "label":
            marks.font_for(effect.text, marks.SMALLEST, self._text_fonts)
        note = marks.emoji_note(effect.text, self._font) if effect.name == "sticker" and not effect.picture else None
        return () if note is None else (note,)

    def _change(
        self, instruction: Instruction, size: tuple[int, int]
    ) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The effect of one frame and its mask."""
        effect = instruction.effect
        with_strength = {
            "ink_wash": ink.ink_wash,
            "blur": tones.blur,
            "pixelate": tones.pixelate,
            "brighten": tones.brighten,
            "darken": tones.darken,
        }
        if effect.name in with_strength:
            strength = tones.USUAL if effect.strength is None else effect.strength
            return lambda frame, soft: with_strength[effect.name](frame, soft, strength)
        color = effect.color or (255, 255, 255)
        if effect.name == "background":
            if effect.picture:
                behind = surroundings.cover(decode_image(Path(effect.picture)), size)
            else:
                behind = np.full((*size, 3), color, np.uint8)
            return lambda frame, soft: surroundings.replace_background(frame, soft, behind)
        return {
            "grayscale": tones.grayscale,
            "recolor": lambda frame, soft: tones.recolor(frame, soft, color),
            "spotlight": surroundings.spotlight,
            "outline": lambda frame, soft: surroundings.outline(frame, soft, color, effect.strength),
            "cutout": surroundings.cutout,
        }[effect.name]

    def _marked(
        self, frames: Sequence[np.ndarray], masks: Sequence[np.ndarray], span: range, instruction: Instruction
    ) -> Iterator[np.ndarray]:
        """With a label or sticker that goes along."""
        effect = instruction.effect

        @lru_cache(maxsize=4 * STEADY)
        def box(index: int) -> marks.Box | None:
            return main_box(masks[index] > 0.5)

        size = max(14, min(frames[span.start].shape[:2]) // 18)
        stamp = font = None
        if effect.name == "label":
            font = marks.font_within(effect.text, size, frames[span.start].shape[1], self._text_fonts)
        else:
            stamp = (
                marks.picture_stamp(effect.picture) if effect.picture else marks.emoji_stamp(effect.text, self._font)
            )
        for index in span:
            place = steady_box(box, index, len(frames))
            if place is None:
                yield frames[index]
            elif font is not None:
                yield marks.draw_label(frames[index], place, effect.text, effect.color, font)
            elif stamp is not None:
                yield marks.draw_sticker(frames[index], place, stamp)


def main_box(inside: np.ndarray) -> marks.Box | None:
    """The box of an object without what is thin beside it (a cord that it holds) and without specks.

    Args:
        inside: bool ``[H,W]``.

    Returns:
        ``None`` where there is no object.
    """
    if not inside.any():
        return None
    side = max(1, round(THIN * float(inside.sum()) ** 0.5))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * side + 1, 2 * side + 1))
    thick = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    # Something thin all over, a rope or a bicycle, is itself.
    kept = thick if thick.sum() >= MOST_OF_IT * inside.sum() else inside.astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(kept)
    parts = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= SPECK * stats[1:, cv2.CC_STAT_AREA].max()]
    left, top = parts[:, cv2.CC_STAT_LEFT], parts[:, cv2.CC_STAT_TOP]
    right, bottom = left + parts[:, cv2.CC_STAT_WIDTH], top + parts[:, cv2.CC_STAT_HEIGHT]
    return float(left.min()), float(top.min()), float(right.max()), float(bottom.max())


def steady_box(box: Callable[[int], marks.Box | None], index: int, num_frames: int) -> marks.Box | None:
    """The box of a frame as those of some frames before and after say it; ``None`` where there is none.

    A straight line through them: in the midst of a video their mean, and at its ends, or where the object comes and
    goes, no jump to a box that none of them has.
    """
    if box(index) is None:
        return None
    steps, boxes = [], []
    for direction, first in ((-1, 0), (1, 1)):
        for step in range(first, STEADY + 1):
            other = index + direction * step
            found = box(other) if 0 <= other < num_frames else None
            if found is None:
                break
            steps.append(direction * step)
            boxes.append(found)
    if len(boxes) < 3:  # of two, the line is each one itself
        return box(index)
    left, top, right, bottom = np.polyfit(steps, np.array(boxes), 1)[1]
    return float(left), float(top), float(right), float(bottom)
