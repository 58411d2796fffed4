"""Edits on the command line: how the edited file is called, what is asked for it, and what is refused or told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from word2mask.errors import UserError

if TYPE_CHECKING:
    from word2mask.inference.editing.edit import Edited, Progress
    from word2mask.inference.editing.instruction import Instruction
    from word2mask.types import Result

__all__ = ["KINDS", "edited", "edited_name", "question_of_edit", "refuse_unread_edit", "unread_notes"]

#: What an edited file may be: its suffix, or a folder of PNG frames.
KINDS = ("png", "jpg", "webp", "mp4", "webm", "gif", "frames")


def edited_name(stem: Path, instruction: Instruction, media: Any, kind: str | None = None) -> Path:
    """The name of an edited file.

    Args:
        stem: its path without a suffix.
        instruction: a cut-out needs a form with transparency.
        media: what is edited.
        kind: one of :data:`KINDS`; by what it is without.
    """
    from word2mask.inference.answer_folder import is_video

    if kind is None:
        moving = "webm" if instruction.effect.name == "cutout" else "mp4"
        kind = moving if is_video(media) else "png"
    return stem if kind == "frames" else stem.with_name(f"{stem.name}.{kind}")


def question_of_edit(instruction: Instruction | None, media: Any, has_region: bool) -> str:
    """What is asked where nothing but an edit was given; empty where nothing has to be asked: what is shown is meant.

    Raises:
        UserError: the instruction names nothing, and no region is shown.
    """
    from word2mask.inference.answer_folder import is_video
    from word2mask.inference.editing.edit import question_for

    if instruction is not None and instruction.what:
        return question_for(instruction.what, is_video(media))
    if not has_region:
        raise UserError(
            'the edit doesn\'t say what to change; name it ("blur the red car"), ask for it besides ("Please segment '
            'the red car."), or show it with a box, clicks or a mask'
        )
    return ""


def edited(
    session: Any,
    media: Any,
    instruction: Instruction,
    name: Path,
    result: Result | None,
    progress: Progress | None,
    is_answered: bool = False,
) -> Edited:
    """Writes the edited file; see :func:`word2mask.inference.editing.edit.edit`."""
    from word2mask.inference.editing.edit import edit

    return edit(session, media, instruction, name, result=result, is_answered=is_answered, progress=progress)


def refuse_unread_edit(session: Any, instruction: Instruction, question: str | None) -> None:
    """Stops an edit of what a question or the edit itself names in words that the model can't read.

    Raises:
        UserError: there are such words.
    """
    from word2mask.inference.editing.edit import refuse_unread
    from word2mask.text.expressions import expression_of

    refuse_unread(session, instruction.what or expression_of(question or ""))


def unread_notes(session: Any, question: str) -> tuple[str, ...]:
    """What to tell of words in a question that the model can't read."""
    from word2mask.inference.editing.edit import doubt_notes
    from word2mask.text.expressions import expression_of

    unread = session.unread(question)
    if not unread:
        return doubt_notes(session, expression_of(question))
    said = ", ".join(f'"{word}"' for word in unread)
    return (f"the model can't read {said}: its vocabulary has no piece of it; the answer may be about something else",)
