"""The server holds what its own description promises, whatever is sent: requests made from it by schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import torch

from word2mask.apps.server import wire
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

#: Not whether all that fits the description is taken: it can't say what a picture is, or that roles take turns.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,"
    "missing_required_header,use_after_free,ensure_resource_availability"
)


def test_every_address_is_described(serve) -> None:
    description = serve().get("/openapi.json").json()
    assert sorted(description["paths"]) == [
        "/healthz",
        "/metrics",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/files/{file_id}",
        "/v1/models",
        "/v1/models/{model_id}",
        "/v1/segment",
        "/v1/videos",
        "/v1/videos/{job_id}",
    ]
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            assert described["summary"], (path, method)
    bodies = description["paths"]["/v1/segment"]["post"]["requestBody"]["content"]
    assert sorted(bodies) == ["application/json", "multipart/form-data"]


def test_its_examples_are_answered(serve) -> None:
    client = serve()
    for chat in wire.CHATS:
        assert client.post("/v1/chat/completions", json=chat).status_code == 200
    assert client.post("/v1/segment", json=wire.SEGMENTS[0]).json()["word2mask"]["size"] == [32, 32]


def test_an_address_says_all_that_it_takes(serve) -> None:
    answer = serve().options("/v1/files/file-0")
    assert answer.status_code == 405 and answer.headers["allow"] == "DELETE, GET"


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_no_request_is_the_servers_fault(listen, tmp_path: Path) -> None:
    """Every address, by its examples, by each field's extremes, at random and one after the other; a tiny model
    answers, so that what is promised of answers is seen too."""
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("schemathesis isn't installed")
    torch.manual_seed(0)
    port = listen(session=Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny())))
    address = f"http://127.0.0.1:{port}"
    options = ["--checks", CHECKS, "--max-examples", "10", "--seed", "0", "--generation-database", "none"]
    run = subprocess.run(
        # Shrinking would make a failure's request shorter, and takes longer than all the rest.
        [program, "run", f"{address}/openapi.json", *options, "--no-shrink", "--continue-on-failure"],
        capture_output=True,
        text=True,
        timeout=1_700,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert "Tested: 12" in run.stdout
    numbers = httpx.get(f"{address}/metrics").text
    assert 'status="500"' not in numbers
    routes = ("chat/completions", "files", "files/{file_id}", "models", "models/{model_id}", "segment", "videos")
    for route in routes:
        status = {"videos": 202, "models/{model_id}": 404}.get(route, 200)
        assert f'word2mask_requests_total{{route="/v1/{route}",status="{status}"}}' in numbers, (route, numbers)
