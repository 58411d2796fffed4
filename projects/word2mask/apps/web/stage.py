"""The picture with its masks and marks, as HTML that can be drawn on with mouse, finger and keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from word2mask.apps.report.pictures import colour_of, data_url
from word2mask.apps.web.regions import BRUSH, Region
from word2mask.apps.web.visit import Visit
from word2mask.inference.render import overlay
from word2mask.types import Segment

__all__ = ["SCRIPT", "picture_of", "stage_html", "timeline_html"]

#: Longest side of the picture that is sent to the page, in pixels; smaller ones are enlarged to the shorter.
LARGEST, SMALLEST = 1280, 900

#: What each tool does, for those who can't see the picture.
HINTS = {
    "on": "Click what you mean. With the keyboard: arrows move the cross, Enter marks.",
    "off": "Click what doesn't belong to it. With the keyboard: arrows move the cross, Enter marks.",
    "box": "Press at one corner and let go at the opposite one. With the keyboard: Enter at both corners.",
    "brush": "Paint over what you mean.",
}


def picture_of(visit: Visit) -> np.ndarray:
    """The shown frame with the masks that aren't hidden, uint8 RGB, at a size for a screen."""
    frame = visit.shown_frame() if visit.preview is None else visit.preview
    masks = visit.shown_masks() if visit.preview is None else np.zeros((0, *frame.shape[:2]), dtype=bool)
    height, width = frame.shape[:2]
    longest = max(height, width)
    scale = LARGEST / longest if longest > LARGEST else max(SMALLEST / longest, 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(frame, size, interpolation=smooth)
    soft = [_resized(mask, size, scale) for mask in masks]
    return overlay(large, np.array(soft).reshape(len(soft), *large.shape[:2]), alpha=visit.opacity, min_side=1)


def _resized(mask: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """A mask at another size ``(w, h)``; enlarged softly and cut at a half, its outline loses the pixel stairs."""
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    if scale > 1:
        soft = cv2.GaussianBlur(soft, (0, 0), 0.6 * scale)
    return soft > 0.5


def stage_html(visit: Visit) -> str:
    """What is looked at, and the marks on it. Nothing when there is nothing to look at."""
    if visit.media is None:
        return ""
    height, width = visit.size
    first = visit.num_regions + 1
    marks = "".join(_region(number, region, visit) for number, region in enumerate(visit.marks.regions, first))
    return (
        f'<div class="w2m-canvas" tabindex="0" role="application" data-tool="{escape(visit.tool)}" '
        f'style="--ratio:{width}/{height}" aria-label="{escape(_spoken(visit))}" data-brush="{BRUSH}">'
        f'<img alt="" draggable="false" src="{data_url(picture_of(visit))}">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{marks}'
        '<g class="w2m-drawn"></g></svg><i class="w2m-cross" aria-hidden="true"></i></div>'
    )


def timeline_html(visit: Visit) -> str:
    """On which frames each object of a video is, as coloured bars with a line at the shown frame."""
    exchange = visit.exchange
    if not visit.is_video or exchange is None or not exchange.found:
        return ""
    rows = []
    for number, found in enumerate(exchange.found):
        bars = "".join(f'<rect x="{start}" y="0" width="{stop - start}" height="1"/>' for start, stop in _runs(found))
        said = f"object {number + 1}: on {int(found.sum())} of {visit.num_frames} frames"
        rows.append(
            f'<svg role="img" aria-label="{said}" viewBox="0 0 {visit.num_frames} 1" preserveAspectRatio="none" '
            f'style="fill:{colour_of(number)}"{" class=off" if number in visit.hidden else ""}>{bars}</svg>'
        )
    here = (visit.frame + 0.5) / visit.num_frames
    return f'<div class="w2m-timeline" style="--here:{here:.4f}">{"".join(rows)}</div>'


def _runs(found: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of true values, ends exclusive.

    >>> _runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], found.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _spoken(visit: Visit) -> str:
    """The picture in words: what it is, what is marked on it, and what a press does."""
    what = f"Frame {visit.frame + 1} of {visit.num_frames} of the video" if visit.is_video else "The picture"
    shown = [
        f"{number + 1} {segment.phrase or 'object'}"
        for number, segment in enumerate(visit.segments)
        if number not in visit.hidden and _is_on(segment, visit.frame)
    ]
    masks = f", with masks of {', '.join(shown)}" if shown else ""
    return f"{what} {visit.name}{masks}. {HINTS.get(visit.tool, '')}"


def _is_on(segment: Segment, frame: int) -> bool:
    return bool(segment.masks[frame].any())


def _region(number: int, region: Region, visit: Visit) -> str:
    """A region's marks as SVG, in pixels of the frame; of another frame's, none."""
    if region.frame != visit.frame:
        return ""
    height, width = visit.size
    radius = max(height, width) / 70
    parts = []
    for stroke in region.strokes:
        places = _joined(stroke)
        parts.append(f'<polyline class="stroke" points="{places}" stroke-width="{max(height, width) * BRUSH:.1f}"/>')
    anchor = region.points[0][:2] if region.points else region.strokes[0][0] if region.strokes else (0.0, 0.0)
    if region.box is not None:
        x1, y1, x2, y2 = region.box
        anchor = (x1, y1)
        parts.append(f'<rect class="box" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"/>')
    for x, y, label in region.points:
        kind, sign = ("on", f"M{-radius * 0.5:.1f} 0H{radius * 0.5:.1f}") if label == 0 else ("", "")
        cross = f"M{-radius * 0.5:.1f} 0H{radius * 0.5:.1f}M0 {-radius * 0.5:.1f}V{radius * 0.5:.1f}"
        parts.append(
            f'<g class="{"off" if kind else "on"}" transform="translate({x:.1f} {y:.1f})">'
            f'<circle r="{radius:.1f}"/><path d="{sign or cross}"/></g>'
        )
    x, y = max(anchor[0], radius), max(anchor[1] - radius * 1.5, radius * 2)
    parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{radius * 2:.1f}">region{number}</text>')
    return f"<g>{''.join(parts)}</g>"


def _joined(stroke: Sequence[tuple[float, float]]) -> str:
    places = stroke if len(stroke) > 1 else [stroke[0], stroke[0]]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


#: Runs once for the element that holds :func:`stage_html`; the page's own words go out as events ``mark``.
SCRIPT = """
const SVG = 'http://www.w3.org/2000/svg';
let start = null, path = [], corner = null, cross = [0.5, 0.5];
const canvas = () => element.querySelector('.w2m-canvas');
const place = (event) => {
  const box = canvas().querySelector('img').getBoundingClientRect();
  return [Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1),
          Math.min(Math.max((event.clientY - box.top) / box.height, 0), 1)];
};
const send = (places) => trigger('mark', { places });
const draw = () => {
  const svg = canvas().querySelector('svg'), view = svg.viewBox.baseVal, group = svg.querySelector('.w2m-drawn');
  group.replaceChildren();
  if (!path.length) return;
  const tool = canvas().dataset.tool, last = path[path.length - 1];
  if (tool === 'box') {
    const rect = document.createElementNS(SVG, 'rect');
    rect.setAttribute('class', 'box');
    rect.setAttribute('x', Math.min(path[0][0], last[0]) * view.width);
    rect.setAttribute('y', Math.min(path[0][1], last[1]) * view.height);
    rect.setAttribute('width', Math.abs(path[0][0] - last[0]) * view.width);
    rect.setAttribute('height', Math.abs(path[0][1] - last[1]) * view.height);
    group.append(rect);
  } else if (tool === 'brush') {
    const line = document.createElementNS(SVG, 'polyline');
    line.setAttribute('class', 'stroke');
    line.setAttribute('stroke-width', Math.max(view.width, view.height) * canvas().dataset.brush);
    line.setAttribute('points', [...path, last].map(([x, y]) => `${x * view.width},${y * view.height}`).join(' '));
    group.append(line);
  }
};
element.addEventListener('pointerdown', (event) => {
  if (!event.target.closest('.w2m-canvas') || event.button !== 0) return;
  event.preventDefault();
  canvas().focus({ preventScroll: true });
  canvas().setPointerCapture(event.pointerId);
  start = place(event);
  path = [start];
});
element.addEventListener('pointermove', (event) => {
  if (!start) return;
  path.push(place(event));
  draw();
});
element.addEventListener('pointerup', (event) => {
  if (!start) return;
  const tool = canvas().dataset.tool, end = place(event);
  const every = Math.ceil(path.length / 500);
  if (tool === 'box') send([start, end]);
  else if (tool === 'brush') send(path.filter((_, index) => index % every === 0));
  else send([end]);
  start = null;
  path = [];
});
element.addEventListener('pointercancel', () => { start = null; path = []; draw(); });
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('.w2m-canvas')) return;
  const step = event.shiftKey ? 0.05 : 0.01;
  const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (move) {
    event.preventDefault();
    cross = cross.map((value, axis) => Math.min(Math.max(value + move[axis], 0), 1));
    const mark = canvas().querySelector('.w2m-cross');
    mark.style.left = `${cross[0] * 100}%`;
    mark.style.top = `${cross[1] * 100}%`;
    canvas().classList.add('keyboard');
    if (corner) { path = [corner, cross]; draw(); }
  } else if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    if (canvas().dataset.tool !== 'box') send([cross]);
    else if (!corner) corner = cross;
    else { send([corner, cross]); corner = null; path = []; }
  } else if (event.key === 'Escape') {
    corner = null; path = []; draw();
  }
});
"""
