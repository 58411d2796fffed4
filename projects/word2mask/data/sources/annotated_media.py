"""What the data sets of one JSON file and one folder of media share: files, records, and their questions one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from word2mask.data import files
from word2mask.data.annotations import load_json, require_folder
from word2mask.data.media import MissingMedia
from word2mask.data.sources.interface import Source, record


class AnnotatedMedia(Source):
    """A JSON array of records, each about a picture or video of a folder.

    With ``per_expression`` a question with its answer is a record, without the turns before it.

    Args:
        annotations: the JSON file.
        media_folders: where the media lie; one folder or several.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or a folder is missing or damaged.
    """

    #: What lies in the folders, for messages.
    media: ClassVar[str] = "pictures"
    #: Key of a record's own id; its position stands in where it has none, or where there is no such key.
    id_key: ClassVar[str | None] = "id"

    def __init__(
        self,
        annotations: str | Path,
        media_folders: str | Path | Sequence[str | Path],
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        self._file = Path(annotations)
        folders = [media_folders] if isinstance(media_folders, (str, Path)) else media_folders
        self._folders = [require_folder(Path(folder), f"the {self.media} of {self._file.name}") for folder in folders]
        self.name = name or self._file.stem
        self.per_expression = per_expression
        self._records: list[Any] = self._load()
        self._positions: Sequence[int] = self._usable_positions()
        self._questions: list[tuple[int, int | None]] = []
        if per_expression:
            for position in self._positions:
                with record(self.name, self._record_id(position, None), self._file):
                    count = self._count_questions(self._records[position])
                self._questions += [(position, number) for number in ([None] if count is None else range(count))]

    def media_folders(self) -> tuple[Path, ...]:
        return tuple(self._folders)

    def __len__(self) -> int:
        return len(self._questions if self.per_expression else self._positions)

    def sizes(self) -> np.ndarray:
        sizes = super().sizes()
        if self.per_expression:
            return sizes
        for index, position in enumerate(self._positions):
            try:
                sizes[index] = self._size(self._records[position])
            except (KeyError, TypeError, AttributeError):
                continue  # Who reads the record says what is wrong with it.
        return sizes

    def _size(self, entry: Any) -> tuple[int, int]:
        """Frames and characters of a record."""
        return self.frames_per_sample, sum(len(message["value"]) for message in entry.get("conversations", ()))

    def _load(self) -> list[Any]:
        """The records of the file."""
        return load_json(self._file, list)

    def _usable_positions(self) -> Sequence[int]:
        """Which records of the file there are."""
        return range(len(self._records))

    @abstractmethod
    def _count_questions(self, entry: Any) -> int | None:
        """How many questions a record has; ``None`` where a record is one question and has no number for it."""

    def _locate(self, index: int) -> tuple[Any, int | None, str]:
        """The record, the number of its question (``None`` for all of it), and the sample's id."""
        position, number = self._questions[index] if self.per_expression else (self._positions[index], None)
        return self._records[position], number, self._record_id(position, number)

    def _record_id(self, position: int, question: int | None) -> str:
        entry = self._records[position]
        name = str(entry.get(self.id_key, position)) if isinstance(entry, dict) else str(position)
        return name if question is None else f"{name}/{question}"

    def _media_path(self, *file_names: str) -> Path:
        """Where a file lies: the first of its names that one of the folders has.

        Raises:
            UserError: it is in none.
        """
        places = [folder / name for name in file_names for folder in self._folders]
        found = next((place for place in places if files.exists(place)), None)
        if found is None and len(self._folders) > 1:
            raise MissingMedia(f"{file_names[0]} lies in none of {', '.join(map(str, self._folders))}")
        # Of one folder, whoever opens the file says best what is wrong.
        return found or places[0]


class AnnotatedPictures(AnnotatedMedia):
    """The same of pictures.

    Args:
        annotations: the JSON file.
        image_folder: where the pictures lie; one folder or several.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: when the file or folder is missing or damaged.
    """

    def __init__(
        self,
        annotations: str | Path,
        image_folder: str | Path | Sequence[str | Path],
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(annotations, image_folder, per_expression, name)
