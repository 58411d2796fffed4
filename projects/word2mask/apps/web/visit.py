"""One visitor: what is looked at, what was said about it, what is shown of it, and the files made for the visitor."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.apps.web.disk import Disk
from word2mask.apps.web.limits import Limits, checked_media, shown_name
from word2mask.apps.web.regions import Marks
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.types import Media, Result, Segment, Turn, VisualPrompt

__all__ = ["Correction", "Exchange", "Files", "Visit"]

#: Files that were made for a visitor and are kept, the last ones.
MADE = 8


class Files:
    """Files for download: a secret name that leads to each, and nothing that leads anywhere else."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    def offer(self, path: Path) -> str:
        """A secret under which :meth:`find` gives this file."""
        token = secrets.token_urlsafe(24)
        self._paths[token] = path
        return token

    def find(self, token: str) -> Path | None:
        """The file of a secret, while it is offered."""
        path = self._paths.get(token)
        return path if path is not None and path.is_file() else None

    def withdraw(self, folder: Path) -> None:
        """Offers nothing below a folder any more."""
        for token in [token for token, path in list(self._paths.items()) if folder in path.parents]:
            del self._paths[token]


@dataclass(frozen=True, eq=False)
class Exchange:
    """A question and its answer.

    Attributes:
        question: the visitor's words.
        answer: of the session.
        prompts: what was marked for this question.
        seconds: that the answer took.
        is_said: whether it belongs to the conversation with the model; not what was masked by marks alone.
    """

    question: str
    answer: Result
    prompts: tuple[VisualPrompt, ...] = ()
    seconds: float = 0.0
    is_said: bool = True

    @cached_property
    def found(self) -> list[np.ndarray]:
        """bool ``[T]`` of each object: the frames on which it is. Kept, as it takes a look at every mask."""
        return [segment.found_on for segment in self.answer.segments]

    @cached_property
    def confidences(self) -> list[float]:
        """How sure the model is of each object, as :attr:`word2mask.types.Segment.confidence` defines it."""
        return [
            float(segment.scores[found].mean() if found.any() else segment.scores.max(initial=0.0))
            for segment, found in zip(self.answer.segments, self.found, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Correction:
    """What was shown before masks were made or corrected by marks.

    Attributes:
        exchange: as it was; ``None`` where there was no answer.
        steps: how many of :attr:`Visit.refinement` it took.
    """

    exchange: Exchange | None
    steps: int


@dataclass(eq=False)
class Visit:
    """The state of one visitor's page; nothing of it outlives the visit.

    Attributes:
        limits: of what the visitor may bring.
        files: that are offered for download.
        disk: that all visitors share; ``None`` uses the system's temporary folder.
        media: what is looked at, or ``None`` at first.
        exchanges: the conversation about it, oldest first.
        shown: number of the exchange whose masks are drawn.
        hidden: objects of it that aren't drawn.
        frame: of a video, counted from 0.
        opacity: of the masks, 0…1.
        tool: what a press on the picture does, as in :meth:`word2mask.apps.web.regions.Marks.add`.
        marks: for the next question.
        stopped: set to stop what runs or waits for the model; ``None`` when nothing does.
        begun: how many questions were asked, those that were stopped included; the number of the one that goes on.
        preview: the shown frame as an effect would make it, uint8 RGB ``[H,W,3]``, until something changes.
        conversation: the session's own memory of the turns, where it keeps one for this visitor.
        refinement: corrects the masks of the shown answer, once that was begun.
        corrections: what :meth:`undo_masks` brings back, the last step last.
    """

    limits: Limits = field(default_factory=Limits)
    files: Files = field(default_factory=Files)
    disk: Disk | None = None
    media: Media | VideoFile | None = None
    name: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    shown: int | None = None
    hidden: set[int] = field(default_factory=set)
    frame: int = 0
    opacity: float = 0.45
    tool: str = "on"
    marks: Marks = field(default_factory=Marks)
    stopped: threading.Event | None = None
    begun: int = 0
    preview: np.ndarray | None = None
    conversation: Any = None
    refinement: Any = None
    corrections: list[Correction] = field(default_factory=list)
    _folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Of this visitor's files; made when it is first asked for."""
        if self._folder is None:
            self._folder = self._new_folder()
        return self._folder

    def folder_for_one(self) -> Path:
        """A folder for one more file that is made; of those made before, the last few stay.

        Raises:
            UserError: the visitors' files fill what they may.
        """
        if self.disk is not None:
            self.disk.check()
        made = sorted((path for path in self.folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for oldest in made[: max(len(made) - MADE + 1, 0)]:
            self.files.withdraw(oldest)
            shutil.rmtree(oldest, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self.folder))

    @property
    def is_video(self) -> bool:
        """Whether there are several frames to go through."""
        return self.num_frames > 1

    @property
    def num_frames(self) -> int:
        """T; 0 without media."""
        if self.media is None:
            return 0
        return len(self.media.frames) if isinstance(self.media, Media) else len(self.media)

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)`` of what is looked at.

        Raises:
            UserError: nothing is.
        """
        if self.media is None:
            raise UserError("there is no picture or video yet; upload one, use the camera, or open an example")
        if isinstance(self.media, Media):
            return (int(self.media.frames.shape[1]), int(self.media.frames.shape[2]))
        return (int(self.media.size[0]), int(self.media.size[1]))

    @property
    def answer(self) -> Result | None:
        """The answer of :attr:`exchange`."""
        return None if self.exchange is None else self.exchange.answer

    @property
    def exchange(self) -> Exchange | None:
        """Whose masks are drawn."""
        return None if self.shown is None else self.exchanges[self.shown]

    @property
    def segments(self) -> Sequence[Segment]:
        """The objects of :attr:`answer`."""
        return [] if self.answer is None else self.answer.segments

    @property
    def num_regions(self) -> int:
        """Regions of earlier questions; those of the next are numbered on from there."""
        return sum(len(exchange.prompts) for exchange in self.exchanges)

    @property
    def prompts(self) -> tuple[VisualPrompt, ...]:
        """Regions of earlier questions, then those that are marked now."""
        earlier = (prompt for exchange in self.exchanges for prompt in exchange.prompts)
        return (*earlier, *self.marks.prompts(self.size)) if self.media is not None else ()

    def receive(self, path: str | Path, name: str) -> None:
        """Takes over an uploaded file, and starts a new conversation about it.

        Raises:
            UserError: not something that this page can look at; what was there stays.
        """
        media, folder = checked_media(path, name, self.limits), None
        if not isinstance(media, Media):
            # A video is read from its file as long as it is looked at, and the upload's own doesn't last.
            folder = self._new_folder()
            kept = folder / f"video{Path(path).suffix.lower()}"
            _keep(Path(path), kept)
            media = VideoFile(kept)
        self.look_at(media, shown_name(name), folder)

    def look_at(self, media: Media | VideoFile, name: str, folder: Path | None = None) -> None:
        """Starts a new conversation about a picture or a video; ``folder`` is the visitor's own from now on."""
        self.stop()
        self._remove_files()
        self.media, self.name, self._folder = media, name, folder
        self.frame = 0
        self.restart()

    def restart(self) -> None:
        """Forgets the conversation, and keeps the picture or video."""
        self.exchanges, self.shown, self.hidden, self.preview = [], None, set(), None
        self.conversation = self.refinement = None
        self.corrections = []
        self.marks = Marks(self.limits.regions)

    def shown_frame(self) -> np.ndarray:
        """uint8 RGB ``[H,W,3]``, the frame that is looked at."""
        assert self.media is not None
        if isinstance(self.media, Media):
            return self.media.frames[self.frame]
        return self.media.read([self.frame])[0]

    def shown_masks(self) -> np.ndarray:
        """bool ``[N,H,W]`` of the shown frame; of hidden objects, and where one isn't found, without any pixel."""
        masks = np.zeros((len(self.segments), *self.size), dtype=bool)
        for number, segment in enumerate(self.segments):
            if number not in self.hidden:
                masks[number] = segment.masks[self.frame]
        return masks

    def turns(self, question: str) -> tuple[Turn, ...]:
        """The conversation so far with one more question, as the session takes it.

        Raises:
            UserError: there have been as many questions as this page takes.
        """
        if len(self.exchanges) >= self.limits.turns:
            raise UserError(
                f"{len(self.exchanges)} questions were asked about this, the most that one conversation takes; start a "
                "new one with “New conversation”"
            )
        said = [
            turn
            for exchange in self.exchanges
            if exchange.is_said
            for turn in (Turn("user", exchange.question), Turn("assistant", exchange.answer.raw_text))
        ]
        return (*said, Turn("user", question))

    def add(self, exchange: Exchange) -> None:
        """Takes in an answer, and shows its masks on the first frame that has any."""
        self.exchanges.append(exchange)
        self.marks.clear()
        if exchange.answer.segments or self.shown is None:
            self.show(len(self.exchanges) - 1)

    def take_masks(self, answer: Result) -> None:
        """Takes in what was masked or corrected by marks: new masks for the shown answer, or an entry of their own."""
        self.corrections.append(Correction(self.exchange, len(self.marks.regions)))
        self.marks.clear()
        self.preview = None
        if self.shown is None:
            self.exchanges.append(Exchange("", answer, is_said=False))
            self.shown = len(self.exchanges) - 1
        else:
            self.exchanges[self.shown] = replace(self.exchanges[self.shown], answer=answer)

    def undo_masks(self) -> None:
        """Takes back the last step that :meth:`take_masks` took in.

        Raises:
            UserError: nothing of the shown answer was masked or corrected by marks.
        """
        if not self.corrections or self.shown is None:
            raise UserError("no mask of this answer was made or corrected by marks; there is nothing to undo")
        last = self.corrections.pop()
        if self.refinement is not None:
            for _ in range(last.steps):
                self.refinement.undo()
        self.preview = None
        if last.exchange is None:
            del self.exchanges[self.shown]
            self.shown, self.hidden, self.refinement = None, set(), None
        else:
            self.exchanges[self.shown] = last.exchange
            self.hidden = {number for number in self.hidden if number < len(self.segments)}

    def show(self, number: int) -> None:
        """Shows the masks of an exchange.

        Raises:
            UserError: there is no such exchange.
        """
        if not 0 <= number < len(self.exchanges):
            raise UserError("this answer isn't there any more; choose another")
        self.shown, self.hidden, self.preview, self.refinement = number, set(), None, None
        self.corrections = []
        found = self.exchanges[number].found
        if found and not any(frames[self.frame] for frames in found) and np.any(found):
            self.frame = int(np.any(found, axis=0).argmax())

    def toggle(self, number: int) -> None:
        """Draws an object, or leaves it out."""
        if 0 <= number < len(self.segments):
            self.hidden ^= {number}
            self.preview = None

    def stop(self) -> None:
        """Stops what runs, at its next report, and what waits; something else may begin at once."""
        if self.stopped is not None:
            self.stopped.set()
            # What was being masked may be half noted there.
            self.stopped = self.refinement = None

    def close(self) -> None:
        """The visitor has left: nothing goes on and nothing stays."""
        self.stop()
        self.media = None
        self.restart()
        self._remove_files()

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="word2mask-visit-")) if self.disk is None else self.disk.new_folder()

    def _remove_files(self) -> None:
        if self._folder is not None:
            self.files.withdraw(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _keep(path: Path, kept: Path) -> None:
    """Another name for a file, or where there can't be one, a copy."""
    try:
        os.link(path, kept)
    except OSError:
        shutil.copyfile(path, kept)
