"""``word2mask chat``: a conversation about pictures and videos in a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from word2mask.apps.cli.options import add_generation, add_model, generation_of, open_session
from word2mask.apps.cli.talk import HELP, Talk
from word2mask.apps.cli.terminal import say
from word2mask.errors import UserError

__all__ = ["DESCRIPTION", "EXAMPLES", "add_arguments", "run"]

DESCRIPTION = "Talk about a picture or a video in a terminal, turn by turn."
EXAMPLES = f"""examples:
  word2mask chat DIR
  word2mask chat DIR picture.jpg
  printf '/video video.mp4\\n/edit blur the red circle from 2 s to 5 s > blurred.mp4\\n' | word2mask chat DIR
  printf '/image picture.jpg\\nWhat is there?\\n/save answer\\n' | word2mask chat DIR

in the conversation:
{HELP}

Ctrl-C stops an answer, Ctrl-D ends. From a pipe, the first thing that goes wrong ends with exit code 2.
"""
PROMPT = "> "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_model(parser)
    parser.add_argument(
        "media", nargs="?", metavar="MEDIA", help="what to begin with: a picture, video, folder of frames"
    )
    parser.add_argument(
        "--history", type=Path, metavar="FILE", help="keep what you type here, for the arrow keys next time"
    )
    add_generation(parser)


def run(arguments: argparse.Namespace) -> int:
    """Talk until the user ends it."""
    settings = generation_of(arguments)
    is_terminal = sys.stdin.isatty()
    lines = _typed(arguments.history) if is_terminal else _piped()
    talk = Talk(open_session(arguments), settings)
    if is_terminal:
        say("Type a question, or /help. Ctrl-C stops an answer, Ctrl-D ends.")
    if arguments.media:
        talk.look(arguments.media)
    for line in lines:
        try:
            if not talk.hear(line):
                return 0
        except UserError as error:
            if not is_terminal:
                raise
            say(str(error))
    return 0


def _piped() -> Iterator[str]:
    """Lines of a pipe or file."""
    return (line.rstrip("\n") for line in sys.stdin)


def _typed(history: Path | None) -> Iterator[str]:
    """Lines that a person types, with editing and history; Ctrl-C empties the line, Ctrl-D ends.

    Raises:
        UserError: the history file can't be used.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from word2mask.apps.cli.talk import COMMANDS

    if history is not None:
        try:
            history.touch(mode=0o600)
        except OSError as error:
            raise UserError(f"--history {history}: can't be written ({error.strerror}); choose another file") from None
    kept = InMemoryHistory() if history is None else FileHistory(str(history))
    # The menu of commands comes by the tab key, and takes no lines before.
    prompt: PromptSession[str] = PromptSession(
        history=kept,
        completer=WordCompleter(sorted(COMMANDS), sentence=True),
        complete_while_typing=False,
        reserve_space_for_menu=0,
    )

    def typed() -> Iterator[str]:
        while True:
            try:
                yield prompt.prompt(PROMPT)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return

    return typed()
