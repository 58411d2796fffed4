"""What is made of an answer, bit by bit on the page: masks of marks, edits, files to take away."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from word2mask.apps.web import work
from word2mask.apps.web.limits import checked_text
from word2mask.apps.web.running import Cancelled, Done, Snapshot, run
from word2mask.apps.web.showing import MASKED, NEW, PICTURE, STOPPED, TITLE, masked, picture, telling, unchanged, warn
from word2mask.apps.web.talk import progress_html
from word2mask.apps.web.visit import Visit
from word2mask.errors import UserError
from word2mask.inference.editing.instruction import Effect

__all__ = ["Making", "run_for"]

logger = logging.getLogger(__name__)


class Making:
    """Events that make something; each gives ``(status, stop, …)`` while it runs and what was made at the end.

    Args:
        session: whose masks and whose answers are taken.
    """

    def __init__(self, session: Any) -> None:
        self.session = session

    def mask(self, visit: Visit, target: int | None) -> Iterator[tuple[Any, ...]]:
        """Masks of what is marked, without words, or a correction of one that is there."""
        number = None if target is None or target == NEW else target

        def show(answer: Any) -> tuple[Any, ...]:
            visit.take_masks(answer)
            return masked(visit, target)

        yield from self._shown(
            visit, lambda report, write: work.masked(self.session, visit, number, report), show, len(MASKED)
        )

    def preview(self, visit: Visit, name: str, color: str, words: str) -> Iterator[tuple[Any, ...]]:
        """The effect on the shown frame."""
        effect = _effect(visit, name, color, words)

        def show(made: Any) -> tuple[Any, ...]:
            visit.preview = made
            return picture(visit)

        yield from self._shown(
            visit, lambda report, write: work.previewed(self.session, visit, effect, report), show, len(PICTURE)
        )

    def make(self, visit: Visit, name: str, color: str, words: str) -> Iterator[tuple[Any, ...]]:
        """The effect on everything."""
        effect = _effect(visit, name, color, words)
        yield from self._shown(
            visit,
            lambda report, write: work.edited(self.session, visit, effect, report),
            lambda made: (_made_html(visit, made.path, made.notes),),
        )

    def say(self, visit: Visit, instruction: str) -> Iterator[tuple[Any, ...]]:
        """An edit in words."""
        with telling(visit):
            text = checked_text(instruction, visit.limits)
        yield from self._shown(
            visit,
            lambda report, write: work.edited(self.session, visit, text, report),
            lambda made: (_made_html(visit, made.path, made.notes),),
        )

    def pack(self, visit: Visit, kind: str) -> Iterator[tuple[Any, ...]]:
        """A file to take away."""
        yield from self._shown(
            visit,
            lambda report, write: work.download(self.session, visit, kind, report),
            lambda path: (_made_html(visit, path, ()),),
        )

    def _shown(
        self, visit: Visit, working: Callable[..., Any], show: Callable[[Any], tuple[Any, ...]], outputs: int = 1
    ) -> Iterator[tuple[Any, ...]]:
        """Runs something and shows its progress: ``(status, stop, *outputs)``."""
        with telling(visit):
            if visit.stopped is not None:
                raise UserError("something is still running; wait, or press Stop")
        own = visit.stopped = threading.Event()
        for event in run_for(visit, working):
            if visit.stopped is not None and visit.stopped is not own:  # Stopped, and something else is waiting.
                yield unchanged(2 + outputs)
            elif visit.stopped is not own:  # Said again, as in :func:`~word2mask.apps.web.showing.ended`.
                yield (STOPPED, gr.update(visible=False), *unchanged(outputs))
            elif isinstance(event, Snapshot):
                yield (progress_html(event), gr.update(visible=True), *unchanged(outputs))
            elif isinstance(event, Done):
                yield ("", gr.update(visible=False), *show(event.value))
            else:
                yield ("", gr.update(visible=False), *unchanged(outputs))


def run_for(visit: Visit, working: Callable[..., Any]) -> Iterator[Snapshot | Done | None]:
    """Snapshots of work that belongs to a visit, then what it gave; ``None`` when it was stopped or went wrong."""
    stopped = visit.stopped
    if stopped is None:  # Stopped before the model was free.
        yield None
        return
    try:
        yield from run(working, stopped)
    except Cancelled:
        yield None
    except UserError as error:
        warn(visit, error)
        yield None
    except Exception:
        logger.exception("an event of the page failed")
        gr.Warning("Something went wrong on the server, which has noted it; try again.", title=TITLE)
        yield None
    finally:
        if visit.stopped is stopped:
            visit.stopped = None


def _effect(visit: Visit, name: str, color: str, words: str) -> Effect:
    """The effect that the page's fields describe."""
    with telling(visit):
        return Effect(name, color=_rgb(color), text=words.strip())
    raise AssertionError


def _rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb`` or of ``rgba(r, g, b, a)``, which Gradio's picker gives.

    >>> _rgb("#d55e00"), _rgb("rgba(213.2, 94, 0, 1)")
    ((213, 94, 0), (213, 94, 0))
    """
    if re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    numbers = re.findall(r"\d+(?:\.\d+)?", color)
    if len(numbers) < 3 or any(float(number) > 255 for number in numbers[:3]):
        raise UserError("the colour can't be read; choose one in the colour field")
    return round(float(numbers[0])), round(float(numbers[1])), round(float(numbers[2]))


def _made_html(visit: Visit, path: Path, notes: tuple[str, ...]) -> str:
    """A file that was made, to look at and to take away."""
    address = f"word2mask/files/{visit.files.offer(path)}/{quote(path.name)}"
    suffix = path.suffix.lower()
    shown = ""
    if suffix in (".mp4", ".webm"):
        shown = f'<video controls loop muted autoplay playsinline src="{address}" aria-label="The result"></video>'
    elif suffix in (".png", ".jpg", ".webp", ".gif"):
        shown = f'<img alt="The result" src="{address}">'
    said = "".join(f'<p class="w2m-quiet">{escape(note)}</p>' for note in notes)
    size = path.stat().st_size
    amount = f"{size / 10**6:.1f} MB" if size >= 10**5 else f"{max(size / 10**3, 0.1):.1f} kB"
    return (
        f'<div class="w2m-made">{shown}{said}<a href="{address}" download="{escape(path.name)}">'
        f"⤓ {escape(path.name)} <small>({amount})</small></a></div>"
    )
