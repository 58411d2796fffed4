"""One sample → one card: what was asked, what was answered, the masks, and the truth beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import numpy as np

from word2mask.apps.report.pictures import colour_of, data_url, frames_shown, ink_on, spotlight, strip
from word2mask.apps.report.samples import Shown, frames_of, masks_of, num_frames_of
from word2mask.evaluation.interface import Benchmark
from word2mask.text.special_tokens import PHRASE_END, PHRASE_START, SEG

_TOKENS = re.compile("(" + "|".join(re.escape(token) for token in (SEG, PHRASE_START, PHRASE_END)) + ")")
#: A template's own marks, which may stand in a raw answer's end.
_MARKS = re.compile(r"<\|[^|<>]*\|>|</?s>")


def card(benchmark: Benchmark, shown: Shown, twin_name: str = "") -> str:
    """The HTML of one sample.

    Args:
        benchmark: that it belongs to.
        shown: the sample with its answers.
        twin_name: how to call the run that ``shown.twin`` is of.
    """
    has_masks = not {"reference", "references"} & shown.record.scores.keys()
    pictures = _masks(benchmark, shown, twin_name) if has_masks else _media(shown)
    talk = [f'<div class="q">{escape(shown.record.question)}</div>', _bubble(shown)]
    return (
        f'<article class="card"><div class="talk">{"".join(talk)}</div>{_verdict(shown, twin_name)}{pictures}</article>'
    )


def answer_html(raw: str) -> str:
    """A raw answer with its markup made visible: phrases underlined, masks as numbered chips, each in its colour."""
    html, number, is_open = [], 0, False
    for part in _TOKENS.split(_MARKS.sub("", raw)):
        colour = f'style="--c:{colour_of(number)};--on:{ink_on(number)}"'
        if part == SEG:
            html.append(f'<span class="seg" {colour}>{number + 1}</span>')
            number += 1
        elif part == PHRASE_START and not is_open:
            html.append(f'<span class="phrase" {colour}>')
            is_open = True
        elif part == PHRASE_END and is_open:
            html.append("</span>")
            is_open = False
        elif part not in (PHRASE_START, PHRASE_END):
            html.append(escape(part.strip() if is_open else part))
    return "".join(html).strip() + "</span>" * is_open


def _bubble(shown: Shown) -> str:
    if shown.record.failure is not None:
        return f'<div class="a silent">could not be answered: {escape(shown.record.failure)}</div>'
    answer = answer_html(shown.record.answer)
    return f'<div class="a">{answer}</div>' if answer else '<div class="a silent">(nothing)</div>'


def _verdict(shown: Shown, twin_name: str) -> str:
    """Badges: kind of question; for questions in words also right or wrong, the reference, the twin's words."""
    badges = [f'<span class="badge">{escape(shown.record.kind.replace("_", " "))}</span>'] if shown.record.kind else []
    scores = shown.record.scores
    if "reference" in scores:
        kind, word = ("good", "✓ right") if scores["exact"] else ("bad", f"✗ expected: {scores['reference']}")
        badges.append(f'<span class="badge {kind}">{escape(word)}</span>')
        if shown.twin is not None:
            badges.append(
                f'<span class="badge">{escape(twin_name)}: {answer_html(shown.twin.answer) or "nothing"}</span>'
            )
    if "references" in scores:
        badges.append(f'<span class="badge">people said: {escape(" · ".join(scores["references"]))}</span>')
        if shown.twin is not None:
            badges.append(
                f'<span class="badge">{escape(twin_name)}: {answer_html(shown.twin.answer) or "nothing"}</span>'
            )
    return f'<div class="line">{"".join(badges)}</div>' if badges else ""


def _masks(benchmark: Benchmark, shown: Shown, twin_name: str) -> str:
    """The answer's masks beside the truth, and the twin's beside both."""
    score = f"{benchmark.sample_metric} {shown.score:.0f}"
    views = [("answer", masks_of(shown.record), score), ("truth", shown.sample.masks, "")]
    if shown.twin is not None:
        views.append((twin_name, masks_of(shown.twin), f"{shown.twin_score:.0f}"))
    if not benchmark.is_scored:
        # What is right, the challenge's server alone knows.
        views = [(name, masks, "") for name, masks, _ in views if name != "truth"]
    num_frames = num_frames_of(shown.sample)
    if num_frames > 1:
        indices = frames_shown(num_frames)
        frames = frames_of(shown.sample, indices)
        return "".join(_strip(frames, masks, indices, name, note) for name, masks, note in views)
    frame = frames_of(shown.sample, [0])[0]
    # Beside the answer there is room for the last word of a name only ("language-blind twin").
    views = [(name.split()[-1], masks, note) for name, masks, note in views]
    first, *others = (_figure(frame, masks, name, note) for name, masks, note in views)
    return f'<div class="views">{first}<div class="beside">{"".join(others)}</div></div>'


def _figure(frame: np.ndarray, masks: np.ndarray | None, name: str, note: str) -> str:
    here = masks[:, 0] if masks is not None else np.zeros((0, *frame.shape[:2]), dtype=bool)
    words = name if here.any() else f"{name}: no mask"
    return (
        f'<figure><img loading="lazy" src="{data_url(spotlight(frame, here))}" alt="{escape(words)}">'
        f'<figcaption><span title="{escape(words)}">{escape(words)}</span><b>{escape(note)}</b></figcaption></figure>'
    )


def _strip(frames: Sequence[np.ndarray], masks: np.ndarray | None, indices: Sequence[int], name: str, note: str) -> str:
    urls = strip(frames, None if masks is None else masks[:, list(indices)])
    words = name if masks is not None and masks.any() else f"{name}: no mask"
    images = "".join(
        f'<img loading="lazy" src="{url}" alt="{escape(words)}, frame {index}">'
        for url, index in zip(urls, indices, strict=True)
    )
    return (
        f'<figure><div class="strip" style="--n:{len(urls)}">{images}</div>'
        f'<figcaption><span title="{escape(words)}">{escape(words)}</span><b>{escape(note)}</b></figcaption></figure>'
    )


def _media(shown: Shown) -> str:
    """The picture or the video of a question in words, with the regions that the question marks."""
    num_frames = num_frames_of(shown.sample)
    if not num_frames:
        return ""
    if num_frames > 1:
        indices = frames_shown(num_frames)
        urls = strip(frames_of(shown.sample, indices), None)
        images = "".join(
            f'<img loading="lazy" src="{url}" alt="frame {i}">' for url, i in zip(urls, indices, strict=True)
        )
        return f'<figure><div class="strip" style="--n:{len(urls)}">{images}</div></figure>'
    frame, regions = frames_of(shown.sample, [0])[0], shown.sample.regions
    drawn = spotlight(frame, regions if regions is not None else np.zeros((0, *frame.shape[:2]), bool), is_region=True)
    return f'<div class="views one"><figure><img loading="lazy" src="{data_url(drawn)}" alt=""></figure></div>'
