"""A word before each [SEG]: where it stands, and what stays."""

import numpy as np
import pytest

from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.word_before_seg import WordBeforeSeg
from word2mask.text.answers import parse_answer


@pytest.mark.parametrize("word", ["<box>", "there"])
def test_answers_change_and_nothing_else(tmp_path, word):
    plain = RefCOCO.fixture(tmp_path)
    source = WordBeforeSeg(plain, word)
    assert (len(source), source.name, source.tasks) == (len(plain), plain.name, plain.tasks)
    assert source.media_folders() == plain.media_folders() and np.array_equal(source.sizes(), plain.sizes())
    for index in range(len(plain)):
        before, after = (one.read(index, np.random.default_rng(index)) for one in (plain, source))
        assert [turn.text for turn in after.turns if turn.role == "user"] == [
            turn.text for turn in before.turns if turn.role == "user"
        ]
        answers = [turn.text for turn in after.turns if turn.role == "assistant"]
        assert all(answer.count("[SEG]") == answer.count(f"{word}[SEG]") > 0 for answer in answers)
        assert [answer.replace(word, "") for answer in answers] == [
            turn.text for turn in before.turns if turn.role == "assistant"
        ]
        assert np.array_equal(before.masks, after.masks)


def test_the_default_word_is_markup_that_no_reader_sees():
    assert parse_answer("Sure, it is <box>[SEG].").text == parse_answer("Sure, it is [SEG].").text
