"""The application: every route behind the gate, from a session and its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from word2mask import __version__
from word2mask.apps.server import chat, description, media_routes, problems
from word2mask.apps.server.answers import ModelAnswer, ModelsAnswer
from word2mask.apps.server.answers import problems as described_problems
from word2mask.apps.server.gate import Gate
from word2mask.apps.server.jobs import Jobs
from word2mask.apps.server.limits import Limits
from word2mask.apps.server.service import Service
from word2mask.inference.session import Session

__all__ = ["application"]

#: Seconds that a shutdown waits for what runs, and as many again for what it then cancels.
PATIENCE = 30.0


def application(session: Session, name: str, limits: Limits | None = None, key: str | None = None) -> Gate:
    """An ASGI application that answers with one model.

    Args:
        session: with the model; nobody else uses it any more.
        name: of the model, as clients see it.
        limits: of what is taken; the defaults when ``None``.
        key: what clients have to send; ``None`` lets everybody in.
    """
    service = Service(session, name, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running(PATIENCE):
            yield

    app = FastAPI(
        title="word2mask",
        version=__version__,
        summary="Language that points at pixels",
        description="OpenAI's chat format with masks, segmentation, and jobs for videos. Masks are COCO run lengths.",
        lifespan=lifespan,
        # FastAPI's own pages load programs from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    app.include_router(chat.router(service))
    app.include_router(media_routes.router(service, Jobs(service)))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(description.page(app.openapi()), headers={"Content-Security-Policy": description.POLICY})

    model = {"id": name, "object": "model", "created": service.started, "owned_by": "word2mask"}

    @app.get("/v1/models", summary="All models: one", response_model=ModelsAnswer, responses=described_problems())
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [model]})

    @app.get(
        "/v1/models/{model_id}", summary="The model", response_model=ModelAnswer, responses=described_problems(404)
    )
    async def one_model(model_id: str) -> Response:
        service.check_model(model_id)
        return JSONResponse(model)

    @app.get("/healthz", summary="Whether the server can answer", response_model=None)
    async def health() -> Response:
        is_well = service.worker.is_alive
        return JSONResponse({"status": "ok" if is_well else "the model's thread has ended"}, 200 if is_well else 503)

    @app.get(
        "/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse, responses=described_problems()
    )
    async def metrics() -> Response:
        return Response(service.counters.text(), media_type=CONTENT_TYPE_LATEST)

    return Gate(app, service.limits, service.counters, key, service.worker.end_jobs)
