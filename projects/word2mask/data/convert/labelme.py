"""LabelMe: a JSON file beside each picture.

On disk (wkentaro/labelme, ``labelme/_label_file.py``)::

    <folder>/**/<picture>.json      {version, imagePath, imageData, imageHeight, imageWidth, shapes: [{label, points,
                                    shape_type, group_id, description, flags, mask}]}

* ``imagePath`` is relative to the JSON, with backslashes where it was written on Windows; ``imageData`` holds the
  picture itself in base64, or ``null``. The file on disk is what is read here.
* A shape is drawn as labelme's own ``shape_to_mask`` does (``labelme/_utils/shape.py``): the outline of a polygon or
  rectangle belongs to it; a ``circle`` has a centre and a point on its rim; a ``mask`` is a PNG in base64, whose upper
  left corner is the shape's first point.
* Shapes of one label and one ``group_id`` are one object, as in labelme's ``shapes_to_label``.
* A shape's ``description`` becomes an expression for its object.
* ``line``, ``linestrip``, ``point`` and ``points`` cover no area and are left out.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from word2mask.data.annotations import load_json
from word2mask.data.convert.annotated import Annotated, Media, Tally, Thing, Unusable, margin_of, merged, size_of
from word2mask.data.sources.interface import record
from word2mask.errors import UserError
from word2mask.ops.masks import contours_to_mask, encode_rle


def read_labelme(export: Path, media: Media, tally: Tally) -> Iterator[Annotated]:
    """The pictures of a LabelMe export.

    Args:
        export: a folder, looked through with the folders in it, or one JSON file.
        media: where pictures lie that aren't where ``imagePath`` says.
        tally: counts.

    Raises:
        UserError: a file isn't LabelMe's, is damaged, or its picture isn't there.
    """
    files = sorted(export.rglob("*.json")) if export.is_dir() else [export]
    if not files:
        raise UserError(f"{export}: no .json in it; expected LabelMe's files, one beside each picture")
    for file in files:
        with record("labelme", file.name, file):
            annotation = load_json(file, dict)
            if "shapes" not in annotation or "imagePath" not in annotation:
                raise UserError(
                    f"{file} isn't LabelMe's: it has no 'shapes' or no 'imagePath'; take it out of {export}"
                )
            tally.read["pictures"] += 1
            name = PureWindowsPath(annotation["imagePath"]).as_posix()
            places = Media((file.parent, *media.folders), media.skip_missing)
            path = places.find([name, Path(name).name], str(file), tally)
            if path is None:
                continue
            height, width = annotation.get("imageHeight"), annotation.get("imageWidth")
            size = size_of(path, (height, width) if height and width else None, str(file))
            base = export if export.is_dir() else export.parent
            record_id = file.relative_to(base).with_suffix("").as_posix()
            yield Annotated(record_id, path, _things(annotation["shapes"], size, record_id, tally), size)


def _things(shapes: list[dict[str, Any]], size: tuple[int, int], where: str, tally: Tally) -> list[Thing]:
    """The objects of a picture; shapes of one group are one."""
    groups: dict[Any, tuple[str, list[Any], list[str]]] = {}
    for number, shape in enumerate(shapes):
        tally.read["shapes"] += 1
        try:
            mask = encode_rle(_draw(shape, size))
        except Unusable as reason:
            tally.skip(reason, where)
            continue
        group = shape.get("group_id")
        key = (shape["label"], "group", group) if group is not None else number
        _, masks, texts = groups.setdefault(key, (shape["label"], [], []))
        masks.append(mask)
        text = (shape.get("description") or "").strip()
        texts += [text] if text and text not in texts else []
    return [Thing(label, merged(masks, size), texts) for label, masks, texts in groups.values()]


def _draw(shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """A shape as bool ``[H,W]``.

    Raises:
        Unusable: it has no area, or is malformed.
    """
    kind = shape.get("shape_type") or "polygon"
    points = np.asarray(shape["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1:] != (2,):
        raise Unusable(f"{kind} whose points aren't [[x, y], …]")
    needed = {"circle": 2, "rectangle": 2, "mask": 2, "oriented_rectangle": 4}.get(kind)
    if needed is not None and len(points) != needed:
        raise Unusable(f"{kind} of {len(points)} points instead of {needed}")
    if kind == "polygon" and len(points) < 3:
        raise Unusable("polygon of fewer than three points")
    if kind in ("polygon", "oriented_rectangle"):
        mask = _outlined(points, size)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = points
        mask = _outlined(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), size)
    elif kind == "circle":
        rows, columns = np.mgrid[: size[0], : size[1]]
        radius = np.hypot(*(points[1] - points[0]))
        mask = np.hypot(columns - points[0][0], rows - points[0][1]) <= radius
    elif kind == "mask":
        mask = _pasted(shape.get("mask"), points[0], size)
    else:
        raise Unusable(f"shape of type {kind!r}, which covers no area")
    if not mask.any():
        raise Unusable("shape that covers no pixel")
    return mask


def _outlined(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An outline, filled; what lies beyond the picture is cut off."""
    margin = margin_of(points, size)
    drawn = contours_to_mask([points + margin], size[0] + 2 * margin, size[1] + 2 * margin)
    return drawn[margin : margin + size[0], margin : margin + size[1]]


def _pasted(encoded: Any, origin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask's PNG at its place, cut off at the picture's edges."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as image:
            patch = np.asarray(image.convert("L") if image.mode not in ("1", "L", "P", "I") else image) != 0
    except (OSError, ValueError, TypeError, binascii.Error) as error:
        raise Unusable("mask whose PNG can't be read") from error
    mask = np.zeros(size, dtype=bool)
    left, top = (round(float(value)) for value in origin)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + patch.shape[1], size[1]), min(top + patch.shape[0], size[0])
    if x0 < x1 and y0 < y1:
        mask[y0:y1, x0:x1] = patch[y0 - top : y1 - top, x0 - left : x1 - left]
    return mask
