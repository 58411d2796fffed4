"""What ADE20K, COCO-Stuff, Mapillary, PACO-LVIS and PASCAL-Part share: pictures in which whole classes are labelled.

A class is asked for by its name and answered with the mask of all that belongs to it. The questions, up to three
classes of a picture, drawn anew at every read, follow LISA's ``utils/sem_seg_dataset.py`` (dvlab-research/LISA,
3cb2d43).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from word2mask.data import files
from word2mask.data.annotations import require_folder
from word2mask.data.media import open_image
from word2mask.data.sources.indexed_videos import read_indices
from word2mask.data.sources.interface import Source, draw, drawing, record, stack_masks
from word2mask.data.sources.referring_images import CHARACTERS_PER_EXPRESSION
from word2mask.errors import UserError
from word2mask.text.questions import named_class, no_target_answer, segmentation_answer, segmentation_question
from word2mask.types import Media, Sample, Turn

#: Pictures tried in place of one in which there is nothing to ask for, before a data set is given up as unlabelled.
MOST_DRAWS = 100


@dataclass(frozen=True)
class Labels:
    """What is labelled in one picture.

    Attributes:
        present: for each class to ask for, what makes it up: indices of a label picture or ids of annotations.
        absent: classes that aren't in the picture for certain.
        draw: from what makes a class up to its mask, bool ``[H,W]``.
        void: bool ``[H,W]``, true where the picture isn't labelled; ``None`` where all of it is.
    """

    present: Mapping[str, Sequence[int]]
    absent: Sequence[str]
    draw: Callable[[Sequence[int]], np.ndarray]
    void: np.ndarray | None = None


class SemanticPictures(Source):
    """A picture a record; up to ``classes_per_sample`` of its classes as turns of one conversation, a mask each.

    A picture in which there is nothing to ask for gives way to another one, which ``rng`` draws; the sample's id then
    names both. ``per_expression``: a class of a picture a record; ``extra`` holds besides ``class_name``, the class as
    the data set calls it.

    Args:
        name: what to call it.
        classes_per_sample: most turns of a training sample.
        negatives: how often a question asks for a class that isn't in the picture, 0…1; the answer says so in words.
            None is asked for twice in a sample.
        per_expression: the view for evaluation.

    Raises:
        UserError: when ``negatives`` is no share.
    """

    tasks = ("semantic",)

    def __init__(self, name: str, classes_per_sample: int, negatives: float, per_expression: bool) -> None:
        if not 0 <= negatives <= 1:
            raise UserError(f"{name}: negatives is a share of the questions, got {negatives}; give a number in 0…1")
        if classes_per_sample < 1:
            raise UserError(f"{name}: classes_per_sample is {classes_per_sample}; give 1 or more")
        self.name = name
        self.classes_per_sample = classes_per_sample
        self.negatives = negatives
        self.per_expression = per_expression
        self._questions: list[tuple[int, str]] = []
        if per_expression:
            for position in range(self._num_pictures()):
                with record(self.name, self._picture_id(position), self._annotation(position)):
                    self._questions += [(position, key) for key in self._classes(position)]

    def __len__(self) -> int:
        return len(self._questions) if self.per_expression else self._num_pictures()

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        if self.per_expression:
            sample = self._read(*self._questions[index], rng)
            assert sample is not None  # it was asked for because it is there
            return sample
        position = index
        for _ in range(MOST_DRAWS):
            sample = self._read(position, None, rng)
            if sample is not None:
                return sample if position == index else replace(sample, id=f"{sample.id} for {self._picture_id(index)}")
            position = int(rng.integers(len(self)))
        raise UserError(
            f"{self.name}[{self._picture_id(index)}]: no class is labelled in it, nor in {MOST_DRAWS - 1} others that "
            f"were drawn in its place; {self._annotation(index)} and the others aren't of this data set, or not whole"
        )

    def sizes(self) -> np.ndarray:
        sizes = super().sizes()
        if not self.per_expression:
            sizes[:, 1] = CHARACTERS_PER_EXPRESSION * self.classes_per_sample
        return sizes

    def _read(self, position: int, only: str | None, rng: np.random.Generator) -> Sample | None:
        """The sample of a picture, about one class ``only`` or those that are drawn; ``None`` with none to ask for."""
        picture_id = self._picture_id(position)
        record_id = picture_id if only is None else f"{picture_id}/{only}"
        with record(self.name, record_id, self._annotation(position)):
            media = open_image(self._picture(position))
            labels = self._labels(position, media)
            chosen = draw(list(labels.present), self.classes_per_sample, rng) if only is None else [only]
            absent = draw(labels.absent, len(chosen), rng) if only is None and self.negatives else []
            turns: list[Turn] = []
            masks: list[np.ndarray] = []
            for key in chosen:
                if absent and rng.random() < self.negatives:
                    phrase = self._phrase(absent.pop(), rng)
                    answer = no_target_answer(phrase, rng)
                else:
                    phrase = self._phrase(key, rng)
                    answer = segmentation_answer(1, rng)
                    masks.append(labels.draw(labels.present[key]))
                turns += [Turn("user", segmentation_question(phrase, rng)), Turn("assistant", answer)]
            if not turns:
                return None
            size = media.frames.shape[1:3]
            extra = {} if only is None else {"expression": phrase, "kind": self._kind(only), "class_name": only}
            return Sample(
                source=self.name,
                id=record_id,
                task=self.tasks[0],
                turns=tuple(turns),
                media=media,
                masks=stack_masks(masks, size, media.name, self.per_expression) if masks else None,
                void=None if labels.void is None else labels.void[None],
                extra=extra,
            )

    def _phrase(self, class_name: str, rng: np.random.Generator) -> str:
        """How a class is asked for."""
        return named_class(class_name)

    def _kind(self, class_name: str) -> str:
        """``extra["kind"]`` of a class."""
        return ""

    @abstractmethod
    def _num_pictures(self) -> int:
        """How many there are."""

    @abstractmethod
    def _picture_id(self, position: int) -> str:
        """Its name in messages."""

    @abstractmethod
    def _picture(self, position: int) -> Path:
        """Where it lies."""

    @abstractmethod
    def _annotation(self, position: int) -> Path:
        """The file that its labels stand in."""

    def _classes(self, position: int) -> Sequence[str]:
        """The classes of a picture to ask for."""
        return list(self._labels(position, open_image(self._picture(position))).present)

    @abstractmethod
    def _labels(self, position: int, media: Media) -> Labels:
        """What is labelled in the picture, which ``media`` holds."""


class LabelPictures(SemanticPictures):
    """Pictures with a label picture each, whose pixels hold the index of a class.

    ``per_expression`` reads all of them when it is built.

    Args:
        label_folder: the label pictures, ``.png``; there is a record for each.
        image_folder: the pictures, ``.jpg``, of the same names.
        classes: index → name; two of the same name are one class.
        void: indices of pixels that belong to no class: not asked for, and neither loss nor metric looks at them.
        unasked: names that aren't asked for; their pixels are background.
        name: as :class:`SemanticPictures`, like the following.

    Raises:
        UserError: when a folder is missing or has no label picture.
    """

    #: What lies in the folders, for messages.
    what: ClassVar[str]

    def __init__(
        self,
        label_folder: Path,
        image_folder: Path,
        classes: Mapping[int, str],
        void: Sequence[int],
        unasked: Collection[str] = (),
        *,
        name: str,
        classes_per_sample: int,
        negatives: float,
        per_expression: bool,
    ) -> None:
        require_folder(label_folder, f"the label pictures of {self.what}")
        self._label_files = sorted(entry for entry in files.list_folder(label_folder) if entry.suffix == ".png")
        self._image_folder = require_folder(image_folder, f"the pictures of {self.what}")
        if not self._label_files:
            raise UserError(f"{label_folder}: no .png in it; expected the label pictures of {self.what} there")
        self._indices: dict[str, list[int]] = {}
        for index, class_name in classes.items():
            if class_name not in unasked:
                self._indices.setdefault(class_name, []).append(index)
        self._is_void = np.isin(np.arange(256), list(void))
        self._is_known = self._is_void | np.isin(np.arange(256), list(classes))
        self._label_folder = label_folder
        super().__init__(name, classes_per_sample, negatives, per_expression)

    def media_folders(self) -> tuple[Path, ...]:
        return (self._image_folder, self._label_folder)

    def _num_pictures(self) -> int:
        return len(self._label_files)

    def _picture_id(self, position: int) -> str:
        return self._label_files[position].stem

    def _picture(self, position: int) -> Path:
        return self._image_folder / f"{self._label_files[position].stem}.jpg"

    def _annotation(self, position: int) -> Path:
        return self._label_files[position]

    def _labels(self, position: int, media: Media) -> Labels:
        height, width = media.frames.shape[1:3]
        indices = read_indices(self._label_files[position], (height, width))
        found = np.bincount(indices.reshape(-1), minlength=256) > 0
        if (found & ~self._is_known).any():
            unknown = int(np.flatnonzero(found & ~self._is_known)[0])
            raise ValueError(f"its pixels have index {unknown}, which {self.what} gives no class")
        present = {name: members for name, members in self._indices.items() if found[members].any()}
        void = self._is_void[indices]
        return Labels(
            present=present,
            absent=[name for name in self._indices if name not in present],
            draw=partial(np.isin, indices),
            void=void if void.any() else None,
        )


def names_by_index(text: str, first: int) -> dict[int, str]:
    """Class names that a file lists in order, separated by commas, from the index ``first`` up."""
    return dict(enumerate((" ".join(name.split()) for name in text.split(",")), start=first))
