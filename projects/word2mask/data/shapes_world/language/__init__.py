"""What can truly be said about a scene. Every function is a pure function of the scene and the generator's state.

``referring`` finds phrases that mean exactly their targets, ``reasoning`` asks by everyday knowledge,
``grounded_caption``, ``chat`` and ``region`` talk, ``base_conversation`` mixes all of it with boxes as text, and
``corpus`` feeds a tokenizer.
"""

from word2mask.data.shapes_world.language.dialogue import (
    GroundedCaption,
    GroundedPhrase,
    QuestionAnswer,
    chat,
    grounded_caption,
    region,
)
from word2mask.data.shapes_world.language.pretraining import (
    absent_answer,
    base_conversation,
    box_text,
    corpus,
    draw_expression,
    object_boxes,
)
from word2mask.data.shapes_world.language.reasoning import ReasoningQuestion, reasoning
from word2mask.data.shapes_world.language.referring import IMAGE_KINDS, KINDS, VIDEO_KINDS, Expression, referring

__all__ = [
    "IMAGE_KINDS",
    "KINDS",
    "VIDEO_KINDS",
    "Expression",
    "GroundedCaption",
    "GroundedPhrase",
    "QuestionAnswer",
    "ReasoningQuestion",
    "absent_answer",
    "base_conversation",
    "box_text",
    "chat",
    "corpus",
    "draw_expression",
    "grounded_caption",
    "object_boxes",
    "reasoning",
    "referring",
    "region",
]
