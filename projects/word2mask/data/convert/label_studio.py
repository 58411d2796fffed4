"""Label Studio: the export "JSON".

On disk (labelstud.io/guide/task_format and the result parameters of labelstud.io/tags)::

    <export>.json       [{id, data: {image: …}, annotations: [{was_cancelled, result: [{id, type, original_width,
                        original_height, image_rotation, value: {…}}]}]}]

* All places are in percent of the picture's width and height. A rectangle's ``x`` and ``y`` are its upper left corner
  before it was turned, and ``rotation`` turns it clockwise around that corner; an ellipse has its centre in ``x`` and
  ``y``.
* A brush's ``rle`` is no COCO run length (label-studio-converter, ``brush.py``, after thi.ng/rle-pack): a stream of
  bits, most significant first, with 32 bits for the number of values, 5 for a value's width less one, four times 4 for
  widths of run lengths less one; then, until all values are there, one bit (is it a run?), 2 bits that choose a width,
  the run's length less one in that width, and one value for a run or all of them otherwise. The values are RGBA, row by
  row; what is painted has alpha above 0.
* A task with a video (``data: {video: …}``) has boxes and outlines with key frames: ``label_studio_video.py``.
* ``textarea`` results carry the ``id`` of the region that they describe (``perRegion="true"``): they become expressions
  for it. Those of the whole picture or video name no object and are left out.
* Of several annotations of one task, the first that wasn't cancelled is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np

from word2mask.data.annotations import load_json
from word2mask.data.convert.annotated import (
    Annotated,
    Media,
    Tally,
    Thing,
    Unusable,
    ellipse_polygon,
    rectangle_polygon,
    size_of,
    usable_mask,
)
from word2mask.data.convert.label_studio_video import VIDEO_SHAPES, track_masks
from word2mask.data.media import IMAGE_SUFFIXES, VideoFile
from word2mask.data.pictures import VIDEO_SUFFIXES
from word2mask.data.sources.interface import record
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle

#: Types of results that are objects, and the key of their labels.
_SHAPES = ("polygonlabels", "rectanglelabels", "ellipselabels", "brushlabels")


def read_label_studio(export: Path, media: Media, tally: Tally) -> Iterator[Annotated]:
    """The pictures and videos of a Label Studio export.

    Args:
        export: the JSON file.
        media: where the pictures and videos lie.
        tally: counts.

    Raises:
        UserError: the file isn't Label Studio's, is damaged, or a picture or video isn't there.
    """
    if export.is_dir():
        raise UserError(f"{export} is a folder; give the exported JSON file, and the pictures by --images")
    for position, task in enumerate(load_json(export, list)):
        task_id = task.get("id", position) if isinstance(task, dict) else position
        with record("label_studio", task_id, export):
            if not isinstance(task, dict) or "data" not in task or "annotations" not in task:
                raise UserError(
                    f"task {task_id} of {export} has no 'data' or no 'annotations'; export as JSON, not as JSON-MIN"
                )
            where = f"task {task_id} of {export}"
            is_video, names = _file_names(task["data"], where)
            tally.read["videos" if is_video else "pictures"] += 1
            results = _results(task["annotations"], where, tally, is_video)
            if results is None:
                continue
            path = media.find(names, where, tally, "video" if is_video else "picture")
            if path is None:
                continue
            if is_video:
                video = VideoFile(path)
                yield Annotated(str(task_id), path, _tracks(results, video, where, tally), video.size, is_video=True)
            else:
                size = size_of(path, None, where)
                yield Annotated(str(task_id), path, _things(results, size, where, path, tally), size)


def _results(annotations: list[dict], where: str, tally: Tally, is_video: bool) -> list[dict] | None:
    """What was annotated in the one annotation that counts, or ``None``."""
    done = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    for _ in annotations[: len(annotations) - len(done)]:
        tally.skip("annotation that was cancelled", where)
    for _ in done[1:]:
        tally.skip("further annotation of a task", where)
    if not done:
        tally.skip(f"{'video' if is_video else 'picture'} without annotations", where)
        return None
    return done[0]["result"]


def _sorted_out(
    results: list[dict], kinds: tuple[str, ...], medium: str, where: str, tally: Tally
) -> tuple[list[tuple[str, dict]], dict[Any, list[str]], dict[Any, list[str]]]:
    """Results of these kinds with their kind, and what was written and which labels were given, by the region's id."""
    texts: dict[Any, list[str]] = {}
    labels: dict[Any, list[str]] = {}
    shapes = []
    for result in results:
        tally.read["results"] += 1
        kind = str(result.get("type", "")).lower()
        if kind == "textarea":
            said = result["value"].get("text", [])
            texts.setdefault(result.get("id"), []).extend([said] if isinstance(said, str) else said)
        elif kind == "labels":
            labels.setdefault(result.get("id"), []).extend(result["value"].get("labels") or [])
        elif kind in kinds:
            shapes.append((kind, result))
        else:
            tally.skip(f"result of type {kind!r}", where)
    described = {result.get("id") for _, result in shapes}
    for _ in [region for region in texts if region not in described]:
        tally.skip(f"text about the whole {medium}, which names no object", where)
    said = {region: [text.strip() for text in written if text.strip()] for region, written in texts.items()}
    return shapes, said, labels


def _named(labels: list[str], mask: Any, texts: list[str], where: str, tally: Tally) -> list[Thing]:
    """An object for each of its labels; what was written about it goes to the first."""
    if not labels:
        tally.skip("shape without a label", where)
    return [Thing(label, mask, texts if place == 0 else []) for place, label in enumerate(labels)]


def _tracks(results: list[dict], video: VideoFile, where: str, tally: Tally) -> list[Thing]:
    """The objects of a video."""
    shapes, texts, labels = _sorted_out(results, VIDEO_SHAPES, "video", where, tally)
    things = []
    for kind, result in shapes:
        value, region = result["value"], result.get("id")
        of_region = f"region {region} of {where}"
        try:
            masks = track_masks(kind, value, video, of_region, tally)
        except Unusable as reason:
            tally.skip(reason, of_region)
            continue
        given = value.get("labels") or value.get(kind) or labels.get(region) or []
        things += _named(given, masks, texts.get(region, []), of_region, tally)
    return things


def _things(results: list[dict], size: tuple[int, int], where: str, path: Path, tally: Tally) -> list[Thing]:
    """The objects of a picture."""
    shapes, texts, named = _sorted_out(results, _SHAPES, "picture", where, tally)
    things = []
    for kind, result in shapes:
        original = (result.get("original_height"), result.get("original_width"))
        if None not in original and original != size:
            raise UserError(
                f"{where}: annotated at {original[1]} × {original[0]} pixels, but {path} has {size[1]} × {size[0]}; "
                "give the pictures that were annotated"
            )
        try:
            if result.get("image_rotation"):
                raise Unusable("shape on a picture that was turned in the editor")
            mask = usable_mask(_mask(kind, result["value"], size), size)
        except Unusable as reason:
            tally.skip(reason, where)
            continue
        labels = result["value"].get(kind) or named.get(result.get("id")) or []
        things += _named(labels, mask, texts.get(result.get("id"), []), where, tally)
    return things


def _mask(kind: str, value: dict[str, Any], size: tuple[int, int]) -> Any:
    """A result's value as a mask of the schema.

    Raises:
        Unusable: it is malformed.
    """
    height, width = size
    try:
        if kind == "brushlabels":
            return encode_rle(decode_brush(value["rle"], height, width))
        if kind == "polygonlabels":
            return [[value_ for x, y in value["points"] for value_ in (x * width / 100, y * height / 100)]]
        x, y = value["x"] * width / 100, value["y"] * height / 100
        turned = float(value.get("rotation") or 0)
        if kind == "ellipselabels":
            radii = (value["radiusX"] * width / 100, value["radiusY"] * height / 100)
            return ellipse_polygon((x, y), radii, turned)
        box = (x, y, x + value["width"] * width / 100, y + value["height"] * height / 100)
        return rectangle_polygon(box, turned, pivot=(x, y))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise Unusable(f"malformed result of type {kind!r}", reason) from error


def decode_brush(packed: list[int], height: int, width: int) -> np.ndarray:
    """What a brush has painted, from Label Studio's own run lengths: bool ``[H,W]``.

    Raises:
        ValueError: the stream ends early, or is of another size.
    """
    stream = np.asarray(packed, dtype=np.int64)
    if stream.ndim != 1 or stream.size == 0 or stream.min() < 0 or stream.max() > 255:
        raise ValueError("run lengths that aren't a list of bytes")
    bits = np.unpackbits(stream.astype(np.uint8))
    position = 0

    def take(count: int, amount: int = 1) -> np.ndarray:
        """``amount`` numbers of ``count`` bits each."""
        nonlocal position
        end = position + count * amount
        if end > bits.size:
            raise ValueError("run lengths that end early")
        numbers = bits[position:end].reshape(amount, count) @ (1 << np.arange(count, dtype=np.int64)[::-1])
        position = end
        return numbers

    total, word = int(take(32)[0]), int(take(5)[0]) + 1
    widths = [int(number) + 1 for number in take(4, 4)]
    if total != 4 * height * width:
        raise ValueError(f"run lengths of {total} values for a picture of {height} × {width} × 4")
    values = np.empty(total, dtype=np.int64)
    done = 0
    while done < total:
        is_run = bool(take(1)[0])
        length = int(take(widths[int(take(2)[0])])[0]) + 1
        if done + length > total:
            raise ValueError("run lengths that go on after the last pixel")
        values[done : done + length] = take(word)[0] if is_run else take(word, length)
        done += length
    return values.reshape(height, width, 4)[:, :, 3] > 0


def _file_names(data: dict[str, Any], where: str) -> tuple[bool, list[str]]:
    """Whether a task has a video, and names under which its file may lie on disk, the longest first.

    An upload is ``/data/upload/1/1a2b3c4d-name.jpg`` (eight digits before the name that it had), a file of a local
    storage ``/data/local-files/?d=folder/name.jpg``, anything else a URL.

    Raises:
        UserError: no picture or video is named, or several are.
    """
    media = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    named = {key: value for key, value in data.items() if isinstance(value, str) and _suffix(value) in media}
    if len(named) > 1:
        named = {key: value for key, value in named.items() if key in ("image", "img", "video")} or named
    if len(named) != 1:
        raise UserError(
            f"{where}: expected one picture or video in 'data', got {', '.join(named) or str(sorted(data))}"
        )
    address = next(iter(named.values()))
    parts = [part for part in _local_path(address).split("/") if part not in ("", ".", "..")]
    names = ["/".join(parts[start:]) for start in range(len(parts))]
    bare = re.sub(r"^[0-9a-f]{8}-", "", parts[-1])
    return _suffix(address) in VIDEO_SUFFIXES, names + ([bare] if bare != parts[-1] else [])


def _local_path(address: str) -> str:
    parsed = urlparse(address)
    given = parse_qs(parsed.query).get("d")
    return given[0] if given else unquote(parsed.path)


def _suffix(address: str) -> str:
    return Path(_local_path(address)).suffix.lower()
