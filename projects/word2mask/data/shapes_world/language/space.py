"""Where things are: expressions by position, order and relation, with margins that leave no doubt. Pictures only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from word2mask.data.shapes_world.language.words import (
    Match,
    describe,
    groups,
    match,
    noun,
    pick,
    shortest_name,
)
from word2mask.data.shapes_world.scene import Scene

#: Least lead, in pixels along an axis, of the leftmost (…) object over the next.
EXTREME_MARGIN = 10.0
#: Least difference of two distances, in pixels, for "closest".
DISTANCE_MARGIN = 12.0
#: Pixels around the canvas' middle lines that are neither left nor right, neither top nor bottom.
HALF_MARGIN = 7.0
#: From this offset on, in pixels, something is surely "to the left of" another, and from `MAYBE_OFFSET` perhaps.
SURE_OFFSET, MAYBE_OFFSET = 14.0, 3.0

_EXTREMES = {
    "left": ((0, 1), ("leftmost {n}", "the leftmost {n}", "the {n} farthest to the left", "{n} on the far left")),
    "right": ((0, -1), ("rightmost {n}", "the rightmost {n}", "the {n} farthest to the right", "{n} on the far right")),
    "top": ((1, 1), ("topmost {n}", "the topmost {n}", "the highest {n}", "{n} at the very top")),
    "bottom": ((1, -1), ("lowest {n}", "the lowest {n}", "the {n} at the very bottom", "{n} closest to the bottom")),
}
_OF_TWO = {
    "left": ("left {n}", "the {n} on the left", "{n} on the left"),
    "right": ("right {n}", "the {n} on the right", "{n} on the right"),
    "top": ("upper {n}", "the upper {n}", "the {n} at the top"),
    "bottom": ("lower {n}", "the lower {n}", "the {n} at the bottom"),
}
_RELATIONS = {
    "left": ((-1, 0), ("the {n} to the left of {a}", "{n} left of {a}", "{n} to the left of {a}")),
    "right": ((1, 0), ("the {n} to the right of {a}", "{n} right of {a}", "{n} to the right of {a}")),
    "above": ((0, -1), ("the {n} above {a}", "{n} above {a}", "the {n} higher than {a}")),
    "below": ((0, 1), ("the {n} below {a}", "{n} below {a}", "the {n} under {a}")),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")

Found = Iterator[tuple[str, tuple[int, ...]]]
#: Text, targets, and the object that the text compares them with.
Related = Iterator[tuple[str, tuple[int, ...], int]]


def centres(scene: Scene) -> np.ndarray:
    """Centres in the first frame, float64 ``[N,2]``."""
    return np.stack([thing.centre[0] for thing in scene.objects])


def positions(scene: Scene, rng: np.random.Generator) -> Found:
    """Leftmost, in the top left, in the middle, closest to a corner."""
    points, size = centres(scene), np.array([scene.width, scene.height], dtype=float)
    for description, members in groups(scene):
        spots = points[list(members)]
        for side, ((axis, sign), wordings) in _EXTREMES.items():
            order = np.argsort(sign * spots[:, axis])
            if abs(spots[order[1], axis] - spots[order[0], axis]) >= EXTREME_MARGIN:
                options = wordings + _OF_TWO[side] if len(members) == 2 else wordings
                yield pick(rng, options).format(n=noun(description, rng)), (members[order[0]],)
        for row, y in (("top", 0.0), ("bottom", size[1])):
            for column, x in (("left", 0.0), ("right", size[0])):
                n = noun(description, rng)
                inside = in_quadrant(spots, size, row, column)
                if inside.is_clear and len(inside.definite) == 1:
                    upper = {"top": "upper", "bottom": "lower"}[row]
                    wordings = (f"{n} in the {row} {column}", f"the {n} in the {upper} {column}", f"{row} {column} {n}")
                    yield pick(rng, wordings), (members[inside.definite[0]],)
                nearest = closest(spots, np.array([x, y]))
                if nearest is not None:
                    wordings = (
                        f"the {n} closest to the {row} {column} corner",
                        f"{n} nearest the {row} {column} corner",
                    )
                    yield pick(rng, wordings), (members[nearest],)
        inside = in_middle(spots, size)
        if inside.is_clear and len(inside.definite) == 1:
            n = noun(description, rng)
            yield (
                pick(rng, (f"the {n} in the middle", f"{n} in the center", f"center {n}")),
                (members[inside.definite[0]],),
            )


def ordinals(scene: Scene, rng: np.random.Generator) -> Found:
    """``the second object from the left``: the neighbours in the row are well apart."""
    points = centres(scene)
    for description, members in groups(scene):
        if len(members) < 3:
            continue
        for side, ((axis, sign), _) in _EXTREMES.items():
            values = sign * points[list(members), axis]
            order = np.argsort(values)
            gaps = np.diff(values[order])
            for rank in range(1, len(members) - 1):
                if min(gaps[rank - 1], gaps[rank]) >= EXTREME_MARGIN:
                    wordings = ("the {k} {n} from the {s}", "{k} {n} from the {s}", "{n} number {d} from the {s}")
                    text = pick(rng, wordings).format(k=_ORDINALS[rank], d=rank + 1, n=noun(description, rng), s=side)
                    yield text, (members[order[rank]],)


def relations(scene: Scene, rng: np.random.Generator) -> Related:
    """``the circle to the left of the blue square``, ``the object closest to the white ring``; last the anchor."""
    points = centres(scene)
    for anchor in range(len(scene.objects)):
        a = shortest_name(scene, anchor, rng)
        if a is None:
            continue
        for description, members in groups(scene):
            others = [i for i in members if i != anchor]
            if len(others) < 2 and rng.random() < 0.75:
                continue
            offsets = points[others] - points[anchor]
            for direction, wordings in _RELATIONS.values():
                fits = in_direction(offsets, direction)
                if fits.is_clear and len(fits.definite) == 1:
                    yield pick(rng, wordings).format(n=noun(description, rng), a=a), (others[fits.definite[0]],), anchor
            nearest = closest(offsets, np.zeros(2)) if len(others) >= 2 else None
            if nearest is not None:
                wordings = ("the {n} closest to {a}", "{n} nearest to {a}", "the {n} next to {a}")
                yield pick(rng, wordings).format(n=noun(description, rng), a=a), (others[nearest],), anchor
    for index, thing in enumerate(scene.objects):
        # The same with a noun that is unique already: redundant, as people speak.
        description = describe(thing, ("colour", "shape"))
        anchor = int(rng.integers(len(scene.objects)))
        a = shortest_name(scene, anchor, rng)
        if anchor == index or a is None or not match(scene, description).means(index) or rng.random() < 0.5:
            continue
        for direction, wordings in _RELATIONS.values():
            if in_direction((points[index] - points[anchor])[None], direction).definite:
                yield pick(rng, wordings).format(n=noun(description, rng), a=a), (index,), anchor


def closest(spots: np.ndarray, point: np.ndarray) -> int | None:
    """Row of ``spots`` ``[K,2]`` clearly nearest to a point, or ``None``."""
    distances = np.hypot(*(spots - point).T)
    order = np.argsort(distances)
    clear = len(order) < 2 or distances[order[1]] - distances[order[0]] >= DISTANCE_MARGIN
    return int(order[0]) if clear else None


def in_direction(offsets: np.ndarray, direction: tuple[int, int]) -> Match:
    """Rows of ``offsets`` ``[K,2]`` that lie in a direction: surely when that is the main part of the offset."""
    along = offsets @ np.array(direction, dtype=float)
    across = np.abs(offsets @ np.array(direction[::-1], dtype=float))
    return _match((along >= SURE_OFFSET) & (across <= 1.6 * along), along >= MAYBE_OFFSET)


def in_quadrant(spots: np.ndarray, size: np.ndarray, row: str, column: str) -> Match:
    """Rows of ``spots`` ``[K,2]`` in a quarter of the canvas of ``size`` (W, H)."""
    sign = np.array([1 if column == "left" else -1, 1 if row == "top" else -1])
    depth = (sign * (size / 2 - spots)).min(axis=1)
    return _match(depth >= HALF_MARGIN, depth >= -HALF_MARGIN)


def in_middle(spots: np.ndarray, size: np.ndarray) -> Match:
    """Rows of ``spots`` ``[K,2]`` in the middle of the canvas of ``size`` (W, H)."""
    offset = (np.abs(spots - size / 2) / size).max(axis=1)
    return _match(offset <= 0.12, offset <= 0.22)


def _match(definite: np.ndarray, possible: np.ndarray) -> Match:
    return Match(tuple(np.flatnonzero(definite).tolist()), tuple(np.flatnonzero(possible).tolist()))
