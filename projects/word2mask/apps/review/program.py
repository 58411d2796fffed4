"""The program behind the review page: samples out, decisions into a JSONL, each on disk before the page goes on."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from aiohttp import web

from word2mask.annotate.quality.decisions import read_decisions
from word2mask.apps.review.page import PAGE
from word2mask.apps.review.samples import facts_of, frames_of
from word2mask.errors import UserError

__all__ = ["Review"]

#: The page is all of one piece; nothing comes from elsewhere, and no other page may hold it.
POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
SECURITY = {"Content-Security-Policy": POLICY}


class Review:
    """One reviewer's session.

    Args:
        samples: records to go through.
        media_folder: where their paths begin.
        decisions: the JSONL to append to; what is in it counts as decided, the last line of an object wins.

    Raises:
        UserError: the file holds something else.
    """

    def __init__(self, samples: list[dict[str, Any]], media_folder: Path, decisions: Path) -> None:
        self.samples, self.media_folder, self.file = samples, media_folder, decisions
        self.decisions = read_decisions(decisions) if decisions.exists() else {}

    def application(self) -> web.Application:
        """The routes."""
        program = web.Application()
        program.router.add_get("/", self._page)
        program.router.add_get(r"/sample/{number:\d+}", self._sample)
        program.router.add_post(r"/sample/{number:\d+}", self._decide)
        return program

    async def _page(self, request: web.Request) -> web.Response:
        open_ones = [place for place, record in enumerate(self.samples) if _key(record) not in self.decisions]
        page = PAGE.replace("load(START)", f"load({open_ones[0] if open_ones else 0})")
        return web.Response(text=page, content_type="text/html", headers=SECURITY)

    async def _sample(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _error(404, "no such sample")
        problem, frames = "", []
        try:
            frames = await asyncio.to_thread(frames_of, record, self.media_folder)
        except UserError as error:
            problem = str(error)
        decided = self.decisions.get(_key(record), {})
        content = {key: record[key] for key in ("video", "number", "texts", "short")}
        state = {"decision": decided.get("decision"), "note": decided.get("note", ""), "problem": problem}
        return web.json_response(
            content | state | self._standing(request) | {"facts": facts_of(record), "frames": frames}
        )

    def _standing(self, request: web.Request) -> dict[str, Any]:
        """How far the review is, and the next sample that isn't decided, seen from that of a request."""
        taken = [self.decisions.get(_key(sample), {}).get("decision") for sample in self.samples]
        here, total = int(request.match_info["number"]), len(self.samples)
        others = [place for place in [*range(here + 1, total), *range(here)] if taken[place] is None]
        kept, dropped = taken.count("keep"), taken.count("drop")
        return {
            "total": total,
            "decided": kept + dropped,
            "kept": kept,
            "dropped": dropped,
            "open": others[0] if others else None,
            "command": f"--decisions {self.file}",
        }

    async def _decide(self, request: web.Request) -> web.Response:
        record = self._record(request)
        if record is None:
            return _error(404, "no such sample")
        # A page of another site can't send this type without being asked for leave.
        if request.content_type != "application/json":
            return _error(415, "expected application/json")
        try:
            body = await request.json()
            decision, note = body["decision"], body.get("note", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error(400, "expected {decision, note}")
        if decision not in ("keep", "drop") or not isinstance(note, str):
            return _error(400, f"decision is {decision!r}; expected keep or drop, and a note in words")
        line = {"video": record["video"], "number": record["number"], "decision": decision, "note": note}
        try:
            self._append(line | {"long": record["long"]})
        except OSError as error:
            return _error(507, f"{self.file} can't be written: {error.strerror}")
        self.decisions[_key(record)] = line
        return web.json_response({})

    def _append(self, line: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
            file.flush()
            os.fsync(file.fileno())

    def _record(self, request: web.Request) -> dict[str, Any] | None:
        number = int(request.match_info["number"])
        return self.samples[number] if number < len(self.samples) else None


def _key(record: dict[str, Any]) -> tuple[str, int]:
    return record["video"], record["number"]


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
