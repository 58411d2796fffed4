"""A visit: uploads, conversation, what is shown, and that nothing stays behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.web.limits import Limits
from word2mask.apps.web.stage import picture_of, stage_html, timeline_html
from word2mask.apps.web.visit import Exchange, Visit
from word2mask.apps.web.visits import Visits
from word2mask.errors import UserError
from word2mask.inference.render import color_of, save_video
from word2mask.types import Media, Result, Segment, Turn

H, W = 6, 8


def still() -> Media:
    return Media("image", np.full((1, H, W, 3), 100, np.uint8), (0,), "still.png")


def moving(frames: int = 4) -> Media:
    return Media("video", np.full((frames, H, W, 3), 100, np.uint8), tuple(range(frames)), "moving")


def answer(*found: list[int], frames: int = 1) -> Result:
    """Objects that cover the left half on the frames given."""
    segments = []
    for number, places in enumerate(found):
        masks, scores = np.zeros((frames, H, W), bool), np.zeros(frames, np.float32)
        masks[places, :, : W // 2], scores[places] = True, 0.9
        segments.append(Segment(f"thing {number}", None, masks, scores))
    return Result("Here.", "Here [" + "SEG].", segments, (H, W), frames)


def test_turns_carry_the_markup_of_earlier_answers() -> None:
    visit = Visit(Limits(turns=2))
    visit.look_at(still(), "still.png")
    visit.add(Exchange("the thing", answer([0])))
    said = visit.turns("and now?")
    assert said == (Turn("user", "the thing"), Turn("assistant", answer([0]).raw_text), Turn("user", "and now?"))
    visit.add(Exchange("and now?", answer([0])))
    with pytest.raises(UserError, match="2 questions were asked"):
        visit.turns("once more")


def test_an_answer_is_shown_where_it_is() -> None:
    visit = Visit()
    visit.look_at(moving(), "moving")
    visit.add(Exchange("a", answer([2, 3], [3], frames=4)))
    assert visit.frame == 2
    assert visit.shown_masks().any(axis=(1, 2)).tolist() == [True, False]
    visit.frame = 3
    visit.toggle(0)
    assert visit.shown_masks().any(axis=(1, 2)).tolist() == [False, True]


def test_masks_are_drawn_in_their_colours_and_at_the_opacity() -> None:
    visit = Visit(opacity=1.0)
    visit.look_at(still(), "still.png")
    visit.add(Exchange("a", answer([0])))
    picture = picture_of(visit)
    assert picture.shape[1] == 900 and picture.shape[0] == 675
    assert tuple(picture[400, 200]) == color_of(0) and tuple(picture[400, 700]) == (100, 100, 100)
    visit.toggle(0)
    assert (picture_of(visit) == 100).all()


def test_a_large_picture_is_sent_smaller() -> None:
    visit = Visit()
    visit.look_at(Media("image", np.zeros((1, 1000, 2560, 3), np.uint8), (0,), "a"), "a")
    assert picture_of(visit).shape == (500, 1280, 3)


def test_the_stage_says_in_words_what_is_on_it() -> None:
    visit = Visit()
    visit.look_at(moving(), '"><b>x')
    visit.add(Exchange("a", answer([1], frames=4)))
    visit.marks.add([[0.5, 0.5]], "on", visit.frame, visit.size)
    html = stage_html(visit)
    assert "Frame 2 of 4 of the video &quot;&gt;&lt;b&gt;x, with masks of 1 thing 0." in html
    assert ">region1</text>" in html and "translate(4.0 3.0)" in html
    visit.frame = 0
    assert "region1" not in stage_html(visit)


def test_the_timeline_shows_where_objects_are() -> None:
    visit = Visit()
    visit.look_at(moving(8), "moving")
    visit.add(Exchange("a", answer([0, 1, 5], frames=8)))
    html = timeline_html(visit)
    assert '<rect x="0" y="0" width="2" height="1"/><rect x="5" y="0" width="1" height="1"/>' in html
    assert "on 3 of 8 frames" in html and "--here:0.0625" in html
    still_visit = Visit()
    still_visit.look_at(still(), "a")
    still_visit.add(Exchange("a", answer([0])))
    assert timeline_html(still_visit) == ""


def test_uploads_are_taken_over_and_nothing_stays(tmp_path: Path) -> None:
    visit = Visit()
    source = tmp_path / "clip.mp4"
    save_video([np.full((32, 48, 3), 20 * place, np.uint8) for place in range(5)], source)
    visit.receive(source, "../clip.mp4")
    source.unlink()
    assert visit.name == "clip.mp4" and visit.num_frames == 5
    assert visit.shown_frame().shape == (32, 48, 3)
    first = visit.folder
    token = visit.files.offer(first / next(first.iterdir()).name)
    assert visit.files.find(token) is not None
    Image.new("RGB", (9, 5)).save(tmp_path / "a.png")
    visit.receive(tmp_path / "a.png", "a.png")
    assert not first.exists() and visit.files.find(token) is None and not visit.is_video
    second = visit.folder
    visit.stopped = stopped = threading.Event()
    visit.close()
    assert stopped.is_set() and not second.exists() and visit.media is None


def test_masks_by_marks_are_undone_step_by_step() -> None:
    visit = Visit()
    visit.look_at(still(), "still.png")
    with pytest.raises(UserError, match="nothing to undo"):
        visit.undo_masks()
    visit.take_masks(answer([0]))
    visit.take_masks(answer([0], [0]))
    assert len(visit.segments) == 2
    visit.toggle(1)
    visit.undo_masks()
    assert len(visit.segments) == 1 and visit.hidden == set()
    visit.undo_masks()
    assert visit.exchanges == [] and visit.shown is None
    visit.add(Exchange("the thing", answer([0])))
    visit.take_masks(answer([0], [0]))
    visit.undo_masks()
    assert visit.exchange is not None and visit.exchange.question == "the thing" and len(visit.segments) == 1
    visit.take_masks(answer([0], [0]))
    visit.add(Exchange("another", answer([0])))
    with pytest.raises(UserError, match="nothing to undo"):
        visit.undo_masks()


def test_a_bad_upload_leaves_what_was_there(tmp_path: Path) -> None:
    visit = Visit()
    visit.look_at(still(), "still.png")
    visit.add(Exchange("a", answer([0])))
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="^b.png: not a picture that can be read"):
        visit.receive(tmp_path / "b.png", "b.png")
    assert visit.name == "still.png" and len(visit.exchanges) == 1


def test_secrets_lead_to_files_of_the_visit_only(tmp_path: Path) -> None:
    visit = Visit()
    (tmp_path / "a").write_text("a")
    token = visit.files.offer(tmp_path / "a")
    assert visit.files.find(token) == tmp_path / "a"
    assert visit.files.find(token + "x") is None and visit.files.find("../a") is None


def test_visits_begin_with_nothing_and_end_with_the_connection() -> None:
    visits = Visits(Limits(regions=3))
    one, other = visits.begin("a"), visits.begin("b")
    one.look_at(still(), "still.png")
    assert other.media is None and other.limits.regions == 3 and one.files is other.files
    kept = one.folder
    visits.end("a")
    assert not kept.exists() and len(visits) == 1
    visits.end("a")
    kept = other.folder
    assert visits.begin("b") is not other and not kept.exists()
    visits.close()
    assert len(visits) == 0
