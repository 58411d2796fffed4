"""What a request gets that can't be answered: a status and one sentence, in OpenAI's error format."""

from __future__ import annotations

import logging
import traceback
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from word2mask.errors import UserError

__all__ = ["Problem", "as_problem", "install", "response"]

logger = logging.getLogger("word2mask.server")

#: OpenAI's error types by status; what isn't here is an invalid request below 500 and the server's fault from there on.
TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
#: Characters of a sentence; a message of a library may quote all that it was given.
LONGEST = 600


class Problem(Exception):
    """An answer with an error's status.

    Args:
        status: of HTTP.
        message: one sentence: what was got, what was expected, what to do.
        code: a word for programs.
        parameter: which part of the request is meant.
        retry_after: seconds after which another try is worth it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "invalid_request",
        parameter: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.parameter, self.retry_after = parameter, retry_after

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        message = self.message if len(self.message) <= LONGEST else self.message[:LONGEST] + " …"
        # What was sent may hold half a character, which JSON in UTF-8 can't.
        message = message.encode("utf-8", "replace").decode("utf-8")
        return {"error": {"message": message, "type": kind, "param": self.parameter, "code": self.code}}


def response(problem: Problem) -> JSONResponse:
    """A problem as an HTTP answer."""
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.content(), problem.status, headers)


def as_problem(error: BaseException) -> Problem:
    """What an exception means for the one who asked. A defect of ours is logged, without what it says: that may quote
    the request."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UserError):
        return Problem(400, str(error))
    number = uuid.uuid4().hex[:12]
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("defect %s: %s\n%s", number, type(error).__name__, where)
    return Problem(500, f"the server failed at this request; its log has more under {number}", "internal_error")


def install(app: FastAPI) -> None:
    """Every error of the app speaks this format."""

    @app.exception_handler(Problem)
    @app.exception_handler(UserError)
    async def _known(_: Request, error: Exception) -> JSONResponse:
        return response(as_problem(error))

    @app.exception_handler(Exception)
    async def _defect(_: Request, error: Exception) -> JSONResponse:
        return response(as_problem(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Never what was sent: it may be megabytes, or not be text at all.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body") or None
        return response(Problem(400, f"{place or 'the body'}: {first['msg']}", "invalid_request", place))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        words = {404: "no such address; GET /docs lists what there is", 405: "this address doesn't take this method"}
        answer = response(Problem(error.status_code, words.get(error.status_code, str(error.detail)), "http_error"))
        answer.headers.update(error.headers or {})
        described = app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None))
        if error.status_code == 405 and described:
            # All that the address takes; the framework names only what its first route does.
            answer.headers["Allow"] = ", ".join(sorted(method.upper() for method in described))
        return answer
