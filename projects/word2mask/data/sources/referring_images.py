"""What RefCOCO and gRefCOCO share: COCO's pictures and object masks, and references to them with several sentences."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from word2mask.data.annotations import CocoInstances, require_folder
from word2mask.data.media import open_image
from word2mask.data.sources.interface import Source, check_split, draw, drawing, record, stack_masks
from word2mask.types import Sample, Turn

#: Of a question and its answer, roughly.
CHARACTERS_PER_EXPRESSION = 80


class ReferringImages(Source):
    """A picture a record; up to ``expressions_per_sample`` of its references as turns of one conversation.

    References are drawn without replacement and each one's sentence is drawn anew at every read. ``per_expression``: a
    sentence a record.

    Args:
        folder: where ``instances.json`` lies.
        split: ``train``, ``val``, ``testA``, ``testB`` or ``test``: those that the file has.
        split_by: whose splits, as its file's name says: ``unc`` and ``google``, ``umd`` and ``google`` for refcocog,
            ``unc`` and ``berkeley`` for refclef.
        image_folder: where the pictures lie; :attr:`pictures` without.
        expressions_per_sample: most turns of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a file is missing, damaged or unsafe, or has no record of the split.
    """

    #: The file of references, by whose splits they are.
    references: ClassVar[str]
    #: Where the pictures lie, from ``folder``, and which they are.
    pictures: ClassVar[tuple[str, str]] = ("coco2014/train2014", "the pictures of COCO train2014")

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
        self._file = folder / self.references.format(split_by)
        below, which = self.pictures
        self._image_folder = require_folder(Path(image_folder or os.path.normpath(folder / below)), which)
        refs = self._load()
        self._refs = [ref for ref in refs if self._is_in(split, str(ref.get("split")))]
        if not self._refs:
            check_split(self.name, split, sorted({str(ref.get("split")) for ref in refs}), self._file)
        by_image: dict[Any, list[int]] = {}
        for position, ref in enumerate(self._refs):
            by_image.setdefault(ref["image_id"], []).append(position)
        self._images = list(by_image.values())
        self._sentences = [
            (position, number) for position, ref in enumerate(self._refs) for number in range(len(ref["sentences"]))
        ]

    def media_folders(self) -> tuple[Path, ...]:
        return (self._image_folder,)

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
                question, answer, found = self._exchange(ref, clean_expression(ref["sentences"][number]["sent"]), rng)
                turns += [Turn("user", question), Turn("assistant", answer)]
                masks += found
            return Sample(
                source=self.name,
                id=record_id,
                task=self.tasks[0],
                turns=tuple(turns),
                media=media,
                masks=stack_masks(masks, media.frames.shape[1:3], media.name, self.per_expression) if masks else None,
                extra=self._describe(*chosen[0]) if self.per_expression else {},
            )

    def sizes(self) -> np.ndarray:
        sizes = super().sizes()
        if not self.per_expression:
            turns = [min(len(refs), self.expressions_per_sample) for refs in self._images]
            sizes[:, 1] = np.asarray(turns) * CHARACTERS_PER_EXPRESSION
        return sizes

    def rephrasings(self) -> list[list[int]]:
        """Records of the evaluation view that ask for the same in other words: a reference's sentences."""
        groups: dict[int, list[int]] = {}
        for index, (position, _) in enumerate(self._sentences):
            groups.setdefault(position, []).append(index)
        return list(groups.values())

    @staticmethod
    def _is_in(split: str, of_reference: str) -> bool:
        """Whether a reference of a split belongs to the split that is asked for."""
        return of_reference == split

    @abstractmethod
    def _load(self) -> list[dict]:
        """All references of the file, each with ``ref_id``, ``image_id``, ``split`` and a sentence at least."""

    @abstractmethod
    def _exchange(self, ref: dict, expression: str, rng: np.random.Generator) -> tuple[str, str, list[np.ndarray]]:
        """The question about an expression, its answer, and a mask, bool ``[H,W]``, for each ``[SEG]`` of it."""

    @abstractmethod
    def _describe(self, ref: dict, number: int) -> dict[str, Any]:
        """``extra`` of the sample of a reference's sentence ``number``."""


def clean_expression(text: str) -> str:
    """A sentence as it is asked: lower case, no space around it and no full stop at its end."""
    return text.strip().rstrip(".").strip().lower()
