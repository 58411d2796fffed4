"""The client against a service in trouble."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import pytest
from aiohttp import web

from word2mask.annotate.answers import SCHEMAS
from word2mask.annotate.client import ChatClient, Completion, Refused, _retry_after, user_message
from word2mask.annotate.limits import BudgetSpent, RateLimit, TokenBudget
from word2mask.annotate.preparing import data_url
from word2mask.annotate.settings import Endpoint, Limits
from word2mask.errors import UserError

QUICK = Limits(concurrency=8, timeout=2, attempts=3, backoff=0.01, longest_backoff=0.05)


def complete(url: str, limits: Limits = QUICK, count: int = 1, **options: object) -> list[Completion]:
    """Asks ``count`` questions at once."""

    async def run() -> list[Completion]:
        slots = asyncio.Semaphore(limits.concurrency)
        rate, budget = RateLimit(limits.requests_per_minute), TokenBudget(limits.token_budget)
        client = ChatClient(Endpoint(url, "m", **options), limits, slots, rate, budget)
        try:
            calls = [
                client.complete([user_message(f"q{n}")], {"max_tokens": 9}, SCHEMAS["scene"]) for n in range(count)
            ]
            return await asyncio.gather(*calls)
        finally:
            await client.close()

    return asyncio.run(run())


def test_every_fault_that_passes_is_waited_out(start_service: Callable) -> None:
    faults = {"busy": 0.15, "broken": 0.15, "cut": 0.15, "garbage": 0.1, "slow": 0.1}
    service = start_service(faults=faults, slow_delay=1.0, seed=3)
    found = complete(service.url, replace(QUICK, timeout=0.3, attempts=40), 60)
    assert len(found) == 60 and all(answer.text.startswith('{"description"') for answer in found)
    counts = service.script.counts
    assert min(counts[name] for name in faults) > 0, counts
    assert len(service.script.answered) == 60


def test_same_questions_same_answers(start_service: Callable) -> None:
    clean, faulty = start_service(), start_service(faults={"busy": 0.3, "cut": 0.2}, seed=1)
    assert complete(clean.url, count=20) == complete(faulty.url, replace(QUICK, attempts=40), 20)


def test_a_service_that_stays_down_stops_the_run(start_service: Callable) -> None:
    service = start_service(faults={"broken": 1.0})
    with pytest.raises(UserError, match=r"no answer after 3 attempts \(HTTP 500\); what was answered is kept"):
        complete(service.url)
    assert service.script.counts["broken"] == 3


def test_nobody_there() -> None:
    with pytest.raises(UserError, match="no answer after 3 attempts"):
        complete("http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, Refused, "HTTP 400: too long"),
        (401, UserError, "HTTP 401, the key is wrong or missing .*key in W2M_KEY"),
        (404, UserError, "no such URL or model .*model's name 'm'"),
    ],
)
def test_what_is_refused_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, serve_once: Callable, status: int, error: type[Exception], message: str
) -> None:
    monkeypatch.setenv("W2M_KEY", "secret")
    seen: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=status, text="too long")

    with pytest.raises(error, match=message):
        complete(serve_once(refuse), key_variable="W2M_KEY", structure="none")
    assert [request.headers["Authorization"] for request in seen] == ["Bearer secret"]


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, serve_once: Callable) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    bodies: list[dict] = []

    async def answer(request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        bodies.append(await request.json())
        return web.json_response({"choices": [{"message": {"content": None}}]})

    url = serve_once(answer)
    # No usage and no content: an empty answer, which its schema will refuse.
    assert complete(url) == [Completion("", 0, 0)]
    complete(url, structure="object")
    complete(url, structure="none")
    thoughtless = {"chat_template_kwargs": {"enable_thinking": False}, "max_completion_tokens": 7}
    complete(url, structure="none", extra=thoughtless, omit=("max_tokens",))
    first, second, third, fourth = bodies
    assert fourth == {"model": "m", "messages": [{"role": "user", "content": "q0"}]} | thoughtless
    assert third == {"model": "m", "messages": [{"role": "user", "content": "q0"}], "max_tokens": 9}
    assert second == third | {"response_format": {"type": "json_object"}}
    assert first["response_format"]["json_schema"]["schema"] == SCHEMAS["scene"]


@pytest.mark.parametrize(("status", "known", "tries"), [(400, {"json_object"}, 2), (422, set(), 3)])
def test_a_service_that_knows_no_schema_is_asked_in_a_weaker_way(
    serve_once: Callable, caplog: pytest.LogCaptureFixture, status: int, known: set[str], tries: int
) -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        kind = (await request.json()).get("response_format", {}).get("type")
        asked.append(kind)
        if kind is not None and kind not in known:
            return web.Response(status=status, text="response_format: unknown")
        return web.json_response({"choices": [{"message": {"content": "{}"}}]})

    found = complete(serve_once(answer), replace(QUICK, concurrency=1), 5)
    assert [answer.text for answer in found] == ["{}"] * 5
    expected = ["json_schema", "json_object", None][:tries]
    # Found out by the first question; all questions were waiting for their turn by then.
    assert sorted(map(str, set(asked))) == sorted(map(str, expected))
    assert asked[-1] == expected[-1] and asked.count(expected[-1]) == 5
    (warning,) = [record.message for record in caplog.records]
    assert "refuses structure = 'schema' (HTTP" in warning and "response_format: unknown" in warning


def test_a_form_that_was_taken_stays(serve_once: Callable) -> None:
    """A question that is refused for its own sake isn't asked in other forms."""
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append((body["messages"][0]["content"], body["response_format"]["type"]))
        if body["messages"][0]["content"] == "q1":
            return web.Response(status=400, text="too long")
        return web.json_response({"choices": [{"message": {"content": "{}"}}]})

    with pytest.raises(Refused, match="HTTP 400: too long"):
        complete(serve_once(answer), replace(QUICK, concurrency=1), 2)
    assert asked == [("q0", "json_schema"), ("q1", "json_schema")]


def test_a_service_that_lets_few_through_is_waited_for(serve_once: Callable) -> None:
    """One request every 20 ms, and 429 for all others: each of them meets it more often than it may fail."""
    let_through = [0.0]
    refused: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        question = (await request.json())["messages"][0]["content"]
        now = time.monotonic()
        if now < let_through[0] + 0.02:
            refused[question] += 1
            return web.Response(status=429, headers={"Retry-After": "0.02"})
        let_through[0] = now
        return web.json_response({"choices": [{"message": {"content": question}}]})

    limits = replace(QUICK, concurrency=32, attempts=4)
    found = complete(serve_once(answer), limits, 48)
    assert [answer.text for answer in found] == [f"q{number}" for number in range(48)]
    assert max(refused.values()) >= limits.attempts


def test_a_service_that_lets_none_through_stops_the_run(serve_once: Callable) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=429)

    with pytest.raises(UserError, match=r"no answer after 3 attempts \(HTTP 429\)"):
        complete(serve_once(answer), count=4)


def test_all_wait_when_one_is_asked_to(serve_once: Callable) -> None:
    times: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.Response(status=503, headers={"Retry-After": "0.5"})
        await asyncio.sleep(0.05)
        return web.json_response({"choices": [{"message": {"content": "{}"}}]})

    complete(serve_once(answer), replace(QUICK, concurrency=1, longest_backoff=5), 6)
    assert len(times) == 7 and times[1] - times[0] >= 0.5


def test_pictures_come_first() -> None:
    url = data_url(b"\xff\xd8")
    assert url == "data:image/jpeg;base64,/9g="  # base64 of ff d8, by hand
    picture = {"type": "image_url", "image_url": {"url": url}}
    assert user_message("What?", [url])["content"] == [picture, {"type": "text", "text": "What?"}]


def test_half_a_character_does_not_stop_a_run(serve_once: Callable) -> None:
    async def answer(request: web.Request) -> web.Response:
        body = r'{"choices": [{"message": {"content": "a\ud83d"}}]}'
        return web.Response(text=body, content_type="application/json")

    assert complete(serve_once(answer))[0].text == "a?"


def test_a_budget_stops_before_the_next_request(start_service: Callable) -> None:
    service = start_service()
    limits = replace(QUICK, concurrency=1, token_budget=20)
    with pytest.raises(BudgetSpent, match=r"the budget of 20 tokens is spent \(\d+\); what was answered is kept"):
        complete(service.url, limits, 20)
    assert 1 <= service.script.counts["answers"] <= 4


def test_a_rate_spaces_requests(start_service: Callable) -> None:
    service = start_service()
    start = time.monotonic()
    complete(service.url, replace(QUICK, requests_per_minute=1200), 6)
    assert time.monotonic() - start >= 5 * 0.05  # 1200 a minute: one every 50 ms, the first at once


def test_retry_after_is_a_number_or_a_date() -> None:
    assert _retry_after("2.5") == 2.5
    assert _retry_after(None) is None and _retry_after("soon") is None
    assert 20 < _retry_after(formatdate(time.time() + 30, usegmt=True)) <= 30
    assert _retry_after("-3") == 0.0


def test_retry_after_is_waited(serve_once: Callable) -> None:
    times: list[float] = []

    async def busy(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.Response(status=429, headers={"Retry-After": "0.3"})
        return web.json_response({"choices": [{"message": {"content": "{}"}}]})

    complete(serve_once(busy), replace(QUICK, longest_backoff=5))
    assert 0.3 <= times[1] - times[0] < 1.5
