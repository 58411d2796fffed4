"""What happens on the page: each event changes the visit, and the page shows the visit again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from word2mask.apps.web import work
from word2mask.apps.web.examples import EXAMPLES
from word2mask.apps.web.limits import checked_text
from word2mask.apps.web.making import Making, run_for
from word2mask.apps.web.running import Done, Progress, Snapshot
from word2mask.apps.web.showing import (
    MASKED,
    NEW,
    PICTURE,
    STOPPED,
    WHOLE,
    ended,
    everything,
    for_visitors,
    masked,
    number_of,
    picture,
    places_of,
    telling,
    unchanged,
    warn,
)
from word2mask.apps.web.talk import pending_html, progress_html, talk_html
from word2mask.apps.web.visit import Visit
from word2mask.errors import UserError

__all__ = ["Events"]

#: What changes besides when something else is looked at: the question, what was made, and what the camera took.
AFRESH = ("question", "made", "packed", "photo", "film")
UNMADE = ("", "", None, None)


class Events:
    """Connects the parts of a page with a session.

    Args:
        session: answers; one question at a time.
        visit: Gradio's state of each visitor.
        parts: the page's components by name.
    """

    def __init__(self, session: Any, visit: gr.State, parts: dict[str, Any]) -> None:
        self.session = session
        self.visit = visit
        self.parts = parts

    # -- connecting ------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Every event of the page."""
        parts, whole, picture = self.parts, self._of(WHOLE), self._of(PICTURE)
        afresh = self._of((*WHOLE, *AFRESH))
        self._on(parts["upload"].upload, self.upload, [parts["upload"]], afresh)
        self._on(parts["photo"].input, self.upload, [parts["photo"]], afresh)
        self._on(parts["film"].stop_recording, self.upload, [parts["film"]], afresh)
        self._on(parts["examples"].example, self.example, [], afresh)
        self._on(parts["stage"].mark, self.mark, [parts["target"]], picture)
        for name in ("next", "undo", "clear"):
            self._on(parts[name].click, getattr(self, name), [], picture)
        self._on(parts["tool"].change, self.choose_tool, [parts["tool"]], picture)
        for name in ("frame", "opacity"):
            self._on(parts[name].input, getattr(self, name), [parts[name]], picture, trigger_mode="always_last")
        self._on(parts["objects"].object, self.toggle, [], picture)
        self._on(parts["talk"].turn, self.turn, [], whole)
        self._on(parts["restart"].click, self.restart, [], whole)
        self._on(parts["leave"].click, self.leave, [], afresh)
        asking, question = [*whole, parts["question"]], [parts["question"], parts["ticket"]]
        for event in (parts["ask"].click, parts["question"].submit):
            begun = self._on(event, self.begin, [parts["question"]], [*asking, parts["ticket"]])
            self._model(begun.success, self.ask, question, asking)
        self._on(parts["stop"].click, self.stop, [], whole, queue=False)
        self._connect_editing()

    def _connect_editing(self) -> None:
        parts, busy, making = self.parts, self._of(("status", "stop")), Making(self.session)
        self._model(parts["mask"].click, making.mask, [parts["target"]], [*busy, *self._of(MASKED)])
        self._on(parts["unmask"].click, self.unmask, [parts["target"]], self._of(MASKED))
        effect = [parts["effect"], parts["color"], parts["words"]]
        self._model(parts["preview"].click, making.preview, effect, [*busy, *self._of(PICTURE)])
        self._model(parts["make"].click, making.make, effect, [*busy, parts["made"]])
        for event in (parts["say"].click, parts["instruction"].submit):
            self._model(event, making.say, [parts["instruction"]], [*busy, parts["made"]])
        self._model(parts["pack"].click, making.pack, [parts["kind"]], [*busy, parts["packed"]])

    def _of(self, names: tuple[str, ...]) -> list[Any]:
        return [self.parts[name] for name in names]

    def _on(
        self, event: Any, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any], **options: Any
    ) -> Any:
        """An event that is over at once and doesn't wait for the model."""
        settings = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None} | options
        return event(for_visitors(handler), [self.visit, *inputs], outputs, **settings)

    def _model(self, event: Any, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> Any:
        """An event that needs the model, which takes one at a time."""
        return event(
            for_visitors(handler),
            [self.visit, *inputs],
            outputs,
            concurrency_id="model",
            concurrency_limit=1,
            show_progress="hidden",
            api_visibility="private",
        )

    # -- what is looked at -----------------------------------------------------------------------------------------

    def upload(self, visit: Visit, path: str | None) -> tuple[Any, ...]:
        """A file came."""
        if path:
            try:
                visit.receive(path, Path(path).name)
            except UserError as error:
                warn(visit, error)
        return (*everything(visit), "", *UNMADE)

    def example(self, visit: Visit, event: gr.EventData) -> tuple[Any, ...]:
        """An example was chosen; its question is there to be asked."""
        chosen = EXAMPLES[number_of(event, len(EXAMPLES))]
        visit.look_at(chosen.media(), chosen.name)
        return (*everything(visit), chosen.question, *UNMADE)

    def leave(self, visit: Visit) -> tuple[Any, ...]:
        """Back to the beginning."""
        visit.close()
        return (*everything(visit), "", *UNMADE)

    def restart(self, visit: Visit) -> tuple[Any, ...]:
        """The same picture or video, nothing said."""
        visit.stop()
        visit.restart()
        return everything(visit)

    # -- pointing and looking --------------------------------------------------------------------------------------

    def mark(self, visit: Visit, target: int | None, event: gr.EventData) -> tuple[Any, ...]:
        """Something was drawn on the picture, for a new object or to correct the ``target``."""
        with telling(visit):
            corrects = target is not None and target != NEW
            visit.marks.add(places_of(event), visit.tool, visit.frame, visit.size, corrects)
            visit.preview = None
        return picture(visit)

    def unmask(self, visit: Visit, target: int | None) -> tuple[Any, ...]:
        """The last masks that marks made or corrected go."""
        with telling(visit):
            if visit.stopped is not None:
                raise UserError("something is still running; wait, or press Stop")
            visit.undo_masks()
        return masked(visit, target)

    def next(self, visit: Visit) -> tuple[Any, ...]:
        """Marks are for another thing from now on."""
        visit.marks.next_region()
        return picture(visit)

    def undo(self, visit: Visit) -> tuple[Any, ...]:
        """The last mark goes."""
        visit.marks.undo()
        return picture(visit)

    def clear(self, visit: Visit) -> tuple[Any, ...]:
        """All marks go, and a preview."""
        visit.marks.clear()
        visit.preview = None
        return picture(visit)

    def choose_tool(self, visit: Visit, tool: str) -> tuple[Any, ...]:
        """What a press on the picture does from now on."""
        visit.tool = tool
        return picture(visit)

    def frame(self, visit: Visit, frame: float) -> tuple[Any, ...]:
        """Another frame of the video."""
        visit.frame = min(max(int(frame), 0), max(visit.num_frames - 1, 0))
        visit.preview = None
        return picture(visit)

    def opacity(self, visit: Visit, percent: float) -> tuple[Any, ...]:
        """Masks are stronger or fainter."""
        visit.opacity = min(max(percent, 0), 100) / 100
        return picture(visit)

    def toggle(self, visit: Visit, event: gr.EventData) -> tuple[Any, ...]:
        """An object is hidden or shown."""
        visit.toggle(number_of(event, len(visit.segments)))
        return picture(visit)

    def turn(self, visit: Visit, event: gr.EventData) -> tuple[Any, ...]:
        """The masks of an older answer."""
        with telling(visit):
            visit.show(number_of(event, len(visit.exchanges)))
        return everything(visit)

    # -- asking ----------------------------------------------------------------------------------------------------

    def begin(self, visit: Visit, question: str) -> tuple[Any, ...]:
        """Checks a question and shows it, before the model is free for it."""
        with telling(visit):
            if visit.stopped is not None:
                raise UserError("the last question is still being answered; wait, or press Stop")
            if not question.strip() and visit.marks.regions:
                question = f"What is region{visit.num_regions + 1}?"
            text = checked_text(question, visit.limits)
            visit.turns(text)
        visit.stopped, visit.begun = threading.Event(), visit.begun + 1
        pending = pending_html(text, Snapshot())
        waiting = '<p class="w2m-quiet">Waiting for the model…</p>'
        return (*everything(visit, pending, waiting, busy=True), text, visit.begun)

    def ask(self, visit: Visit, question: str, ticket: int) -> Iterator[tuple[Any, ...]]:
        """Asks, and shows how it goes.

        Args:
            visit: who asks.
            question: as :meth:`begin` gave it.
            ticket: likewise; a question that was stopped while it waited for the model isn't taken for a later one.
        """

        def working(report: Progress, write: Callable[[str], None]) -> Any:
            return work.ask(self.session, visit, question, report, write)

        if visit.stopped is None or ticket != visit.begun:
            yield unchanged(len(WHOLE) + 1)
            return
        own = visit.stopped
        for event in run_for(visit, working):
            if visit.stopped is not own:
                yield (*ended(visit), gr.skip())
            elif isinstance(event, Snapshot):
                pending = pending_html(question, event)
                yield (*unchanged(9), talk_html(visit, pending), progress_html(event), *unchanged(4))
            elif isinstance(event, Done):
                visit.add(event.value)
                yield (*everything(visit), "")
            else:
                yield (*everything(visit), question)

    def stop(self, visit: Visit) -> tuple[Any, ...]:
        """Stops what runs."""
        visit.stop()
        return everything(visit, status=STOPPED)
