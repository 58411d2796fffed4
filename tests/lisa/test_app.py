"""LISA's page: a picture comes, a question is asked, masks are seen, made by a click, taken away; in a browser too."""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

gr = pytest.importorskip("gradio", reason="the extra apps isn't installed")

from lisa import app  # noqa: E402
from lisa.loading import open_session  # noqa: E402
from word2mask.apps.web.command import open_page  # noqa: E402
from word2mask.apps.web.events import Events  # noqa: E402
from word2mask.apps.web.making import Making  # noqa: E402
from word2mask.apps.web.showing import NEW, WHOLE  # noqa: E402
from word2mask.apps.web.visit import Visit  # noqa: E402
from word2mask.data.media import open_image  # noqa: E402
from word2mask.inference.render import save_video  # noqa: E402
from word2mask.inference.session import Session  # noqa: E402
from word2mask.mllms.llava import LLaVA  # noqa: E402
from word2mask.models.folder import save_grounded  # noqa: E402
from word2mask.models.grounded import GroundedMLLM  # noqa: E402
from word2mask.segmenters.sam import SAMSegmenter  # noqa: E402
from word2mask.types import Request, Turn  # noqa: E402

H, W = 40, 60
QUESTION = "Please segment the cat."
#: A token of the tiny model that follows the two masks.
REPEATED = 154
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LISA whose answer to :data:`QUESTION` has two masks, which depend on what is asked and seen."""
    torch.manual_seed(0)
    model = GroundedMLLM(LLaVA.tiny(), SAMSegmenter.tiny(), seg_state="before")
    tokenizer, head = model.mllm.tokenizer, model.mllm.model.lm_head.weight
    with torch.no_grad():
        for part, factor in ((model.mllm, 8), (model.projector, 12)):
            for weight in part.parameters():
                weight.mul_(factor if weight.dim() > 1 else 1)
        head[tokenizer.convert_tokens_to_ids("[SEG]")].mul_(3)
        # Left alone, it would repeat one token for ever: that token is its end.
        end = tokenizer.eos_token_id
        head[[REPEATED, end]] = head[[end, REPEATED]]
    folder = tmp_path_factory.mktemp("app") / "LISA-tiny"
    save_grounded(model, folder)
    return folder


@pytest.fixture
def arguments(folder: Path) -> list[str]:
    return [f"--version={folder}", "--precision=fp32", "--device=cpu", "--port=0"]


@pytest.fixture
def session(arguments: list[str]) -> Session:
    return open_session(app.parse_arguments(arguments))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (H, W, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a noise.png")
    return tmp_path / "a noise.png"


@pytest.fixture
def visit() -> Iterator[Visit]:
    visit = Visit()
    yield visit
    visit.close()


def data(**fields: Any) -> gr.EventData:
    return gr.EventData(None, fields)


def expected(session: Session, picture: Path) -> list[np.ndarray]:
    answer = session.ask(Request((Turn("user", QUESTION),), open_image(picture)))
    return [segment.masks[0] for segment in answer.segments]


def test_a_picture_is_asked_about_and_masked(session: Session, picture: Path, visit: Visit) -> None:
    events, making = Events(session, None, {}), Making(session)
    shown = events.upload(visit, str(picture))
    assert shown[WHOLE.index("looking")]["visible"] is True and "a noise.png" in shown[WHOLE.index("stage")]
    *_, text, ticket = events.begin(visit, QUESTION)
    last = list(events.ask(visit, text, ticket))[-1]
    said, found = expected(session, picture), [segment.masks[0] for segment in visit.segments]
    assert len(found) == 2 and all(0 < mask.sum() < H * W for mask in found)
    assert all((one == other).all() for one, other in zip(found, said, strict=True))
    assert last[WHOLE.index("talk")].count('class="w2m-number"') == 2

    events.mark(visit, NEW, data(places=[[0.25, 0.5]]))
    list(making.mask(visit, NEW))
    assert [segment.phrase for segment in visit.segments][2:] == ["what was marked"]
    assert visit.segments[2].masks.shape == (1, H, W)
    *_, made = list(making.pack(visit, "Masks as PNG"))[-1]
    path = visit.files.find(made.split("word2mask/files/")[1].split("/")[0])
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["mask_01.png", "mask_02.png", "mask_03.png"]
        drawn = np.asarray(Image.open(io.BytesIO(archive.read("mask_01.png"))))
    assert ((drawn == 255) == found[0]).all()


def test_videos_are_not_offered(arguments: list[str], session: Session, tmp_path: Path) -> None:
    """SAM has no memory to follow objects with."""
    page, _ = open_page(session, "LISA-tiny", app.parse_arguments(arguments), wait=False)
    try:
        config = str(page.blocks.get_config_file())
        assert "Drop a picture here" in config and "Please segment the red heart." in config
        assert "in this video" not in config and "'.mp4'" not in config and "Another picture or video" not in config
        save_video([np.full((H, W, 3), 40 * place, np.uint8) for place in range(4)], tmp_path / "clip.mp4")
        visit = page.visits.begin("somebody")
        with pytest.warns(UserWarning, match="^clip.mp4: a video, and this page looks at pictures only"):
            Events(session, None, {}).upload(visit, str(tmp_path / "clip.mp4"))
        assert visit.media is None
    finally:
        page.close()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH")
def test_in_a_browser(arguments: list[str], session: Session, picture: Path, repository: Path, tmp_path: Path) -> None:
    """The program as one starts it: upload, ask, mask, download."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed (extra dev)")
    log = tmp_path / "log"
    command = [sys.executable, str(repository / "projects/lisa/app.py"), *arguments]
    with log.open("w") as file:
        program = subprocess.Popen(command, stderr=file)
    try:
        while (found := re.search(r"the page is at (http://\S+)", log.read_text())) is None:
            assert program.poll() is None, log.read_text()
            time.sleep(0.2)
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(found[1], wait_until="domcontentloaded")
            assert page.locator(".w2m-top span").inner_text() == "LISA-tiny"
            page.locator("#w2m-upload input[type=file]").set_input_files(picture)
            canvas = page.locator(".w2m-canvas img")
            canvas.wait_for()
            before = canvas.get_attribute("src")
            page.locator("#w2m-question textarea").fill(QUESTION)
            page.locator("#w2m-ask").click()
            page.wait_for_function("document.querySelectorAll('.w2m-object').length == 2")
            assert canvas.get_attribute("src") != before, "the masks are drawn"
            box = canvas.bounding_box()
            page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
            page.wait_for_selector(".w2m-canvas g.on")
            page.locator("#w2m-mask").click()
            page.wait_for_function("document.querySelectorAll('.w2m-object').length == 3")
            page.locator("#w2m-download button").first.click()
            page.locator("#w2m-pack").click()
            page.wait_for_selector("#w2m-packed a")
            with page.expect_download() as download:
                page.locator("#w2m-packed a").click()
            with zipfile.ZipFile(download.value.path()) as archive:
                drawn = np.asarray(Image.open(io.BytesIO(archive.read("mask_01.png"))))
            browser.close()
        assert ((drawn == 255) == expected(session, picture)[0]).all()
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 130
    finally:
        program.kill()
        program.wait()
