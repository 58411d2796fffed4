"""``/v1/files``, ``/v1/segment`` and ``/v1/videos``: uploads, and questions that aren't talk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

from fastapi import APIRouter
from fastapi import Request as HTTPRequest
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from word2mask.apps.server.answers import Deleted, FileAnswer, JobAnswer, SegmentAnswer, problems
from word2mask.apps.server.asking import Question
from word2mask.apps.server.jobs import Jobs
from word2mask.apps.server.problems import Problem
from word2mask.apps.server.service import Service
from word2mask.apps.server.uploads import Upload
from word2mask.apps.server.wire import PromptPart, SegmentRequest, VideoRequest

__all__ = ["router"]

Sent = TypeVar("Sent", bound=BaseModel)

#: Bytes of an upload in memory at a time.
PART = 2**20
#: Fields of a form besides its file; more than there are names for.
FIELDS = 8


def router(service: Service, jobs: Jobs) -> APIRouter:
    """The routes."""
    routes = APIRouter()
    _add_files(routes, service)

    @routes.post(
        "/v1/segment",
        summary="Find something in a picture or a short video",
        response_model=SegmentAnswer,
        responses=problems(400, 404, 415),
        openapi_extra=_body_of(SegmentRequest),
    )
    async def segment(request: HTTPRequest) -> Response:
        question = await _question(service, request, SegmentRequest)
        answered = await service.answer(question, request)
        return JSONResponse({"text": answered.text, "word2mask": answered.masks})

    @routes.post(
        "/v1/videos",
        status_code=202,
        summary="Find something in a video, as a job",
        response_model=JobAnswer,
        responses=problems(400, 404, 415),
        openapi_extra=_body_of(VideoRequest),
    )
    async def start(request: HTTPRequest) -> Response:
        question = await _question(service, request, VideoRequest)
        return JSONResponse(jobs.described(jobs.start(question)), 202)

    @routes.get("/v1/videos/{job_id}", summary="How far a job is", response_model=JobAnswer, responses=problems(404))
    async def look(job_id: str) -> Response:
        return JSONResponse(jobs.described(jobs.find(job_id)))

    @routes.delete(
        "/v1/videos/{job_id}",
        summary="Cancel a job, or forget one that has ended",
        response_model=JobAnswer,
        responses=problems(404),
    )
    async def cancel(job_id: str) -> Response:
        job = jobs.find(job_id)
        jobs.cancel(job)
        return JSONResponse(jobs.described(job))

    return routes


def _add_files(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "/v1/files",
        summary="Upload a picture or a video; it is kept for a while",
        response_model=FileAnswer,
        responses=problems(400, 415),
        openapi_extra={
            "requestBody": {"required": True, "content": _form({"file": BINARY, "purpose": TEXT}, ["file"])}
        },
    )
    async def upload(request: HTTPRequest) -> Response:
        _check_type(request, "multipart/form-data")
        async with request.form(max_files=1, max_fields=FIELDS) as form:
            _check_fields(form, {"file", "purpose"})
            purpose = str(form.get("purpose", "vision"))[:64]
            stored = await _store(service, form, is_listed=True)
        return JSONResponse(_described(service, stored) | {"purpose": purpose})

    @routes.get("/v1/files/{file_id}", response_model=FileAnswer, responses=problems(404), summary="An upload")
    async def look(file_id: str) -> Response:
        return JSONResponse(_described(service, service.store.find(file_id)))

    @routes.delete("/v1/files/{file_id}", response_model=Deleted, responses=problems(404), summary="Delete an upload")
    async def delete(file_id: str) -> Response:
        service.store.remove(service.store.find(file_id))
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})


def _described(service: Service, upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.size,
        "created_at": int(upload.created),
        "expires_at": int(upload.created) + service.limits.keep_seconds,
        "filename": upload.shown_name,
        "purpose": "vision",
        "status": "processed",
    }


async def _question(service: Service, request: HTTPRequest, kind: type[Sent]) -> Question:
    """A question from JSON, or from a form with the media as its file."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=FIELDS, max_part_size=service.limits.body_bytes) as form:
            _check_fields(form, {"file", *SegmentRequest.model_fields})
            content = {name: value for name, value in form.items() if name != "file"}
            if "prompts" in content:
                regions = TypeAdapter(list[PromptPart]).validate_json
                content["prompts"] = _checked(regions, content["prompts"], "prompts")
            if "max_new_tokens" in content:
                # A form has texts only.
                whole = TypeAdapter(int).validate_strings
                content["max_new_tokens"] = _checked(whole, content["max_new_tokens"], "max_new_tokens")
            stored = None
            if "file" in form:
                if "media" in content or "file_id" in content:
                    raise Problem(400, "a file and media or file_id; send one of them", "several_media")
                stored = await _store(service, form, is_listed=False)
        try:
            sent = _checked(kind.model_validate, content)
        except Problem:
            if stored is not None:
                service.store.remove(stored)
            raise
        return await run_in_threadpool(service.reader.segment, sent, stored)
    _check_type(request, "application/json")
    return await run_in_threadpool(service.reader.segment, _checked(kind.model_validate_json, await request.body()))


def _checked(validate: Any, content: Any, *within: str) -> Any:
    """What pydantic makes of it, or a problem that names the place and never quotes what was sent."""
    try:
        return validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in (*within, *first["loc"])) or None
        raise Problem(400, f"{place or 'the body'}: {first['msg']}", "invalid_request", place) from None


def _check_type(request: HTTPRequest, wanted: str) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise Problem(415, f"the body's Content-Type is {kind[:80]!r}, expected {wanted}", "bad_content_type")


def _check_fields(form: FormData, known: set[str]) -> None:
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name not in known:
            raise Problem(400, f"the form has a field {name[:80]!r}; there are {', '.join(sorted(known))}", "bad_form")
    if len(names) > len(set(names)):
        raise Problem(400, "the form has a field twice; send each once", "bad_form")


async def _store(service: Service, form: FormData, is_listed: bool) -> Upload:
    sent = form.get("file")
    if not isinstance(sent, UploadFile):
        raise Problem(400, "the form has no file in its field 'file'; send a picture or a video", "no_file", "file")
    return await run_in_threadpool(service.store.add, _parts(sent.file), sent.filename or "", is_listed)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(PART):
        yield part


BINARY = {"type": "string", "format": "binary"}
TEXT = {"type": "string"}


def _form(fields: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
    return {"multipart/form-data": {"schema": schema}}


def _body_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The two ways to send a question, for the description of the interface."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    fields = {"file": BINARY, "text": TEXT, "prompts": TEXT | {"description": "JSON, a list as in the other form"}}
    content = {"application/json": {"schema": _inlined(schema, definitions)}} | _form(fields, ["file"])
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema without references: nothing else in the description would hold what they point at."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}
