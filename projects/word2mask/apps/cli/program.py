"""The program ``word2mask``: its subcommands, and what their errors mean to a shell."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from word2mask.apps.cli import ask, batch, chat
from word2mask.errors import UserError

__all__ = ["main", "parse_arguments"]

DESCRIPTION = "Language that points at pixels: ask about pictures and videos, and get words with masks."
EPILOG = """examples:
  word2mask ask DIR picture.jpg "Please segment the red circle." --out answer
  word2mask chat DIR
  word2mask batch DIR requests.jsonl --out results.jsonl
  word2mask web DIR
  word2mask serve DIR

exit codes: 0 done, 1 some requests of a batch failed, 2 something has to be put right, 130 interrupted
"""
#: Subcommands of this package, and those that are programs of their own: what they do and where their ``main`` is.
OWN = {"ask": ask, "chat": chat, "batch": batch}
OTHERS = {
    "web": ("a web page to ask, point and see masks (extra apps)", "word2mask.apps.web.command"),
    "serve": (
        "an HTTP server that speaks OpenAI's chat format, with masks (extra apps)",
        "word2mask.apps.server.__main__",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand, and turn errors that the user can put right into one sentence.

    Returns:
        The exit code: 0, 1 when some requests of a batch failed, 2 when something has to be put right, 130 when the
        user interrupted it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in OTHERS:
            return import_module(OTHERS[given[0]][1]).main(given[1:])
        options = parse_arguments(given)
        return OWN[options.command].run(options)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of the subcommands of this package."""
    parser = argparse.ArgumentParser(
        prog="word2mask",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in OWN.items():
        own = commands.add_parser(
            name,
            help=module.DESCRIPTION,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(own)
    for name, (what, _) in OTHERS.items():
        commands.add_parser(name, help=what, add_help=False)
    return parser.parse_args(arguments)
