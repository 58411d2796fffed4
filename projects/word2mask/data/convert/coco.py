"""COCO: one JSON of instances.

On disk (cocodataset.org/#format-data, "1. Object Detection")::

    <instances>.json        {images: [{id, file_name, height, width}], categories: [{id, name}],
                            annotations: [{id, image_id, category_id, segmentation, iscrowd, area, bbox}]}

* ``segmentation`` holds polygons ``[[x0, y0, …], …]`` when ``iscrowd`` is 0, and run lengths when it is 1; both are
  taken as they are, and run lengths of single objects as well (other programs write them).
* A crowd stands for many objects that weren't told apart: it becomes void, so that no answer is right or wrong there.
* An annotation with a box and no ``segmentation`` is left out: it says where, not which pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from word2mask.data.annotations import load_json
from word2mask.data.convert.annotated import Annotated, Media, Tally, Thing, Unusable, size_of, usable_mask
from word2mask.errors import UserError


def read_coco(export: Path, media: Media, tally: Tally, text_key: str | None = None) -> Iterator[Annotated]:
    """The pictures of a COCO file that have annotations.

    Args:
        export: the JSON file.
        media: where the pictures lie.
        tally: counts.
        text_key: key of an annotation under which a text or a list of texts says what the object is.

    Raises:
        UserError: the file isn't COCO's, is damaged, its parts don't belong together, or a picture isn't there.
    """
    if export.is_dir():
        raise UserError(f"{export} is a folder; give the JSON file of instances, and the pictures by --images")
    content = load_json(export, dict)
    try:
        categories = {entry["id"]: entry["name"] for entry in content["categories"]}
        images = {entry["id"]: entry for entry in content["images"]}
        by_image: dict[Any, list[dict]] = {image_id: [] for image_id in images}
        for entry in content["annotations"]:
            if entry["image_id"] not in images or entry["category_id"] not in categories:
                raise UserError(
                    f"{export}: annotation {entry.get('id')} is of picture {entry['image_id']} and category "
                    f"{entry['category_id']}, and one of them isn't in the file; export it again"
                )
            by_image[entry["image_id"]].append(entry)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{export}: not COCO instances ({'no ' if isinstance(error, KeyError) else ''}{error}); expected images, "
            "categories and annotations, each with ids"
        ) from error
    found_text = False
    for image_id, image in images.items():
        tally.read["pictures"] += 1
        annotations = by_image[image_id]
        tally.read["annotations"] += len(annotations)
        found_text |= any(text_key in entry for entry in annotations)
        where = f"picture {image_id} of {export}"
        try:
            name, expected = image["file_name"], (int(image["height"]), int(image["width"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: expected file_name, height and width, got {sorted(image)}") from error
        if not annotations:
            tally.skip("picture without annotations", name)
            continue
        path = media.find([name, Path(name).name], where, tally)
        if path is None:
            continue
        size = size_of(path, expected, where)
        things, void = _objects(annotations, categories, size, name, text_key, tally)
        yield Annotated(str(image_id), path, things, size, void=void)
    if text_key is not None and not found_text:
        raise UserError(f"--text {text_key}: no annotation of {export} has such a key; leave it out, or correct it")


def _objects(
    annotations: list[dict],
    categories: dict[Any, str],
    size: tuple[int, int],
    where: str,
    text_key: str | None,
    tally: Tally,
) -> tuple[list[Thing], list[Any]]:
    """The objects of a picture, and its crowds."""
    things: list[Thing] = []
    void: list[Any] = []
    for entry in annotations:
        try:
            if not entry.get("segmentation"):
                raise Unusable("annotation without a segmentation (a box alone)")
            mask = usable_mask(_plain(entry["segmentation"]), size)
        except Unusable as reason:
            tally.skip(reason, f"annotation {entry.get('id')} of {where}")
            continue
        if entry.get("iscrowd"):
            tally.written["crowds as void"] += 1
            void.append(mask)
            continue
        said = entry.get(text_key) if text_key is not None else None
        texts = [said] if isinstance(said, str) else said or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserError(
                f"annotation {entry.get('id')} of {where}: {text_key!r} is {repr(said)[:60]}; expected a text or a "
                "list of texts"
            )
        things.append(Thing(categories[entry["category_id"]], mask, [text.strip() for text in texts if text.strip()]))
    return things, void


def _plain(segmentation: Any) -> Any:
    """Without keys that some programs add to run lengths."""
    if isinstance(segmentation, dict):
        return {key: segmentation[key] for key in ("size", "counts") if key in segmentation}
    return segmentation
