"""A small world of coloured shapes: endless pictures and videos with exact masks and exact language.

``splits`` says which scenes belong to whom, ``scene`` draws what is where, ``render`` makes pixels and masks of it,
``language`` says true things about it.
"""

from word2mask.data.shapes_world.language import (
    IMAGE_KINDS,
    KINDS,
    VIDEO_KINDS,
    Expression,
    base_conversation,
    chat,
    corpus,
    draw_expression,
    grounded_caption,
    object_boxes,
    reasoning,
    referring,
    region,
)
from word2mask.data.shapes_world.render import render, render_masks
from word2mask.data.shapes_world.scene import Scene, ShapeObject, sample_scene
from word2mask.data.shapes_world.splits import HELD_OUT, SPLITS, scene_rng

__all__ = [
    "HELD_OUT",
    "IMAGE_KINDS",
    "KINDS",
    "SPLITS",
    "VIDEO_KINDS",
    "Expression",
    "Scene",
    "ShapeObject",
    "base_conversation",
    "chat",
    "corpus",
    "draw_expression",
    "grounded_caption",
    "object_boxes",
    "reasoning",
    "referring",
    "region",
    "render",
    "render_masks",
    "sample_scene",
    "scene_rng",
]
