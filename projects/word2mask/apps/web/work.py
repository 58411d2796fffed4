"""What takes time: asking the model, editing, and writing files to take away. Knows the visit, not the page."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.apps.web.running import Progress
from word2mask.apps.web.visit import Exchange, Visit
from word2mask.data.media import VideoFile, open_image
from word2mask.errors import UserError
from word2mask.inference.answer_folder import USUAL_RATE, frames_of
from word2mask.inference.editing.edit import Edited, edit
from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.editing.output import Target
from word2mask.inference.editing.readings import read_instruction
from word2mask.inference.editing.timeline import timeline_of
from word2mask.inference.formats.plain import to_json
from word2mask.inference.refinement import Refinement
from word2mask.inference.render import overlay
from word2mask.types import Media, Request, Result, Segment

__all__ = ["DOWNLOADS", "ask", "download", "edited", "masked", "previewed"]

#: Visitors whose turns the model remembers, and the most bytes of encoded frames for each.
REMEMBERED, KEPT_BYTES = 4, 256 << 20
_REMEMBERING = threading.Lock()
#: Those visitors, the longest ago first.
_recent: list[Visit] = []

#: What can be taken away: a name → how a picture's and a video's file end.
DOWNLOADS: dict[str, tuple[str, str]] = {
    "Masks as PNG": (".zip", ".zip"),
    "Masks and words as JSON (COCO run lengths)": (".json", ".json"),
    "With the masks drawn in": (".png", ".mp4"),
    "Cut out, transparent around it": (".png", ".webm"),
}


def ask(session: Any, visit: Visit, question: str, report: Progress, write: Callable[[str], None]) -> Exchange:
    """Asks the model; the visit isn't changed.

    Args:
        session: a :class:`word2mask.inference.session.Session`.
        visit: whose conversation it is.
        question: checked.
        report: takes the progress.
        write: takes pieces of the answer's text as they are written.
    """
    marked = visit.marks.prompts(visit.size) if visit.media is not None else ()
    start = time.monotonic()
    answer: Result | None = None
    conversation = _conversation(session, visit)
    if conversation is None:
        pieces = session.stream(Request(visit.turns(question), visit.media, prompts=visit.prompts), report)
    else:
        pieces = conversation.stream(question, marked, progress=report)
    for piece in pieces:
        if isinstance(piece, str):
            write(piece)
        else:
            answer = piece
    assert answer is not None, "a session's stream ends with the answer"
    exchange = Exchange(question, answer, marked, time.monotonic() - start)
    assert len(exchange.found) == len(answer.segments)  # looked at here, where nobody waits for a page
    return exchange


def _conversation(session: Any, visit: Visit) -> Any:
    """What remembers the turns so far, so that they aren't read again; ``None`` when nothing does.

    No more than :data:`REMEMBERED` visitors are remembered; another's turns are read anew, with the same answer.
    """
    said = sum(exchange.is_said for exchange in visit.exchanges)
    with _REMEMBERING:
        own = visit.conversation
        if own is None and not said:
            own = visit.conversation = session.converse(visit.media, KEPT_BYTES)
        if own is None or len(own.turns) != 2 * said:
            return None
        _recent[:] = [*(other for other in _recent if other is not visit), visit]
        for forgotten in _recent[:-REMEMBERED]:
            forgotten.conversation = None
        del _recent[:-REMEMBERED]
        return own


def masked(session: Any, visit: Visit, number: int | None, report: Progress) -> Result:
    """Masks of what is marked, by the segmenter alone, and followed through a video; the marks stay until taken in.

    Args:
        session: whose segmenter draws.
        visit: with marks.
        number: of the shown object that the marks correct; ``None`` makes new objects of them.
        report: takes the progress.

    Raises:
        UserError: nothing is marked, or there is no such object.
    """
    media, prompts = _media_of(visit), visit.marks.prompts(visit.size)
    if not prompts:
        raise UserError("nothing is marked; click, box or brush what you mean first")
    refinement = visit.refinement
    if refinement is None:
        refinement = visit.refinement = Refinement(session, media, visit.answer, KEPT_BYTES)
    done = 0
    try:
        for prompt in prompts:
            if number is None:
                refinement.add(prompt, "what was marked")
            else:
                refinement.correct(number, prompt)
            done += 1
        report("track", 0, visit.num_frames)
        return refinement.propagate(report)
    except BaseException:
        for _ in range(done):
            refinement.undo()
        raise


def edited(session: Any, visit: Visit, wanted: Effect | str, report: Progress) -> Edited:
    """Edits the whole picture or video and writes it into the visit's folder.

    Args:
        session: is asked where an instruction in words names something.
        visit: whose shown objects are changed where it names nothing.
        wanted: an effect on the shown objects, or an instruction in words.
        report: takes the progress.

    Raises:
        UserError: what was said isn't understood or isn't there, or no object is shown.
    """
    media = _media_of(visit)
    out = _new_name(visit, "edited", ".mp4" if visit.is_video else ".png")
    result = _shown_result(visit) if visit.segments else None
    instruction = read_instruction(wanted) if isinstance(wanted, str) else Instruction(wanted)
    if instruction.effect.picture:
        raise UserError(f"{instruction.effect.name} can't use a picture's file on this page; name a colour or a word")
    if not instruction.what and (result is None or not result.segments):
        raise UserError("no object is shown to edit; ask for one first, or show one that is hidden")
    return edit(session, media, instruction, out, result=result, fps=_rate(visit), progress=report)


def previewed(session: Any, visit: Visit, effect: Effect, report: Progress) -> np.ndarray:
    """The shown frame as an effect makes it, uint8 RGB ``[H,W,3]``.

    Raises:
        UserError: no shown object is on this frame.
    """
    _media_of(visit)
    result = _shown_result(visit)
    here = [
        Segment(segment.phrase, None, np.asarray(segment.masks[visit.frame])[None], segment.scores[[visit.frame]])
        for segment in result.segments
        if segment.found_on[visit.frame]
    ]
    if not here:
        raise UserError("no shown object is on this frame; go to one where it is, or ask for an object first")
    frame = Media("image", visit.shown_frame()[None], (0,), visit.name)
    out = _new_name(visit, "preview", ".png")
    one = replace(result, segments=here, num_frames=1)
    try:
        made = edit(session, frame, Instruction(effect), out, result=one, progress=report)
        return open_image(made.path).frames[0]
    finally:
        shutil.rmtree(out.parent, ignore_errors=True)


def download(session: Any, visit: Visit, kind: str, report: Progress) -> Path:
    """Writes one of :data:`DOWNLOADS` of the shown answer into the visit's folder.

    Raises:
        UserError: there is no answer with masks, no object is shown, or it can't be written.
    """
    media = _media_of(visit)
    if kind not in DOWNLOADS:
        raise UserError(f"choose what to download: {', '.join(DOWNLOADS)}")
    result = _shown_result(visit)
    if not result.segments:
        raise UserError("no object is shown; ask for one first, or show one that is hidden")
    suffix = DOWNLOADS[kind][visit.is_video]
    names = list(DOWNLOADS)
    path = _new_name(visit, ("masks", "answer", "overlay", "cutout")[names.index(kind)], suffix)
    if kind == names[0]:
        _write_masks(path, visit, result, report)
    elif kind == names[1]:
        question = visit.exchanges[visit.shown or 0].question
        path.write_text(json.dumps(to_json(result, visit.name, question), ensure_ascii=False, indent=1) + "\n", "utf-8")
    elif kind == names[2]:
        _write_overlay(path, visit, media, result, report)
    else:
        edit(session, media, Instruction(Effect("cutout")), path, result=result, fps=_rate(visit), progress=report)
    return path


def _write_masks(path: Path, visit: Visit, result: Result, report: Progress) -> None:
    """A zip of PNGs, one a frame and object, white on the object."""
    total, done = len(result.segments) * visit.num_frames, 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, segment in zip(_shown_numbers(visit), result.segments, strict=True):
            for frame, mask in enumerate(segment.masks):
                name = f"masks_{number + 1:02}/{frame:05}.png" if visit.is_video else f"mask_{number + 1:02}.png"
                with archive.open(name, "w") as file:
                    Image.fromarray(np.asarray(mask).astype(np.uint8) * 255).save(file, "PNG")
                done += 1
                report("edit", done, total)


def _write_overlay(path: Path, visit: Visit, media: Media | VideoFile, result: Result, report: Progress) -> None:
    """The picture or video with the masks of the shown objects, in the page's colours."""
    shown = dict(zip(_shown_numbers(visit), result.segments, strict=True))

    def drawn() -> Iterator[np.ndarray]:
        for place, frame in enumerate(frames_of(media)):
            masks = np.zeros((len(visit.segments), *frame.shape[:2]), dtype=bool)
            for number, segment in shown.items():
                masks[number] = segment.masks[place]
            yield overlay(frame, masks, alpha=visit.opacity, min_side=1)
            report("edit", place + 1, visit.num_frames)

    Target(path, visit.is_video, has_alpha=False).write(drawn(), timeline_of(media, _rate(visit)))


def _shown_numbers(visit: Visit) -> list[int]:
    return [number for number in range(len(visit.segments)) if number not in visit.hidden]


def _shown_result(visit: Visit) -> Result:
    """The shown answer with the objects that aren't hidden.

    Raises:
        UserError: nothing was asked yet.
    """
    if visit.answer is None:
        raise UserError("nothing was asked yet; ask for an object first")
    segments = [visit.segments[number] for number in _shown_numbers(visit)]
    return replace(visit.answer, segments=segments)


def _media_of(visit: Visit) -> Media | VideoFile:
    """What is looked at.

    Raises:
        UserError: nothing is.
    """
    assert visit.size  # raises where there is nothing
    assert visit.media is not None
    return visit.media


def _rate(visit: Visit) -> float | None:
    """Frames a second of what isn't a file, as few as can be followed; a file says it better itself."""
    return USUAL_RATE if isinstance(visit.media, Media) else None


def _new_name(visit: Visit, stem: str, suffix: str) -> Path:
    """A file in the visit's folder that isn't there yet, called after what is looked at.

    A file gets a folder of its own, so that the name may stay what it says.

    Raises:
        UserError: there is no room.
    """
    named = re.sub(r"[^\w-]+", "_", Path(visit.name).stem).strip("_")[:40] or "word2mask"
    return visit.folder_for_one() / f"{named}_{stem}{suffix}"
