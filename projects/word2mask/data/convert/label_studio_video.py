"""Label Studio's videos: boxes and outlines that move between key frames, as a mask for every frame.

On disk (labelstud.io/tags/videorectangle; the editor's ``VideoRegion.js``, ``VideoRectangleRegion.js`` and
``VideoVectorRegion.jsx``), among the results of a task whose data names a video::

    {id, type: "videorectangle", value: {framesCount, duration, labels: [name], sequence: [
        {frame, time, enabled, x, y, width, height, rotation}, …]}}
    {id, type: "videovector" | "videovectorlabels", value: {framesCount, duration, labels: [name], sequence: [
        {frame, time, enabled, closed, vertices: [{id, x, y, isBezier}, …]}, …]}}

* Places are in percent of the frame, as those of pictures. A box is turned clockwise around its upper left corner.
* Frames count from 1, at the rate that the ``<Video>`` tag was given, which is 24 a second unless it says otherwise: a
  key frame's ``time``, in seconds, is its ``frame`` over that rate. Where the file has another rate, its frames are
  matched by time.
* Between two key frames everything moves evenly, vertices by their ``id``; behind the last one it stays. Behind a key
  frame whose ``enabled`` is false the object isn't there, until the next key frame.
* The editor has no brush for videos.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from word2mask.data.convert.annotated import Tally, Unusable, rectangle_polygon, usable_mask
from word2mask.data.media import VideoFile
from word2mask.errors import UserError

#: Types of results that are objects of a video.
VIDEO_SHAPES = ("videorectangle", "videovector", "videovectorlabels")
_BOX = ("x", "y", "width", "height", "rotation")
#: Rates nearer than this are the same one: the editor rounds times.
_SAME_RATE = 0.02


def track_masks(kind: str, value: dict[str, Any], video: VideoFile, where: str, tally: Tally) -> list[Any]:
    """The masks of an object on every frame of its video, of the schema's kinds; ``None`` where it isn't there.

    Args:
        kind: the result's type, one of :data:`VIDEO_SHAPES`.
        value: the result's value.
        video: that was annotated.
        where: for messages.
        tally: counts frames whose shape can't be used.

    Raises:
        Unusable: the result is malformed, or on no frame a mask.
        UserError: it has key frames behind the video's end.
    """
    try:
        keys = sorted(value["sequence"], key=lambda key: int(key["frame"]))
        if not keys:
            raise Unusable("track without key frames")
        if kind != "videorectangle":
            _check_outlines(keys)
        speed = _speed(value, keys, video)
        last = (int(keys[-1]["frame"]) - 1) / speed
        if last > len(video) * (1 + _SAME_RATE):
            raise UserError(
                f"{where}: a key frame on frame {keys[-1]['frame']}, but {video.name} has {len(video)} frames; give "
                "the video that was annotated"
            )
        tally.read["key frames"] += len(keys)
        shapes = [_shape_at(kind, keys, 1 + index * speed, speed) for index in range(len(video))]
        masks: list[Any] = []
        for index, shape in enumerate(shapes):
            if index and shape == shapes[index - 1]:
                masks.append(masks[-1])
            else:
                masks.append(_mask(kind, shape, video.size, f"frame {index} of {where}", tally))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise Unusable(f"malformed result of type {kind!r}", reason) from error
    if not any(mask is not None for mask in masks):
        raise Unusable("track without a usable shape")
    return masks


def _check_outlines(keys: list[dict[str, Any]]) -> None:
    """Raise Unusable unless outlines cover an area, with straight edges."""
    if not all(key.get("closed") for key in keys):
        raise Unusable("outline that isn't closed, which covers no area")
    if any(vertex.get("isBezier") for key in keys for vertex in key["vertices"]):
        raise Unusable("outline with curves")


def _speed(value: dict[str, Any], keys: list[dict[str, Any]], video: VideoFile) -> float:
    """By how many of the editor's frames a frame of the file goes on."""
    timed = [key for key in keys if float(key.get("time") or 0) > 0]
    if timed and video.fps:
        speed = int(timed[-1]["frame"]) / float(timed[-1]["time"]) / video.fps
    else:
        speed = int(value.get("framesCount") or len(video)) / len(video)
    return 1.0 if abs(speed - 1) <= _SAME_RATE else speed


def _shape_at(kind: str, keys: list[dict[str, Any]], place: float, speed: float) -> list[float] | None:
    """The numbers of a shape, in percent, at one of the editor's frames; ``None`` where the object isn't there."""
    number = bisect_right([int(key["frame"]) for key in keys], place + 1e-6) - 1
    if number < 0:
        return None
    key = keys[number]
    behind = place - int(key["frame"])
    if not key.get("enabled", True) and behind >= speed - 1e-6:
        return None
    following = keys[number + 1] if number + 1 < len(keys) else key
    share = behind / (int(following["frame"]) - int(key["frame"])) if following is not key and behind > 0 else 0.0
    here, there = _numbers(kind, key, key), _numbers(kind, following, key)
    return [one + share * (other - one) for one, other in zip(here, there, strict=True)]


def _numbers(kind: str, key: dict[str, Any], first: dict[str, Any]) -> list[float]:
    """A key frame's numbers: those of a box, or its vertices in the order of ``first``, which has those that it
    lacks."""
    if kind == "videorectangle":
        return [float(key[name] if name != "rotation" else key.get(name) or 0) for name in _BOX]
    by_id = {vertex.get("id"): vertex for vertex in key["vertices"]} if key is not first else {}
    vertices = [by_id.get(vertex.get("id"), vertex) for vertex in first["vertices"]]
    return [float(vertex[axis]) for vertex in vertices for axis in ("x", "y")]


def _mask(kind: str, shape: list[float] | None, size: tuple[int, int], where: str, tally: Tally) -> Any:
    """A shape as a mask of the schema; ``None`` where there is none."""
    if shape is None:
        return None
    height, width = size
    if kind == "videorectangle":
        x, y, across, down, turned = shape
        x, y = x * width / 100, y * height / 100
        corners = (x, y, x + across * width / 100, y + down * height / 100)
        polygons = rectangle_polygon(corners, turned, pivot=(x, y))
    else:
        polygons = [[value * (width, height)[place % 2] / 100 for place, value in enumerate(shape)]]
    try:
        return usable_mask(polygons, size)
    except Unusable as reason:
        tally.skip(reason, where)
        return None
