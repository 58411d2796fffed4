"""The page: what stands where, which event calls what, and the server under it (Gradio 6)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from word2mask.apps.web import stage, talk
from word2mask.apps.web.disk import Disk, Gate
from word2mask.apps.web.events import Events
from word2mask.apps.web.examples import examples_html
from word2mask.apps.web.limits import Limits
from word2mask.apps.web.showing import NEW
from word2mask.apps.web.style import HEAD, STYLE, theme
from word2mask.apps.web.visit import Visit
from word2mask.apps.web.visits import Visits
from word2mask.apps.web.work import DOWNLOADS
from word2mask.data.pictures import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from word2mask.inference.editing.instruction import EFFECTS

__all__ = ["Page", "build_page", "launch"]

TOOLS = [("On it", "on"), ("Off it", "off"), ("Box", "box"), ("Brush", "brush")]

#: What a film is asked to be; Gradio's own wish is larger than :class:`Limits` takes.
CAMERA = {"video": {"width": {"ideal": 1280}, "height": {"ideal": 720}}, "audio": False}

WELCOME = """
<div class="w2m-welcome">
<h2>Words that point at pixels</h2>
<p>Show {media} and say what you mean, in your own words. The answer comes with a mask of each thing that
it names{extent}.</p>
<ol><li><b>1</b>Drop {media} below, use the camera, or open an example.</li>
<li><b>2</b>Ask: “Please segment the red heart.” Or click, box or brush what you mean.</li>
<li><b>3</b>Go on asking, edit what was found, and take the masks away.</li></ol>
</div>
"""

#: Light or dark, by a press; otherwise as the visitor's system has it.
SWITCH = "() => { document.body.classList.toggle('dark'); }"


@dataclass
class Page:
    """The built page and what its server needs to know."""

    blocks: Any
    visits: Visits
    limits: Limits
    disk: Disk

    def close(self) -> None:
        """Serves nothing any more; all visits end, and nothing stays of what was sent."""
        self.blocks.close(verbose=False)
        self.visits.close()
        self.disk.close()
        self.forget(self.disk.sweep(0))

    def forget(self, gone: set[str]) -> None:
        """Takes the paths of deleted files out of Gradio's own lists, which would grow for ever."""
        for known in self.blocks.temp_file_sets:
            known.difference_update(gone)


def build_page(session: Any, name: str, limits: Limits | None = None) -> Page:
    """The page of a session.

    Args:
        session: a :class:`word2mask.inference.session.Session`.
        name: of the model, as the page shows it.
        limits: of what visitors may bring.

    Raises:
        UserError: there is no place for their files.
    """
    limits = limits or Limits()
    disk = Disk(limits)
    visits = Visits(limits, disk)

    def begin(request: gr.Request) -> Visit:
        return visits.begin(str(request.session_hash))

    def end(request: gr.Request) -> None:
        visits.end(str(request.session_hash))

    with gr.Blocks(title="word2mask", analytics_enabled=False, fill_width=True) as blocks:
        visit = gr.State()
        blocks.load(begin, None, visit, api_visibility="private", show_progress="hidden")
        blocks.unload(end)
        _top(name)
        parts: dict[str, Any] = {}
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=300):
                _welcome(parts, limits)
                _stage(parts)
            with gr.Column(scale=5, min_width=300, elem_id="w2m-talk-column"):
                _talk(parts, limits)
        _results(parts)
        Events(session, visit, parts).connect()
    blocks.queue(max_size=limits.waiting, default_concurrency_limit=16)
    return Page(blocks, visits, limits, disk)


def launch(page: Page, host: str, port: int, share: bool = False) -> str:
    """Serves a page in threads of its own; returns its address.

    Raises:
        OSError: the address is taken.
    """

    def file(request: HttpRequest) -> Response:
        path = page.visits.files.find(request.path_params["token"])
        if path is None:
            return PlainTextResponse("this file isn't there any more; make it again", 404)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return FileResponse(path, headers=headers)

    _, local, public = page.blocks.launch(
        server_name=host,
        server_port=port or None,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        footer_links=[],
        max_file_size=page.limits.megabytes * 10**6,
        theme=theme(),
        css=STYLE,
        head=HEAD,
        ssr_mode=False,
        enable_monitoring=False,
        app_kwargs={
            "routes": [Route("/word2mask/files/{token}/{name}", file)],
            "middleware": [Middleware(Gate, disk=page.disk, limits=page.limits)],
            "docs_url": None,
            "redoc_url": None,
        },
    )
    page.disk.keep_clean(page.forget)
    return str(public or local)


def _top(name: str) -> None:
    with gr.Row(elem_id="w2m-head"):
        gr.HTML(
            f'<div class="w2m-top"><i aria-hidden="true"></i><h1>word2mask</h1><span>{escape(name)}</span></div>',
            apply_default_css=False,
            js_on_load=None,
        )
        switch = gr.Button("◐ Light / dark", size="sm", scale=0, min_width=120, elem_id="w2m-switch")
        switch.click(None, js=SWITCH, api_visibility="private")


def _welcome(parts: dict[str, Any], limits: Limits) -> None:
    """What a newcomer sees: what to do, and three ways to bring something to look at."""
    only_pictures = limits.only_pictures
    media, extent = ("a picture", "") if only_pictures else ("a picture or a video", ", on every frame")
    with gr.Column(visible=True, elem_id="w2m-welcome") as parts["welcome"]:
        gr.HTML(WELCOME.format(media=media, extent=extent), apply_default_css=False, js_on_load=None)
        with gr.Tabs():
            with gr.Tab("Upload"):
                parts["upload"] = gr.File(
                    label=f"Drop {media} here",
                    file_types=[*IMAGE_SUFFIXES, *(() if only_pictures else VIDEO_SUFFIXES)],
                    height=150,
                    elem_id="w2m-upload",
                )
            with gr.Tab("Camera"):
                parts["photo"] = gr.Image(
                    label="Take a picture",
                    sources=["webcam"],
                    type="filepath",
                    format="png",
                    webcam_options=gr.WebcamOptions(mirror=False),
                    elem_id="w2m-photo",
                )
                parts["film"] = gr.Video(
                    label="Take a video",
                    sources=["webcam"],
                    visible=not only_pictures,
                    # Gradio would mirror a film, or take its sound out, by the program ffmpeg: before a look at what
                    # the file is, and only where that program is. The microphone isn't asked for all the same.
                    include_audio=True,
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=CAMERA),
                    elem_id="w2m-film",
                )
        gr.HTML('<p class="w2m-quiet">Or open an example:</p>', apply_default_css=False, js_on_load=None)
        parts["examples"] = gr.HTML(
            examples_html(only_pictures), apply_default_css=False, js_on_load=talk.SCRIPT, elem_id="w2m-examples"
        )


def _stage(parts: dict[str, Any]) -> None:
    """What is looked at, and what can be done with it."""
    with gr.Column(visible=False, elem_id="w2m-stage-column") as parts["looking"]:
        with gr.Row(elem_id="w2m-tools"):
            parts["tool"] = gr.Radio(
                TOOLS, value="on", label="Point with", container=False, elem_id="w2m-tool", scale=3, min_width=250
            )
            parts["next"] = gr.Button("Next region", size="sm", scale=1, min_width=84, elem_id="w2m-next")
            parts["undo"] = gr.Button("Undo", size="sm", scale=1, min_width=60, elem_id="w2m-undo")
            parts["clear"] = gr.Button("Clear", size="sm", scale=1, min_width=60, elem_id="w2m-clear")
        parts["stage"] = gr.HTML(apply_default_css=False, js_on_load=stage.SCRIPT, elem_id="w2m-stage")
        with gr.Row(elem_id="w2m-masking"):
            parts["target"] = gr.Dropdown(
                [("a new object", NEW)],
                value=NEW,
                show_label=False,
                container=False,
                scale=2,
                min_width=150,
                label="What the marks are for",
                elem_id="w2m-target",
            )
            parts["mask"] = gr.Button("Mask what is marked", size="sm", scale=1, min_width=150, elem_id="w2m-mask")
            parts["unmask"] = gr.Button("Undo mask", size="sm", scale=0, min_width=100, elem_id="w2m-unmask")
        parts["timeline"] = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="w2m-timeline")
        parts["frame"] = gr.Slider(
            0, 1, 0, step=1, label="Frame, from 0", visible=False, buttons=[], elem_id="w2m-frame"
        )
        parts["objects"] = gr.HTML(apply_default_css=False, js_on_load=talk.SCRIPT, elem_id="w2m-objects")
        parts["opacity"] = gr.Slider(
            0, 100, 45, step=5, label="Opacity of the masks, %", buttons=[], elem_id="w2m-opacity"
        )


def _results(parts: dict[str, Any]) -> None:
    """What can be made of an answer."""
    with gr.Column(visible=False) as parts["results"]:
        with gr.Accordion("Edit what is shown", open=False, elem_id="w2m-edit"):
            with gr.Row(equal_height=True):
                parts["effect"] = gr.Dropdown(
                    [(name.replace("_", " "), name) for name in EFFECTS],
                    value="ink_wash",
                    label="Effect on the shown objects",
                    elem_id="w2m-effect",
                )
                parts["color"] = gr.ColorPicker("#d55e00", label="Colour, where it has one", elem_id="w2m-color")
                parts["words"] = gr.Textbox(
                    label="Label or emoji, where it has one", max_length=80, elem_id="w2m-words"
                )
            with gr.Row(equal_height=True):
                parts["preview"] = gr.Button("Preview on this frame", elem_id="w2m-preview")
                parts["make"] = gr.Button("Make it", elem_id="w2m-make")
            with gr.Row(equal_height=True):
                parts["instruction"] = gr.Textbox(
                    label="Or say it",
                    placeholder="turn the red heart into ink-wash style from 0.5 s to 1 s · 把红色的心变成水墨风格",
                    scale=4,
                    min_width=260,
                    max_length=500,
                    elem_id="w2m-instruction",
                )
                parts["say"] = gr.Button("Edit as I say", scale=1, min_width=110, elem_id="w2m-say")
            parts["made"] = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="w2m-made")
        with gr.Accordion("Download", open=False, elem_id="w2m-download"):
            parts["kind"] = gr.Radio(
                list(DOWNLOADS), value=next(iter(DOWNLOADS)), label="Of the shown objects", elem_id="w2m-kind"
            )
            parts["pack"] = gr.Button("Prepare the file", elem_id="w2m-pack")
            parts["packed"] = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="w2m-packed")


def _talk(parts: dict[str, Any], limits: Limits) -> None:
    """The conversation."""
    parts["talk"] = gr.HTML(
        '<p class="w2m-quiet">The conversation appears here.</p>',
        apply_default_css=False,
        js_on_load=talk.SCRIPT,
        elem_id="w2m-talk",
        max_height="62vh",
        autoscroll=True,
    )
    parts["status"] = gr.HTML(apply_default_css=False, js_on_load=None, elem_id="w2m-status")
    parts["question"] = gr.Textbox(
        label="Ask, in any language",
        placeholder="Please segment the red heart.",
        lines=1,
        max_lines=6,
        max_length=limits.characters,
        elem_id="w2m-question",
    )
    with gr.Row():
        parts["ask"] = gr.Button("Ask", variant="primary", scale=2, min_width=90, elem_id="w2m-ask")
        parts["stop"] = gr.Button("Stop", variant="stop", scale=1, min_width=80, visible=False, elem_id="w2m-stop")
    parts["ticket"] = gr.Number(0, precision=0, visible=False)
    with gr.Row(visible=False, equal_height=True) as parts["again"]:
        parts["restart"] = gr.Button("New conversation", size="sm", min_width=120, elem_id="w2m-restart")
        parts["leave"] = gr.Button(
            "Another picture" if limits.only_pictures else "Another picture or video",
            size="sm",
            min_width=150,
            elem_id="w2m-leave",
        )
