"""What a session answers: a result that writes itself to a folder and into the formats of other programs, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from word2mask.data.media import VideoFile
from word2mask.data.outputs import new_folder
from word2mask.inference import answer_folder
from word2mask.inference.formats import coco, fiftyone, label_studio, plain, supervision
from word2mask.types import Media, Result

if TYPE_CHECKING:
    import fiftyone as fo
    import supervision as sv

__all__ = ["Answer"]


@dataclass
class Answer(Result):
    """An answer, as :class:`~word2mask.types.Result`, with its ways out.

    Each ``from_…`` gives back what the ``to_…`` of the same name wrote: words, spans, scores and masks, bit for bit.
    """

    @classmethod
    def of(cls, result: Result) -> Self:
        """An answer with the contents of a result."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(Result)})

    def save(
        self,
        folder: str | Path,
        media: Media | VideoFile | None,
        question: str = "",
        edited: str | Path | None = None,
        overwrite: bool = False,
    ) -> None:
        """Writes a folder that appears when all is written: :func:`word2mask.inference.answer_folder.write` says what.

        Args:
            folder: its name; nothing may be in it yet.
            media: what was asked about, for the overlay.
            question: what was asked.
            edited: a picture or video made with this answer, copied beside.
            overwrite: replace a folder that isn't empty.

        Raises:
            UserError: the folder is taken or can't be written, ``media`` isn't what was answered, or the disk is full.
        """
        with new_folder(folder, overwrite) as work:
            answer_folder.write(work, self, media, question, edited)

    def to_json(self, media: str = "", question: str = "") -> dict[str, Any]:
        """Plain types for JSON: :func:`word2mask.inference.formats.plain.to_json`."""
        return plain.to_json(self, media, question)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` wrote, or an ``answer.json`` holds."""
        return cls.of(plain.from_json(content))

    def to_coco(self, media: str = "") -> dict[str, Any]:
        """A COCO dataset: :func:`word2mask.inference.formats.coco.to_coco`."""
        return coco.to_coco(self, media)

    @classmethod
    def from_coco(cls, content: Mapping[str, Any]) -> Self:
        """What :meth:`to_coco` wrote."""
        return cls.of(coco.from_coco(content))

    def to_supervision(self) -> sv.Detections | list[sv.Detections]:
        """Detections for a picture, a list of them for a video's frames, each as
        :func:`word2mask.inference.formats.supervision.to_supervision` makes it."""
        found = supervision.to_supervision(self)
        return found[0] if len(found) == 1 else found

    @classmethod
    def from_supervision(cls, detections: sv.Detections | Sequence[sv.Detections]) -> Self:
        """What :meth:`to_supervision` wrote."""
        several = detections if isinstance(detections, Sequence) else [detections]
        return cls.of(supervision.from_supervision(several))

    def to_fiftyone(self, media: str | Path) -> fo.Sample:
        """A sample: :func:`word2mask.inference.formats.fiftyone.to_fiftyone`."""
        return fiftyone.to_fiftyone(self, media)

    @classmethod
    def from_fiftyone(cls, sample: fo.Sample) -> Self:
        """What :meth:`to_fiftyone` wrote."""
        return cls.of(fiftyone.from_fiftyone(sample))

    def to_label_studio(self, media: str | Sequence[str], model: str = "word2mask") -> list[dict[str, Any]]:
        """Tasks to import: :func:`word2mask.inference.formats.label_studio.to_label_studio`."""
        return label_studio.to_label_studio(self, [media] if isinstance(media, str) else media, model)

    @classmethod
    def from_label_studio(cls, tasks: Sequence[dict[str, Any]]) -> Self:
        """What :meth:`to_label_studio` wrote."""
        return cls.of(label_studio.from_label_studio(tasks))

    @staticmethod
    def labeling_config(answers: Iterable[Result]) -> str:
        """Label Studio's XML for a project that takes the tasks of these answers."""
        return label_studio.labeling_config(answers)
