"""The conversation as HTML: what was asked and answered, phrases in the colours of their masks. Escapes all text."""

from __future__ import annotations

from html import escape
from itertools import groupby

from word2mask.apps.report.pictures import colour_of, ink_on
from word2mask.apps.web.running import Snapshot
from word2mask.apps.web.visit import Exchange, Visit

__all__ = ["SCRIPT", "objects_html", "pending_html", "progress_html", "talk_html"]

#: What a stage of the work is called on the page.
STAGES = {"answer": "Reading and writing", "track": "Following through the video", "edit": "Editing"}


def talk_html(visit: Visit, pending: str = "") -> str:
    """All exchanges, and what is being written.

    Args:
        visit: whose conversation it is.
        pending: of :func:`pending_html`, put last.
    """
    if not visit.exchanges and not pending:
        return '<p class="w2m-quiet">Nothing asked yet. Say what to find, or what you want to know.</p>'
    said = "".join(_exchange(number, exchange, visit) for number, exchange in enumerate(visit.exchanges))
    return f'<div class="w2m-talk" role="log" aria-live="polite" aria-label="Conversation">{said}{pending}</div>'


def pending_html(question: str, snapshot: Snapshot) -> str:
    """A question whose answer is on its way, as far as it is written."""
    text = escape(snapshot.text) or '<span class="w2m-dots" aria-label="working"><i></i><i></i><i></i></span>'
    return f'<div class="w2m-q">{escape(question)}</div><div class="w2m-a">{text}</div>'


def progress_html(snapshot: Snapshot) -> str:
    """A bar that says how far the work is."""
    part = snapshot.done / snapshot.total if snapshot.total else 0.0
    name = STAGES.get(snapshot.stage, "Working")
    count = f" {snapshot.done} of {snapshot.total} frames" if snapshot.stage in ("track", "edit") else ""
    moving = "" if count else " unknown"
    return (
        f'<div class="w2m-progress{moving}" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{round(100 * part)}" aria-label="{name}"><i style="width:{100 * part:.1f}%"></i></div>'
        f'<p class="w2m-quiet">{name}…{count}</p>'
    )


def objects_html(visit: Visit) -> str:
    """A button for each object of the shown answer: colour, phrase, how sure the model is; pressed is drawn."""
    chips, exchange = [], visit.exchange
    for number, segment in enumerate(visit.segments):
        assert exchange is not None  # or there were no segments
        shown = number not in visit.hidden
        chips.append(
            f'<button type="button" class="w2m-object" data-object="{number}" aria-pressed="{str(shown).lower()}" '
            f'style="{_colours(number)}" title="{"Hide" if shown else "Show"} its mask">'
            f"<b>{number + 1}</b><span>{escape(segment.phrase or 'object')}</span>"
            f"<small>{_state(exchange, number)}</small></button>"
        )
    if not chips:
        return ""
    return f'<div class="w2m-objects" role="group" aria-label="Objects; press to hide or show">{"".join(chips)}</div>'


def answer_html(exchange: Exchange) -> str:
    """The answer's words; each phrase that has a mask in the mask's colour, with the object's number."""
    answer = exchange.answer
    text, parts, end = answer.text, [], 0
    with_words = sorted(
        (segment.span, number) for number, segment in enumerate(answer.segments) if segment.span is not None
    )
    for (start, stop), number in with_words:
        if start < end:  # Two objects of one phrase: the second gets its number behind it.
            parts.append(_number(exchange, number))
            continue
        parts.append(escape(text[end:start]))
        parts.append(f"{_phrase(exchange, number, text[start:stop])}{_number(exchange, number)}")
        end = stop
    parts.append(escape(text[end:]))
    silent = [number for number, segment in enumerate(answer.segments) if segment.span is None]
    if silent and not with_words and not any(character.isalnum() for character in text):
        # Masks without a word: what was asked for says what they are.
        named = [answer.segments[number].phrase or "object" for number in silent]
        of_one_name = groupby(zip(named, silent, strict=True), key=lambda pair: pair[0])
        groups = [(name, [number for _, number in pairs]) for name, pairs in of_one_name]
        return ", ".join(
            _phrase(exchange, group[0], name) + "".join(_number(exchange, number) for number in group)
            for name, group in groups
        )
    parts.extend(_number(exchange, number) for number in silent)
    return "".join(parts).strip() or '<em class="w2m-quiet">no words</em>'


def _exchange(number: int, exchange: Exchange, visit: Visit) -> str:
    """One question and its answer."""
    marked = f" <small>{_count(len(exchange.prompts), 'region')} marked</small>" if exchange.prompts else ""
    segments = exchange.answer.segments
    missing = [segment.phrase for segment, found in zip(segments, exchange.found, strict=True) if not found.any()]
    notes = [f"{exchange.seconds:.1f} s" if exchange.is_said else "masked by marks alone"]
    if exchange.answer.segments:
        notes.insert(0, _count(len(exchange.answer.segments), "mask"))
    if missing:
        notes.insert(0, "not found: " + ", ".join(escape(phrase or "object") for phrase in missing))
    is_shown = visit.shown == number
    button = ""
    if exchange.answer.segments and not is_shown:
        button = f'<button type="button" class="w2m-show" data-turn="{number}">Show its masks</button>'
    asked = f'<div class="w2m-q">{escape(exchange.question)}{marked}</div>' if exchange.is_said else ""
    return (
        f"{asked}"
        f'<div class="w2m-a{" shown" if is_shown and exchange.answer.segments else ""}">{answer_html(exchange)}'
        f"<footer><span>{' · '.join(notes)}</span>{button}</footer></div>"
    )


def _phrase(exchange: Exchange, number: int, words: str) -> str:
    missing = "" if exchange.found[number].any() else " missing"
    return f'<span class="w2m-phrase{missing}" style="{_colours(number)}">{escape(words)}</span>'


def _number(exchange: Exchange, number: int) -> str:
    what = "" if exchange.found[number].any() else " not found"
    return f'<b class="w2m-number" style="{_colours(number)}" title="object {number + 1}{what}">{number + 1}</b>'


def _colours(number: int) -> str:
    return f"--c:{colour_of(number)};--on:{ink_on(number)}"


def _state(exchange: Exchange, number: int) -> str:
    """How sure the model is, or that it found nothing."""
    if not exchange.found[number].any():
        return "not found"
    return f"{round(100 * exchange.confidences[number])} % sure"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


#: Runs once for each element that holds buttons; what was pressed goes out as events ``turn`` and ``object``.
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.turn !== undefined) trigger('turn', { number: Number(button.dataset.turn) });
  if (button.dataset.object !== undefined) trigger('object', { number: Number(button.dataset.object) });
  if (button.dataset.example !== undefined) trigger('example', { number: Number(button.dataset.example) });
});
"""
