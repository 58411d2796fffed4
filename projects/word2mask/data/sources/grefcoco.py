"""gRefCOCO: expressions for one object of a picture, several, or none.

On disk::

    <folder>/instances.json                pictures and object masks, as COCO's
    <folder>/grefs(unc).json               [{ref_id, ann_id: […], image_id, split, no_target, sentences: [{sent}]}]
    <folder>/coco2014/train2014/*.jpg

https://github.com/henghuiding/gRefCOCO
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.data.annotations import CocoInstances, load_json, require_folder
from word2mask.data.media import open_image
from word2mask.data.sources.interface import (
    Source,
    check_split,
    draw,
    drawing,
    left_to_right,
    record,
    stack_masks,
)
from word2mask.data.sources.refcoco import clean_expression, write_fixture_pictures
from word2mask.errors import UserError
from word2mask.text.questions import no_target_answer, segmentation_answer, segmentation_question
from word2mask.types import Sample, Turn


class GRefCOCO(Source):
    """A picture a record; up to ``expressions_per_sample`` expressions as turns of one conversation.

    An answer has one ``[SEG]`` per object, from left to right; where nothing fits, it says so in words.
    ``per_expression``: a sentence a record; ``extra`` holds besides ``no_target``, ``ref_id``, ``ann_ids`` and
    ``image_id``, and ``kind`` is ``"none"``, ``"single"`` or ``"several"`` where the file doesn't say.

    Args:
        folder: where ``instances.json`` lies.
        split: ``train``, ``val``, ``testA`` or ``testB``.
        split_by: whose splits.
        image_folder: where the pictures lie; ``<folder>/coco2014/train2014`` without.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file is missing or damaged, or has no record of the split.
    """

    tasks = ("generalized_refer",)

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        split_by: str = "unc",
        image_folder: str | Path | None = None,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        self.name = name or folder.name
        self.per_expression = per_expression
        self.expressions_per_sample = expressions_per_sample
        self._instances = CocoInstances(folder / "instances.json")
        self._file = folder / f"grefs({split_by}).json"
        self._image_folder = require_folder(
            Path(image_folder) if image_folder else folder / "coco2014" / "train2014", "the pictures of COCO train2014"
        )
        refs = load_json(self._file, list)
        for position, ref in enumerate(refs):
            with record(self.name, position, self._file):
                if not ref["sentences"] or not isinstance(ref["ann_id"], list):
                    raise UserError(
                        f"reference {ref['ref_id']} in {self._file} has no sentence, or ann_id isn't a list"
                    )
        check_split(self.name, split, sorted({str(ref.get("split")) for ref in refs}), self._file)
        self._refs = [ref for ref in refs if ref["split"] == split]
        by_image: dict[Any, list[int]] = {}
        for position, ref in enumerate(self._refs):
            by_image.setdefault(ref["image_id"], []).append(position)
        self._images = list(by_image.values())
        self._sentences = [
            (position, number) for position, ref in enumerate(self._refs) for number in range(len(ref["sentences"]))
        ]

    def __len__(self) -> int:
        return len(self._sentences if self.per_expression else self._images)

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        if self.per_expression:
            position, number = self._sentences[index]
            chosen = [(self._refs[position], number)]
            record_id = f"{self._refs[position]['ref_id']}/{number}"
        else:
            refs = [self._refs[position] for position in draw(self._images[index], self.expressions_per_sample, rng)]
            chosen = [(ref, int(rng.integers(len(ref["sentences"])))) for ref in refs]
            record_id = str(refs[0]["image_id"])
        with record(self.name, record_id, self._file):
            image = self._instances.image(chosen[0][0]["image_id"])
            media = open_image(self._image_folder / image["file_name"])
            turns: list[Turn] = []
            masks: list[np.ndarray] = []
            for ref, number in chosen:
                expression = clean_expression(ref["sentences"][number]["sent"])
                found = [self._instances.mask(annotation_id) for annotation_id in _objects(ref)]
                masks += [found[position] for position in left_to_right(found)]
                answer = segmentation_answer(len(found), rng) if found else no_target_answer(expression, rng)
                turns += [Turn("user", segmentation_question(expression, rng)), Turn("assistant", answer)]
            return Sample(
                source=self.name,
                id=record_id,
                task="generalized_refer",
                turns=tuple(turns),
                media=media,
                masks=stack_masks(masks, media.frames.shape[1:3], media.name) if masks else None,
                extra=_extra(*chosen[0]) if self.per_expression else {},
            )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> GRefCOCO:
        write_fixture_pictures(folder)
        refs = [
            # Blue, the right one, is listed first: answers go from left to right.
            _fixture_ref(1, [12, 11], 1, "both boxes"),
            _fixture_ref(2, [12], 1, "the blue box"),
            _fixture_ref(3, [-1], 1, "the green box"),
            _fixture_ref(4, [21], 2, "the green box"),
        ]
        (folder / "grefs(unc).json").write_text(json.dumps(refs))
        return cls(folder, **options)


def _objects(ref: dict) -> list:
    """Ids of its objects; the published file says ``[-1]`` where nothing fits."""
    return [] if ref.get("no_target") else [number for number in ref["ann_id"] if number != -1]


def _extra(ref: dict, number: int) -> dict[str, Any]:
    sentence, objects = ref["sentences"][number], _objects(ref)
    kind = ("none", "single", "several")[min(len(objects), 2)]
    return {
        "expression": clean_expression(sentence["sent"]),
        "kind": sentence.get("kind", ref.get("kind", kind)),
        "no_target": not objects,
        "ref_id": ref["ref_id"],
        "ann_ids": objects,
        "image_id": ref["image_id"],
    }


def _fixture_ref(ref_id: int, ann_ids: list[int], image_id: int, sentence: str) -> dict[str, Any]:
    return {
        "ref_id": ref_id,
        "ann_id": ann_ids,
        "image_id": image_id,
        "split": "train",
        "no_target": ann_ids == [-1],
        "sentences": [{"sent_id": ref_id, "sent": sentence, "raw": sentence}],
    }
