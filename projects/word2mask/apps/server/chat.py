"""``POST /v1/chat/completions``: OpenAI's chat format, whole or streamed, with the masks beside the words."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HTTPRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from word2mask.apps.server.answers import ChatAnswer, problems
from word2mask.apps.server.service import Mailbox, Service
from word2mask.apps.server.wire import ChatRequest

__all__ = ["router"]


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post(
        "/v1/chat/completions",
        summary="Ask about a picture or a video, or just talk",
        response_model=None,
        responses={200: {"model": ChatAnswer, "content": {"text/event-stream": {}}}} | problems(400, 404),
    )
    async def complete(sent: ChatRequest, request: HTTPRequest) -> Response:
        service.check_model(sent.model)
        question = await run_in_threadpool(service.reader.chat, sent)
        if sent.stream:
            # Refused before the first byte, while there still is a status to say it with.
            mailbox = Mailbox(service, question, "stream", service.limits.seconds)
            mailbox.submit()
            return _Stream(_streamed(service, mailbox), mailbox)
        answered = await service.answer(question, request)
        message = {"role": "assistant", "content": answered.text, "word2mask": answered.masks}
        choice = {"index": 0, "message": message, "finish_reason": answered.finish_reason, "logprobs": None}
        return JSONResponse(_head(service, "chat.completion") | {"choices": [choice]})

    return routes


class _Stream(StreamingResponse):
    """Server-sent events; the task ends with them, be it that the client leaves, even before the first of them.

    Args:
        events: of :func:`_streamed`.
        mailbox: where they come from.
    """

    def __init__(self, events: AsyncIterator[str], mailbox: Mailbox) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._task = mailbox.task

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._task.cancel()


def _head(service: Service, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": service.name}


async def _streamed(service: Service, mailbox: Mailbox) -> AsyncIterator[str]:
    """Server-sent events: the role, the words as they are written, the masks, the end."""
    head = _head(service, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        return f"data: {json.dumps(head | {'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"

    written = 0
    yield event({"role": "assistant", "content": ""})
    while (happened := await mailbox.next()).name == "text":
        written += len(happened.value)
        yield event({"content": happened.value})
    if happened.name == "error":
        yield f"data: {json.dumps(happened.value.content())}\n\n"
        return
    answered = happened.value
    # What of the text could have changed until its end.
    if len(answered.text) > written:
        yield event({"content": answered.text[written:]})
    yield event({"word2mask": answered.masks})
    yield event({}, answered.finish_reason)
    yield "data: [DONE]\n\n"
