"""``word2mask batch``: many requests from a file, answers to a file; a run that was stopped goes on where it stood."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from word2mask.apps.cli.edits import edited, edited_name, refuse_unread_edit
from word2mask.apps.cli.options import (
    add_generation,
    add_model,
    find_model,
    generation_of,
    open_session,
    session_options,
)
from word2mask.apps.cli.request_lines import Line, read_requests
from word2mask.apps.cli.result_lines import Results
from word2mask.apps.cli.terminal import say
from word2mask.errors import UserError
from word2mask.types import Generation, Request

__all__ = ["DESCRIPTION", "EXAMPLES", "add_arguments", "run"]

DESCRIPTION = "Answer a file of requests, one JSON object a line."
EXAMPLES = """examples:
  word2mask batch DIR requests.jsonl --out results.jsonl
  word2mask batch DIR requests.jsonl --out results.jsonl --batch-size 8 --device cuda
  word2mask batch DIR requests.jsonl --out results.jsonl --retry-failed

a request:
  {"id": "a1", "media": "picture.jpg", "text": "Please segment the red circle."}
  {"id": "a2", "media": "picture.jpg", "text": "What is region1?", "prompts": [{"box": [40, 30, 120, 95]}]}
  {"id": "a3", "media": "video.mp4", "edit": "turn the dog into ink wash from 2 s to 5 s"}
  {"id": "a4", "media": "video.mp4", "text": "What rolls?", "edit": "outline it in green", "edit_as": "gif"}

An edited file is results_edited/ID.mp4 (png for a picture) beside results.jsonl, and its line says so under "edited".

The same command goes on where a stopped run stood. What goes wrong with one request stands in its line, under "error",
and the others are answered; the exit code is 1 then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_model(parser)
    parser.add_argument("requests", type=Path, metavar="REQUESTS", help="file with a JSON object a line")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file of answers, a line each")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="requests answered together (default 1)")
    parser.add_argument("--retry-failed", action="store_true", help="try requests again that had an error")
    add_generation(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer what hasn't been answered."""
    if arguments.batch_size < 1:
        raise UserError(f"--batch-size is {arguments.batch_size}; expected 1 or more")
    generation = generation_of(arguments)
    lines = read_requests(arguments.requests)
    settings = {
        "model": str(find_model(arguments.model).resolve()),
        "dtype": arguments.dtype,
        **session_options(arguments),
        "generation": asdict(generation),
    }
    with Results(arguments.out) as results:
        if arguments.retry_failed:
            results.forget_failed()
        remaining = results.remaining(lines, settings)
        done = len(lines) - len(remaining)
        if remaining:
            session = open_session(arguments)
            _answer(session, remaining, generation, results, settings, arguments.batch_size, done)
        failed = len(results.failed)
    already = f" ({done} of them before)" if done else ""
    say(f"{len(lines) - failed} of {len(lines)} requests answered{already}, {failed} failed: {arguments.out}")
    return 1 if failed else 0


def _answer(
    session: Any,
    lines: Sequence[Line],
    generation: Generation,
    results: Results,
    settings: dict[str, Any],
    batch_size: int,
    done: int,
) -> None:
    """Answers requests and writes each down as soon as it is there."""
    from tqdm import tqdm

    place = results.path.with_name(f"{results.path.stem}_edited")
    bar = tqdm(total=done + len(lines), initial=done, unit="request", file=sys.stderr, disable=None)
    with bar:
        for start in range(0, len(lines), batch_size):
            for line, content in _together(session, lines[start : start + batch_size], generation, place):
                results.add(line, content, settings)
                bar.update()


def _together(
    session: Any, lines: Sequence[Line], generation: Generation, place: Path
) -> Iterator[tuple[Line, dict[str, Any]]]:
    """What is written down of each of some requests that are answered side by side; edited files go to ``place``."""
    requests: list[tuple[Line, Request]] = []
    for line in lines:
        try:
            request = line.request(generation)
            if line.instruction is not None:
                question = "" if line.is_of_edit or not request.turns else request.turns[-1].text
                refuse_unread_edit(session, line.instruction, question)
            requests.append((line, request))
        except UserError as error:
            yield line, {"error": str(error)}
    asking = [(line, request) for line, request in requests if request.turns]
    try:
        answers = session.batch([request for _, request in asking]) if asking else []
    except UserError as error:
        if len(lines) == 1:
            yield asking[0][0], {"error": str(error)}
            return
        # One of them stands in the way of the others; which, each says alone.
        for line, _ in requests:
            yield from _together(session, [line], generation, place)
        return
    found = {str(line.id): answer for (line, _), answer in zip(asking, answers, strict=True)}
    for line, request in requests:
        try:
            yield line, _written(session, line, request, found.get(str(line.id)), place)
        except UserError as error:
            yield line, {"error": str(error)}


def _written(session: Any, line: Line, request: Request, answer: Any, place: Path) -> dict[str, Any]:
    """What is written down of an answer; its edited file is written besides.

    Raises:
        UserError: what was to be edited isn't there, or the file can't be written.
    """
    if answer is None:
        answer = session.follow(request.media, request.prompts)
    content = answer.to_json(line.content.get("media", ""), request.turns[-1].text if request.turns else "")
    instruction = line.instruction
    if instruction is None:
        return content
    stem = place / quote(str(line.id), safe=" ")
    name = edited_name(stem, instruction, request.media, line.content.get("edit_as"))
    made = edited(session, request.media, instruction, name, answer, None, is_answered=line.is_of_edit)
    return {**content, "edited": str(made.path.relative_to(place.parent)), "notes": list(made.notes)}
