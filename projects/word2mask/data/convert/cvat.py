"""CVAT: XML 1.1, "for images" and "for video".

On disk (docs.cvat.ai/docs/other/xml_format; the writer is ``cvat/apps/dataset_manager/formats/cvat.py``)::

    annotations.xml     <annotations> <meta>…</meta>
                          <image id name width height> <polygon label points/> <box label xtl ytl xbr ybr rotation/>
                            <ellipse label cx cy rx ry rotation/> <mask label rle left top width height/> </image>
                          <track id label> <box frame keyframe outside …/> … </track>
                        </annotations>
    images/…            beside it, in CVAT's archive

* ``points`` is ``x0,y0;x1,y1;…``. ``rotation`` is in degrees, clockwise, around the shape's own centre.
* A mask's ``rle`` are run lengths row by row within its own box, beginning with pixels that don't belong to it (so
  the documentation's example is a blob, widest in its middle).
* Shapes of a picture with one label and one ``group_id`` are one object.
* A track names its frames. From a shape with ``outside="1"`` on, the object isn't there. Between the frames that are
  named (CVAT writes them all, others may leave some out), a box and a polygon of equally many points move evenly; for
  other shapes, such frames count as not annotated.
* An ``<attribute name="…">`` may say what an object is; ``text_name`` names it.
* Polylines, points, skeletons and cuboids cover no area, a tag isn't about an object: they are left out.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.convert.annotated import (
    Annotated,
    Media,
    Tally,
    Thing,
    Unusable,
    ellipse_polygon,
    merged,
    rectangle_polygon,
    size_of,
    usable_mask,
)
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle


def read_cvat(
    export: Path, media: Media, tally: Tally, text_name: str | None = None, video: Path | None = None
) -> Iterator[Annotated]:
    """The pictures of an export "for images", or the one video of an export "for video".

    Args:
        export: the XML file, or the folder that holds ``annotations.xml``.
        media: where the pictures lie.
        tally: counts.
        text_name: name of the attribute that says in words what an object is.
        video: the video file or folder of frames, for tracks.

    Raises:
        UserError: the file isn't CVAT's, is damaged, or its pictures or video aren't there.
    """
    file = export / "annotations.xml" if export.is_dir() else export
    root = _parse(file)
    images, tracks = root.findall("image"), root.findall("track")
    if not images and not tracks:
        raise UserError(
            f"{file}: neither <image> nor <track> in it; export 'CVAT for images 1.1' or 'CVAT for video 1.1'"
        )
    names = {attribute.get("name", "") for attribute in root.iter("attribute") if attribute.get("name")}
    if text_name is not None and text_name not in names:
        raise UserError(f"--text {text_name}: no object in {file} has such an attribute; it has {_listed(names)}")
    if tracks and video is None:
        raise UserError(f"{file} holds tracks of a video; say which by --video FILE (or the folder of its frames)")
    if video is not None and not tracks:
        raise UserError(f"{file} holds no tracks, so there is no use for --video; leave it out")
    for image in images:
        tally.read["pictures"] += 1
        name = image.get("name", "")
        where = f"picture {name} of {file}"
        path = media.find([name, Path(name).name], where, tally)
        if path is not None:
            size = size_of(path, (_integer(image, "height", where), _integer(image, "width", where)), where)
            yield Annotated(name, path, _things(image, size, where, text_name, tally), size)
    if tracks and video is not None:
        yield _video(root, tracks, video, file, text_name, tally)


def _parse(file: Path) -> ElementTree.Element:
    if not file.is_file():
        raise UserError(f"{file}: no such file; give the annotations.xml of CVAT's archive")
    data = file.read_bytes()
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        # Entities can blow up a parser, and CVAT writes none.
        raise UserError(f"{file}: declares a document type, which CVAT doesn't; export it again")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: not XML, or cut short ({error}); export it again") from error
    if root.tag != "annotations":
        raise UserError(f"{file}: its outermost element is <{root.tag}>, CVAT's is <annotations>; export it again")
    return root


def _things(
    image: ElementTree.Element, size: tuple[int, int], where: str, text_name: str | None, tally: Tally
) -> list[Thing]:
    groups: dict[Any, tuple[str, list[Any], list[str]]] = {}
    for number, shape in enumerate(image):
        tally.read["shapes"] += 1
        try:
            mask = usable_mask(_mask(shape, size), size)
        except Unusable as reason:
            tally.skip(reason, where)
            continue
        label, group = shape.get("label", ""), shape.get("group_id")
        _, masks, texts = groups.setdefault((label, "group", group) if group else number, (label, [], []))
        masks.append(mask)
        texts += [text for text in _texts(shape, text_name) if text not in texts]
    return [Thing(label, merged(masks, size), texts) for label, masks, texts in groups.values()]


def _video(
    root: ElementTree.Element,
    tracks: list[ElementTree.Element],
    video: Path,
    file: Path,
    text_name: str | None,
    tally: Tally,
) -> Annotated:
    """All tracks as the objects of one video."""
    opened = VideoFile(video)
    size, length = opened.size, len(opened)
    tally.read["videos"] += 1
    original = root.find(".//original_size")
    if original is not None:
        said = tuple(int(original.findtext(side, "0")) for side in ("height", "width"))
        if said != size:
            raise UserError(
                f"{file}: annotated at {said[1]} × {said[0]} pixels, but {video} has {size[1]} × {size[0]}; "
                "give the video that was annotated"
            )
    things = []
    for track in tracks:
        tally.read["tracks"] += 1
        where = f"track {track.get('id')} ({track.get('label')}) of {file}"
        frames = _track_frames(track, length, size, where, tally)
        if not any(mask is not None for mask in frames.values()):
            tally.skip("track without a usable shape", where)
            continue
        texts = sorted({text for shape in track for text in _texts(shape, text_name)})
        whole = len(frames) == length
        mask = [frames[index] for index in range(length)] if whole else {"frames": _keyed(frames)}
        things.append(Thing(track.get("label", ""), mask, texts))
    return Annotated(video.stem, video, things, size, is_video=True)


def _track_frames(
    track: ElementTree.Element, length: int, size: tuple[int, int], where: str, tally: Tally
) -> dict[int, Any]:
    """The masks of a track by frame, ``None`` where the object isn't there; without frames that aren't annotated."""
    named: dict[int, ElementTree.Element] = {}
    for shape in track:
        frame = _integer(shape, "frame", where)
        if frame >= length:
            if shape.get("outside") != "1":
                raise UserError(
                    f"{where}: a shape on frame {frame} of a video of {length} frames; give the video's own"
                )
            continue
        named[frame] = shape
    tally.read["shapes of tracks"] += len(named)
    order = sorted(named)
    masks: dict[int, Any] = dict.fromkeys(range(order[0] if order else length))
    for place, frame in enumerate(order):
        shape = named[frame]
        end = order[place + 1] if place + 1 < len(order) else length
        if shape.get("outside") == "1":
            masks.update(dict.fromkeys(range(frame, end)))
            continue
        following = named.get(end)
        for between in range(frame, end):
            try:
                moved = shape if between == frame else _between(shape, following, (between - frame) / (end - frame))
                masks[between] = usable_mask(_mask(moved, size), size)
            except Unusable as reason:
                tally.skip(reason, f"frame {between} of {where}")
    return masks


def _between(shape: ElementTree.Element, following: ElementTree.Element | None, share: float) -> ElementTree.Element:
    """A shape on its way to the next one, of which ``share`` lies behind it.

    Raises:
        Unusable: this kind of shape doesn't move evenly.
    """
    if following is None or following.get("outside") == "1":
        # CVAT shows the last shape until the object leaves.
        return shape
    numbers = [_numbers(one) for one in (shape, following)]
    if shape.tag != following.tag or shape.tag not in ("box", "polygon") or len(numbers[0]) != len(numbers[1]):
        raise Unusable(f"frame between two named ones of a {shape.tag}, taken as not annotated")
    values = (1 - share) * np.asarray(numbers[0]) + share * np.asarray(numbers[1])
    moved = ElementTree.Element(shape.tag, dict(shape.attrib))
    if shape.tag == "box":
        for name, value in zip(("xtl", "ytl", "xbr", "ybr"), values, strict=True):
            moved.set(name, str(value))
    else:
        moved.set("points", ";".join(f"{x},{y}" for x, y in values.reshape(-1, 2)))
    return moved


def _mask(shape: ElementTree.Element, size: tuple[int, int]) -> Any:
    """A shape as a mask of the schema.

    Raises:
        Unusable: it covers no area, or is malformed.
    """
    if shape.tag not in ("polygon", "box", "ellipse", "mask"):
        raise Unusable(f"<{shape.tag}>, which covers no area")
    try:
        if shape.tag == "polygon":
            return [_numbers(shape)]
        turned = float(shape.get("rotation", 0))
        if shape.tag == "box":
            x0, y0, x1, y1 = _numbers(shape)
            return rectangle_polygon((x0, y0, x1, y1), turned)
        if shape.tag == "ellipse":
            x, y, rx, ry = (float(shape.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
            return ellipse_polygon((x, y), (rx, ry), turned)
        return encode_rle(_runs(shape, size))
    except (KeyError, ValueError) as error:
        raise Unusable(f"malformed <{shape.tag}>", error) from error


def _runs(shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    """Run lengths within a box, pasted into the picture: bool ``[H,W]``."""
    left, top, width, height = (int(float(shape.attrib[name])) for name in ("left", "top", "width", "height"))
    runs = np.asarray([int(run) for run in shape.attrib["rle"].split(",")], dtype=np.int64)
    if width < 1 or height < 1 or (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"run lengths of {runs.sum()} pixels in a box of {width} × {height}")
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ValueError("box of a mask outside of the picture")
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(
        height, width
    )
    return mask


def _numbers(shape: ElementTree.Element) -> list[float]:
    """The coordinates of a polygon ``x0, y0, …`` or of a box ``x0, y0, x1, y1``."""
    if shape.tag == "box":
        return [float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr")]
    return [float(value) for point in shape.get("points", "").split(";") if point for value in point.split(",")]


def _texts(shape: ElementTree.Element, name: str | None) -> list[str]:
    found = [(one.text or "").strip() for one in shape.findall("attribute") if name and one.get("name") == name]
    return [text for text in found if text]


def _integer(element: ElementTree.Element, name: str, where: str) -> int:
    try:
        return int(element.attrib[name])
    except (KeyError, ValueError) as error:
        raise UserError(f"{where}: <{element.tag}> has no whole number '{name}'; export it again") from error


def _keyed(frames: dict[int, Any]) -> dict[str, Any]:
    return {str(frame): frames[frame] for frame in sorted(frames)}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
