"""A chat service that answers by a script, with faults on request: to try a run and measure it without a model.

    python -m word2mask.annotate.scripted_service --port 8000 --delay 0.05

An answer depends on nothing but the question, so that every run over the same videos gets the same. It says nothing
about what is in the pictures. Its length is that of real ones: the three texts of an expression have 84 words together,
Ref-SAV's mean (arXiv:2501.04001, §3.3). Tokens are counted as four letters each, and of pictures as Qwen3-VL does.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import io
import json
import logging
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from PIL import Image, UnidentifiedImageError

__all__ = ["Script", "application", "count_tokens"]

logger = logging.getLogger(__name__)

_COLOURS = ("red", "blue", "green", "white", "black", "brown", "grey", "orange")
_THINGS = ("dog", "car", "cup", "kite", "horse", "bicycle", "hat", "boat")
_PARTS = ("top", "base", "edge", "handle", "tail", "wheel", "strap", "corner")
_LOOKS = ("narrow", "round", "worn", "shiny", "heavy", "striped", "torn", "new")
_STUFFS = ("wood", "steel", "wool", "leather", "paper", "glass", "rubber", "stone")
_PLACES = ("left", "right", "front", "back")
_MOVES = ("turns", "stops", "runs", "waits", "rises", "falls", "circles", "leaves")

#: Pixels of a picture's side that are one token's (Qwen3-VL: patches of 16, merged two by two).
TOKEN_SIDE = 32
#: Base64 of a JPEG file's head, as much as its size is looked for in.
HEAD = 8192
FAULTS = ("busy", "broken", "cut", "garbage", "invalid", "slow")


@dataclass
class Script:
    """What the service does, and what it has seen.

    Attributes:
        delay: seconds for an answer.
        faults: probability of each fault: ``busy`` (429), ``broken`` (500), ``cut`` (the connection), ``garbage`` (a
            body that isn't JSON), ``invalid`` (an answer off its schema; never twice for one question), ``slow`` (as
            ``slow_delay`` says).
        slow_delay: seconds.
        capacity: answers worked on at the same time; others wait.
        seed: of the faults.
        answered: how often each question was answered, by its hash.
        counts: of faults and answers.
        busy_seconds: worked, over all places.
    """

    delay: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)
    slow_delay: float = 1.0
    capacity: int = 64
    seed: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    busy_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._places = asyncio.Semaphore(self.capacity)

    def draw_fault(self) -> str | None:
        """One of the faults, or none."""
        value = self._random.random()
        for name in FAULTS:
            value -= self.faults.get(name, 0.0)
            if value < 0:
                return name
        return None

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, or fails as told."""
        body = await request.json()
        fault = self.draw_fault()
        if fault is not None:
            self.counts[fault] += 1
        if fault == "busy":
            return web.Response(status=429, headers={"Retry-After": "0.01"}, text="too many requests")
        if fault == "broken":
            return web.Response(status=500, text="trouble inside")
        if fault == "cut":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if fault == "garbage":
            return web.Response(text='{"choices": [', content_type="application/json")
        async with self._places:
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(self.slow_delay if fault == "slow" else self.delay)
            self.busy_seconds += asyncio.get_running_loop().time() - start
        try:
            prompt = sum(count_tokens(message["content"]) for message in body["messages"])
        except UnidentifiedImageError:
            return web.Response(status=400, text="a picture that can't be read")
        text, question = script_answer(body)
        if fault == "invalid" and len(body["messages"]) == 1:
            text = f"Sure! {text[:-3]}"
        else:
            self.answered[question] += 1
        self.counts["answers"] += 1
        usage = {"prompt_tokens": prompt, "completion_tokens": len(text) // 4}
        content = {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}
        return web.Response(text=json.dumps(content), content_type="application/json")

    async def report(self, request: web.Request) -> web.Response:
        """What was seen so far."""
        twice = sum(count - 1 for count in self.answered.values())
        content = {"counts": dict(self.counts), "twice": twice, "busy_seconds": self.busy_seconds}
        return web.json_response(content)


def script_answer(body: dict[str, Any]) -> tuple[str, str]:
    """The answer to a request, and the hash of its question (a repair asks the same question)."""
    question = hashlib.sha256(json.dumps(body["messages"][0], sort_keys=True).encode()).hexdigest()
    choose = random.Random(question)
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    wanted = set(schema.get("properties", {}))
    answer: dict[str, Any]
    if "caption" in wanted:
        answer = {"recognisable": choose.random() >= 0.03, "caption": _fill(_CAPTION, choose)}
    elif "verdict" in wanted:
        verdict = "inconsistent" if choose.random() < 0.1 else "consistent"
        reason = "They name different things." if verdict == "inconsistent" else ""
        short = _fill("the {colour} {thing} with the {look} {part}", choose)
        answer = {"verdict": verdict, "reason": reason, "description": _fill(_OBJECT, choose), "short": short}
    elif "short" in wanted:
        answer = {"description": _fill(_MOTION, choose), "short": _fill("the thing that {move} and {move}", choose)}
    else:
        answer = {"description": _fill(_SCENE, choose)}
    return json.dumps(answer), question


_CAPTION = (
    "A {colour} {thing} with a {colour} {part} and a {look} {part}. It is made of {stuff}, and its {part} is {colour}. "
    "A {look} stripe runs along its {part}, which sets it apart from others of its kind."
)
_OBJECT = (
    "The object is a {colour} {thing} with a {colour} {part} and a {look} {part} of {stuff}, whose {part} is {colour}; "
    "a {look} stripe runs along its {part}."
)
_SCENE = (
    "It stands in the {place}, near a {colour} {thing}, with a {look} {thing} behind it and a {colour} {thing} before "
    "it, and alone of its kind is {look}."
)
_MOTION = (
    "At first it {move} towards the {place}, then it {move} beside a {colour} {thing} and {move} for a while, before "
    "at last it {move} at the {place} once more."
)


def _fill(sentence: str, choose: random.Random) -> str:
    """A sentence with words drawn for its places."""
    words = {
        "colour": _COLOURS,
        "thing": _THINGS,
        "part": _PARTS,
        "look": _LOOKS,
        "stuff": _STUFFS,
        "place": _PLACES,
        "move": _MOVES,
    }
    return re.sub(r"\{(\w+)\}", lambda place: choose.choice(words[place[1]]), sentence)


def count_tokens(content: str | list[dict[str, Any]]) -> int:
    """Tokens of a message's content: of words about four letters each, of a picture one for 32 × 32 pixels.

    Raises:
        UnidentifiedImageError: a picture that isn't one.
    """
    if isinstance(content, str):
        return len(content) // 4
    count = 0
    for part in content:
        if part["type"] == "text":
            count += len(part["text"]) // 4
            continue
        head = part["image_url"]["url"].partition(",")[2][:HEAD]
        with Image.open(io.BytesIO(base64.b64decode(head))) as picture:
            width, height = picture.size
        count += max(1, round(width / TOKEN_SIDE)) * max(1, round(height / TOKEN_SIDE))
    return count


def application(script: Script) -> web.Application:
    """The service."""
    service = web.Application(client_max_size=1 << 30)
    service.router.add_post("/v1/chat/completions", script.respond)
    service.router.add_get("/report", script.report)
    return service


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description="A chat service that answers by a script.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds for an answer")
    parser.add_argument("--capacity", type=int, default=64, help="answers at the same time")
    parser.add_argument("--seed", type=int, default=0)
    for name in FAULTS:
        parser.add_argument(f"--{name}", type=float, default=0.0, help="probability of this fault")
    arguments = parser.parse_args()
    faults = {name: getattr(arguments, name) for name in FAULTS}
    script = Script(arguments.delay, faults, capacity=arguments.capacity, seed=arguments.seed)
    options: dict[str, Any] = {"print": None, "access_log": None, "shutdown_timeout": 1.0}
    web.run_app(application(script), host=arguments.host, port=arguments.port, **options)


if __name__ == "__main__":
    main()
