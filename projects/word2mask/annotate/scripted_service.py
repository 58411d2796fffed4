"""A chat service that answers by a script, with faults on request: to try a run and measure it without a model.

    python -m word2mask.annotate.scripted_service --port 8000 --delay 0.05

An answer depends on nothing but the question, so that every run over the same videos gets the same. It says nothing
about what is in the pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

__all__ = ["Script", "application"]

logger = logging.getLogger(__name__)

_COLOURS = ("red", "blue", "green", "white", "black", "brown", "grey", "orange")
_THINGS = ("dog", "car", "cup", "kite", "horse", "bicycle", "hat", "boat")
_PLACES = ("left", "right", "front", "back")
_MOVES = ("turns", "stops", "runs", "waits", "rises", "falls", "circles", "leaves")
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
        text, question = script_answer(body)
        if fault == "invalid" and len(body["messages"]) == 1:
            text = f"Sure! {text[:-3]}"
        else:
            self.answered[question] += 1
        self.counts["answers"] += 1
        prompt = sum(len(str(message["content"])) for message in body["messages"]) // 4
        usage = {"prompt_tokens": min(prompt, 4000), "completion_tokens": len(text) // 4}
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
    colour, thing = choose.choice(_COLOURS), choose.choice(_THINGS)
    answer: dict[str, Any]
    if "caption" in wanted:
        answer = {"recognisable": choose.random() >= 0.03, "caption": f"A {colour} {thing}."}
    elif "verdict" in wanted:
        verdict = "inconsistent" if choose.random() < 0.1 else "consistent"
        reason = "They name different things." if verdict == "inconsistent" else ""
        short = f"the {colour} {thing}"
        answer = {"verdict": verdict, "reason": reason, "description": f"The object is {short[4:]}.", "short": short}
    elif "short" in wanted:
        move = f"{choose.choice(_MOVES)} and {choose.choice(_MOVES)}"
        answer = {"description": f"It {move} in the video.", "short": f"the thing that {move}"}
    else:
        answer = {"description": f"It is in the {choose.choice(_PLACES)}, near the {choose.choice(_THINGS)}."}
    return json.dumps(answer), question


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
    web.run_app(application(script), host=arguments.host, port=arguments.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
