"""Expressions for photographs, from instance annotations in COCO's format: what can truly be said of their objects.

Categories, places, sizes, colours and relations, each where it leaves no doubt which objects are meant: a crowd or an
object too small to ask for still counts when it is decided whether "the dog" is one dog. Knows no words of answers;
:mod:`word2mask.data.sources.own_data` reads what comes of it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from word2mask.data.convert.photo_colours import DOUBTFUL, clear_colour, colour_shares
from word2mask.ops.masks import encode_rle, segmentation_to_mask

#: An object is asked for from this share of its picture on.
SMALLEST_SHARE = 0.005
#: Objects stand in order when their middles are this share of the picture apart; sizes and distances differ plainly at
#: this ratio.
PLAIN_GAP, PLAIN_RATIO = 0.1, 1.5
_PLURALS = {"person": "people", "sheep": "sheep", "knife": "knives", "mouse": "mice", "skis": "skis"}


@dataclass(eq=False)
class Thing:
    """An annotated object.

    Attributes:
        category: its name.
        mask: bool ``[H,W]``.
        box: (x1, y1, x2, y2) in pixels.
        is_crowd: whether it stands for several.
        share: of the picture.
    """

    category: str
    mask: np.ndarray
    box: tuple[float, float, float, float]
    is_crowd: bool
    share: float

    @property
    def middle(self) -> tuple[float, float]:
        """Of the box."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2

    @property
    def is_askable(self) -> bool:
        """Whether it is one object and large enough."""
        return not self.is_crowd and self.share >= SMALLEST_SHARE


def read_things(annotations: Sequence[dict[str, Any]], names: dict[int, str], size: tuple[int, int]) -> list[Thing]:
    """The objects of one picture.

    Args:
        annotations: COCO's, of this picture.
        names: category id → name.
        size: ``(H, W)``.
    """
    things = []
    for annotation in annotations:
        mask = segmentation_to_mask(annotation["segmentation"], *size)
        if mask.any():
            x, y, w, h = annotation["bbox"]
            crowd = bool(annotation.get("iscrowd"))
            category = names[annotation["category_id"]]
            things.append(Thing(category, mask, (x, y, x + w, y + h), crowd, float(mask.mean())))
    return things


def mirrored(picture: np.ndarray, things: Sequence[Thing]) -> tuple[np.ndarray, list[Thing]]:
    """A picture as in a mirror, and its objects: what is said of it is worked out anew."""
    width = picture.shape[1]
    turned = [
        replace(thing, mask=np.ascontiguousarray(thing.mask[:, ::-1]), box=(width - x2, y1, width - x1, y2))
        for thing in things
        for x1, y1, x2, y2 in [thing.box]
    ]
    return np.ascontiguousarray(picture[:, ::-1]), turned


def record(
    picture: np.ndarray, things: Sequence[Thing], image: str, name: str, categories: Sequence[str], absent: int = 2
) -> dict[str, Any] | None:
    """A record of the schema of own data, or ``None`` where nothing can be said of the picture.

    Args:
        picture: uint8 RGB ``[H,W,3]``.
        things: all that is annotated on it.
        image: its path, as the record is to have it.
        name: of the record; what is absent is chosen by it.
        categories: all that are annotated wherever they are seen.
        absent: how many categories are asked for that aren't there.
    """
    found = list(expressions(picture, things))
    missing = sorted(set(categories) - {thing.category for thing in things}, key=lambda other: _rank(name + other))
    if not found:
        return None
    for category in missing[:absent]:
        found.append((f"no target/{category}", [f"the {category}", f"the {category} in the picture"], []))
    return {
        "id": name,
        "image": image,
        "expressions": [
            {"text": texts, "masks": [encode_rle(thing.mask) for thing in meant], "kind": kind.partition("/")[0]}
            for kind, texts, meant in found
        ],
        "objects": [{"name": thing.category, "mask": encode_rle(thing.mask)} for thing in things if not thing.is_crowd],
    }


Said = tuple[str, list[str], list[Thing]]


def expressions(picture: np.ndarray, things: Sequence[Thing]) -> Iterator[Said]:
    """Kind, wordings and objects of everything that can be said."""
    by_category: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        by_category[thing.category].append(thing)
    for category, same in by_category.items():
        if any(thing.is_crowd for thing in same):
            continue  # who is meant among a crowd isn't known
        if len(same) == 1:
            if same[0].is_askable:
                yield "category", [f"the {category}", category, f"the {category} in the picture"], same
        else:
            yield from _all(category, same)
            yield from _places(category, same, picture.shape)
            yield from _sizes(category, same)
            yield from _relations(category, same, by_category)
        yield from _colours(category, same, picture)


def _all(category: str, same: list[Thing]) -> Iterator[Said]:
    if all(thing.is_askable for thing in same) and len(same) <= 5:
        plural = _PLURALS.get(category, category + ("es" if category.endswith(("s", "ch", "sh")) else "s"))
        yield "all", [f"all the {plural}", f"every {category}"], same


def _places(category: str, same: list[Thing], shape: tuple[int, ...]) -> Iterator[Said]:
    for axis, (first, last) in enumerate((("left", "right"), ("top", "bottom"))):
        gap = PLAIN_GAP * shape[1 - axis]
        ordered = sorted(same, key=lambda thing: thing.middle[axis])
        for side, meant, next_one in ((first, ordered[0], ordered[1]), (last, ordered[-1], ordered[-2])):
            if abs(meant.middle[axis] - next_one.middle[axis]) < gap or not meant.is_askable:
                continue
            if axis == 0:
                texts = [f"the {category} on the {side}", f"the {side}most {category}"]
            else:
                texts = [f"the {category} at the {side}", f"the {'upper' if side == 'top' else 'lower'}most {category}"]
            yield "place", texts, [meant]


def _sizes(category: str, same: list[Thing]) -> Iterator[Said]:
    ordered = sorted(same, key=lambda thing: thing.share)
    if ordered[-1].share >= PLAIN_RATIO * ordered[-2].share and ordered[-1].is_askable:
        yield "size", [f"the largest {category}", f"the biggest {category}", f"the big {category}"], [ordered[-1]]
    if ordered[1].share >= PLAIN_RATIO * ordered[0].share and ordered[0].is_askable:
        yield "size", [f"the smallest {category}", f"the small {category}"], [ordered[0]]


def _relations(category: str, same: list[Thing], by_category: dict[str, list[Thing]]) -> Iterator[Said]:
    for other, things in by_category.items():
        if other == category or len(things) != 1 or not things[0].is_askable:
            continue
        anchor = things[0]
        ordered = sorted(same, key=lambda thing: _gap(thing, anchor))
        if _gap(ordered[1], anchor) >= PLAIN_RATIO * _gap(ordered[0], anchor) and ordered[0].is_askable:
            texts = [f"the {category} nearest to the {other}", f"the {category} closest to the {other}"]
            yield "relation", texts, [ordered[0]]
        for side in ("left", "right"):
            beyond = [thing for thing in same if _is_beside(thing, anchor, side)]
            about = [thing for thing in same if (thing.middle[0] < anchor.middle[0]) == (side == "left")]
            # One stands clear of it, and no other could be meant.
            if beyond == about and len(beyond) == 1 and beyond[0].is_askable:
                texts = [f"the {category} to the {side} of the {other}", f"the {category} {side} of the {other}"]
                yield "relation", texts, beyond


def _is_beside(thing: Thing, other: Thing, side: str) -> bool:
    """Whether all of it lies on that side of all of the other."""
    return thing.box[2] <= other.box[0] if side == "left" else thing.box[0] >= other.box[2]


def _colours(category: str, same: list[Thing], picture: np.ndarray) -> Iterator[Said]:
    shares = [colour_shares(picture, thing.mask) for thing in same]
    for thing, own in zip(same, shares, strict=True):
        colour = clear_colour(own)
        alike = sum(other[colour] >= DOUBTFUL for other in shares) if colour else 0
        if colour and alike == 1 and thing.is_askable:
            yield "colour", [f"the {colour} {category}", f"the {category} that is {colour}"], [thing]


def _gap(thing: Thing, other: Thing) -> float:
    """Between the middles, in pixels."""
    return float(np.hypot(thing.middle[0] - other.middle[0], thing.middle[1] - other.middle[1])) or 1.0


def split_of(file: str, held_out: float) -> str:
    """``"train"`` or ``"val"``, by the picture alone, so that no picture is in both whatever is said of it.

    Args:
        file: the picture's name.
        held_out: share of the pictures for ``"val"``.
    """
    return "val" if int(_rank(file), 16) < held_out * 16**64 else "train"


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
