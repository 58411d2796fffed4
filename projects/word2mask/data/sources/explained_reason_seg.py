"""ReasonSeg as LISA trains on it: several texts of a picture at once, and reasons in the answers of some.

On disk, beside what :class:`~word2mask.data.sources.reason_seg.ReasonSeg` says::

    <explanations>                  [{image, query, outputs}]: a picture's name, a question and the reasons in words;
                                    explanatory/train.json beside the splits
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from word2mask.data.annotations import load_json
from word2mask.data.sources.interface import draw, drawing, record
from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.errors import UserError
from word2mask.text.questions import segmentation_answer, segmentation_question, sentence_question
from word2mask.types import Sample, Turn


class ExplainedReasonSeg(ReasonSeg):
    """A picture a record, up to ``texts_per_sample`` of its texts as turns of one conversation, all with its mask.

    Where there are reasons for a picture, its answers are, as in LISA's ``utils/reason_seg_dataset.py``
    (dvlab-research/LISA, 3cb2d43): with chance ``explanatory`` the reasons alone, without a mask; otherwise one time in
    two the mask alone, and one time in two the mask and the reasons. ``per_expression``: as ReasonSeg.

    Args:
        folder: where the splits lie.
        split: ``train``, ``val`` or ``test``.
        explanations: the file of reasons; none are given without.
        explanatory: chance of an answer without a mask, 0…1.
        texts_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a folder or file isn't there, is empty or damaged, or ``explanatory`` is no chance.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        explanations: str | Path | None = None,
        explanatory: float = 0.1,
        texts_per_sample: int = 3,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(folder, split, per_expression, name)
        if not 0 <= explanatory <= 1:
            raise UserError(f"{self.name}: explanatory is a chance, got {explanatory}; give a number in 0…1")
        if texts_per_sample < 1:
            raise UserError(f"{self.name}: texts_per_sample is {texts_per_sample}; give 1 or more")
        self.explanatory = explanatory
        self.texts_per_sample = texts_per_sample
        self._reasons: dict[str, str] = {}
        if explanations is not None:
            for position, entry in enumerate(load_json(Path(explanations), list)):
                with record(self.name, f"explanation {position}", explanations):
                    self._reasons[entry["image"]] = entry["outputs"].strip()

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        sample = super().read(index, rng)
        if self.per_expression:
            return sample
        assert sample.masks is not None  # ReasonSeg has no picture without a target
        picture = self._pictures[index]
        annotation = load_json(picture.with_suffix(".json"), dict)
        texts = draw([text.strip() for text in annotation["text"]], self.texts_per_sample, rng)
        reasons = self._reasons.get(picture.name)
        with_reasons = with_mask = False
        if reasons is None:
            with_mask = True
        elif rng.random() < self.explanatory:
            with_reasons = True
        else:
            with_mask, with_reasons = True, bool(rng.integers(2))
        turns = []
        for text in texts:
            answer = [segmentation_answer(len(sample.masks), rng)] if with_mask else []
            answer += [reasons] if with_reasons and reasons is not None else []
            if not with_mask:
                question = text
            elif with_reasons or annotation["is_sentence"]:
                question = sentence_question(text, rng, explained=with_reasons)
            else:
                question = segmentation_question(text, rng)
            turns += [Turn("user", question), Turn("assistant", " ".join(answer))]
        return replace(
            sample,
            turns=tuple(turns),
            masks=np.concatenate([sample.masks] * len(texts)) if with_mask else None,
            void=sample.void if with_mask else None,
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ExplainedReasonSeg:
        file = folder / "explanatory" / "train.json"
        file.parent.mkdir(parents=True)
        entry = {"image": "one.jpg", "query": "What is warm?", "outputs": "Red is a warm colour, and one box is red."}
        file.write_text(json.dumps([entry]))
        super().fixture(folder, **{key: value for key, value in options.items() if key == "split"})
        return cls(folder, **({"explanations": file} | options))
