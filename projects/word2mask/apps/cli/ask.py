"""``word2mask ask``: one question about a picture or a video."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

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
  word2mask ask DIR video.mp4 "Please segment the dog." --edit "blur it from 2 s to 5 s" --out answer
  word2mask ask DIR frames/ "How many stars are there?" --json
"""
#: What --edit-as may be: the suffix of the edited file, or a folder of PNG frames.
EDITED = ("png", "jpg", "webp", "mp4", "webm", "gif", "frames")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_model(parser)
    parser.add_argument("media", type=Path, metavar="MEDIA", help="a picture, a video, or a folder of frames")
    parser.add_argument("text", help="what to find or ask")
    add_pointing(parser)
    group = parser.add_argument_group("output", "Without --out the answer is printed and nothing is written.")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder for masks, overlay and answer.json")
    group.add_argument("--overwrite", action="store_true", help="replace --out when it isn't empty")
    group.add_argument("--json", action="store_true", help="print the answer as JSON, masks as COCO run lengths")
    group.add_argument(
        "--edit", metavar="TEXT", help='edit what is meant, e.g. "turn the dog into ink wash"; needs --out'
    )
    group.add_argument("--edit-as", choices=EDITED, help="kind of the edited file (default: png for a picture, mp4)")
    add_generation(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, write and tell."""
    result = answer(arguments)
    if arguments.json:
        say(json.dumps(result.to_json(str(arguments.media), arguments.text), ensure_ascii=False))
        return 0
    say("\n".join([result.text, *lines_of(result)]))
    if arguments.out is not None:
        say(written(arguments.out))
    return 0


def answer(arguments: argparse.Namespace) -> Any:
    """The answer, written to ``--out`` where that is given.

    Raises:
        UserError: something in the request has to be put right; nothing is written then.
    """
    from word2mask.data.media import open_media
    from word2mask.data.outputs import new_folder
    from word2mask.inference.answer_folder import is_video, write
    from word2mask.inference.editing.edit import edit
    from word2mask.inference.editing.readings import read_instruction
    from word2mask.types import Request, Turn

    if not arguments.text.strip():
        raise UserError('the question is empty; say what to find or ask, e.g. "Please segment the red circle."')
    if arguments.edit is not None and arguments.out is None:
        raise UserError("--edit makes a picture or a video; say with --out where to write it")
    if arguments.edit is None and arguments.edit_as is not None:
        raise UserError(f"--edit-as {arguments.edit_as} without --edit; say what to edit, or leave it out")
    settings = generation_of(arguments)
    instruction = None if arguments.edit is None else read_instruction(arguments.edit)
    media = open_media(arguments.media)
    prompts = prompts_of(arguments.prompts)
    request = Request((Turn("user", arguments.text),), media, prompts=prompts, generation=settings)
    place = nullcontext() if arguments.out is None else new_folder(arguments.out, arguments.overwrite)
    notes: tuple[str, ...] = ()
    with place as folder:
        session = open_session(arguments)
        with Bar() as report:
            result = session.ask(request, report)
            if instruction is not None:
                kind = arguments.edit_as or ("mp4" if is_video(media) else "png")
                name = "edited" if kind == "frames" else f"edited.{kind}"
                made = edit(session, media, instruction, folder / name, result=result, progress=report)
                notes = made.notes
        if folder is not None:
            write(folder, result, media, arguments.text)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    return result
