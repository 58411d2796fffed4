"""The server holds what its own description promises, whatever is sent: requests made from it by schemathesis."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_every_address_is_described(serve) -> None:
    description = serve().get("/openapi.json").json()
    assert sorted(description["paths"]) == [
        "/healthz",
        "/metrics",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/files/{file_id}",
        "/v1/models",
        "/v1/segment",
        "/v1/videos",
        "/v1/videos/{job_id}",
    ]
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            assert described["summary"], (path, method)
    bodies = description["paths"]["/v1/segment"]["post"]["requestBody"]["content"]
    assert sorted(bodies) == ["application/json", "multipart/form-data"]


@pytest.mark.slow
def test_no_request_is_the_servers_fault(port: int, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists() and shutil.which("schemathesis") is None:
        pytest.skip("schemathesis isn't installed")
    run = subprocess.run(
        [program, "run", f"http://127.0.0.1:{port}/openapi.json", "--checks", CHECKS, "--max-examples", "40"],
        capture_output=True,
        text=True,
        timeout=570,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    numbers = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'word2mask_requests_total{route="/v1/chat/completions"' in numbers
    assert 'status="500"' not in numbers
