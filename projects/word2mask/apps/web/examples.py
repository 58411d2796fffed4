"""Examples that ship with the page: drawn by the shapes world's generator, so that there are no files to carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Literal

import cv2
import numpy as np

from word2mask.apps.report.pictures import data_url
from word2mask.data.shapes_world import render, sample_scene, scene_rng
from word2mask.types import Media

__all__ = ["EXAMPLES", "Example", "examples_html"]

#: Width of an example's little picture, in pixels.
WIDTH = 220


@dataclass(frozen=True)
class Example:
    """A scene and a question about it.

    Attributes:
        name: of the picture or video.
        question: to begin with.
        kind: ``"image"`` or ``"video"``.
        scene: number of the scene among those for validation, which no training saw.
    """

    name: str
    question: str
    kind: Literal["image", "video"]
    scene: int

    def media(self) -> Media:
        """The picture, or the video's frames."""
        return _drawn(self)


EXAMPLES: tuple[Example, ...] = (
    Example("Four shapes", "Please segment the red heart.", "image", 902),
    Example("A ring and more", "Please describe this picture and mark what you name with masks.", "image", 914),
    Example("The star that isn't there", "Please segment the green star.", "image", 903),
    Example("How many?", "How many squares are there?", "image", 913),
    Example("A heart that rises", "Please segment the heart that moves up in this video.", "video", 902),
    Example("Shapes on the move", "Please segment the purple cross in this video.", "video", 903),
)


@cache
def examples_html(only_pictures: bool = False) -> str:
    """Buttons with a little picture and the first question each."""
    buttons = []
    for number, example in enumerate(EXAMPLES):
        if only_pictures and example.kind == "video":
            continue
        frame = example.media().frames[0]
        size = (WIDTH, round(WIDTH * 0.75))
        little = cv2.resize(_centre(frame), size, interpolation=cv2.INTER_CUBIC)
        kind = "video" if example.kind == "video" else "picture"
        buttons.append(
            f'<button type="button" class="w2m-example" data-example="{number}">'
            f'<img alt="" src="{data_url(little)}"><i>{kind}</i><b>{escape(example.name)}</b>'
            f"<span>{escape(example.question)}</span></button>"
        )
    return f'<div class="w2m-examples" role="group" aria-label="Examples">{"".join(buttons)}</div>'


@cache
def _drawn(example: Example) -> Media:
    scene = sample_scene(scene_rng(0, "val", example.scene), example.kind, "val")
    frames, _ = render(scene)
    return Media(example.kind, frames, tuple(range(len(frames))), example.name)


def _centre(frame: np.ndarray) -> np.ndarray:
    """The largest part of a frame with sides 4 to 3."""
    height, width = frame.shape[:2]
    new_width, new_height = min(width, height * 4 // 3), min(height, width * 3 // 4)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return frame[top : top + new_height, left : left + new_width]
