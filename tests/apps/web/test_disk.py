"""The disk of all visitors: what is counted, what is refused, and what is deleted when."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="the extra apps isn't installed")

import httpx  # noqa: E402

from word2mask.apps.web.disk import Disk  # noqa: E402
from word2mask.apps.web.limits import Limits  # noqa: E402
from word2mask.apps.web.page import Page, build_page, launch  # noqa: E402
from word2mask.apps.web.visit import MADE, Visit  # noqa: E402
from word2mask.apps.web.visits import Visits  # noqa: E402
from word2mask.errors import UserError  # noqa: E402
from word2mask.inference.render import save_video  # noqa: E402

MEGABYTE = 10**6


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(Limits(stored_megabytes=1), tmp_path / "disk")


def test_what_is_announced_counts_until_it_lies_there(disk: Disk) -> None:
    disk.announce(600_000)
    with pytest.raises(UserError, match="^the server has no room for more files of visitors now; try again"):
        disk.announce(400_001)
    (disk.uploads / "a").write_bytes(bytes(500_000))
    disk.arrived(500_000)
    assert disk.used() == 600_000
    disk.arrived(100_000)  # it broke off
    assert disk.used() == 500_000
    # A second name takes no more room.
    os.link(disk.uploads / "a", disk.new_folder() / "video.mp4")
    assert disk.used() == 500_000
    disk.announce(500_000)
    with pytest.raises(UserError, match="no room"):
        disk.check()


def test_uploads_are_swept_by_how_long_they_lie_and_visits_are_not(disk: Disk) -> None:
    mine = disk.new_folder() / "mine"
    for path in (mine, disk.uploads / "broken-off", disk.uploads / "hash" / "a.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1")
        os.utime(path, (0, 0))  # a copy may bring its original's time along
    assert disk.sweep(seconds=30) == set()
    time.sleep(0.02)
    assert disk.sweep(seconds=0.01) == {str(disk.uploads / "broken-off"), str(disk.uploads / "hash" / "a.png")}
    time.sleep(0.02)
    assert disk.sweep(seconds=0.01) == set() and list(disk.uploads.iterdir()) == [], "folders go once they are empty"
    assert mine.exists()


def test_a_visit_takes_over_its_video_and_takes_it_along(disk: Disk, tmp_path: Path) -> None:
    sent = disk.uploads / "clip.mp4"
    save_video([np.full((16, 16, 3), 40 * place, np.uint8) for place in range(4)], sent)
    visits = Visits(Limits(), disk)
    visit = visits.begin("somebody")
    visit.receive(sent, "clip.mp4")
    disk.sweep(0)
    assert not sent.exists() and len(visit.media.read([0, 3])) == 2
    assert [path.parent.parent for path in disk.folder.rglob("*.mp4")] == [disk.folder]
    visits.end("somebody")
    assert [path for path in disk.folder.rglob("*") if path.is_file()] == []


def test_of_what_is_made_the_last_files_stay(disk: Disk) -> None:
    visit = Visit(disk=disk)
    tokens = []
    for number in range(MADE + 2):
        path = visit.folder_for_one() / "cat_masks.zip"
        path.write_bytes(bytes([number]))
        os.utime(path.parent, (number, number))
        tokens.append(visit.files.offer(path))
    found = [visit.files.find(token) for token in tokens]
    assert found[:2] == [None, None] and all(path.read_bytes() for path in found[2:])
    disk.announce(MEGABYTE - disk.used())
    with pytest.raises(UserError, match="no room"):
        visit.folder_for_one()


@pytest.fixture
def open_page(known_session: Any) -> Iterator[Callable[..., tuple[Page, str]]]:
    """Serves a page: ``open_page(**limits)`` gives it and where it takes uploads."""
    pages = []

    def opened(**limits: int) -> tuple[Page, str]:
        page = build_page(known_session, "known", Limits(**limits))
        pages.append(page)
        return page, f"{launch(page, '127.0.0.1', 0)}gradio_api/upload"

    yield opened
    for page in pages:
        page.close()
        assert page.disk.used() == 0


def sent(address: str, content: bytes) -> httpx.Response:
    return httpx.post(address, files={"files": ("a.png", content)}, timeout=60)


def test_uploads_are_refused_while_there_is_no_room(open_page: Callable[..., tuple[Page, str]]) -> None:
    page, address = open_page(megabytes=1, stored_megabytes=2)
    (path,) = sent(address, b"1" * 900_000).json()
    assert Path(path).is_relative_to(page.disk.uploads) and page.disk.used() == 900_000
    assert sent(address, b"2" * 900_000).status_code == 200
    refused = sent(address, b"3" * 900_000)
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
    assert refused.text.startswith("the server has no room for more files of visitors now; try again")
    assert page.disk.used() == 1_800_000, "nothing of it was written, and nothing is expected any more"
    gone = page.disk.sweep(0)
    assert len(gone) == 2 and page.blocks.upload_file_set >= gone
    page.forget(gone)
    assert not page.blocks.upload_file_set & gone
    assert sent(address, b"3" * 900_000).status_code == 200


def test_an_upload_that_breaks_off_is_counted_and_deleted(open_page: Callable[..., tuple[Page, str]]) -> None:
    page, address = open_page(megabytes=1, stored_megabytes=2)
    host, port = httpx.URL(address).host, httpx.URL(address).port
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(400_000)
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((host, port)) as client:
        client.sendall(f"{head}Content-Length: 900000\r\n\r\n".encode() + body)
        deadline = time.monotonic() + 60
        while sum(path.stat().st_size for path in page.disk.uploads.iterdir()) < 300_000:
            assert time.monotonic() < deadline, "nothing comes"
            time.sleep(0.05)
        assert 800_000 < page.disk.used() < 1_000_000, "what is announced counts as what lies there"
    while page.disk.used() >= 500_000:
        assert time.monotonic() < deadline, "what won't come any more is still counted"
        time.sleep(0.05)
    assert 0 < page.disk.used(), "Gradio leaves it"
    page.disk.sweep(0)
    assert page.disk.used() == 0


def test_bodies_that_no_page_sends(open_page: Callable[..., tuple[Page, str]]) -> None:
    page, address = open_page(megabytes=1, stored_megabytes=2)
    large = sent(address, b"1" * 1_100_000)
    assert large.status_code == 413 and "are more than the" in large.text
    assert httpx.post(address, content=iter([b"a"]), timeout=60).status_code == 411
    join = address.replace("/upload", "/queue/join")
    assert httpx.post(join, content=bytes(2**20 + 1), timeout=60).status_code == 413
    assert page.disk.used() == 0
