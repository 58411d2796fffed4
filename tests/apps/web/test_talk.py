"""The conversation as HTML: phrases in their masks' colours, what isn't found, and nothing unescaped."""

from __future__ import annotations

import re

import numpy as np

from word2mask.apps.report.pictures import colour_of
from word2mask.apps.web.running import Snapshot
from word2mask.apps.web.talk import answer_html, objects_html, pending_html, progress_html, talk_html
from word2mask.apps.web.visit import Exchange, Visit
from word2mask.types import Media, Result, Segment

EVIL = "<img src=x onerror=alert(1)>"


def segment(phrase: str, span: tuple[int, int] | None, found: bool = True, score: float = 0.93) -> Segment:
    return Segment(phrase, span, np.full((1, 4, 6), found), np.array([score if found else 0.1], np.float32))


def result(text: str, *segments: Segment) -> Result:
    return Result(text, text, list(segments), (4, 6), 1)


def visit_with(*exchanges: Exchange) -> Visit:
    visit = Visit()
    visit.look_at(Media("image", np.zeros((1, 4, 6, 3), np.uint8), (0,), "a.png"), "a.png")
    for exchange in exchanges:
        visit.add(exchange)
    return visit


def words(html: str) -> str:
    """What is read of some HTML."""
    return re.sub(r"<[^>]*>", "", html)


def test_phrases_have_the_colours_of_their_masks() -> None:
    answer = result("The red heart and a star.", segment("The red heart", (0, 13)), segment("a star", (18, 24)))
    html = answer_html(Exchange("", answer))
    assert words(html) == "The red heart1 and a star2."
    assert re.search(rf'--c:{colour_of(0)};[^"]*">The red heart</span>', html)
    assert re.search(rf'--c:{colour_of(1)};[^"]*">a star</span>', html)


def test_two_objects_of_one_phrase_and_one_without_words() -> None:
    answer = result("two stars.", segment("two stars", (0, 9)), segment("two stars", (0, 9)), segment("", None))
    assert words(answer_html(Exchange("", answer))) == "two stars12.3"


def test_masks_without_a_word_are_called_what_was_asked_for() -> None:
    answer = result(".", segment("the heart", None), segment("", None, found=False))
    html = answer_html(Exchange("Please segment the heart.", answer))
    assert words(html) == "the heart1, object2"
    assert re.search(rf'w2m-phrase" style="--c:{colour_of(0)};', html) and 'w2m-phrase missing"' in html
    several = [segment(name, None) for name in ("the hearts", "the hearts", "the star")]
    assert words(answer_html(Exchange("Please segment the hearts.", result("", *several)))) == "the hearts12, the star3"
    assert words(answer_html(Exchange("", result("♥", segment("♥", (0, 1)))))) == "♥1"
    assert (
        words(answer_html(Exchange("", result("?")))) == "?"
        and words(answer_html(Exchange("", result("")))) == "no words"
    )


def test_what_is_not_found_is_said() -> None:
    visit = visit_with(Exchange("the star", result("A star.", segment("A star", (0, 6), found=False))))
    assert "not found: A star" in words(talk_html(visit))
    assert 'class="w2m-phrase missing"' in talk_html(visit)
    assert words(objects_html(visit)) == "1A starnot found"


def test_confidence_and_what_is_hidden() -> None:
    visit = visit_with(Exchange("a", result("A star.", segment("A star", (0, 6), score=0.927))))
    assert "93 % sure" in objects_html(visit) and 'aria-pressed="true"' in objects_html(visit)
    visit.toggle(0)
    assert 'aria-pressed="false"' in objects_html(visit)


def test_nothing_of_a_visitor_or_the_model_is_taken_for_html() -> None:
    answer = result(f"{EVIL} and", segment(EVIL, (0, len(EVIL)), found=False), segment(EVIL, None))
    visit = visit_with(Exchange(EVIL, answer))
    pages = [
        talk_html(visit),
        objects_html(visit),
        pending_html(EVIL, Snapshot(text=EVIL)),
        answer_html(Exchange("", answer)),
    ]
    for page in pages:
        assert "<img" not in page and "&lt;img" in page


def test_only_other_answers_with_masks_offer_to_be_shown() -> None:
    plain = Exchange("How many?", result("Two."))
    visit = visit_with(Exchange("a", result("A star.", segment("A star", (0, 6)))), plain)
    assert visit.shown == 0, "an answer without masks leaves the masks before it"
    assert "data-turn" not in talk_html(visit)
    visit.add(Exchange("b", result("A heart.", segment("A heart", (0, 7)))))
    assert re.findall(r'data-turn="(\d)"', talk_html(visit)) == ["0"]


def test_progress_says_how_far_it_is() -> None:
    html = progress_html(Snapshot("track", 25, 100))
    assert 'aria-valuenow="25"' in html and "25 of 100 frames" in html
    assert "unknown" in progress_html(Snapshot("answer", 0, 1))
