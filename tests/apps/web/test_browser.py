"""The page in a real browser: upload, ask, point, a second turn, edit, download, stop, telephone, dark, keyboard."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

gr = pytest.importorskip("gradio", reason="the extra apps isn't installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed (extra dev)")

from word2mask.apps.web.limits import Limits  # noqa: E402
from word2mask.apps.web.page import build_page, launch  # noqa: E402
from word2mask.inference.render import save_video  # noqa: E402

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH"),
]

BUSY = "document.querySelector('.w2m-progress, .w2m-dots')"


@pytest.fixture
def page(known_session: Any) -> Iterator[Any]:
    """The page at a desk, empty; what the browser complains about fails the test."""
    built = build_page(known_session, "known", Limits(frames=20))
    address = launch(built, "127.0.0.1", 0)
    complaints: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(address, wait_until="domcontentloaded")
        page.wait_for_selector(".w2m-example")
        wait_until(lambda: len(built.visits) == 1, "the page has begun a visit")
        yield page
        browser.close()
        wait_until(lambda: len(built.visits) == 0, "who has left is forgotten")
    built.close()
    assert complaints == []


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so: {what}"
        time.sleep(0.1)


def upload(page: Any, path: Path) -> None:
    page.locator("#w2m-upload input[type=file]").set_input_files(path)


def ask(page: Any, question: str, answers: int) -> None:
    page.locator("#w2m-question textarea").fill(question)
    page.locator("#w2m-ask").click()
    page.wait_for_function(f"document.querySelectorAll('.w2m-a').length == {answers} && !{BUSY}")


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    box = page.locator(".w2m-canvas").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=6)
    page.mouse.up()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.full((200, 300, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    save_video([np.full((60, 90, 3), 20 * place, np.uint8) for place in range(8)], tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


def test_a_visit(page: Any, picture: Path, known_session: Any, tmp_path: Path) -> None:
    assert page.locator("h2").inner_text() == "Words that point at pixels"
    upload(page, picture)
    page.wait_for_selector(".w2m-canvas img")
    before = page.locator(".w2m-canvas img").get_attribute("src")
    ask(page, "<img src=x onerror=alert(1)>", 1)
    assert page.locator(".w2m-q").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator(".w2m-phrase").first.inner_text() == "The left half"
    assert page.locator(".w2m-object").all_inner_texts()[1].split("\n")[-1] == "not found"
    masked = page.locator(".w2m-canvas img").get_attribute("src")
    assert masked != before, "the mask is drawn"
    page.locator(".w2m-object").first.click()
    page.wait_for_selector(".w2m-object[aria-pressed=false]")
    assert page.locator(".w2m-canvas img").get_attribute("src") == before, "a hidden mask isn't"
    page.locator(".w2m-object").first.click()
    page.wait_for_selector(".w2m-object[aria-pressed=false]", state="detached")

    page.mouse.click(*at(page, 0.25, 0.5))
    page.wait_for_selector(".w2m-canvas g.on")
    page.locator("#w2m-tool label", has_text="Box").click()
    page.wait_for_selector(".w2m-canvas[data-tool=box]")
    page.locator("#w2m-next").click()
    drag(page, (0.5, 0.2), (0.75, 0.6))
    page.wait_for_selector(".w2m-canvas text >> nth=1")
    page.locator("#w2m-tool label", has_text="Brush").click()
    page.wait_for_selector(".w2m-canvas[data-tool=brush]")
    page.locator("#w2m-next").click()
    drag(page, (0.1, 0.1), (0.3, 0.2))
    page.wait_for_selector(".w2m-canvas text >> nth=2")
    ask(page, "What are region1 and region2?", 2)
    click, box, brush = known_session.requests[-1].prompts
    assert click.points[0][:2] == pytest.approx((75, 100), abs=2)
    assert box.box == pytest.approx((150, 40, 225, 120), abs=2)
    assert brush.mask[30, 60] and not brush.mask[150, 200]
    assert [turn.role for turn in known_session.requests[-1].turns] == ["user", "assistant", "user"]

    page.locator("#w2m-edit button").first.click()
    page.locator("#w2m-preview").click()
    page.wait_for_function(f"!{BUSY} && document.querySelector('.w2m-canvas img').src != {json.dumps(masked)}")
    page.locator("#w2m-make").click()
    page.wait_for_selector("#w2m-made img")
    page.locator("#w2m-download button").first.click()
    page.locator("#w2m-pack").click()
    page.wait_for_selector("#w2m-packed a")
    with page.expect_download() as download:
        page.locator("#w2m-packed a").click()
    assert download.value.suggested_filename == "grey_masks.zip"
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"


def test_a_video_stop_and_what_is_refused(page: Any, video: Path, known_session: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("<html>")
    upload(page, tmp_path / "bad.png")
    page.get_by_text("bad.png: not a picture that can be read").wait_for()
    assert str(tmp_path) not in page.content()
    upload(page, video)
    page.wait_for_selector(".w2m-canvas img")
    known_session.hold = threading.Event()
    page.locator("#w2m-question textarea").fill("Where is it?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".w2m-progress:not(.unknown)")
    page.locator("#w2m-stop").click()
    page.get_by_text("Stopped.").wait_for()
    page.locator("#w2m-stop").wait_for(state="hidden")
    known_session.hold = None
    ask(page, "Where is it?", 1)
    assert "on 8 of 8 frames" in page.locator(".w2m-timeline svg").first.get_attribute("aria-label")
    page.locator("#w2m-frame input[type=range]").fill("5")
    page.wait_for_function("document.querySelector('.w2m-canvas').ariaLabel.includes('Frame 6 of 8')")
    page.locator("#w2m-edit button").first.click()
    page.locator("#w2m-instruction textarea, #w2m-instruction input").first.fill("make it grayscale")
    page.locator("#w2m-say").click()
    page.wait_for_function("document.querySelector('#w2m-made video')?.readyState >= 2")
    assert page.evaluate("document.querySelector('#w2m-made video').videoWidth") == 90


def test_a_telephone_dark_and_the_keyboard(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator(".w2m-example").first.click()
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "Please segment the red heart.", 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    color = "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    light = page.evaluate(color)
    page.locator("#w2m-switch").click()
    page.wait_for_function(f"{color} != {json.dumps(light)}")
    page.locator(".w2m-canvas").focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".w2m-canvas g.on")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, textarea, [role=application]')].filter(e => e.offsetParent"
        " && !e.innerText.trim() && !e.ariaLabel && !e.title && !e.labels?.length && !e.placeholder"
        " && !e.getAttribute('aria-labelledby')).map(e => e.outerHTML.slice(0, 120))"
    )
    assert unnamed == []
