"""Wording of questions and answers, drawn by a generator."""

from __future__ import annotations

import numpy as np

from word2mask.text.special_tokens import SEG

_SEGMENTATION = (
    "Please segment {} in this picture.",
    "Can you segment {} in the picture?",
    "Where is {}? Answer with its mask.",
    "Find {} and mark it with a mask.",
    "Could you highlight {}?",
)
_VIDEO_SEGMENTATION = (
    "Please segment {} in this video.",
    "Can you segment {} in the video?",
    "Follow {} through the video and mark it with a mask.",
)
_CAPTION = (
    "Describe the picture and mark what you mention with masks.",
    "Could you describe this picture, with a mask for each thing you name?",
)
_REGION = ("Please describe {} in the picture.", "What can you see in {}?", "What is {}?")


def segmentation_question(expression: str, rng: np.random.Generator) -> str:
    """Asks for the mask of ``expression``; a text that is a question itself is kept, with a request for the mask."""
    return _ask(_SEGMENTATION, expression, rng)


def video_segmentation_question(expression: str, rng: np.random.Generator) -> str:
    """The same for a video."""
    return _ask(_VIDEO_SEGMENTATION, expression, rng)


def segmentation_answer(num_objects: int, rng: np.random.Generator) -> str:
    """An answer with ``num_objects`` ``[SEG]``."""
    marks = ", ".join([SEG] * num_objects)
    template = ("It is {}.", "Sure, {}.", "{}.") if num_objects == 1 else ("They are {}.", "Sure, {}.", "{}.")
    return template[rng.integers(3)].format(marks)


def no_target_answer(expression: str, rng: np.random.Generator) -> str:
    """Says in words that nothing fits ``expression``."""
    return ("There is no {} in the picture.", "I can't find {} in the picture.")[rng.integers(2)].format(expression)


def grounded_caption_question(rng: np.random.Generator) -> str:
    """Asks for a caption with a mask for each phrase."""
    return _CAPTION[rng.integers(len(_CAPTION))]


def region_question(region: str, rng: np.random.Generator) -> str:
    """Asks what a marked region shows, e.g. ``region1``."""
    return _REGION[rng.integers(len(_REGION))].format(region)


def _ask(templates: tuple[str, ...], expression: str, rng: np.random.Generator) -> str:
    if "?" in expression:
        return f"{expression} Please answer with a mask."
    return templates[rng.integers(len(templates))].format(expression)
