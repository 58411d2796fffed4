"""Clicks, boxes and strokes become regions, step by step and back."""

from __future__ import annotations

import numpy as np
import pytest

from word2mask.apps.web.regions import Marks
from word2mask.errors import UserError

SIZE = (100, 200)


def marked(*steps: tuple[str, list[list[float]]], frame: int = 0) -> Marks:
    marks = Marks()
    for tool, places in steps:
        marks.add(places, tool, frame, SIZE)
    return marks


def test_clicks_go_on_with_a_region() -> None:
    marks = marked(("on", [[0.5, 0.25]]), ("off", [[0.1, 0.9]]))
    (prompt,) = marks.prompts(SIZE)
    assert prompt.points == ((100.0, 25.0, 1), (20.0, 90.0, 0))
    assert prompt.box is None and prompt.mask is None


def test_a_box_may_be_drawn_from_any_corner() -> None:
    (prompt,) = marked(("box", [[0.75, 0.5], [0.25, 0.1]])).prompts(SIZE)
    assert prompt.box == (50.0, 10.0, 150.0, 50.0)


def test_a_second_box_is_a_second_region_and_so_is_what_follows_the_button() -> None:
    marks = marked(("box", [[0, 0], [0.2, 0.2]]), ("on", [[0.1, 0.1]]), ("box", [[0.5, 0.5], [0.7, 0.7]]))
    assert [len(region.points) for region in marks.regions] == [1, 0]
    marks.next_region()
    marks.add([[0.9, 0.9]], "on", 0, SIZE)
    assert len(marks.regions) == 3


def test_another_frame_is_another_region() -> None:
    marks = marked(("on", [[0.5, 0.5]]))
    marks.add([[0.5, 0.5]], "on", 3, SIZE)
    assert [prompt.frame for prompt in marks.prompts(SIZE)] == [0, 3]


def test_a_stroke_covers_its_way() -> None:
    (prompt,) = marked(("brush", [[0.25, 0.5], [0.75, 0.5]])).prompts(SIZE)
    assert prompt.mask is not None and prompt.mask.shape == SIZE
    assert prompt.mask[50, 50:151].all()
    rows = np.flatnonzero(prompt.mask.any(axis=1))
    assert 44 <= rows.min() <= 49 and 51 <= rows.max() <= 56  # 3.5 % of 200 pixels are 7


def test_undo_takes_back_one_step_at_a_time() -> None:
    marks = marked(("on", [[0.5, 0.5]]), ("off", [[0.1, 0.1]]))
    marks.next_region()
    marks.add([[0.9, 0.9]], "on", 0, SIZE)
    marks.undo()
    assert len(marks.regions) == 1 and len(marks.regions[0].points) == 2
    marks.undo()
    marks.undo()
    assert marks.regions[0].points == ((100.0, 50.0, 1),)
    marks.undo()
    marks.undo()
    assert marks.regions == []


def test_places_outside_are_moved_to_the_edge() -> None:
    (prompt,) = marked(("on", [[1.5, -2.0]])).prompts(SIZE)
    assert prompt.points == ((199, 0.0, 1),)


@pytest.mark.parametrize(
    ("tool", "places", "message"),
    [
        ("off", [[0.5, 0.5]], "needs one on it first"),
        ("box", [[0.5, 0.5], [0.5, 0.5]], "no area"),
        ("on", [], "can't be read"),
        ("on", "<img>", "can't be read"),
        ("on", None, "can't be read"),
        ("on", [[float("nan"), 0]], "can't be read"),
        ("brush", [[0.1, 0.1]] * 5000, "can't be read"),
        ("laser", [[0.5, 0.5]], "choose a tool"),
    ],
)
def test_what_cannot_be_drawn(tool: str, places: object, message: str) -> None:
    marks = Marks()
    with pytest.raises(UserError, match=message):
        marks.add(places, tool, 0, SIZE)
    assert marks.regions == []


def test_no_more_than_the_most() -> None:
    marks = Marks(most=2)
    for place in (0.1, 0.4):
        marks.add([[place, place], [place + 0.2, place + 0.2]], "box", 0, SIZE)
    with pytest.raises(UserError, match="2 regions are marked"):
        marks.add([[0.7, 0.7], [0.9, 0.9]], "box", 0, SIZE)
