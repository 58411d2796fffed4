"""One record → one card: its picture with the masks drawn, its questions and answers; and small charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from word2mask.apps.report.cards import answer_html
from word2mask.apps.report.pictures import data_url, frames_shown, spotlight, strip
from word2mask.apps.report.samples import frames_of, num_frames_of
from word2mask.types import Sample

#: Questions of a record that a card shows, and letters of each text.
QUESTIONS, LETTERS = 5, 320
#: Parts of answers, joined so that one call numbers all of their masks; never a part of a text that is shown.
_BREAK = "\0"
#: Bars of a chart.
BARS = 32


def thumbnail(sample: Sample) -> str:
    """A small picture, or the middle frame, with its masks."""
    middle = num_frames_of(sample) // 2
    frames = frames_of(sample, [middle])
    if not frames:
        return ""
    masks = _fitting_masks(sample, frames[0])
    drawn = spotlight(frames[0], _nothing(frames[0]) if masks is None else masks[:, middle], 208)
    return f'<img src="{data_url(drawn, 82)}" alt="">'


def record_card(sample: Sample, badge: str = "") -> str:
    """The HTML of a record as it is read.

    Args:
        sample: the record.
        badge: what is wrong with it, or nothing.
    """
    mark = f'<span class="badge bad">{escape(badge)}</span>' if badge else ""
    head = f'<div class="line"><code>{escape(sample.id)}</code>{mark}</div>'
    return f'<article class="card">{head}{_picture(sample)}{_talk(sample)}</article>'


def pair_card(first: Sample, second: Sample, names: tuple[str, str], caption: str) -> str:
    """Two records with the same picture, side by side."""
    figures = []
    for sample, name in ((first, names[0]), (second, names[1])):
        frames = frames_of(sample, [0])
        image = (
            f'<img loading="lazy" src="{data_url(spotlight(frames[0], _nothing(frames[0])))}" alt="">' if frames else ""
        )
        figures.append(f"<figure>{image}<figcaption><span>{escape(name)}</span></figcaption></figure>")
    return (
        f'<article class="card"><div class="pair">{"".join(figures)}</div>'
        f'<div class="line"><code>{escape(caption)}</code></div></article>'
    )


def _picture(sample: Sample) -> str:
    num_frames = num_frames_of(sample)
    if not num_frames:
        return ""
    indices = frames_shown(num_frames)
    frames = frames_of(sample, indices)
    masks = _fitting_masks(sample, frames[0])
    if num_frames > 1:
        urls = strip(frames, None if masks is None else masks[:, indices])
        images = "".join(
            f'<img loading="lazy" src="{url}" alt="frame {index}">' for url, index in zip(urls, indices, strict=True)
        )
        return f'<figure><div class="strip" style="--n:{len(urls)}">{images}</div></figure>'
    frame, regions = frames[0], sample.regions
    if regions is not None and regions.shape[1:] == frame.shape[:2]:
        drawn = spotlight(frame, regions, is_region=True)
    else:
        drawn = spotlight(frame, _nothing(frame) if masks is None else masks[:, 0])
    return f'<figure class="shot"><img loading="lazy" src="{data_url(drawn)}" alt="{escape(sample.id)}"></figure>'


def _fitting_masks(sample: Sample, frame: np.ndarray) -> np.ndarray | None:
    """The sample's masks, bool ``[N,T,H,W]``; ``None`` where there are none or they are of another size."""
    masks = sample.masks
    fits = masks is not None and masks.shape[1:] == (num_frames_of(sample), *frame.shape[:2])
    return masks if fits else None


def _nothing(frame: np.ndarray) -> np.ndarray:
    return np.zeros((0, *frame.shape[:2]), dtype=bool)


def _talk(sample: Sample) -> str:
    questions = [turn.text for turn in sample.turns if turn.role == "user"]
    answers = [turn.text.replace(_BREAK, "") for turn in sample.turns if turn.role == "assistant"]
    shown = answer_html(_BREAK.join(map(_clipped, answers))).split(_BREAK)
    bubbles = []
    for question, answer in list(zip(questions, shown, strict=False))[:QUESTIONS]:
        bubbles.append(f'<div class="q">{escape(_clipped(question))}</div><div class="a">{answer}</div>')
    more = len(questions) - QUESTIONS
    if more > 0:
        bubbles.append(f'<div class="more">and {more} more</div>')
    return f'<div class="talk">{"".join(bubbles)}</div>'


def _clipped(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "…"


def length_chart(lengths: Sequence[int], max_length: int | None) -> str:
    """How many conversations are how long, with a line at the limit where it comes near."""
    if not lengths:
        return ""
    top = max(lengths)
    if max_length is not None and max_length < 2 * top:
        top = max(top, max_length)
    counts, _ = np.histogram(lengths, bins=BARS, range=(0, top))
    line = max_length / top if max_length is not None and max_length <= top else None
    limit = f" · max_length {max_length:,}" if max_length is not None else ""
    return _chart(counts, "Tokens of a conversation", "0", f"{top:,}", f"longest {max(lengths):,}{limit}", line)


def area_chart(areas: Sequence[float]) -> str:
    """How large the masks are, from 0.01 % of the picture to all of it, on a logarithmic scale."""
    drawn = [area for area in areas if area > 0]
    if not drawn:
        return ""
    counts, _ = np.histogram([max(math.log10(area), -4.0) for area in drawn], bins=BARS, range=(-4, 0))
    note = f"half cover more than {_share(float(np.median(drawn)))}"
    return _chart(counts, "Share of the picture under a mask", "0.01%", "100%", note)


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def _chart(counts: np.ndarray, title: str, first: str, last: str, note: str, line: float | None = None) -> str:
    high = max(int(counts.max()), 1)
    # A bar that is there at all can be seen.
    heights = [max(56 * int(count) / high, 2) if count else 0 for count in counts]
    bars = "".join(
        f'<rect x="{place * 10 + 1}" y="{60 - height:.1f}" width="8" height="{height:.1f}" rx="1.5"/>'
        for place, height in enumerate(heights)
        if height
    )
    mark = "" if line is None else f'<line x1="{line * 10 * BARS:.1f}" x2="{line * 10 * BARS:.1f}" y1="0" y2="60"/>'
    return (
        f'<div class="chart"><div class="note"><b>{escape(title)}</b><span>{escape(note)}</span></div>'
        f'<svg viewBox="0 0 {10 * BARS} 61" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<path d="M0 60.5H{10 * BARS}"/>{bars}{mark}</svg>'
        f'<div class="note"><span>{escape(first)}</span><span>{escape(last)}</span></div></div>'
    )
