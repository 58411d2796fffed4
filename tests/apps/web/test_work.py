"""Asking and taking away, with a session whose answers are known."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.apps.web import work
from word2mask.apps.web.running import Cancelled
from word2mask.apps.web.visit import Exchange, Visit
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.editing.instruction import Effect
from word2mask.inference.render import color_of
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Media, Turn

H, W = 40, 60


def visit_of(known: Any, frames: int, asked: bool = True) -> Visit:
    visit = Visit()
    media = Media("video" if frames > 1 else "image", np.full((frames, H, W, 3), 90, np.uint8), name="a b/c.png")
    visit.look_at(media, "my clip.mp4")
    if asked:
        visit.add(Exchange("the left half", known.answer(frames, (H, W))))
    return visit


def silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


def test_asking_gives_the_text_as_it_comes_and_sends_what_was_marked(known_session: Any) -> None:
    visit = visit_of(known_session, 1)
    visit.marks.add([[0.5, 0.5]], "on", 0, visit.size)
    pieces: list[str] = []
    exchange = work.ask(known_session, visit, "and now?", silent, pieces.append)
    assert "".join(pieces) == exchange.answer.text == "The left half and the moon."
    (request,) = known_session.requests
    assert request.turns == (
        Turn("user", "the left half"),
        Turn("assistant", "The left half and the moon."),
        Turn("user", "and now?"),
    )
    assert [prompt.points for prompt in request.prompts] == [((30.0, 20.0, 1),)] and request.media is visit.media
    assert len(visit.exchanges) == 1, "the visit changes when the answer is taken in"


def test_a_conversation_is_remembered_and_of_many_visitors_the_latest(known_session: Any) -> None:
    first = visit_of(known_session, 1, asked=False)
    for question in ("one", "two"):
        first.add(work.ask(known_session, first, question, silent, lambda piece: None))
    assert len(first.conversation.turns) == 4
    others = [visit_of(known_session, 1, asked=False) for _ in range(work.REMEMBERED)]
    for other in others:
        other.add(work.ask(known_session, other, "one", silent, lambda piece: None))
    assert first.conversation is None and others[0].conversation is not None
    work.ask(known_session, first, "three", silent, lambda piece: None)
    said = [turn.text for turn in known_session.requests[-1].turns if turn.role == "user"]
    assert said == ["one", "two", "three"], "what was forgotten is read again"


@pytest.fixture
def visit(known_session: Any) -> Iterator[Visit]:
    visit = visit_of(known_session, 3)
    yield visit
    visit.close()


def test_masks_as_pngs(visit: Visit) -> None:
    path = work.download(None, visit, "Masks as PNG", silent)
    assert path.name == "my_clip_masks.zip"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        mask = np.asarray(Image.open(io.BytesIO(archive.read("masks_01/00001.png"))))
    assert len(names) == 6 and "masks_02/00002.png" in names
    assert mask.shape == (H, W) and (mask[:, : W // 2] == 255).all() and (mask[:, W // 2 :] == 0).all()


def test_masks_as_json_hold_what_is_shown(visit: Visit) -> None:
    visit.toggle(1)
    path = work.download(None, visit, "Masks and words as JSON (COCO run lengths)", silent)
    content = json.loads(path.read_text("utf-8"))
    assert content["media"] == "my clip.mp4" and content["question"] == "the left half"
    assert len(content["objects"]) == 1
    read = Answer.from_json(content)
    np.testing.assert_array_equal(read.segments[0].masks, visit.segments[0].masks)


def test_a_video_with_its_masks(visit: Visit) -> None:
    steps: list[tuple[int, int]] = []
    path = work.download(None, visit, "With the masks drawn in", lambda stage, done, total: steps.append((done, total)))
    video = VideoFile(path)
    assert len(video) == 3 and video.size == (H, W) and video.fps == pytest.approx(8.0)
    assert steps[-1] == (3, 3)


def test_a_picture_with_its_masks(known_session: Any) -> None:
    visit = visit_of(known_session, 1)
    visit.opacity = 1.0
    try:
        path = work.download(None, visit, "With the masks drawn in", silent)
        pixels = np.asarray(Image.open(path))
    finally:
        visit.close()
    assert tuple(pixels[35, 10]) == color_of(0) and tuple(pixels[35, 50]) == (90, 90, 90)


def test_nothing_to_take_away(known_session: Any) -> None:
    with pytest.raises(UserError, match="no picture or video yet"):
        work.download(None, Visit(), "Masks as PNG", silent)
    with pytest.raises(UserError, match="nothing was asked yet"):
        work.download(None, visit_of(known_session, 1, asked=False), "Masks as PNG", silent)
    visit = visit_of(known_session, 1)
    visit.toggle(0)
    visit.toggle(1)
    with pytest.raises(UserError, match="no object is shown"):
        work.download(None, visit, "Masks as PNG", silent)
    with pytest.raises(UserError, match="choose what to download"):
        work.download(None, visit, "Everything", silent)


def test_an_effect_on_what_is_shown(visit: Visit) -> None:
    made = work.edited(None, visit, Effect("recolor", color=(0, 0, 255)), silent)
    video = VideoFile(made.path)
    assert made.path.name == "my_clip_edited.mp4" and len(video) == 3
    left, right = (video.read([1])[0][:, part].reshape(-1, 3).mean(0) for part in (slice(5, 25), slice(35, 55)))
    assert left[2] > left[0] + 20, "the left half is blue now"
    assert abs(right - 90).max() < 6


def test_a_preview_is_one_frame_and_nothing_else_changes(visit: Visit) -> None:
    visit.frame = 1
    made = work.previewed(None, visit, Effect("recolor", color=(0, 0, 255)), silent)
    assert made.shape == (H, W, 3) and made[20, 10, 2] > made[20, 10, 0]
    assert tuple(made[20, 50]) == (90, 90, 90)
    visit.toggle(0)
    with pytest.raises(UserError, match="no shown object is on this frame"):
        work.previewed(None, visit, Effect("blur"), silent)


def test_an_instruction_never_opens_a_file_of_the_server(visit: Visit) -> None:
    with pytest.raises(UserError):
        work.edited(None, visit, "replace the background with /etc/passwd.png", silent)
    assert not list(visit.folder.rglob("*edited*.mp4"))


def test_marks_alone_become_masks_and_a_stop_leaves_them_as_they_were() -> None:
    torch.manual_seed(0)
    session = Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()))
    visit = Visit()
    visit.look_at(Media("image", np.full((1, H, W, 3), 90, np.uint8), name="a.png"), "a.png")
    with pytest.raises(UserError, match="nothing is marked"):
        work.masked(session, visit, None, silent)
    visit.marks.add([[0.2, 0.2], [0.8, 0.8]], "box", 0, visit.size)
    visit.take_masks(work.masked(session, visit, None, silent))
    assert [segment.phrase for segment in visit.segments] == ["what was marked"] and not visit.marks.regions
    assert visit.segments[0].masks.shape == (1, H, W)
    assert visit.turns("where?") == (Turn("user", "where?"),), "what was only marked isn't part of the conversation"
    drawn = visit.segments[0].masks.copy()
    visit.marks.add([[0.5, 0.5]], "on", 0, visit.size)
    visit.take_masks(work.masked(session, visit, 0, silent))
    assert len(visit.segments) == 1 and (visit.segments[0].masks != drawn).any()
    visit.undo_masks()
    assert (visit.segments[0].masks == drawn).all() and len(visit.refinement) == 1
    visit.marks.add([[0.9, 0.9], [0.95, 0.95]], "box", 0, visit.size)
    visit.take_masks(work.masked(session, visit, None, silent))
    assert (visit.segments[0].masks == drawn).all(), "the correction that was undone doesn't come back with the next"
    visit.undo_masks()
    assert len(visit.segments) == len(visit.refinement) == 1
    visit.marks.add([[0.1, 0.1]], "on", 0, visit.size)

    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        work.masked(session, visit, None, stop)
    assert len(visit.refinement) == 1
