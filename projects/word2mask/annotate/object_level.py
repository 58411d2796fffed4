"""Stage 1: what the object is. Two captions of two views, and a model without eyes that compares them.

Sa2VA, arXiv:2501.04001, §3.3: a caption of the object cut out and one of the picture around it; what they contradict
each other in, or can't recognise, is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from word2mask.annotate.asking import Ask, StageFailed
from word2mask.annotate.records import ObjectViews

__all__ = ["ObjectLevel", "describe_object"]


@dataclass(frozen=True)
class ObjectLevel:
    """What the stage found.

    Attributes:
        verdict: ``"consistent"``, ``"inconsistent"`` or ``"unrecognisable"``.
        reason: the verdict's own words.
        caption_masked: of the object cut out.
        caption_crop: of the picture around it.
        description: from both captions; empty unless consistent.
        short: a noun phrase; empty unless consistent.
    """

    verdict: str
    reason: str
    caption_masked: str
    caption_crop: str
    description: str = ""
    short: str = ""


async def describe_object(views: ObjectViews, ask: Ask) -> ObjectLevel:
    """Describes an object from its two views, or says why it can't be."""
    both = ask("caption_masked", [views.masked]), ask("caption_crop", [views.crop])
    answers = await asyncio.gather(*both, return_exceptions=True)
    # Both are waited for, even if one fails: what is recorded mustn't depend on which came first.
    masked, crop = answers
    if isinstance(masked, BaseException) or isinstance(crop, BaseException):
        errors = [found for found in answers if isinstance(found, BaseException)]
        raise next((error for error in errors if not isinstance(error, StageFailed)), errors[0])
    captions = masked["caption"], crop["caption"]
    blind = [view for view, answer in (("cut out", masked), ("in its picture", crop)) if not answer["recognisable"]]
    if blind:
        # Nothing to compare: one call less.
        return ObjectLevel("unrecognisable", f"not recognised {' and '.join(blind)}", *captions)
    found = await ask("compare", caption_masked=captions[0], caption_crop=captions[1])
    if found["verdict"] != "consistent":
        return ObjectLevel(found["verdict"], found["reason"], *captions)
    return ObjectLevel("consistent", found["reason"], *captions, found["description"], found["short"])
