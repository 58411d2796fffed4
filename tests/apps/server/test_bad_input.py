"""What nobody should send: refused with a sentence, before it costs anything, and nothing of it stays."""

from __future__ import annotations

import base64
import io
import struct
import tempfile
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from server_requests import asked, data_url, png

from word2mask.apps.server.application import application

CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Where the servers of these tests put files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def bomb(side: int = 30_000) -> bytes:
    """A PNG of some kilobytes that says it has side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def long_video(folder: Path, frames: int) -> bytes:
    path = folder / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (32, 32))
    for _ in range(frames):
        writer.write(np.zeros((32, 32, 3), dtype=np.uint8))
    writer.release()
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a.png",
        "https://example.org/a.png",
        "file:///etc/passwd",
        "../../etc/passwd",
        "/etc/passwd",
        "data:text/plain,hello",
        "ftp://example.org/a",
        "",
    ],
)
def test_no_address_is_opened(serve, address, monkeypatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    client = serve()
    monkeypatch.setattr("socket.create_connection", never)
    answer = client.post(CHAT, json=asked("what?", address))
    assert answer.status_code == 400 and "opens no addresses and no paths" in answer.json()["error"]["message"]


def test_a_picture_is_measured_before_it_is_decoded(serve, temporary, monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("word2mask.apps.server.material.open_image", never)
    content = bomb()
    assert len(content) < 50_000
    answer = serve().post(CHAT, json=asked("what?", content))
    assert answer.status_code == 400 and "too large" in answer.json()["error"]["message"]
    answer = serve(pixels=99).post(CHAT, json=asked("what?", png(10, 10)))
    assert answer.status_code == 400 and "10 × 10 pixels, at most 99" in answer.json()["error"]["message"]
    assert not files_of(temporary)


def test_media_that_are_none(serve, temporary) -> None:
    client = serve()
    picture = png(64, 64)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG")
    cases = {
        "#EXTM3U\nfile:///etc/passwd": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "html": b"<html><script>alert(1)</script></html>",
        "cut picture": picture[:60],
        "cut jpeg": jpeg.getvalue()[:900],
        "no video": b"\0\0\0\x18ftypmp42" + bytes(200),
        "no film": b"\x1aE\xdf\xa3" + bytes(200),
        "no gif": b"GIF89a" + bytes(3),
    }
    for name, content in cases.items():
        answer = client.post(CHAT, json=asked("what?", content))
        assert answer.status_code == 400, (name, answer.text)
        message = answer.json()["error"]["message"]
        assert str(temporary) not in message and "Traceback" not in message, (name, message)
    answer = client.post(CHAT, json=asked("what?", "data:image/png;base64,###"))
    assert answer.status_code == 400 and "isn't base64" in answer.json()["error"]["message"]
    assert not files_of(temporary)


def test_a_video_of_many_frames(serve, temporary) -> None:
    content = long_video(temporary, 10_000)
    answer = serve().post("/v1/segment", files={"file": ("a.avi", content)}, data={"text": "the cat"})
    assert answer.status_code == 400
    assert "more than 2000 frames, which is the most" in answer.json()["error"]["message"]
    assert not files_of(temporary)


def test_names_are_shown_and_never_used(serve, temporary) -> None:
    client = serve()
    for name in ("../../etc/cron.d/evil.png", "..\\..\\evil.png", "/etc/passwd", "x" * 300 + ".png"):
        answer = client.post("/v1/files", files={"file": (name, png())}, data={"purpose": "vision"})
        assert answer.status_code == 200, answer.text
        described = answer.json()
        assert "/" not in described["filename"] and "\\" not in described["filename"]
        assert len(described["filename"]) <= 200
        (stored,) = files_of(temporary)
        assert stored.name == described["id"] + ".png"
        assert client.delete(f"/v1/files/{described['id']}").json()["deleted"] is True
        assert not files_of(temporary)
    for name in ("a\x00b.png", "x" * 50_000 + ".png"):
        answer = client.post("/v1/files", files={"file": (name, png())})
        # What the form's reader doesn't take is a bad request.
        assert answer.status_code in (200, 400) and "\x00" not in answer.text
    for number in ("../x", "..%2f..%2fetc%2fpasswd", "file-0"):
        assert client.get(f"/v1/files/{number}").status_code == 404


def test_files_are_gone_after_the_answer(serve, temporary) -> None:
    client = serve()
    assert client.post(CHAT, json=asked("the sky", png())).status_code == 200
    assert client.post("/v1/segment", files={"file": ("a.png", png())}, data={"text": "a"}).status_code == 200
    assert client.post("/v1/segment", files={"file": ("a.png", png())}, data={"text": "a", "b": "c"}).status_code == 400
    assert client.post("/v1/segment", files={"file": ("a.png", png())}, data={"prompts": "no"}).status_code == 400
    assert client.post(CHAT, json=asked("forbidden", png())).status_code == 400
    assert not files_of(temporary)


def test_nothing_stays_when_the_server_ends(pretender, temporary) -> None:
    with TestClient(application(pretender, "small")) as client:
        number = client.post("/v1/files", files={"file": ("a.png", png())}).json()["id"]
        (stored,) = files_of(temporary)
        assert stored.stem == number
    assert list(temporary.iterdir()) == []


def test_a_form_has_numbers_as_texts(serve, pretender, temporary) -> None:
    client = serve()

    def send(**fields: str):
        return client.post("/v1/segment", files={"file": ("a.png", png())}, data={"text": "a", **fields})

    assert send(max_new_tokens="7", prompts='[{"points": [[3, 4, 1]]}]').status_code == 200
    assert pretender.requests[-1].max_new_tokens == 7 and pretender.requests[-1].prompts[0].points == ((3, 4, 1),)
    for wrong in ("many", "7.5", "", "0", "99999"):
        answer = send(max_new_tokens=wrong)
        assert answer.status_code == 400 and answer.json()["error"]["param"] in ("max_new_tokens", "max_tokens"), wrong
    answer = send(prompts='[{"points": [[3, 4, true]]}]')
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "prompts.0.points.0.2"
    assert not files_of(temporary)


def test_uploads_expire(serve, temporary, monkeypatch) -> None:
    client = serve(keep_seconds=100)
    number = client.post("/v1/files", files={"file": ("a.png", png())}).json()["id"]
    asking = {"file_id": number, "text": "the sky"}
    assert client.post("/v1/segment", json=asking).json()["word2mask"]["size"] == [16, 20]
    now = time.time()
    monkeypatch.setattr("word2mask.apps.server.uploads.time.time", lambda: now + 101)
    answer = client.post("/v1/segment", json=asking)
    assert answer.status_code == 404 and "kept for 100 s" in answer.json()["error"]["message"]
    assert not files_of(temporary)


def test_large_bodies(serve) -> None:
    client = serve(body_bytes=2_000, file_bytes=1_000, stored_bytes=1_500)
    assert client.post(CHAT, json=asked("a" * 3_000)).status_code == 413

    def parts():
        for _ in range(100):
            yield b" " * 100

    answer = client.post(CHAT, content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "body_too_large"
    noisy = png() + bytes(1_000)
    assert client.post("/v1/files", files={"file": ("a.png", noisy)}).json()["error"]["code"] == "file_too_large"
    assert client.post("/v1/files", files={"file": ("a.png", noisy[:900])}).status_code == 200
    full = client.post("/v1/files", files={"file": ("a.png", noisy[:900])})
    assert full.status_code == 429 and full.headers["retry-after"] == "10"
    assert client.post("/v1/files", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415


def test_bodies_that_are_no_json(serve) -> None:
    client = serve()
    kind = {"Content-Type": "application/json"}
    for body in (b"{", b"[" * 100_000, b'{"messages": "\\ud800"}', b"\xff\xfe", b"null", b'"text"', b"{}"):
        for path in (CHAT, "/v1/segment", "/v1/videos"):
            answer = client.post(path, content=body, headers=kind)
            assert answer.status_code == 400, (path, body[:20], answer.text)
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    lone = b'{"messages":[{"role":"user","content":"\\ud800"}]}'
    assert client.post(CHAT, content=lone, headers=kind).status_code == 400
    assert client.get("/nowhere").json()["error"]["message"].startswith("no such address")
    assert client.put(CHAT).status_code == 405


def test_too_many_at_a_time(serve, pretender) -> None:
    client = serve(waiting=2, batch=1)
    pretender.gate.clear()
    threads = [threading.Thread(target=client.post, args=(CHAT,), kwargs={"json": asked(str(n))}) for n in range(2)]
    for thread in threads:
        thread.start()
    while client.get("/metrics").text.count('word2mask_queue_length{kind="answer"} 1.0') == 0:
        time.sleep(0.005)
    answer = client.post(CHAT, json=asked("one more"))
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert 'word2mask_rejected_total{reason="queue_full"} 1.0' in client.get("/metrics").text
    pretender.gate.set()
    for thread in threads:
        thread.join()
    assert client.post(CHAT, json=asked("again")).status_code == 200


def test_the_key(serve) -> None:
    client = serve(key="secret")
    assert client.get("/healthz").status_code == 200 and client.get("/openapi.json").status_code == 200
    for header in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic secret"},
        {"Authorization": "secret"},
    ):
        for path in ("/v1/models", "/metrics", "/v1/files/x"):
            answer = client.get(path, headers=header)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert client.post(CHAT, json=asked("a"), headers=header).json()["error"]["type"] == "authentication_error"
    assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).json()["data"][0]["id"] == "small"


def test_defects_are_told_by_number_and_logged_without_contents(serve, caplog) -> None:
    with caplog.at_level("INFO"):
        answer = serve().post(CHAT, json=asked("a defect with my secret", png()))
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text and "secret" not in caplog.text
    assert "KeyError" in caplog.text and f"{CHAT} 500" in caplog.text
    assert base64.b64encode(png()).decode()[:40] not in caplog.text


def test_data_url_helper_is_what_browsers_make() -> None:
    assert data_url(b"abc", "image/gif") == "data:image/gif;base64,YWJj"
