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

from word2mask.data.annotations import load_json
from word2mask.data.sources.interface import left_to_right, record
from word2mask.data.sources.refcoco import write_fixture_pictures
from word2mask.data.sources.referring_images import ReferringImages, clean_expression
from word2mask.errors import UserError
from word2mask.text.questions import no_target_answer, segmentation_answer, segmentation_question


class GRefCOCO(ReferringImages):
    """A picture a record; several of its references as turns of one conversation.

    An answer has one ``[SEG]`` per object, from left to right; where nothing fits, it says so in words.
    ``per_expression``: a sentence a record; ``extra`` holds besides ``no_target``, ``ref_id``, ``ann_ids`` and
    ``image_id``, and ``kind`` is ``"none"``, ``"single"`` or ``"several"`` where the file doesn't say.
    """

    tasks = ("generalized_refer",)
    references = "grefs({}).json"

    def _load(self) -> list[dict]:
        refs = load_json(self._file, list)
        for position, ref in enumerate(refs):
            with record(self.name, position, self._file):
                if not ref["sentences"] or not isinstance(ref["ann_id"], list):
                    raise UserError(
                        f"reference {ref['ref_id']} in {self._file} has no sentence, or ann_id isn't a list"
                    )
        return refs

    def _exchange(self, ref: dict, expression: str, rng: np.random.Generator) -> tuple[str, str, list[np.ndarray]]:
        found = [self._instances.mask(annotation_id) for annotation_id in _objects(ref)]
        answer = segmentation_answer(len(found), rng) if found else no_target_answer(expression, rng)
        return segmentation_question(expression, rng), answer, [found[position] for position in left_to_right(found)]

    def _describe(self, ref: dict, number: int) -> dict[str, Any]:
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

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> GRefCOCO:
        write_fixture_pictures(folder)
        split = str(options.get("split", "train"))
        refs = [
            # Blue, the right one, is listed first: answers go from left to right.
            _fixture_ref(1, [12, 11], 1, "both boxes", split),
            _fixture_ref(2, [12], 1, "the blue box", split),
            _fixture_ref(3, [-1], 1, "the green box", split),
            _fixture_ref(4, [21], 2, "the green box", split),
        ]
        (folder / "grefs(unc).json").write_text(json.dumps(refs))
        return cls(folder, **options)


def _objects(ref: dict) -> list:
    """Ids of its objects; the published file says ``[-1]`` where nothing fits."""
    return [] if ref.get("no_target") else [number for number in ref["ann_id"] if number != -1]


def _fixture_ref(ref_id: int, ann_ids: list[int], image_id: int, sentence: str, split: str) -> dict[str, Any]:
    return {
        "ref_id": ref_id,
        "ann_id": ann_ids,
        "image_id": image_id,
        "split": split,
        "no_target": ann_ids == [-1],
        "sentences": [{"sent_id": ref_id, "sent": sentence, "raw": sentence}],
    }
