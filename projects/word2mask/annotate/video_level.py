"""Stage 3: what the object does, from frames of the whole video with yellow outlines (arXiv:2501.04001, §3.3)."""

from __future__ import annotations

from word2mask.annotate.asking import Ask
from word2mask.annotate.records import ObjectViews

__all__ = ["describe_motion"]


async def describe_motion(views: ObjectViews, description: str, ask: Ask) -> tuple[str, str]:
    """The object's motion and actions, and a noun phrase that names it by them.

    Args:
        views: of the object.
        description: of the object and its scene, from the stages before.
        ask: the model.
    """
    answer = await ask("video", views.outlined, description=description, count=str(len(views.outlined)))
    return answer["description"], answer["short"]
