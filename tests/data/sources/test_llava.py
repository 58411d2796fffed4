"""Expected turns are the ones that the fixture writes."""

import json

import pytest

from word2mask.data.sources.llava import LLaVA, strip_placeholders
from word2mask.errors import UserError


def test_conversations_with_and_without_a_picture(tmp_path):
    source = LLaVA.fixture(tmp_path)
    assert len(source) == 2 and source.name == "chat"
    sample = source.read(0)
    assert [turn.text for turn in sample.turns] == [
        "What colour is the box?",
        "Red.",
        "How many boxes are there?",
        "One.",
    ]
    assert sample.media.frames.shape == (1, 48, 64, 3) and sample.masks is None and sample.extra == {}
    assert source.read(1).media is None and source.read(1).id == "b"


def test_a_question_is_a_record_for_evaluation(tmp_path):
    source = LLaVA.fixture(tmp_path, per_expression=True)
    assert len(source) == 3
    sample = source.read(1)
    assert sample.id == "a/1" and len(sample.turns) == 2
    assert sample.extra == {"expression": "How many boxes are there?", "answer": "One.", "kind": ""}


def test_strip_placeholders():
    assert strip_placeholders("<image>\nHello <b>") == "Hello <b>"
    assert strip_placeholders("Hello\n<image>") == "Hello"
    assert strip_placeholders("<video> Hello") == "Hello"


def rewrite(folder, change):
    records = json.loads((folder / "chat.json").read_text())
    change(records)
    (folder / "chat.json").write_text(json.dumps(records))
    return LLaVA(folder / "chat.json", folder / "images")


def test_an_answer_to_nothing_at_the_start_is_dropped(tmp_path):
    LLaVA.fixture(tmp_path)
    source = rewrite(tmp_path, lambda records: records[1]["conversations"].insert(0, {"from": "gpt", "value": "?"}))
    assert [turn.text for turn in source.read(1).turns] == ["Say hello.", "Hello."]


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    LLaVA.fixture(tmp_path)
    with pytest.raises(UserError, match=r"chat\[a\]: .*human and gpt must take turns"):
        rewrite(tmp_path, lambda records: records[0]["conversations"].pop()).read(0)
    with pytest.raises(UserError, match=r"chat\[a\]: .*robot"):
        rewrite(tmp_path, lambda records: records[0]["conversations"][0].update({"from": "robot"})).read(0)
    with pytest.raises(UserError, match=r"chat\[b\]: .*gone.jpg: no such picture"):
        rewrite(tmp_path, lambda records: records[1].update(image="gone.jpg")).read(1)
    with pytest.raises(UserError, match="no such folder; expected the pictures of chat.json"):
        LLaVA(tmp_path / "chat.json", tmp_path / "gone")
    (tmp_path / "chat.json").write_text("[{")
    with pytest.raises(UserError, match="not JSON, or cut short"):
        LLaVA(tmp_path / "chat.json", tmp_path / "images")


def test_sizes_tell_text_alone_from_pictures(tmp_path):
    # 31 characters with the picture's placeholder, 4, 25, 4; and 10, 6.
    assert LLaVA.fixture(tmp_path).sizes().tolist() == [[1, 64], [0, 16]]
    # A damaged record is for its reader to name.
    source = rewrite(tmp_path, lambda records: records[0].pop("conversations"))
    assert source.sizes().tolist() == [[1, 0], [0, 16]]
