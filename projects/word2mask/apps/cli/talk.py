"""A conversation as a terminal has it: questions, and commands that begin with a slash."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from word2mask.apps.cli.edits import edited, edited_name, refuse_unread_edit, unread_notes
from word2mask.apps.cli.pointing import prompts_of
from word2mask.apps.cli.terminal import Bar, lines_of, say, written
from word2mask.data.media import open_media
from word2mask.errors import UserError
from word2mask.inference.answer_folder import is_video
from word2mask.inference.editing.instruction import Instruction
from word2mask.inference.editing.readings import read_instruction
from word2mask.inference.frames import Frames
from word2mask.inference.visual_prompts import check_prompt
from word2mask.types import Generation

__all__ = ["COMMANDS", "HELP", "Talk"]

#: Every command: what follows it, and what it does.
COMMANDS = {
    "/image": ("PATH", "begin a conversation about a picture"),
    "/video": ("PATH", "begin a conversation about a video or a folder of frames"),
    "/box": ("x1,y1,x2,y2[@frame]", "show a region for the next question, which may call it region1"),
    "/point": ("x,y[,0][@frame]", "likewise, by a click"),
    "/mask": ("PATH[@frame]", "likewise, by a picture in black and white"),
    "/edit": ("TEXT [> FILE]", "change what the last answer found, or what TEXT names, in a new file"),
    "/save": ("DIR", "write the last answer: masks, overlay, answer.json"),
    "/undo": ("", "take the last question and its answer back"),
    "/new": ("", "forget what was said, and stay with the picture or video"),
    "/help": ("", "this list"),
    "/quit": ("", "end"),
}
HELP = "\n".join(f"  {f'{name} {after}'.strip():28}  {what}" for name, (after, what) in COMMANDS.items())


class Stopped(Exception):
    """The user stopped an answer."""


class Talk:
    """What was said, and about what.

    Args:
        session: answers.
        generation: how answers are written.
    """

    def __init__(self, session: Any, generation: Generation) -> None:
        self._session, self._generation = session, generation
        self._conversation = session.converse(None)
        #: (question, answer) of every turn that wasn't taken back.
        self._answered: list[tuple[str, Any]] = []
        self._shown: list[tuple[str, str]] = []

    def hear(self, line: str) -> bool:
        """Does what a line says: a command, or a question.

        Returns:
            Whether the conversation goes on.

        Raises:
            UserError: it can't be done; everything is as it was before.
        """
        line = line.strip()
        if not line.startswith("/"):
            if line:
                self._ask(line)
            return True
        name, _, rest = line.partition(" ")
        if name not in COMMANDS:
            raise UserError(f"{name}: no such command; /help lists them")
        needed, rest = COMMANDS[name][0], rest.strip()
        if bool(needed) != bool(rest):
            raise UserError(f"{line}: expected {name} {needed}".rstrip())
        if name == "/quit":
            return False
        self._do(name, rest)
        return True

    def look(self, path: str, expected: str = "") -> None:
        """Begins a conversation about a picture or a video.

        Args:
            path: of it.
            expected: ``"image"`` or ``"video"``, if it has to be one.

        Raises:
            UserError: it can't be read, or is the other.
        """
        media = open_media(Path(path).expanduser())
        kind = "video" if is_video(media) else "image"
        if expected and kind != expected:
            raise UserError(f"{path} is {'a video' if kind == 'video' else 'a picture'}; use /{kind} {path}")
        self._begin(media)
        height, width = media.frames.shape[1:3] if kind == "image" else media.size
        frames = f", {len(media)} frames" if kind == "video" else ""
        say(f"{path}: {width} x {height}{frames}")

    def _do(self, name: str, rest: str) -> None:
        """A command that doesn't end the conversation."""
        if name == "/help":
            say(HELP)
        elif name in ("/image", "/video"):
            self.look(rest, name.removeprefix("/"))
        elif name in ("/box", "/point", "/mask"):
            self._show(name.removeprefix("/"), rest)
        elif name == "/edit":
            self._edit(rest)
        elif name == "/save":
            self._save(Path(rest).expanduser())
        elif name == "/undo":
            self._conversation.undo()
            question, _ = self._answered.pop()
            say(f"taken back: {question}")
        else:
            self._begin(self._conversation.media)
            say("a new conversation")

    def _show(self, kind: str, text: str) -> None:
        """A region for the next question; read at once, so that a mistake is said where it was made, and forgotten."""
        shown = [*self._shown, (kind, text)]
        try:
            prompts = prompts_of(shown)
        except UserError as error:
            raise UserError(str(error).replace(f"--{kind}", f"/{kind}")) from error
        conversation = self._conversation
        if conversation.media is None:
            raise UserError(f"/{kind}: there is no picture or video yet; begin with /image or /video")
        source = Frames(conversation.media)
        for number, prompt in enumerate(prompts, start=len(conversation.prompts) + 1):
            check_prompt(prompt, source, f"region{number}")
        self._shown = shown
        say(f"the next question may speak of {len(prompts)} region{'s' if len(prompts) > 1 else ''}")

    def _begin(self, media: Any) -> None:
        self._conversation = self._session.converse(media)
        self._answered.clear()
        self._shown.clear()

    def _save(self, folder: Path) -> None:
        if not self._answered:
            raise UserError("/save: there is no answer yet; ask something first")
        question, answer = self._answered[-1]
        answer.save(folder, self._conversation.media, question)
        say(written(folder))

    def _edit(self, rest: str) -> None:
        """Writes an edited picture or video: of what the last answer found, or of what the edit names."""
        text, _, name = rest.rpartition(" > ") if " > " in rest else (rest, "", "")
        instruction = read_instruction(text)
        media = self._conversation.media
        if media is None:
            raise UserError("/edit: there is no picture or video yet; begin with /image or /video")
        is_shown = not instruction.what and bool(self._shown)
        if not (instruction.what or is_shown or self._answered):
            raise UserError(f"/edit {text}: there is no answer yet; ask for something first, or name what to change")
        question, result = self._answered[-1] if self._answered else ("", None)
        if not is_shown:
            refuse_unread_edit(self._session, instruction, question)
        path = Path(name.strip()).expanduser() if name else self._free_name(instruction)
        try:
            with _stoppable() as check, Bar() as bar:

                def progress(stage: str, done: int, total: int) -> None:
                    check()
                    bar(stage, done, total)

                if is_shown:
                    result = self._session.follow(media, prompts_of(self._shown), progress)
                made = edited(self._session, media, instruction, path, None if instruction.what else result, progress)
        except Stopped:
            say("stopped; nothing was written")
            return
        if is_shown:
            self._shown.clear()
        for line in lines_of(made.result) if instruction.what else ():
            say(line)
        for note in made.notes:
            say(note)
        say(f"written to {made.path}")

    def _free_name(self, instruction: Instruction) -> Path:
        """A name in the working directory that is free: ``dog_edited.mp4``, ``dog_edited_2.mp4`` …"""
        media = self._conversation.media
        stem = Path(media.name).stem or "picture"
        for number in itertools.count(1):
            last = "" if number == 1 else f"_{number}"
            name = edited_name(Path(f"{stem}_edited{last}"), instruction, media)
            if not name.exists():
                return name
        raise AssertionError("numbers don't end")

    def _ask(self, question: str) -> None:
        for note in unread_notes(self._session, question):
            say(note)
        prompts = prompts_of(self._shown)
        wrote = False

        def on_text(piece: str) -> None:
            nonlocal wrote
            wrote = True
            sys.stdout.write(piece)
            sys.stdout.flush()

        try:
            with _stoppable() as check, Bar() as bar:

                def progress(stage: str, done: int, total: int) -> None:
                    check()
                    if stage != "answer":  # whose words are seen as they come
                        if done <= 1:
                            end_line()
                        bar(stage, done, total)

                def end_line() -> None:
                    nonlocal wrote
                    if wrote:
                        say("")
                    wrote = False

                answer = self._conversation.ask(question, prompts, self._generation, on_text, progress)
                end_line()
        except Stopped:
            say("\nstopped; the question was taken back" if wrote else "stopped; the question was taken back")
            return
        self._answered.append((question, answer))
        self._shown.clear()
        for line in lines_of(answer):
            say(line)


@contextmanager
def _stoppable() -> Iterator[Any]:
    """Lets Ctrl-C stop an answer at its next step, so that the conversation stays whole; a second one ends the program.

    Yields:
        A function to call at every step; it raises :class:`Stopped`.
    """
    pressed = 0

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise Stopped

    # Signals reach the main thread alone, and only there can they be caught.
    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
