"""``word2mask ask``: one question about a picture or a video."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from word2mask.apps.cli.edits import (
    KINDS,
    edited,
    edited_name,
    question_of_edit,
    refuse_unread_edit,
    unread_notes,
)
from word2mask.apps.cli.options import add_generation, add_model, generation_of, open_session
from word2mask.apps.cli.pointing import add_pointing, prompts_of
from word2mask.apps.cli.terminal import Bar, lines_of, say, written
from word2mask.errors import UserError

__all__ = ["DESCRIPTION", "EXAMPLES", "add_arguments", "answer", "run"]

DESCRIPTION = "Ask about a picture or a video, and get words with masks."
EXAMPLES = """examples:
  word2mask ask DIR picture.jpg "Please segment the red circle."
  word2mask ask DIR picture.jpg "Please segment the red circle." --out answer
  word2mask ask DIR video.mp4 "What rolls behind the square?" --out answer --key-frames 8
  word2mask ask DIR picture.jpg "What is region1?" --box 40,30,120,95
  word2mask ask DIR video.mp4 "Where does region1 go?" --point 40,50@12
  word2mask ask DIR video.mp4 --edit "turn the dog into ink wash from 2 s to 5 s" --out answer
  word2mask ask DIR video.mp4 "What rolls behind the square?" --edit "outline it in green" --out answer
  word2mask ask DIR picture.jpg --box 40,30,120,95 --edit "remove it" --out answer
  word2mask ask DIR frames/ "How many stars are there?" --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_model(parser)
    parser.add_argument("media", type=Path, metavar="MEDIA", help="a picture, a video, or a folder of frames")
    parser.add_argument("text", nargs="?", help="what to find or ask; not needed where --edit names what to change")
    add_pointing(parser)
    group = parser.add_argument_group("output", "Without --out the answer is printed and nothing is written.")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder for masks, overlay and answer.json")
    group.add_argument("--overwrite", action="store_true", help="replace --out when it isn't empty")
    group.add_argument("--json", action="store_true", help="print the answer as JSON, masks as COCO run lengths")
    group.add_argument(
        "--edit", metavar="TEXT", help='edit what is meant, e.g. "turn the dog into ink wash"; needs --out'
    )
    group.add_argument(
        "--edit-as", choices=KINDS, help="kind of the edited file (default: png for a picture, mp4, webm for a cut-out)"
    )
    add_generation(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, write and tell."""
    question, result, path = answer(arguments)
    if arguments.json:
        content = result.to_json(str(arguments.media), question)
        say(json.dumps(content if path is None else {**content, "edited": str(path)}, ensure_ascii=False))
        return 0
    say("\n".join([*([result.text] if result.text else []), *lines_of(result)]))
    if arguments.out is not None:
        say(written(arguments.out))
    return 0


def answer(arguments: argparse.Namespace) -> tuple[str, Any, Path | None]:
    """The question and its answer, written to ``--out`` where that is given, and the edited file.

    Raises:
        UserError: something in the request has to be put right; nothing is written then.
    """
    from word2mask.data.media import open_media
    from word2mask.data.outputs import new_folder
    from word2mask.inference.answer_folder import write
    from word2mask.inference.editing.readings import read_instruction
    from word2mask.types import Request, Turn

    _check(arguments)
    settings = generation_of(arguments)
    instruction = None if arguments.edit is None else read_instruction(arguments.edit)
    media = open_media(arguments.media)
    prompts = prompts_of(arguments.prompts)
    question = arguments.text or question_of_edit(instruction, media, has_region=bool(prompts))
    request = Request((Turn("user", question),), media, prompts=prompts, generation=settings)
    place = nullcontext() if arguments.out is None else new_folder(arguments.out, arguments.overwrite)
    notes: tuple[str, ...] = ()
    path: Path | None = None
    with place as folder:
        session = open_session(arguments)
        if instruction is None:
            notes = unread_notes(session, question)
        else:
            refuse_unread_edit(session, instruction, arguments.text)
        with Bar() as report:
            result = session.ask(request, report) if question else session.follow(media, prompts, report)
            if instruction is not None and folder is not None:
                name = edited_name(folder / "edited", instruction, media, arguments.edit_as)
                is_answered = not arguments.text
                made = edited(session, media, instruction, name, result, report, is_answered=is_answered)
                doubts = () if instruction.what else unread_notes(session, question)
                notes, path = (*doubts, *made.notes), arguments.out / name.name
        if folder is not None:
            write(folder, result, media, question)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    return question, result, path


def _check(arguments: argparse.Namespace) -> None:
    """Raise UserError where the command line contradicts itself."""
    if not (arguments.text or "").strip() and (arguments.text is not None or arguments.edit is None):
        raise UserError('the question is empty; say what to find or ask, e.g. "Please segment the red circle."')
    if arguments.edit is not None and arguments.out is None:
        raise UserError("--edit makes a picture or a video; say with --out where to write it")
    if arguments.edit is None and arguments.edit_as is not None:
        raise UserError(f"--edit-as {arguments.edit_as} without --edit; say what to edit, or leave it out")
