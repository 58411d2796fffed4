"""OpenAI's own client against a server at a port: what goes wrong arrives as the client's own exceptions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest
from server_requests import asked, png

Connect = Callable[..., openai.OpenAI]


@pytest.fixture
def connect(listen: Callable[..., int]) -> Iterator[Connect]:
    """A client of a new server: ``connect(given="right", max_retries=0, **limits)``; the server's key is "right"."""
    clients = []

    def start(given: str = "right", max_retries: int = 0, **limits: int) -> openai.OpenAI:
        address = f"http://127.0.0.1:{listen(key='right', **limits)}/v1"
        clients.append(openai.OpenAI(base_url=address, api_key=given, max_retries=max_retries))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def ask(client: openai.OpenAI, text: str, picture: bytes | None = None, model: str = "small", **more: object) -> str:
    answer = client.chat.completions.create(model=model, messages=asked(text, picture)["messages"], **more)
    return answer.choices[0].message.content


def refusals(client: openai.OpenAI) -> float:
    text = httpx.get(str(client.base_url).replace("/v1/", "/metrics"), headers={"Authorization": "Bearer right"}).text
    rows = [line for line in text.splitlines() if line.startswith('word2mask_rejected_total{reason="queue_full"}')]
    return sum(float(row.rpartition(" ")[2]) for row in rows)


def occupied(client: openai.OpenAI, text: str) -> threading.Thread:
    """Somebody else whose question takes up the room for one."""
    thread = threading.Thread(target=ask, args=(client, text))
    thread.start()
    return thread


def test_a_right_request_is_answered(connect: Connect) -> None:
    client = connect()
    assert ask(client, "the sky", png()) == "you said the sky"
    assert client.models.retrieve("small").id == "small"


def test_a_wrong_key(connect: Connect) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(connect(given="wrong"), "the sky")
    error = caught.value
    assert error.status_code == 401 and error.code == "no_key" and error.type == "authentication_error"
    assert "the API key is missing or wrong" in error.message


def test_an_unknown_model(connect: Connect) -> None:
    client = connect()
    with pytest.raises(openai.NotFoundError, match="this server has 'small'") as caught:
        ask(client, "the sky", model="large")
    assert caught.value.status_code == 404 and caught.value.param == "model" and caught.value.code == "no_model"
    with pytest.raises(openai.NotFoundError, match="this server has 'small'"):
        client.models.retrieve("large")
    with pytest.raises(openai.NotFoundError, match="there is no such file"):
        client.files.retrieve("file-0")


def test_a_bad_request(connect: Connect) -> None:
    client = connect()
    with pytest.raises(openai.BadRequestError, match="temperature") as caught:
        ask(client, "the sky", temperature=9)
    assert caught.value.status_code == 400 and caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="not a picture or video") as caught:
        ask(client, "the sky", b"<html></html>")
    assert caught.value.code == "bad_media"


def test_a_full_queue(connect: Connect, pretender) -> None:
    pretender.gate.clear()
    client = connect(waiting=1)
    other = occupied(client, "first")
    while not pretender.batches:
        time.sleep(0.01)
    with pytest.raises(openai.RateLimitError, match="try again later") as caught:
        ask(client, "second")
    assert caught.value.status_code == 429 and caught.value.code == "queue_full"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    pretender.gate.set()
    other.join()
    assert ask(client, "third") == "you said third"


def test_a_patient_client_waits_as_it_is_told(connect: Connect, pretender) -> None:
    """The client's own retries, after the seconds that Retry-After names."""
    pretender.gate.clear()
    client = connect(waiting=1, max_retries=5)
    other = occupied(client, "first")
    while not pretender.batches:
        time.sleep(0.01)
    answers: list[str] = []
    patient = threading.Thread(target=lambda: answers.append(ask(client, "second")))
    patient.start()
    while not refusals(client):
        time.sleep(0.01)
    pretender.gate.set()
    other.join()
    patient.join()
    assert answers == ["you said second"] and [["first"], ["second"]] == pretender.batches


def test_defects_and_errors_within_a_stream(connect: Connect) -> None:
    client = connect()
    with pytest.raises(openai.InternalServerError, match="the server failed at this request") as caught:
        ask(client, "a defect")
    assert caught.value.status_code == 500
    stream = client.chat.completions.create(model="small", messages=asked("forbidden")["messages"], stream=True)
    with pytest.raises(openai.APIError, match="this text is forbidden") as caught:
        list(stream)
    assert caught.value.type == "invalid_request_error"
