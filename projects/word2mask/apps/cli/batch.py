"""``word2mask batch``: many requests from a file, answers to a file; a run that was stopped goes on where it stood."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from word2mask.types import Generation

__all__ = ["DESCRIPTION", "EXAMPLES", "add_arguments", "run"]

DESCRIPTION = "Answer a file of requests, one JSON object a line."
EXAMPLES = """examples:
  word2mask batch DIR requests.jsonl --out results.jsonl
  word2mask batch DIR requests.jsonl --out results.jsonl --batch-size 8 --device cuda
  word2mask batch DIR requests.jsonl --out results.jsonl --retry-failed

a request:
  {"id": "a1", "media": "picture.jpg", "text": "Please segment the red circle."}
  {"id": "a2", "media": "picture.jpg", "text": "What is region1?", "prompts": [{"box": [40, 30, 120, 95]}]}

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

    bar = tqdm(total=done + len(lines), initial=done, unit="request", file=sys.stderr, disable=None)
    with bar:
        for start in range(0, len(lines), batch_size):
            for line, content in _together(session, lines[start : start + batch_size], generation):
                results.add(line, content, settings)
                bar.update()


def _together(session: Any, lines: Sequence[Line], generation: Generation) -> Iterator[tuple[Line, dict[str, Any]]]:
    """What is written down of each of some requests that are answered side by side."""
    requests = []
    for line in lines:
        try:
            requests.append((line, line.request(generation)))
        except UserError as error:
            yield line, {"error": str(error)}
    if not requests:
        return
    try:
        answers = session.batch([request for _, request in requests])
    except UserError as error:
        if len(requests) == 1:
            yield requests[0][0], {"error": str(error)}
            return
        # One of them stands in the way of the others; which, each says alone.
        for line, _ in requests:
            yield from _together(session, [line], generation)
        return
    for (line, _), answer in zip(requests, answers, strict=True):
        yield line, answer.to_json(line.content.get("media", ""), line.question)
