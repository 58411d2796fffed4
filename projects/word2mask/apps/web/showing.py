"""What the page shows of a visit, part by part, and how it says that something can't be done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from word2mask.apps.web.limits import said_without_paths
from word2mask.apps.web.stage import stage_html, timeline_html
from word2mask.apps.web.talk import objects_html, talk_html
from word2mask.apps.web.visit import Visit
from word2mask.errors import UserError

__all__ = [
    *("MASKED", "NEW", "PICTURE", "STOPPED", "TITLE", "WHOLE"),
    *("ended", "everything", "for_visitors", "masked", "number_of", "picture", "places_of"),
    *("targets", "telling", "unchanged", "warn"),
]

#: The choice of new objects for what is marked.
NEW = -1
#: What the whole page shows of a visit, in the order of :func:`everything`.
WHOLE = (
    *("welcome", "looking", "again", "results", "upload", "stage", "timeline", "frame", "objects", "talk", "status"),
    *("target", "ask", "stop"),
)
#: What changes with the picture alone.
PICTURE = ("stage", "timeline", "objects")
#: What changes with the masks.
MASKED = (*PICTURE, "talk", "target")

#: The status once a visitor has stopped what ran.
STOPPED = '<p class="w2m-quiet" role="status">Stopped.</p>'

#: Over every message about something that can't be done, and how many seconds it stays.
TITLE, SECONDS = "That didn't work", 12


def picture(visit: Visit) -> tuple[Any, ...]:
    """:data:`PICTURE`."""
    return stage_html(visit), timeline_html(visit), objects_html(visit)


def masked(visit: Visit, target: int | None = NEW) -> tuple[Any, ...]:
    """:data:`MASKED`; marks go on being for ``target`` while it is there."""
    choices = targets(visit)
    chosen = target if target in [value for _, value in choices] else NEW
    return (*picture(visit), talk_html(visit), gr.update(choices=choices, value=chosen))


def everything(visit: Visit, pending: str = "", status: str = "", busy: bool = False) -> tuple[Any, ...]:
    """:data:`WHOLE`."""
    is_looking = visit.media is not None
    drawn, timeline, objects = picture(visit)
    last = max(visit.num_frames - 1, 1)
    return (
        gr.update(visible=not is_looking),
        gr.update(visible=is_looking),
        gr.update(visible=is_looking),
        gr.update(visible=is_looking),
        None,
        drawn,
        timeline,
        gr.update(visible=visit.is_video, maximum=last, value=visit.frame),
        objects,
        talk_html(visit, pending),
        status,
        gr.update(choices=targets(visit), value=NEW),
        gr.update(interactive=not busy),
        gr.update(visible=busy),
    )


def ended(visit: Visit) -> tuple[Any, ...]:
    """:data:`WHOLE` at the end of a question that was stopped; nothing where another one waits by then.

    The press of Stop has shown this already, but it passes the queue by, and may overtake a last report of progress,
    which would stay on the page.
    """
    if visit.stopped is not None:
        return unchanged(len(WHOLE))
    return (
        *unchanged(WHOLE.index("talk")),
        talk_html(visit),
        STOPPED,
        gr.skip(),
        gr.update(interactive=True),
        gr.update(visible=False),
    )


def targets(visit: Visit) -> list[tuple[str, int]]:
    """What marks can be for."""
    return [
        ("a new object", NEW),
        *(
            (f"correct {number + 1}: {segment.phrase or 'object'}", number)
            for number, segment in enumerate(visit.segments)
        ),
    ]


def unchanged(count: int) -> tuple[Any, ...]:
    """As many parts that stay as they are."""
    return (gr.skip(),) * count


class telling:
    """Shows a :class:`UserError` on the page, in its own sentence, and ends the event there."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UserError):
            raise gr.Error(
                _sentence(self.visit, error), duration=SECONDS, title=TITLE, print_exception=False
            ) from error


def for_visitors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler of events, called for those who have a visit; others are told so.

    A press may come before the visit has begun, and after it has ended: a telephone that sleeps drops its connection.
    """

    def present(visit: Visit | None) -> Visit:
        if visit is None:
            raise gr.Error(
                "this page isn't connected: it is still opening, or was left for a while; try again, or reload it",
                duration=SECONDS,
                title=TITLE,
                print_exception=False,
            )
        return visit

    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def of_steps(visit: Visit | None, *sent: Any) -> Iterator[tuple[Any, ...]]:
            yield from handler(present(visit), *sent)

        return of_steps

    @wraps(handler)
    def of_one(visit: Visit | None, *sent: Any) -> Any:
        return handler(present(visit), *sent)

    return of_one


def warn(visit: Visit, error: UserError) -> None:
    """Shows a :class:`UserError` on the page and goes on."""
    gr.Warning(_sentence(visit, error), duration=SECONDS, title=TITLE)


def _sentence(visit: Visit, error: UserError) -> str:
    """An error's sentence as HTML, without paths of the server."""
    names = {str(getattr(visit.media, "path", visit.name)): visit.name} if visit.name else {}
    return escape(said_without_paths(str(error), names))


def places_of(event: gr.EventData) -> Any:
    """What was drawn on the picture, as the page's script sent it."""
    return _data(event).get("places")


def number_of(event: gr.EventData, count: int) -> int:
    """The number that a button carries.

    Raises:
        gr.Error: it isn't one of ``count``.
    """
    number = _data(event).get("number")
    if not isinstance(number, int) or not 0 <= number < count:
        raise gr.Error("this isn't there any more; reload the page", print_exception=False)
    return number


def _data(event: gr.EventData) -> dict[str, Any]:
    """What the page's script sent along."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}
