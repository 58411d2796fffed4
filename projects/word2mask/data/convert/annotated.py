"""What every export comes down to: a picture or video with named objects; and from there to a record of the schema.

A reader of a format yields :class:`Annotated` and counts in a :class:`Tally` what it saw and what it had to leave out.
:func:`records` makes the expressions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from word2mask.data.media import VideoFile
from word2mask.data.own_schema import picture_mask
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle, polygons_to_mask, union

#: Which expressions are made of labels: one that names all objects of a label, one for each label that has a single
#: object in the picture, or one for every object.
Instances = Literal["all", "single", "each"]
#: Corners of the polygon that stands for an ellipse.
_ELLIPSE_CORNERS = 64


class Unusable(Exception):
    """A shape that can't become a mask.

    Args:
        reason: why, in words that fit many shapes.
        detail: what is particular to this one.
    """

    def __init__(self, reason: str, detail: object = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = str(detail)


@dataclass
class Thing:
    """An annotated object.

    Attributes:
        label: its category, as the export spells it.
        mask: as the schema has it; of a video, one with frames.
        texts: what the annotator wrote about this object.
    """

    label: str
    mask: Any
    texts: list[str] = field(default_factory=list)


@dataclass
class Annotated:
    """A picture or video with its objects.

    Attributes:
        id: unique within the export.
        path: of the file or the folder of frames.
        things: the objects.
        size: ``(H, W)``.
        is_video: whether it has frames.
        void: masks of what neither loss nor score should look at.
    """

    id: str
    path: Path
    things: list[Thing]
    size: tuple[int, int]
    is_video: bool = False
    void: list[Any] = field(default_factory=list)


class Tally:
    """Counts of what was read, written and skipped; nothing goes without leaving a mark here."""

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter(pictures=0, videos=0, expressions=0, masks=0)
        self.skipped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def skip(self, reason: str | Unusable, where: str) -> None:
        """Something is left out."""
        if isinstance(reason, Unusable):
            where = f"{where}: {reason.detail}" if reason.detail else where
            reason = reason.reason
        self.skipped[reason] += 1
        self._examples.setdefault(reason, where)

    def summary(self) -> str:
        """Everything counted, one line a kind."""

        def counts(counter: Counter[str]) -> str:
            # "1 picture", "1 shape of tracks": of one, its noun has no plural.
            named = [
                (count, what if count > 1 else re.sub(r"s\b", "", what, count=1)) for what, count in counter.items()
            ]
            return ", ".join(f"{count} {what}" for count, what in named if count) or "nothing"

        lines = [f"read     {counts(self.read)}", f"written  {counts(self.written)}"]
        if not self.skipped:
            lines.append("skipped  nothing")
        for reason, count in self.skipped.most_common():
            lines.append(f"skipped  {count} × {reason} (first: {self._examples[reason]})")
        return "\n".join(lines)


@dataclass(frozen=True)
class Media:
    """Where the pictures and videos of an export lie.

    Args:
        folders: looked through in order.
        skip_missing: whether a file that isn't there is counted and left out, instead of an error.
    """

    folders: tuple[Path, ...]
    skip_missing: bool = False

    def find(self, names: Sequence[str], where: str, tally: Tally, medium: str = "picture") -> Path | None:
        """The first of the names that lies in one of the folders; ``None`` when it is left out.

        Args:
            names: to look for, in order.
            where: in which record, for the message.
            tally: counts.
            medium: what it is, for the message.

        Raises:
            UserError: it isn't there.
        """
        for name in names:
            for folder in self.folders:
                if (folder / name).exists():
                    return folder / name
        if self.skip_missing:
            tally.skip(f"{medium} that isn't on disk", f"{names[0]}, {where}")
            return None
        raise UserError(
            f"{where}: no {medium} {names[0]} in {', '.join(map(str, self.folders))}; say where they lie by --images "
            "FOLDER, or leave out what isn't there by --skip-missing"
        )


def size_of(path: Path, expected: tuple[int, int] | None, where: str) -> tuple[int, int]:
    """``(H, W)`` of a picture from its header, upright.

    Raises:
        UserError: it can't be read, or isn't as large as the export says.
    """
    size = VideoFile(path.parent, [path.name]).size
    if expected is not None and size != expected:
        raise UserError(
            f"{where}: annotated at {expected[1]} × {expected[0]} pixels, but {path} has {size[1]} × {size[0]}; "
            "give the pictures that were annotated"
        )
    return size


def usable_mask(mask: Any, size: tuple[int, int]) -> Any:
    """The mask itself, when it covers at least one pixel; of polygons that reach beyond the picture, what lies in it.

    Raises:
        Unusable: it doesn't, or is malformed.
    """
    if isinstance(mask, list):
        mask = _within([[round(float(value), 2) for value in polygon] for polygon in mask], size)
    try:
        drawn = picture_mask(mask, size, Path())
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Unusable("malformed mask", error) from error
    if not drawn.any():
        raise Unusable("shape that covers no pixel")
    return mask


def _within(polygons: list[list[float]], size: tuple[int, int]) -> Any:
    """The polygons, or run lengths of their part in the picture where they reach beyond it."""
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise Unusable("polygon of fewer than three points")
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    height, width = size
    margin = margin_of(points, size)
    if margin == 0:
        return polygons
    shifted = [[value + margin for value in polygon] for polygon in polygons]
    drawn = polygons_to_mask(shifted, height + 2 * margin, width + 2 * margin)
    return encode_rle(drawn[margin : margin + height, margin : margin + width])


def margin_of(points: np.ndarray, size: tuple[int, int]) -> int:
    """By how many pixels points ``[n,2]`` reach beyond the picture, rounded up; 0 when they don't.

    Raises:
        Unusable: so far that they can't be meant.
    """
    if not np.isfinite(points).all():
        raise Unusable("malformed mask", "coordinates that aren't numbers")
    beyond = max(0.0, float(-points.min()), float((points - [size[1], size[0]]).max()))
    if beyond > 4 * max(size):
        raise Unusable("shape that reaches far beyond the picture", f"by {beyond:.0f} pixels")
    return math.ceil(beyond)


def merged(masks: Sequence[Any], size: tuple[int, int]) -> Any:
    """Several masks of one object as one: their polygons together, or the union as run lengths."""
    if len(masks) == 1:
        return masks[0]
    if all(isinstance(mask, list) for mask in masks):
        return [polygon for mask in masks for polygon in mask]
    return encode_rle(union((picture_mask(mask, size, Path()) for mask in masks), *size))


def rectangle_polygon(
    box: Sequence[float], degrees: float = 0.0, pivot: tuple[float, float] | None = None
) -> list[list[float]]:
    """The outline of a box ``(x0, y0, x1, y1)``, turned clockwise, as one sees it, around ``pivot`` (or its centre)."""
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return [_turned(corners, degrees, pivot or ((x0 + x1) / 2, (y0 + y1) / 2))]


def ellipse_polygon(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> list[list[float]]:
    """The outline of an ellipse, turned clockwise around its centre."""
    angles = [2 * math.pi * corner / _ELLIPSE_CORNERS for corner in range(_ELLIPSE_CORNERS)]
    corners = [(centre[0] + radii[0] * math.cos(angle), centre[1] + radii[1] * math.sin(angle)) for angle in angles]
    return [_turned(corners, degrees, centre)]


def _turned(corners: Sequence[tuple[float, float]], degrees: float, pivot: tuple[float, float]) -> list[float]:
    # The y axis points down, so that the usual matrix turns clockwise.
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    flat: list[float] = []
    for x, y in corners:
        dx, dy = x - pivot[0], y - pivot[1]
        flat += [round(pivot[0] + cosine * dx - sine * dy, 2), round(pivot[1] + sine * dx + cosine * dy, 2)]
    return flat


class Wording:
    """Labels to texts.

    Args:
        names: label → its text, its texts, or ``None`` for a label to leave out; a label that isn't listed is taken as
            it is, with blanks for underscores.
        instances: which expressions are made of labels; see :data:`Instances`.
        absent: for how many labels that a picture doesn't show an expression without masks is made. Only for exports
            in which every object of every label is annotated.
    """

    def __init__(
        self, names: Mapping[str, str | list[str] | None] | None = None, instances: Instances = "all", absent: int = 0
    ) -> None:
        self.names = names or {}
        self.instances = instances
        self.absent = absent

    def texts(self, label: str) -> list[str]:
        """How a label is said; none for one to leave out."""
        text = self.names.get(label, label.replace("_", " ").strip())
        return [] if text is None else [text] if isinstance(text, str) else list(text)


def records(items: Iterable[Annotated], wording: Wording, tally: Tally) -> Iterator[tuple[dict[str, Any], Annotated]]:
    """A record of the schema for each picture or video, without its path, which depends on where it is written.

    Every object's own texts become expressions, and its label as ``wording`` says.

    Raises:
        UserError: ``wording`` names a label that the export doesn't have.
    """
    listed = list(items)
    labels = sorted({thing.label for item in listed for thing in item.things})
    unknown = sorted(set(wording.names) - set(labels))
    if unknown:
        raise UserError(f"--names: no label {unknown[0]!r} in the export; it has {', '.join(labels) or 'none'}")
    for item in listed:
        expressions: list[dict[str, Any]] = []
        for thing in item.things:
            if thing.texts:
                expressions.append({"text": _one_or_all(thing.texts), "masks": [thing.mask]})
        expressions += _of_labels(item, wording, tally)
        expressions += _of_absent(item, labels, wording)
        if not expressions:
            tally.skip(f"{'video' if item.is_video else 'picture'} with nothing to ask for", item.id)
            continue
        entry: dict[str, Any] = {"id": item.id, "expressions": expressions}
        if item.void:
            entry["void"] = merged(item.void, item.size)
        tally.written["videos" if item.is_video else "pictures"] += 1
        tally.written["expressions"] += len(expressions)
        tally.written["masks"] += sum(len(one["masks"]) for one in expressions)
        tally.written["expressions of what isn't there"] += sum(not one["masks"] for one in expressions)
        yield entry, item


def _of_labels(item: Annotated, wording: Wording, tally: Tally) -> Iterator[dict[str, Any]]:
    by_label: dict[str, list[Any]] = {}
    for thing in item.things:
        by_label.setdefault(thing.label, []).append(thing.mask)
    for label, masks in by_label.items():
        texts = wording.texts(label)
        if not texts:
            tally.skip(f"label {label!r}, left out by --names", item.id)
        elif wording.instances == "single" and len(masks) > 1:
            tally.skip("label with several objects in a picture (--instances single)", f"{label} of {item.id}")
        else:
            groups = [[mask] for mask in masks] if wording.instances == "each" else [masks]
            yield from ({"text": _one_or_all(texts), "masks": group} for group in groups)


def _of_absent(item: Annotated, labels: Sequence[str], wording: Wording) -> Iterator[dict[str, Any]]:
    """Expressions for labels that the picture doesn't show, drawn by the picture's id."""
    shown = {thing.label for thing in item.things}
    candidates = [label for label in labels if label not in shown and wording.texts(label)]
    rng = np.random.default_rng(list(item.id.encode()))
    for place in rng.permutation(len(candidates))[: wording.absent]:
        yield {"text": _one_or_all(wording.texts(candidates[place])), "masks": []}


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
