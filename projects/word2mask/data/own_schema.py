"""One line of a user's own JSONL: which keys there are, what a mask may be, and masks to arrays.

The table of the schema stands in :mod:`word2mask.data.sources.own_data`. What is wrong is raised as ``ValueError`` with
what was got, what was expected and what to do; the source adds the record, the line and the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.data import files
from word2mask.data.media import IMAGE_SUFFIXES
from word2mask.ops.masks import box_to_mask, decode_rle, polygons_to_mask
from word2mask.text.special_tokens import SEG, SPECIAL_TOKENS

#: Keys of a record.
KEYS = ("id", "image", "video", "turns", "masks", "expressions", "regions", "void", "objects", "kind")
#: A point marks the disc of this share of the picture's shorter side around it.
POINT_RADIUS = 0.02

_MASK_FORMS = (
    'run lengths {"size": [H, W], "counts": …}, polygons [[x0, y0, x1, y1, x2, y2, …], …], the path of a PNG, or '
    '{"png": path, "value": number}'
)
_REGION_FORMS = 'a mask, {"box": [x0, y0, x1, y1]} or {"points": [[x, y], …]}'
_VIDEO_FORMS = (
    'a list with a mask or null for every frame, {"frames": {"0": mask, …}} for the frames that are annotated, or a '
    "folder with a PNG for every frame"
)
_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")


def check_record(entry: Any) -> None:
    """Everything of a record that can be checked without opening a file.

    Raises:
        ValueError: saying what was got, what was expected and what to do.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"got a JSON {type(entry).__name__}, expected an object; write one record {{…}} a line")
    _check_keys(entry, KEYS, "the record")
    if ("image" in entry) == ("video" in entry):
        raise ValueError("expected either 'image' or 'video', got " + ("both" if "image" in entry else "neither"))
    is_video = "video" in entry
    medium = "video" if is_video else "image"
    _check_text(entry[medium], f"'{medium}'", "the path of a file" + (" or folder of frames" if is_video else ""))
    if not isinstance(entry.get("id", ""), (str, int)) or isinstance(entry.get("id"), bool):
        raise ValueError(f"'id' is a text or a number, got {_show(entry['id'])}")
    if ("turns" in entry) == ("expressions" in entry):
        got = "both" if "turns" in entry else "neither"
        raise ValueError(f"expected either 'turns' (a conversation) or 'expressions' (what to find), got {got}")
    if "turns" in entry:
        _check_turns(entry, is_video)
    else:
        _check_expressions(entry, is_video)
    if "regions" in entry:
        for number, region in enumerate(_listed(entry["regions"], "'regions'"), start=1):
            _check_region(region, f"region {number}")
    if "void" in entry:
        _check_mask(entry["void"], "'void'", is_video)
    for number, item in enumerate(_listed(entry.get("objects", []), "'objects'"), start=1):
        where = f"object {number}"
        _check_keys(item, ("name", "mask"), where, required=("name", "mask"))
        _check_text(item["name"], f"the name of {where}", "a word")
        _check_mask(item["mask"], f"the mask of {where}", is_video)


def texts_of(expression: dict[str, Any]) -> list[str]:
    """The wordings of an expression, without blanks around them."""
    text = expression["text"]
    return [one.strip() for one in ([text] if isinstance(text, str) else text)]


def picture_mask(value: Any, size: tuple[int, int], root: Path) -> np.ndarray:
    """A mask of a picture or of one frame.

    Args:
        value: as the schema has it.
        size: ``(H, W)`` of the picture.
        root: where relative paths start.

    Returns:
        bool ``[H,W]``.

    Raises:
        ValueError: it is of another size, or damaged.
    """
    if isinstance(value, str):
        return _png_mask(root / value, None, size)
    if isinstance(value, dict) and "png" in value:
        return _png_mask(root / value["png"], value["value"], size)
    if isinstance(value, dict):
        mask = decode_rle(value)
        if mask.shape != size:
            raise ValueError(
                f"run lengths of size {list(mask.shape)} for a picture of {list(size)} (height, width); "
                "annotate the picture as it is on disk, or convert it again"
            )
        return mask
    return polygons_to_mask(value, *size)


def region_mask(value: Any, size: tuple[int, int], root: Path) -> np.ndarray:
    """A visual prompt: a mask; a box, filled; or points, each a small disc. bool ``[H,W]``, never empty.

    Raises:
        ValueError: nothing of it lies in the picture.
    """
    height, width = size
    if isinstance(value, dict) and "box" in value:
        mask = box_to_mask(value["box"], height, width)
    elif isinstance(value, dict) and "points" in value:
        rows, columns = np.mgrid[:height, :width]
        radius = max(1.0, POINT_RADIUS * min(size))
        mask = np.zeros(size, dtype=bool)
        for x, y in value["points"]:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(f"a region's point {[x, y]} lies outside of a picture of {width} × {height}")
            mask |= (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2
    else:
        mask = picture_mask(value, size, root)
    if not mask.any():
        raise ValueError(f"a region covers no pixel of a picture of {width} × {height}: {_show(value)}")
    return mask


def annotated_frames(value: Any, num_frames: int) -> np.ndarray:
    """On which frames of a video a mask is known (an object that isn't there is known too): bool ``[T]``."""
    known = np.ones(num_frames, dtype=bool)
    if isinstance(value, dict) and "frames" in value:
        indices = [int(index) for index in value["frames"]]
        if max(indices) >= num_frames:
            raise ValueError(f"a mask on frame {max(indices)} of a video with frames 0 … {num_frames - 1}")
        known[:] = False
        known[indices] = True
    elif isinstance(value, list) and len(value) != num_frames:
        raise ValueError(
            f"{len(value)} masks for a video of {num_frames} frames; give one a frame (null where the object isn't "
            'there), or name the annotated frames by {"frames": {"0": mask, …}}'
        )
    return known


def video_mask(value: Any, frames: Sequence[int], num_frames: int, size: tuple[int, int], root: Path) -> np.ndarray:
    """An object on some frames of a video, false where it isn't there or nothing is known: bool ``[k,H,W]``.

    Raises:
        ValueError: a frame's mask is of another size or damaged, or their number isn't the video's.
    """
    if isinstance(value, list):
        per_frame = dict(enumerate(value))
    elif isinstance(value, dict) and "frames" in value:
        per_frame = {int(index): mask for index, mask in value["frames"].items()}
    else:
        per_frame = _png_frames(value, num_frames, root)
    masks = np.zeros((len(frames), *size), dtype=bool)
    for place, frame in enumerate(frames):
        if per_frame.get(int(frame)) is not None:
            masks[place] = picture_mask(per_frame[int(frame)], size, root)
    return masks


def _check_turns(entry: dict[str, Any], is_video: bool) -> None:
    turns = _listed(entry["turns"], "'turns'")
    if not turns or len(turns) % 2:
        raise ValueError(f"got {len(turns)} turns, expected questions and answers in turn, the user's first")
    marks = 0
    for number, turn in enumerate(turns):
        where = f"turn {number + 1}"
        if not isinstance(turn, dict):
            raise ValueError(f'{where} is {_show(turn)}, expected {{"role": …, "text": …}}')
        _check_keys(turn, ("role", "text"), where, required=("role", "text"))
        expected = "assistant" if number % 2 else "user"
        if turn["role"] != expected:
            raise ValueError(f"{where} is the {turn['role']}'s, expected the {expected}'s; they alternate")
        _check_text(turn["text"], f"the text of {where}", "a text")
        marks += turn["text"].count(SEG) if number % 2 else 0
        if not number % 2 and any(token in turn["text"] for token in SPECIAL_TOKENS):
            raise ValueError(f"{where}, the user's, spells a special token; {SEG} stands in answers only")
    masks = _listed(entry.get("masks", []), "'masks'")
    if len(masks) != marks:
        raise ValueError(f"{marks} {SEG} in the answers but {len(masks)} masks; give one mask for each, in their order")
    for number, mask in enumerate(masks, start=1):
        _check_mask(mask, f"mask {number}", is_video)


def _check_expressions(entry: dict[str, Any], is_video: bool) -> None:
    if "masks" in entry:
        raise ValueError("'masks' beside 'expressions': give every expression its own 'masks'")
    expressions = _listed(entry["expressions"], "'expressions'")
    if not expressions:
        raise ValueError("'expressions' is empty; name one thing to find, or leave the line out")
    for number, expression in enumerate(expressions, start=1):
        where = f"expression {number}"
        if not isinstance(expression, dict):
            raise ValueError(f'{where} is {_show(expression)}, expected {{"text": …, "masks": […]}}')
        _check_keys(expression, ("text", "masks", "kind"), where, required=("text", "masks"))
        texts = expression["text"] if isinstance(expression["text"], list) else [expression["text"]]
        if not texts:
            raise ValueError(f"{where} has no text")
        for text in texts:
            _check_text(text, f"the text of {where}", "a text or a list of texts")
            if any(token in text for token in SPECIAL_TOKENS):
                raise ValueError(f"{where} spells a special token: {_show(text)}; the answers are worded for you")
        for place, mask in enumerate(_listed(expression["masks"], f"'masks' of {where}"), start=1):
            _check_mask(mask, f"mask {place} of {where}", is_video)


def _check_mask(value: Any, where: str, is_video: bool) -> None:
    """Raise ValueError unless ``value`` has one of the forms of a mask."""
    if not is_video:
        _check_picture_mask(value, where)
    elif isinstance(value, list):
        for frame, mask in enumerate(value):
            if mask is not None:
                _check_picture_mask(mask, f"{where}, frame {frame},")
    elif isinstance(value, dict) and "frames" in value:
        _check_keys(value, ("frames",), where)
        if not isinstance(value["frames"], dict) or not value["frames"]:
            raise ValueError(f'{where}: expected {{"frames": {{"0": mask, …}}}}, got {_show(value)}')
        for frame, mask in value["frames"].items():
            if not frame.isdecimal():
                raise ValueError(f"{where}: {frame!r} is not the number of a frame; they count from 0")
            if mask is not None:
                _check_picture_mask(mask, f"{where}, frame {frame},")
    elif isinstance(value, str) or (isinstance(value, dict) and "png" in value):
        _check_picture_mask(value, where)
    else:
        raise ValueError(f"{where} of a video is {_show(value)}, expected {_VIDEO_FORMS}")


def _check_picture_mask(value: Any, where: str) -> None:
    if isinstance(value, str) and value.strip():
        return
    if isinstance(value, dict) and "png" in value:
        _check_keys(value, ("png", "value"), where, required=("png", "value"))
        _check_text(value["png"], f"'png' of {where}", "a path")
        if not isinstance(value["value"], int) or isinstance(value["value"], bool):
            raise ValueError(f"'value' of {where} is {_show(value['value'])}, expected the number of its pixels")
        return
    if isinstance(value, dict) and ("size" in value or "counts" in value):
        _check_keys(value, ("size", "counts"), where, required=("size", "counts"))
        return
    if isinstance(value, dict) and ("box" in value or "points" in value):
        raise ValueError(f"{where} is a box or points, which are 'regions' (prompts); expected {_MASK_FORMS}")
    if isinstance(value, list) and value and all(isinstance(number, (int, float)) for number in value):
        raise ValueError(f"{where} is one flat list; put polygons into a list: [[x0, y0, x1, y1, x2, y2, …]]")
    if isinstance(value, list) and value:
        for polygon in value:
            is_flat = isinstance(polygon, list) and all(_is_number(number) for number in polygon)
            if not is_flat or len(polygon) < 6 or len(polygon) % 2:
                raise ValueError(
                    f"a polygon of {where} is {_show(polygon)}, expected [x0, y0, x1, y1, x2, y2, …] with three points "
                    "or more"
                )
        return
    raise ValueError(f"{where} is {_show(value)}, expected {_MASK_FORMS}")


def _check_region(value: Any, where: str) -> None:
    if isinstance(value, dict) and "box" in value:
        _check_keys(value, ("box",), where)
        box = value["box"]
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(number) for number in box):
            raise ValueError(f"the box of {where} is {_show(box)}, expected [x0, y0, x1, y1] in pixels")
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"the box of {where} is {_show(box)}, expected x0 < x1 and y0 < y1 (corners, not sizes)")
    elif isinstance(value, dict) and "points" in value:
        _check_keys(value, ("points",), where)
        points = value["points"]
        if not isinstance(points, list) or not points or not all(_is_point(point) for point in points):
            raise ValueError(f"the points of {where} are {_show(points)}, expected [[x, y], …] in pixels")
    elif isinstance(value, (dict, list, str)):
        _check_picture_mask(value, where)
    else:
        raise ValueError(f"{where} is {_show(value)}, expected {_REGION_FORMS}")


def _check_keys(entry: dict, known: Sequence[str], where: str, required: Sequence[str] = ()) -> None:
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"unknown key {key!r} in {where}; {hint}")
    missing = [key for key in required if key not in entry]
    if missing:
        raise ValueError(f"{where} has no {' and no '.join(map(repr, missing))}")


def _listed(value: Any, where: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {_show(value)}, expected a list […]")
    return value


def _check_text(value: Any, where: str, expected: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is {_show(value)}, expected {expected}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(number) for number in value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _png_mask(path: Path, value: int | None, size: tuple[int, int]) -> np.ndarray:
    """Where a PNG has ``value``; without one, where it isn't 0, and then it must be binary. bool ``[H,W]``."""
    if not files.is_file(path):
        raise ValueError(f"{path}: no such mask; check the path, relative ones start at the JSONL's folder")
    try:
        with files.open_file(path) as file, Image.open(file) as image:
            if (image.height, image.width) != size:
                raise ValueError(
                    f"{path}: a mask of {[image.height, image.width]} for a picture of {list(size)} (height, width)"
                )
            if image.mode not in _ONE_CHANNEL:
                raise ValueError(f"{path}: a mask in colours ({image.mode}); save it as a grey or indexed PNG")
            pixels = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a PNG that can be read ({error}); save it again") from error
    if value is not None:
        return pixels == value
    values = np.unique(pixels)
    if (values != 0).sum() > 1:
        raise ValueError(
            f"{path}: holds the values {', '.join(map(str, values[:6]))}{' …' if len(values) > 6 else ''}; say which "
            f'one is meant by {{"png": "{path.name}", "value": {int(values[-1])}}}, or save it with 0 and one other'
        )
    return pixels != 0


def _png_frames(value: Any, num_frames: int, root: Path) -> dict[int, Any]:
    """The masks of a folder with a PNG for every frame, in the order of their names."""
    folder = root / (value if isinstance(value, str) else value["png"])
    if not files.is_folder(folder):
        raise ValueError(f"{folder}: no such folder of masks; a video needs {_VIDEO_FORMS}")
    masks = sorted(file for file in files.list_folder(folder) if file.suffix.lower() in IMAGE_SUFFIXES)
    if len(masks) != num_frames:
        raise ValueError(f"{folder}: {len(masks)} masks for a video of {num_frames} frames; expected one PNG a frame")
    # A folder of masks is of one kind: where no value is given, all that isn't 0 is the object.
    given = None if isinstance(value, str) else value["value"]
    return {
        index: str(file) if given is None else {"png": str(file), "value": given} for index, file in enumerate(masks)
    }
