"""What is known of the scenes, as the annotation files of the real data sets say it. Touches no file.

A scene is described by the dictionaries that :mod:`word2mask.data.shapes_world.writers` makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from word2mask.data.shapes_world.language import QuestionAnswer
from word2mask.data.shapes_world.records import Reasoning
from word2mask.data.shapes_world.splits import SPLITS, Split
from word2mask.ops.masks import mask_to_contours

#: The names of the splits in each format.
COCO_SPLITS = {"train": "train", "val": "val", "combo": "testA"}
JSON_SPLITS = {"train": "train", "val": "val", "combo": "test"}
MEVIS_SPLITS = {"train": "train", "val": "valid_u", "combo": "valid"}


@dataclass(frozen=True)
class Coco:
    """Contents of ``instances.json``, ``refs(unc).p`` and ``grefs(unc).json``."""

    instances: dict[str, list]
    refs: list[dict]
    grefs: list[dict]


def reason_seg(file: str, reasoning: Reasoning, masks: np.ndarray) -> dict[str, Any]:
    """Labelme's shapes; the parts of one object share their ``group_id``."""
    shapes = [
        {"label": "target", "shape_type": "polygon", "group_id": group, "image_name": file, "points": outline}
        for group, index in enumerate(reasoning.targets)
        for outline in mask_to_contours(masks[index, 0])
    ]
    return {"text": list(reasoning.questions), "is_sentence": True, "kind": reasoning.topic, "shapes": shapes}


def coco(images: dict[Split, list[dict]]) -> Coco:
    """The pictures of all splits, as RefCOCO and gRefCOCO have them."""
    pictures: list[dict] = []
    annotations: list[dict] = []
    refs: list[dict] = []
    grefs: list[dict] = []
    for split in SPLITS:
        for image in images[split]:
            image_id, first = len(pictures) + 1, len(annotations) + 1
            pictures.append({"id": image_id, **{key: image[key] for key in ("file_name", "height", "width")}})
            for number, (rle, box, area) in enumerate(
                zip(*(image[key] for key in ("rles", "boxes", "areas")), strict=True)
            ):
                x0, y0, x1, y1 = box
                annotations.append(
                    {
                        "id": first + number,
                        "image_id": image_id,
                        "category_id": 1,
                        "iscrowd": 0,
                        "area": area,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "segmentation": rle,
                    }
                )
            common = {"image_id": image_id, "file_name": image["file_name"], "split": COCO_SPLITS[split]}
            by_object: dict[int, list[dict]] = {}
            for one in image["single"]:
                by_object.setdefault(one["targets"][0], []).append(one)
            for index, expressions in by_object.items():
                sentences = [_sentence(one) for one in expressions]
                refs.append({"ref_id": len(refs) + 1, "ann_id": first + index, "category_id": 1} | common)
                refs[-1]["sentences"] = sentences
            for one in image["general"]:
                ids = [first + index for index in one["targets"]]
                grefs.append(
                    {"ref_id": len(grefs) + 1, "ann_id": ids or [-1], "category_id": [1] if ids else [-1]} | common
                )
                grefs[-1] |= {"no_target": not ids, "sentences": [_sentence(one)]}
    categories = [{"id": 1, "name": "shape"}]
    return Coco({"images": pictures, "annotations": annotations, "categories": categories}, refs, grefs)


def mevis(videos: list[dict]) -> tuple[dict[str, Any], dict[str, list]]:
    """Contents of ``meta_expressions.json`` and ``mask_dict.json`` of one split."""
    meta: dict[str, Any] = {}
    masks: dict[str, list] = {}
    for number, video in enumerate(videos):
        first = len(masks)
        masks |= {str(first + index): track for index, track in enumerate(video["tracks"])}
        expressions = {
            str(position): {
                "exp": one["text"],
                "obj_id": list(one["targets"]),
                "anno_id": [first + index for index in one["targets"]],
                "kind": one["kind"],
            }
            for position, one in enumerate(video["expressions"])
        }
        meta[video["name"]] = {
            "vid_id": number,
            "height": video["height"],
            "width": video["width"],
            "frames": video["frames"],
            "expressions": expressions,
        }
    return {"videos": meta}, masks


def _sentence(expression: dict) -> dict[str, Any]:
    return {"sent": expression["text"], "raw": expression["text"], "kind": expression["kind"]}


def conversation(placeholder: str, questions: list[QuestionAnswer]) -> list[dict[str, str]]:
    """Questions with their answers as LLaVA's messages."""
    return messages(placeholder, [(one.question, one.answer, one.topic) for one in questions])


def messages(placeholder: str, pairs: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    """``(question, answer, kind)`` as messages; the first question carries the placeholder, as published."""
    said = []
    for number, (question, answer, kind) in enumerate(pairs):
        shown = question if number else f"{placeholder}\n{question}"
        said += [{"from": "human", "value": shown, "kind": kind}, {"from": "gpt", "value": answer}]
    return said
