"""The page in a real browser: upload, camera, ask, point, correct, edit, download, stop, telephone, dark, keyboard."""

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
from word2mask.apps.web.visits import Visits  # noqa: E402
from word2mask.data.media import VideoFile  # noqa: E402
from word2mask.inference.render import save_video  # noqa: E402

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
#: A camera that films a pattern of Chromium's own.
OPTIONS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH"),
]

#: Whether the camera's picture is seen; a press before that takes nothing.
FILMS = "document.querySelector('{} video')?.videoWidth > 0"
#: Notes the size of each part of a film as it is encoded.
ENCODED = """() => {
    const start = MediaRecorder.prototype.start;
    MediaRecorder.prototype.start = function (...options) {
        window.encoded = [];
        this.addEventListener('dataavailable', (event) => window.encoded.push(event.data.size));
        return start.apply(this, options);
    };
}"""
BUSY = "document.querySelector('.w2m-progress, .w2m-dots')"


@pytest.fixture
def page(known_session: Any) -> Iterator[Any]:
    """The page at a desk, empty; what the browser complains about fails the test."""
    built = build_page(known_session, "known", Limits())
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
    assert page.locator(".w2m-object").all_inner_texts()[0].split("\n")[-1] == "90 % sure"
    colours = page.evaluate(
        "['.w2m-phrase', '.w2m-object'].map(of => [...document.querySelectorAll(of)]"
        ".map(e => getComputedStyle(e).borderBottomColor))"
    )
    assert colours[0] == colours[1] and len(set(colours[0])) == 2, "phrases have the colours of their objects"
    masked = page.locator(".w2m-canvas img").get_attribute("src")
    assert masked != before, "the mask is drawn"
    page.locator(".w2m-object").first.click()
    page.wait_for_selector(".w2m-object[aria-pressed=false]")
    assert page.locator(".w2m-canvas img").get_attribute("src") == before, "a hidden mask isn't"
    page.locator(".w2m-object").first.click()
    page.wait_for_selector(".w2m-object[aria-pressed=false]", state="detached")

    page.mouse.click(*at(page, 0.25, 0.5))
    page.wait_for_selector(".w2m-canvas g.on")
    page.locator("#w2m-tool label", has_text="Off it").click()
    page.wait_for_selector(".w2m-canvas[data-tool=off]")
    page.mouse.click(*at(page, 0.75, 0.5))
    page.wait_for_selector(".w2m-canvas g.off")
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
    assert click.points[0] == pytest.approx((75, 100, 1), abs=2) and click.points[0][2] == 1
    assert click.points[1] == pytest.approx((225, 100, 0), abs=2) and click.points[1][2] == 0
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


def test_a_telephone_dark_and_the_keyboard(page: Any, known_session: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator(".w2m-example").first.click()
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "Please segment the red heart.", 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Light words on a dark page, and the other way round; what lies between the two is transparent.
    brightness = """() => [[document.body, 'backgroundColor'], [document.querySelector('.w2m-a'), 'color'],
        [document.querySelector('.w2m-a'), 'backgroundColor']].map(([element, name]) =>
        getComputedStyle(element)[name].match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part) / 3, 0))"""
    ground, words, card = page.evaluate(brightness)
    assert ground > 220 and card > 220 and words < 60
    page.locator("#w2m-switch").click()
    page.wait_for_function(f"(([ground, words, card]) => ground < 40 && card < 70 && words > 220)(({brightness})())")
    page.locator(".w2m-canvas").focus()
    for key in (*["Shift+ArrowRight"] * 3, *["ArrowDown"] * 10, "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".w2m-canvas g.on")
    page.locator("#w2m-tool input").first.focus()
    for key in ("Tab", "Tab", "Space"):  # Gradio's radio buttons are stops of their own.
        page.keyboard.press(key)
    page.wait_for_selector(".w2m-canvas[data-tool=box]")
    page.locator(".w2m-canvas").focus()
    for key in ("Enter", *["Shift+ArrowLeft"] * 4, *["Shift+ArrowUp"] * 2, "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".w2m-canvas g rect.box")
    page.locator("#w2m-question textarea").fill("What is region1?")
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelectorAll('.w2m-a').length == 2 && !{BUSY}")
    (prompt,) = known_session.requests[-1].prompts
    width, height = known_session.requests[-1].media.frames.shape[2], known_session.requests[-1].media.frames.shape[1]
    assert prompt.points[0] == pytest.approx((0.65 * width, 0.6 * height, 1))
    assert prompt.box == pytest.approx((0.45 * width, 0.5 * height, 0.65 * width, 0.6 * height))
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, textarea, [role=application]')].filter(e => e.offsetParent"
        " && !e.innerText.trim() && !e.ariaLabel && !e.title && !e.labels?.length && !e.placeholder"
        " && !e.getAttribute('aria-labelledby')).map(e => e.outerHTML.slice(0, 120))"
    )
    assert unnamed == []


def test_a_finger_scrolls_the_page_and_taps_the_picture(page: Any) -> None:
    phone = page.context.browser.new_context(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    other = phone.new_page()
    other.set_default_timeout(60_000)
    other.goto(page.url, wait_until="domcontentloaded")
    other.locator(".w2m-example").first.click()
    other.wait_for_selector(".w2m-canvas[data-tool=on] img")
    finger, (x, y) = phone.new_cdp_session(other), at(other, 0.5, 0.5)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def swipe() -> None:
        touch("Start", (x, y))
        for step in range(1, 11):
            touch("Move", (x, y - 15 * step))
        touch("End")

    swipe()
    other.wait_for_function("scrollY > 50")
    assert other.locator(".w2m-canvas g.on").count() == 0
    other.locator(".w2m-canvas").tap()
    other.wait_for_selector(".w2m-canvas g.on")
    # A box is drawn with the finger, and the page stays where it is.
    other.evaluate("scrollTo(0, 0)")
    other.locator("#w2m-tool label", has_text="Box").tap()
    other.wait_for_selector(".w2m-canvas[data-tool=box]")
    touch("Start", (x - 60, y - 60))
    for step in range(1, 11):
        touch("Move", (x - 60 + 10 * step, y - 60 + 10 * step))
    touch("End")
    other.wait_for_selector(".w2m-canvas g rect.box")
    assert other.evaluate("scrollY") == 0
    phone.close()


def test_who_presses_before_the_page_has_opened_is_told(
    known_session: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    begin = Visits.begin
    monkeypatch.setattr(Visits, "begin", lambda self, key: opened.wait(60) and begin(self, key))
    built = build_page(known_session, "known", Limits())
    address = launch(built, "127.0.0.1", 0)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(address, wait_until="domcontentloaded")
        page.locator(".w2m-example").first.click()
        page.get_by_text("this page isn't connected").wait_for()
        opened.set()
        wait_until(lambda: len(built.visits) == 1, "the page has begun a visit")
        page.locator(".w2m-example").first.click()
        page.wait_for_selector(".w2m-canvas img")
        browser.close()
    built.close()


def test_a_camera_and_chinese(page: Any, known_session: Any) -> None:
    page.get_by_role("tab", name="Camera").click()
    page.locator("#w2m-photo").get_by_text("Click to Access Webcam").click()
    page.wait_for_function(FILMS.format("#w2m-photo"))
    page.locator("#w2m-photo button[aria-label='capture photo'], #w2m-photo .button-wrap button").first.click()
    page.wait_for_selector(".w2m-canvas img")
    question = page.locator("#w2m-question textarea")
    question.press_sequentially("请分割红色的心。")
    question.press("Enter")
    page.wait_for_function(f"document.querySelectorAll('.w2m-a').length == 1 && !{BUSY}")
    assert page.locator(".w2m-q").inner_text() == "请分割红色的心。"
    request = known_session.requests[-1]
    assert request.turns[-1].text == "请分割红色的心。" and request.media.frames.std() > 5, "the camera's picture"


def test_a_film_of_the_camera(page: Any, known_session: Any) -> None:
    page.get_by_role("tab", name="Camera").click()
    film = page.locator("#w2m-film")
    film.get_by_text("Click to Access Webcam").click()
    page.wait_for_function(FILMS.format("#w2m-film"))
    page.evaluate(ENCODED)
    film.get_by_role("button", name="start recording").click()
    # Gradio sends what the browser has encoded by the press, which on a busy machine comes late.
    page.wait_for_function("window.encoded?.filter(size => size > 0).length >= 5")
    film.get_by_title("stop recording").click()
    page.wait_for_selector(".w2m-canvas img, .toast-body")
    assert page.locator(".toast-body").all_inner_texts() == []
    assert page.locator(".w2m-canvas").get_attribute("aria-label").startswith("Frame 1 of ")
    before = page.locator(".w2m-canvas img").get_attribute("src")
    ask(page, "Where is it?", 1)
    frames = known_session.requests[-1].media
    assert isinstance(frames, VideoFile) and len(frames) > 1
    assert f"on {len(frames)} of {len(frames)}" in page.locator(".w2m-timeline svg").first.get_attribute("aria-label")
    assert page.locator(".w2m-canvas img").get_attribute("src") != before, "the mask is drawn"
    assert frames.read([0])[0].std() > 5, "the camera's picture"


def saved(page: Any, kind: str, ending: str) -> Path:
    """A file, downloaded as a visitor does."""
    page.locator("#w2m-kind label", has_text=kind).click()
    page.locator("#w2m-pack").click()
    page.wait_for_function(f"document.querySelector('#w2m-packed a')?.download.endsWith('{ending}') && !{BUSY}")
    with page.expect_download() as download:
        page.locator("#w2m-packed a").click()
    assert download.value.suggested_filename.endswith(ending)
    return Path(download.value.path())


def test_cut_out_and_what_is_hidden_and_how_strong(page: Any, picture: Path) -> None:
    upload(page, picture)
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "Where?", 1)
    drawn = page.locator(".w2m-canvas img").get_attribute("src")
    page.locator("#w2m-opacity input[type=range]").fill("90")
    page.wait_for_function(f"document.querySelector('.w2m-canvas img').src != {json.dumps(drawn)}")
    page.locator("#w2m-download button").first.click()
    with Image.open(saved(page, "Cut out", "_cutout.png")) as cut:
        alpha = np.asarray(cut.convert("RGBA"))[..., 3]
    assert alpha.shape == (200, 300) and alpha[:, :140].min() == 255 and alpha[:, 160:].max() == 0
    answer = json.loads(saved(page, "JSON", "_answer.json").read_text())
    assert [entry["phrase"] for entry in answer["objects"]] == ["The left half", "the moon"]
    page.locator(".w2m-object").nth(1).click()
    page.wait_for_selector(".w2m-object[aria-pressed=false]")
    answer = json.loads(saved(page, "JSON", "_answer.json").read_text())
    assert [entry["phrase"] for entry in answer["objects"]] == ["The left half"], "what is hidden isn't in the file"


def test_a_video_cut_out_has_alpha(page: Any, video: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV isn't installed")
    upload(page, video)
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "Where?", 1)
    page.locator("#w2m-download button").first.click()
    path = saved(page, "Cut out", "_cutout.webm")
    with av.open(str(path)) as file:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
        frames = [frame.to_ndarray(format="rgba") for packet in packets for frame in decoder.decode(packet)]
    assert len(frames) == 8 and frames[0].shape == (60, 90, 4)
    assert frames[3][:, :40, 3].min() > 250 and frames[3][:, 50:, 3].max() < 5
    drawn = VideoFile(saved(page, "With the masks drawn in", "_overlay.mp4")).read([3])[0].astype(int)
    assert np.ptp(drawn[30, 20]) > 20 and np.ptp(drawn[30, 70]) < 12, "coloured where the mask is, grey where it isn't"


def test_stopped_and_asked_again_at_once(page: Any, picture: Path, known_session: Any) -> None:
    upload(page, picture)
    page.wait_for_selector(".w2m-canvas img")
    known_session.hold = threading.Event()
    for question in ("first", "second", "third"):
        page.locator("#w2m-question textarea").fill(question)
        page.locator("#w2m-ask").click()
        page.locator("#w2m-stop").click()
        page.locator("#w2m-stop").wait_for(state="hidden")
    known_session.hold = None
    ask(page, "fourth", 1)
    assert page.locator(".w2m-q").all_inner_texts() == ["fourth"]


def test_visitors_see_their_own(page: Any, picture: Path, known_session: Any) -> None:
    upload(page, picture)
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "first visitor's", 1)
    other = page.context.browser.new_context().new_page()
    other.set_default_timeout(60_000)
    other.goto(page.url, wait_until="domcontentloaded")
    other.locator(".w2m-example").nth(1).click()
    other.wait_for_selector(".w2m-canvas img")
    assert other.locator(".w2m-q").count() == 0 and "first visitor" not in other.content()
    ask(other, "second visitor's", 1)
    ask(page, "and now?", 2)
    said = [turn.text for turn in known_session.requests[-1].turns if turn.role == "user"]
    assert said == ["first visitor's", "and now?"]
    assert page.locator(".w2m-q").all_inner_texts() == said
    assert other.locator(".w2m-q").all_inner_texts() == ["second visitor's"]


def barriers(page: Any) -> list[str]:
    """What axe finds of WCAG 2.2 A and AA that keeps somebody out, as ``rule: element``."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed (extra dev)")
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    page.wait_for_function("document.getAnimations().every(animation => animation.playState !== 'running')")
    found = axe.Axe().run(page, options={**rules, "resultTypes": ["violations"]}).response
    assert len(found["passes"]) > 10, "axe has looked"
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "telephone"])
def test_nobody_is_kept_out(page: Any, size: tuple[int, int], video: Path) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert barriers(page) == []
    page.locator("#w2m-switch").click()
    page.wait_for_selector("body.dark")
    assert barriers(page) == [], "dark"
    upload(page, video)
    page.wait_for_selector(".w2m-canvas img")
    ask(page, "Where is it?", 1)
    page.locator("#w2m-edit button").first.click()
    page.locator("#w2m-download button").first.click()
    page.locator("#w2m-pack").click()
    page.wait_for_selector("#w2m-packed a")
    assert barriers(page) == [], "an answer, dark"
    page.locator("#w2m-switch").click()
    page.wait_for_selector("body:not(.dark)")
    assert barriers(page) == [], "an answer"


def test_who_finds_no_room_is_told(known_session: Any, tmp_path: Path) -> None:
    built = build_page(known_session, "known", Limits(megabytes=1, stored_megabytes=1))
    address = launch(built, "127.0.0.1", 0)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(address, wait_until="domcontentloaded")
        page.wait_for_selector(".w2m-example")
        noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise.png")
        wait_until(lambda: len(built.visits) == 1, "the page has begun a visit")
        others = built.disk.new_folder() / "video.mp4"
        others.write_bytes(bytes(900_000))
        upload(page, tmp_path / "noise.png")
        page.get_by_text("the server has no room for more files of visitors now; try again").wait_for()
        others.unlink()
        upload(page, tmp_path / "noise.png")
        page.wait_for_selector(".w2m-canvas img")
        browser.close()
    built.close()
