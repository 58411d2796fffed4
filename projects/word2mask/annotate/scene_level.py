"""Stage 2: where the object is among other things, from a picture that highlights it (arXiv:2501.04001, §3.3)."""

from __future__ import annotations

from word2mask.annotate.asking import Ask
from word2mask.annotate.records import ObjectViews

__all__ = ["describe_scene"]


async def describe_scene(views: ObjectViews, description: str, ask: Ask) -> str:
    """The object's relations to its surroundings.

    Args:
        views: of the object.
        description: of the object, from stage 1.
        ask: the model.
    """
    answer = await ask("scene", [views.highlighted], description=description)
    return answer["description"]
