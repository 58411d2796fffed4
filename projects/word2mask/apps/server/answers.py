"""What is sent back, for the description of the interface at /docs; OpenAI's formats with our objects."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from word2mask.apps.server.wire import RunLengths

__all__ = ["ChatAnswer", "Deleted", "FileAnswer", "JobAnswer", "ModelsAnswer", "SegmentAnswer", "problems"]


class ErrorContent(BaseModel):
    """What was wrong, in one sentence."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """OpenAI's error format."""

    error: ErrorContent


class FoundObject(BaseModel):
    """One object of an answer; lists have an entry per frame."""

    phrase: str
    span: tuple[int, int] | None
    confidence: float
    found: bool
    scores: list[float]
    boxes: list[tuple[int, int, int, int] | None]
    masks: list[RunLengths]


class Masks(BaseModel):
    """The objects of an answer; size is [height, width]."""

    raw_text: str
    size: tuple[int, int] | None
    num_frames: int
    objects: list[FoundObject]


class AnswerMessage(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str
    word2mask: Masks


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0]
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None


class ChatAnswer(BaseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]


class SegmentAnswer(BaseModel):
    """What was found."""

    text: str
    word2mask: Masks


class JobAnswer(BaseModel):
    """A job; the answer is there when it is completed, the error when it failed."""

    id: str
    object: Literal["video.job"]
    status: Literal["queued", "running", "cancelling", "completed", "failed", "cancelled"]
    stage: str | None
    progress: float
    created_at: int
    expires_at: int | None
    text: str | None
    word2mask: Masks | None
    error: ErrorContent | None


class FileAnswer(BaseModel):
    """An uploaded file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["processed"]


class Deleted(BaseModel):
    """Something is gone."""

    id: str
    object: str
    deleted: Literal[True]


class ModelAnswer(BaseModel):
    """The model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsAnswer(BaseModel):
    """All models: one."""

    object: Literal["list"]
    data: list[ModelAnswer]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the errors that a route can answer with, besides those of the gate before all of them."""
    words = {
        400: "something in the request has to be put right",
        401: "the API key is missing or wrong",
        404: "there is no such thing",
        408: "the body came too slowly",
        413: "too large",
        415: "the body is of a type that isn't read",
        429: "too much at once; Retry-After says when to try again",
        499: "cancelled",
        503: "shutting down, or an answer took too long",
    }
    return {
        status: {"model": ErrorAnswer, "description": words[status]}
        for status in sorted({*statuses, 401, 408, 413, 429, 499, 503})
    }
