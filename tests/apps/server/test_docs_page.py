"""The page at /docs: everything that is described, nothing from elsewhere, and it sends what one tries."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server_requests import png

from word2mask.apps.server import description

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")


def test_all_that_is_described_is_on_it(serve: Callable[..., Any]) -> None:
    client = serve(key="secret")
    answer = client.get("/docs")
    assert answer.status_code == 200 and answer.headers["content-security-policy"] == description.POLICY
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        for method, operation in methods.items():
            assert f'data-method="{method.upper()}" data-path="{path}"' in answer.text
            assert operation["summary"] in answer.text
    links, places = re.findall(r'href="#([^"]+)"', answer.text), re.findall(r' id="([^"]+)"', answer.text)
    assert set(links) <= set(places) and len(links) > 20
    assert "integer, ≥ 1" in answer.text and "number, ≥ 0, ≤ 2" in answer.text
    assert "<td><code>messages</code> <em>needed</em></td>" in answer.text


def test_nothing_comes_from_elsewhere(serve: Callable[..., Any]) -> None:
    text = serve().get("/docs").text
    assert re.findall(r'(?:src|href)="(?!#)([^"]+)"', text) == ["openapi.json"]
    assert "@import" not in text and "url(" not in text


def test_words_of_a_description_stay_words() -> None:
    evil = "<img src=x onerror=alert(1)>"
    field = {"type": "string", "description": evil, "enum": [evil]}
    shape = {"type": "object", "properties": {evil: field}, "required": [evil], "examples": [{evil: evil}]}
    operation = {
        "summary": evil,
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sent"}}}},
        "responses": {"200": {"description": evil}},
        "parameters": [{"name": evil}],
    }
    described = {
        "info": {"title": evil, "version": evil, "description": evil},
        "paths": {f"/{evil}": {"post": operation}},
        "components": {"schemas": {"Sent": shape}},
    }
    text = description.page(described)
    assert "<img" not in text and text.count("&lt;img") > 10


@pytest.fixture
def page(listen: Callable[..., int]) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed (extra dev)")
    complaints: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
        page.goto(f"http://127.0.0.1:{listen(key='secret')}/docs")
        yield page
        browser.close()
    assert complaints == []


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH")
def test_what_one_tries_is_answered(page: Any, tmp_path: Path) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    def tried(path: str, method: str = "POST") -> Any:
        form = page.locator(f'form[data-path="{path}"][data-method="{method}"]')
        if not form.is_visible():
            page.locator("main > details", has=form).locator("summary").first.click()
        form.get_by_role("button", name="Send").click()
        form.locator("output", has_text=re.compile(r"^\d+ |^\d+,")).wait_for()
        return form

    form = tried("/v1/chat/completions")
    assert form.locator("output").inner_text().startswith("401")
    page.locator("#key").fill("secret")
    form = tried("/v1/chat/completions")
    form.locator("output", has_text="200").wait_for()
    answer = json.loads(form.locator("pre").inner_text())
    assert answer["choices"][0]["message"]["word2mask"]["size"] == [32, 32]
    form.locator("select").select_option(index=1)
    tried("/v1/chat/completions")
    form.locator("pre", has_text="[DONE]").wait_for()
    (tmp_path / "a.png").write_bytes(png())
    form = page.locator('form[data-path="/v1/segment"]')
    page.locator("main > details", has=form).locator("summary").first.click()
    form.locator("textarea").fill(json.dumps({"text": "the sky", "prompts": [{"box": [1, 1, 9, 9]}]}))
    form.locator("input[type=file]").set_input_files(tmp_path / "a.png")
    tried("/v1/segment")
    assert json.loads(form.locator("pre").inner_text())["word2mask"]["size"] == [16, 20]
    form = page.locator('form[data-path="/v1/files/{file_id}"][data-method="GET"]')
    page.locator("main > details", has=form).locator("summary").first.click()
    form.locator("[data-name=file_id]").fill("file-0")
    assert tried("/v1/files/{file_id}", "GET").locator("output").inner_text().startswith("404")
