"""The review: samples, decisions on disk, and the page in a real browser."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="the review needs the extra annotate")
pytest.importorskip("jsonschema", reason="the review needs the extra annotate")

from aiohttp import ClientSession, web

from word2mask.apps.review.program import Review
from word2mask.apps.review.samples import _ways, draw_samples, facts_of, frames_of
from word2mask.data.sources.ref_sav import RefSAV
from word2mask.errors import UserError
from word2mask.ops.masks import decode_rle


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A dataset of three kept objects over the source's own two videos."""
    RefSAV.fixture(tmp_path)
    texts = {"object": "The object is a <b>box</b>.", "scene": "It is left.", "video": "It moves."}
    lines = []
    for video, number, status in (
        ("sav_000001", 0, "kept"),
        ("sav_000001", 1, "kept"),
        ("sav_000002", 0, "kept"),
        ("sav_000002", 1, "dropped"),
    ):
        stem = f"sav_train/sav_000/{video}"
        paths = {"video_path": f"{stem}.mp4", "anno_path": f"{stem}_manual.json"}
        words = {"texts": texts, "short": ["the box"], "long": f"A box {number}."}
        lines.append({"video": video, "number": number, "status": status, **paths, **words})
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "records_00000.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


def with_program(review: Review, use: Callable[[str], Awaitable[None]]) -> None:
    """Serves the review while ``use`` talks to its URL."""

    async def serve() -> None:
        runner = web.AppRunner(review.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            await use(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
        finally:
            await runner.cleanup()

    asyncio.run(serve())


def review_of(run: Path) -> Review:
    return Review(draw_samples(run / "dataset", None, 0), run / "sam_v_full", run / "decisions.jsonl")


def decisions(run: Path) -> list[tuple[str, int, str, str]]:
    lines = [json.loads(line) for line in (run / "decisions.jsonl").read_text().splitlines()]
    return [(line["video"], line["number"], line["decision"], line["note"]) for line in lines]


def test_samples_are_kept_objects(run: Path) -> None:
    every = draw_samples(run / "dataset", None, 0)
    assert [(record["video"], record["number"]) for record in every] == [
        ("sav_000001", 0),
        ("sav_000001", 1),
        ("sav_000002", 0),
    ]
    drawn = draw_samples(run / "dataset", 2, 5)
    assert len(drawn) == 2 and drawn == draw_samples(run / "dataset", 2, 5)
    (run / "dataset" / "records_00000.jsonl").write_text("")
    with pytest.raises(UserError, match="no kept object"):
        draw_samples(run / "dataset", None, 0)


def test_frames_carry_the_outline(run: Path) -> None:
    shown = frames_of(draw_samples(run / "dataset", None, 0)[1], run / "sam_v_full")
    assert [frame["frame"] for frame in shown] == [0, 4, 8, 12, 16, 20]  # every fourth of 22
    # The blue box comes later.
    assert not shown[0]["seen"] and shown[-1]["seen"]
    assert all(frame["picture"].startswith("data:image/jpeg;base64,/9j/") for frame in shown)
    assert all(frame["size"] == [96, 64] for frame in shown)
    # The way around the mask, drawn and filled, is the mask.
    masklet = json.loads((run / "sam_v_full/sav_train/sav_000/sav_000001_manual.json").read_text())["masklet"]
    for frame, objects in zip(shown, masklet, strict=True):
        drawn = np.zeros((64, 96), np.uint8)
        cv2.fillPoly(drawn, [np.array(way) for way in frame["outline"]], 1)
        assert np.array_equal(drawn.astype(bool), decode_rle(objects[1]))


def test_holes_have_an_outline_too() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:18, 3:27] = 1
    mask[6:12, 8:20] = 0
    assert len(_ways(mask)) == 2 and _ways(np.zeros((4, 4), np.uint8)) == []


def test_facts() -> None:
    record = {"long": "A red box.", "area": 0.1234, "frame": 3, "iou": 0.875, "models": {"vision": "m"}}
    assert facts_of(record) == [
        "3 words",
        "largest in frame 12, 12.3% of it",
        "found again with an IoU of 0.88",
        "vision: m",
    ]
    assert facts_of({"long": "A box.", "area": 0.0, "frame": 0, "iou": None}) == ["2 words"]


def test_decisions_are_lines(run: Path) -> None:
    async def use(url: str) -> None:
        async with ClientSession() as http:
            first = await (await http.get(f"{url}/sample/0")).json()
            assert (first["video"], first["total"], first["decided"], first["decision"]) == ("sav_000001", 3, 0, None)
            for body, status in (
                ({"decision": "drop", "note": "blurred"}, 200),
                ({"decision": "keep", "note": ""}, 200),
                ({"decision": "perhaps"}, 400),
                ({}, 400),
                ([], 400),
            ):
                assert (await http.post(f"{url}/sample/0", json=body)).status == status
            assert (await http.post(f"{url}/sample/0", data=b'{"decision": "drop"}')).status == 415
            assert (await http.get(f"{url}/sample/9")).status == 404
            again = await (await http.get(f"{url}/sample/0")).json()
            assert (again["decision"], again["decided"], again["kept"], again["dropped"]) == ("keep", 1, 1, 0)
            assert again["open"] == 1 and again["command"].endswith("decisions.jsonl")
            assert (await (await http.get(f"{url}/sample/2")).json())["open"] == 1  # once round
            page = await http.get(url)
            assert "load(1);" in await page.text()  # goes on at the first that isn't decided
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]

    with_program(review_of(run), use)
    assert decisions(run) == [("sav_000001", 0, "drop", "blurred"), ("sav_000001", 0, "keep", "")]
    assert review_of(run).decisions["sav_000001", 0]["decision"] == "keep"


def test_a_video_that_is_gone_is_said_on_the_page(run: Path) -> None:
    (run / "sam_v_full/sav_train/sav_000/sav_000001.mp4").unlink()

    async def use(url: str) -> None:
        async with ClientSession() as http:
            found = await (await http.get(f"{url}/sample/0")).json()
            assert found["frames"] == [] and "no such video" in found["problem"]

    with_program(review_of(run), use)


def test_in_a_browser(run: Path) -> None:
    """Texts, pictures that move, keys and buttons, and what a second visit shows."""
    playwright = pytest.importorskip("playwright.async_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH")

    async def use(url: str) -> None:
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page()
            page.set_default_timeout(120_000)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
            await page.goto(url, timeout=120_000)
            await page.wait_for_selector("body[data-ready='0']")
            # Words are shown as words, whatever they spell.
            assert await page.inner_text("#object") == "The object is a <b>box</b>."
            assert await page.inner_text("#count") == "1 of 3, 0 decided"
            await page.wait_for_function("document.getElementById('frame').naturalWidth > 0")
            first = await page.get_attribute("#frame", "src")
            await page.wait_for_function("old => document.getElementById('frame').src !== old", arg=first)
            await page.fill("#note", "kindly drop")  # letters of a note are no commands
            await page.click("#drop")
            await page.wait_for_selector("body[data-ready='1']")
            await page.keyboard.press("k")
            await page.wait_for_selector("body[data-ready='2']")
            assert await page.inner_text("#count") == "3 of 3, 2 decided"
            # The last one stays open: the next open one is itself, and there is no other.
            assert await page.is_disabled("#open")
            await page.click("#back")
            await page.wait_for_selector("#keep[aria-pressed=true]")
            # Step by step, with and without the outline.
            await page.click("#play")
            await page.wait_for_selector("#play[aria-pressed=false]")
            await page.click("#film button:last-child")
            assert await page.inner_text("#when") == "frame 20" and not await page.is_visible("#unseen")
            assert (await page.get_attribute("#outline .line", "d")).startswith("M")
            await page.keyboard.press("o")
            assert await page.get_attribute("#outline .line", "d") == ""
            await page.keyboard.press("o")
            await page.click("#film button:first-child")
            assert await page.is_visible("#unseen")  # the blue box comes later
            await page.click("#open")
            await page.wait_for_selector("body[data-ready='2']")
            await page.click("#keep")
            await page.wait_for_selector("#done:not([hidden])")
            assert (await page.inner_text("#command")).endswith("decisions.jsonl")
            await page.set_viewport_size({"width": 1280, "height": 800})
            await page.screenshot(path=str(run / "wide.png"))
            await page.set_viewport_size({"width": 390, "height": 800})
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390
            await page.screenshot(path=str(run / "page.png"))
            await browser.close()
            assert not problems, problems

    with_program(review_of(run), use)
    assert decisions(run) == [
        ("sav_000001", 0, "drop", "kindly drop"),
        ("sav_000001", 1, "keep", ""),
        ("sav_000002", 0, "keep", ""),
    ]
    from PIL import Image

    assert np.asarray(Image.open(run / "page.png")).std() > 5
