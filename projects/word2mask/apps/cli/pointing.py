"""Regions on the command line and in files: boxes, clicks and masks in words → visual prompts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.pictures import decode_image
from word2mask.errors import UserError
from word2mask.types import VisualPrompt

__all__ = ["InOrder", "add_pointing", "picture_mask", "prompts_of"]

_NUMBER = r"-?\d+(?:\.\d+)?"
_BOX = re.compile(rf"({_NUMBER}),({_NUMBER}),({_NUMBER}),({_NUMBER})")
_POINT = re.compile(rf"({_NUMBER}),({_NUMBER})(?:,([01]))?")
_FRAME = re.compile(r"(.*)@(\d+)", re.DOTALL)
#: How each kind is written, for messages and help.
FORMS = {
    "box": "x1,y1,x2,y2 or x1,y1,x2,y2@frame",
    "point": "x,y (on the object) or x,y,0 (off it), several joined by ; and @frame behind them",
    "mask": "PICTURE or PICTURE@frame",
}


class InOrder(argparse.Action):
    """Collects the options of several names in the order in which they were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*given, (str(option_string).lstrip("-"), values)])


def add_pointing(parser: argparse.ArgumentParser) -> None:
    """The options ``--box``, ``--point`` and ``--mask``, collected in order as ``prompts``."""
    group = parser.add_argument_group(
        "regions",
        "What the question is about, shown instead of said; the text may call them region1, region2 … in their order. "
        "Places are pixels of the original size, from the upper left corner; frames count from 0.",
    )
    for name, what in (
        ("box", "a box around an object"),
        ("point", "a click; one off the object goes with the region before it"),
        ("mask", "a picture of the media's size, white on the object and black elsewhere"),
    ):
        group.add_argument(
            f"--{name}", action=InOrder, dest="prompts", default=[], metavar=name.upper(), help=f"{what}: {FORMS[name]}"
        )


def prompts_of(given: Sequence[tuple[str, str]]) -> tuple[VisualPrompt, ...]:
    """Visual prompts, one a region.

    Args:
        given: (``"box"``, ``"point"`` or ``"mask"``, what was written), in order. A point that is off the object
            belongs to the region before it; everything else begins a region.

    Raises:
        UserError: something that can't be read, or a picture that isn't a mask.
    """
    prompts: list[VisualPrompt] = []
    for kind, text in given:
        frame, body = _frame_of(text)
        if kind == "box":
            prompts.append(VisualPrompt(frame=frame or 0, box=_box(body, text)))
        elif kind == "mask":
            prompts.append(VisualPrompt(frame=frame or 0, mask=picture_mask(Path(body).expanduser())))
        else:
            points = _points(body, text)
            if any(label for *_, label in points):
                prompts.append(VisualPrompt(frame=frame or 0, points=points))
                continue
            if not prompts or (frame is not None and frame != prompts[-1].frame):
                raise UserError(
                    f"--point {text}: it is off the object, and there is no region before it"
                    f"{'' if frame is None else f' on frame {frame}'} that it could belong to; give that one first"
                )
            prompts[-1] = replace(prompts[-1], points=(*prompts[-1].points, *points))
    return tuple(prompts)


def _frame_of(text: str) -> tuple[int | None, str]:
    """The frame behind an ``@``, if there is one, and the rest."""
    match = _FRAME.fullmatch(text)
    return (int(match[2]), match[1]) if match else (None, text)


def _box(body: str, text: str) -> tuple[float, float, float, float]:
    match = _BOX.fullmatch(body.replace(" ", ""))
    if match is None:
        raise UserError(f"--box {text}: expected {FORMS['box']}, e.g. --box 10,20,110,90@3")
    x1, y1, x2, y2 = (float(number) for number in match.groups())
    return x1, y1, x2, y2


def _points(body: str, text: str) -> tuple[tuple[float, float, int], ...]:
    matches = [_POINT.fullmatch(part) for part in body.replace(" ", "").split(";")]
    if not all(matches):
        raise UserError(f"--point {text}: expected {FORMS['point']}, e.g. --point 40,50 or --point '40,50;60,20,0@3'")
    return tuple((float(match[1]), float(match[2]), int(match[3] or 1)) for match in matches if match)


def picture_mask(path: Path) -> np.ndarray:
    """A picture in black and white as a mask, bool ``[H,W]``.

    Raises:
        UserError: it can't be read, or has other colours.
    """
    picture = decode_image(path)
    values = np.unique(picture)
    if len(values) > 2 or not np.isin(values, (0, 1, 255)).all():
        raise UserError(
            f"{path}: {len(values)} values from {values[0]} to {values[-1]}; expected a PNG in black and white"
        )
    return picture[..., 0] > 0
