"""The command line of the web page: which model, on which device, reachable from where."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import threading
from dataclasses import replace
from typing import Any

from word2mask.apps.cli.options import find_model, usable_device
from word2mask.apps.ending import ends_when_told
from word2mask.apps.web.limits import Limits
from word2mask.errors import UserError

__all__ = ["add_page", "check_page", "main", "open_page", "parse_arguments"]

logger = logging.getLogger("web")

EXAMPLES = """examples:
  word2mask web DIR                                a page for this machine alone, at http://127.0.0.1:7860
  word2mask web DIR --host 0.0.0.0 --port 8080     reachable from other machines
  word2mask web DIR --device cuda --max-frames 300
"""


def add_page(parser: argparse.ArgumentParser) -> None:
    """The options that say where the page is and what visitors may bring."""
    limits = Limits()
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 is every one (default: own)")
    parser.add_argument("--port", type=int, default=7860, help="to listen at; 0 takes a free one (default: 7860)")
    parser.add_argument(
        "--share", choices=["on", "off"], default="off", help="a public address through Gradio's servers (default: off)"
    )
    parser.add_argument(
        "--max-frames", type=int, default=limits.frames, help="longest video, in frames; 1: pictures only"
    )
    parser.add_argument("--max-megapixels", type=float, default=limits.megapixels, help="largest picture")
    parser.add_argument("--max-megabytes", type=int, default=limits.megabytes, help="largest file")
    parser.add_argument(
        "--max-stored-megabytes", type=int, default=limits.stored_megabytes, help="all visitors' files on disk together"
    )
    parser.add_argument("--max-turns", type=int, default=limits.turns, help="questions in one conversation")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="word2mask web",
        description="A web page: drop a picture or a video, ask, point, and see masks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="folder of an exported model, or the name of one in pretrained/")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 …")
    parser.add_argument("--key-frames", type=int, default=5, help="frames of a video that the language model sees")
    add_page(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve until it is stopped; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse_arguments(arguments)
    try:
        with ends_when_told():
            check_page(options)
            from word2mask.inference.session import Session

            device, folder = usable_device(options.device), find_model(options.model)
            session = Session.from_pretrained(folder, device=device, key_frames=options.key_frames, mask_form="runs")
            open_page(session, folder.resolve().name, options)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def open_page(session: Any, name: str, options: argparse.Namespace, wait: bool = True) -> tuple[Any, str]:
    """Serves the page of a session.

    Args:
        session: answers.
        name: of the model, as the page shows it.
        options: as :func:`add_page` has them.
        wait: stay until the program is stopped.

    Returns:
        The page, to be closed, and its address.

    Raises:
        UserError: Gradio isn't installed, or the address can't be had.
    """
    limits = check_page(options)
    if not session.model.segmenter.tracks:
        # Nothing would be shown of a video but that it can't be answered.
        limits = replace(limits, frames=1)
    # Before gradio is imported: it would tell its makers that it was started.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from word2mask.apps.web.page import build_page, launch

    # Gradio looks whether its own address answers, and its HTTP client would say so.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    page = build_page(session, name, limits)
    stays = False
    try:
        address = launch(page, options.host, options.port, share=options.share == "on")
        logger.info("the page is at %s (stop with Ctrl-C)", address)
        if wait:
            # Gradio's own waiting would take Ctrl-C for an end like any other.
            threading.Event().wait()
        stays = True
    except OSError as error:
        raise UserError(
            f"--host {options.host} --port {options.port}: can't be listened at ({str(error).splitlines()[0]}); "
            "choose another port, or 0 for any that is free"
        ) from error
    finally:
        # Also where Ctrl-C comes before the waiting: the server's threads would keep the program from ending.
        if not stays:
            page.close()
    return page, address


def check_page(options: argparse.Namespace) -> Limits:
    """The limits that the options of :func:`add_page` name; for a look before a model is loaded.

    Raises:
        UserError: one that lets nothing through, a port that isn't one, or Gradio isn't installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs Gradio, which isn't installed; run pip install 'word2mask[apps]'")
    for name in ("max_frames", "max_megapixels", "max_megabytes", "max_stored_megabytes", "max_turns"):
        if getattr(options, name) <= 0:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected more than 0")
    if not 0 <= options.port <= 65535:
        raise UserError(f"--port {options.port}: expected 0 to 65535")
    if options.max_stored_megabytes < options.max_megabytes:
        raise UserError(
            f"--max-stored-megabytes is {options.max_stored_megabytes}; expected --max-megabytes, "
            f"{options.max_megabytes}, or more"
        )
    return Limits(
        megabytes=options.max_megabytes,
        stored_megabytes=options.max_stored_megabytes,
        megapixels=options.max_megapixels,
        frames=options.max_frames,
        turns=options.max_turns,
    )
