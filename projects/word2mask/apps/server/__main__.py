"""Starts the server: ``python tools/serve.py MODEL`` and ``word2mask serve MODEL``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from word2mask.apps.cli.options import find_model, usable_device
from word2mask.apps.ending import ends_when_told
from word2mask.apps.server.limits import Limits
from word2mask.errors import UserError

__all__ = ["main"]

KEY_VARIABLE = "WORD2MASK_API_KEY"
LOCAL = {"127.0.0.1", "::1", "localhost"}

logger = logging.getLogger("word2mask.server")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; every limit is an option."""
    parser = argparse.ArgumentParser(
        prog="word2mask serve",
        description="Answer over HTTP: OpenAI's chat format with masks.",
        epilog="example: word2mask serve DIR --port 8000, then open http://127.0.0.1:8000/docs",
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="folder of an exported model, or the name of one in pretrained/")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port (default 8000; 0 takes a free one)")
    parser.add_argument("--name", help="the model's name for clients (default: the folder's)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    parser.add_argument("--key-frames", type=int, default=5, help="frames of a video that the language model sees")
    parser.add_argument(
        "--api-key-file",
        type=Path,
        help=f"file with the key that clients have to send (default: the variable {KEY_VARIABLE}; without, no key)",
    )
    group = parser.add_argument_group("limits, whole numbers")
    for field in fields(Limits):
        option = f"--max-{field.name.replace('_', '-')}"
        group.add_argument(option, type=int, default=field.default, metavar="N", help=f"default {field.default}")
    return parser.parse_args(arguments)


def read_key(file: Path | None) -> str | None:
    """The key that clients have to send.

    Raises:
        UserError: the file can't be read, or there is nothing in it.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE)
        origin = KEY_VARIABLE
    else:
        try:
            key = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--api-key-file {file}: can't be read ({error}); give a text file with the key") from None
        origin = str(file)
    if key is None:
        return None
    if not key.strip() or not key.strip().isascii():
        raise UserError(
            f"{origin}: no key in it, or one that isn't plain ASCII; put one there, e.g. by openssl rand -hex 32"
        )
    return key.strip()


def serve(options: argparse.Namespace) -> None:
    """Loads the model and answers until it is told to stop."""
    limits = Limits(**{field.name: getattr(options, f"max_{field.name}") for field in fields(Limits)})
    if not 0 <= options.port <= 65535:
        raise UserError(f"--port is {options.port}; expected 0 … 65535")
    key = read_key(options.api_key_file)
    try:
        from word2mask.apps.server.listening import listen
    except ImportError as error:
        raise UserError(f"the server needs the extra apps ({error}): pip install -e '.[apps]'") from None
    from word2mask.apps.server.application import application
    from word2mask.inference.session import Session

    folder = find_model(options.model)
    session = Session.from_pretrained(folder, usable_device(options.device), key_frames=options.key_frames)
    name = options.name or folder.resolve().name
    if key is None and options.host not in LOCAL:
        logger.warning("without a key, everybody who reaches %s can ask; set %s", options.host, KEY_VARIABLE)
    gate = application(session, name, limits, key)
    asyncio.run(listen(gate, options.host, options.port, limits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Imports of others write at this level too, among them what they were sent.
    for noisy in ("httpx", "multipart", "python_multipart", "asyncio", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with ends_when_told():
            serve(parse_arguments(arguments))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
