"""Fixture: a picture of 48 × 64 with red at (4, 6, 20, 22) and blue at (30, 10, 50, 30), ends exclusive; a clip of six
frames in which red, 10 × 10, moves by 4 pixels a frame from x = 2 and is gone on the last one."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from word2mask.data.fixtures import write_picture
from word2mask.data.own_schema import KEYS, check_record
from word2mask.data.sources.own_data import OwnData
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask, encode_rle
from word2mask.text.special_tokens import SEG

SIZE, RED, BLUE = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
POLYGON = [[4, 6, 20, 6, 20, 22, 4, 22]]
FIND = {"text": "the red box", "masks": [POLYGON]}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def own(tmp_path):
    """Writes records as a JSONL beside a picture and a clip, and returns what makes the source."""
    write_picture(tmp_path / "one.jpg", SIZE, {"red": RED, "blue": BLUE})
    for t in range(6):
        write_picture(tmp_path / "clip" / f"{t}.jpg", SIZE, {"red": (2 + 4 * t, 4, 12 + 4 * t, 14)} if t < 5 else {})

    def make(*records, **options):
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        (tmp_path / "mugs.jsonl").write_text("\n".join(lines) + "\n")
        return OwnData(tmp_path / "mugs.jsonl", **options)

    return make


def test_expressions_are_drawn_and_worded_anew(tmp_path):
    source = OwnData.fixture(tmp_path)
    assert len(source) == 2 and source.name == "own"
    questions, orders = set(), set()
    for seed in range(30):
        sample = source.read(0, rng(seed))
        assert sample.id == "one" and sample.task == "generalized_refer" and sample.masks.shape == (3, 1, *SIZE)
        asked = [turn.text for turn in sample.turns[::2]]
        answers = [turn.text.count(SEG) for turn in sample.turns[1::2]]
        # Every expression once: red alone, both, and green, of which there is none.
        assert sorted(answers) == [0, 1, 2]
        both = sum(answers[: answers.index(2)])
        for place, box in ((both, RED), (both + 1, BLUE)):  # from left to right, though blue is listed first
            np.testing.assert_array_equal(sample.masks[place, 0], box_to_mask(box, *SIZE))
        assert "green" in asked[answers.index(0)] and "green" in sample.turns[1::2][answers.index(0)].text
        questions.update(asked)
        orders.add(tuple(answers))
    assert len(orders) == 6 and len(questions) > 10
    assert any("warm" in question for question in questions)


def test_fewer_expressions_a_sample(tmp_path):
    source = OwnData.fixture(tmp_path, expressions_per_sample=1)
    assert {len(source.read(0, rng(seed)).turns) for seed in range(10)} == {2}


def test_a_conversation_about_a_video(tmp_path):
    source = OwnData.fixture(tmp_path, frames_per_sample=4)
    for seed in range(5):
        sample = source.read(1, rng(seed))
        assert sample.task == "video_refer" and sample.turns[1].text == f"The red box {SEG} does."
        assert len(sample.media.frame_indices) == 4 and sample.void is None
        for t, mask in zip(sample.media.frame_indices, sample.masks[0], strict=True):
            expected = box_to_mask((2 + 4 * t, 4, 12 + 4 * t, 14), *SIZE) if t < 5 else np.zeros(SIZE, bool)
            np.testing.assert_array_equal(mask, expected)


def test_evaluation_view(tmp_path):
    source = OwnData.fixture(tmp_path, per_expression=True)
    assert [source.read(index).id for index in range(len(source))] == ["one/0", "one/1", "one/2", "two/0"]
    extra = source.read(2).extra
    assert extra["expression"] == "the green box" and extra["kind"] == "none" and extra["no_target"]
    assert source.read(0).extra["all_texts"] == ["the red box", "what is warm"]
    clip = source.read(3)
    assert clip.media is None and clip.masks.shape == (1, 6, *SIZE) and len(clip.extra["video"]) == 6
    assert clip.masks.sum(axis=(0, 2, 3)).tolist() == [100] * 5 + [0]
    assert clip.extra["answer"] == clip.turns[1].text


@pytest.mark.parametrize("form", ["polygon", "compressed", "uncompressed", "png", "palette", "indexed"])
def test_forms_of_a_mask(own, tmp_path, form):
    mask = box_to_mask(RED, *SIZE)
    # Column by column: 4 empty ones of 48, then 6 rows, 16 red, 26 rows; the red columns are 16.
    runs = [4 * 48 + 6, 16] + [32, 16] * 15 + [26 + 44 * 48]
    Image.fromarray(mask).save(tmp_path / "binary.png")
    labels = np.where(mask, 7, np.where(box_to_mask(BLUE, *SIZE), 3, 0)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    palette = Image.fromarray(labels)
    palette.putpalette([0, 0, 0] * 3 + [9, 9, 9] * 253)
    palette.save(tmp_path / "palette.png")
    value = {
        "polygon": POLYGON,
        "compressed": encode_rle(mask),
        "uncompressed": {"size": list(SIZE), "counts": runs},
        "png": "binary.png",
        "palette": {"png": "palette.png", "value": 7},
        "indexed": {"png": "labels.png", "value": 7},
    }[form]
    sample = own({"image": "one.jpg", "expressions": [{"text": "red", "masks": [value]}]}).read(0, rng())
    np.testing.assert_array_equal(sample.masks[0, 0], mask)


def test_boxes_and_points_become_regions(own):
    turns = [{"role": "user", "text": "What is region1?"}, {"role": "assistant", "text": "A red box."}]
    regions = [{"box": [4, 6, 20, 22]}, {"points": [[40.5, 20.5], [1, 1]]}, POLYGON]
    sample = own({"image": "one.jpg", "turns": turns, "regions": regions}).read(0, rng())
    assert sample.task == "region" and sample.masks is None and sample.regions.shape == (3, *SIZE)
    np.testing.assert_array_equal(sample.regions[0], box_to_mask(RED, *SIZE))
    # Radius 1: the pixel at (40, 20) and its four neighbours; around the corner (1, 1) of four pixels, these four.
    assert sample.regions[1].sum() == 5 + 4 and sample.regions[1][20, 40] and sample.regions[1][0, 0]
    np.testing.assert_array_equal(sample.regions[2], sample.regions[0])


def test_regions_of_a_video_keep_its_first_frame(own):
    turns = [{"role": "user", "text": "Where does region1 go?"}, {"role": "assistant", "text": "To the right."}]
    source = own({"video": "clip", "turns": turns, "regions": [{"box": [2, 4, 12, 14]}]}, frames_per_sample=3)
    for seed in range(8):
        indices = source.read(0, rng(seed)).media.frame_indices
        assert indices[0] == 0 and len(set(indices)) == 3


def test_some_frames_of_a_video_are_annotated(own):
    frames = {"frames": {"1": [[6, 4, 16, 4, 16, 14, 6, 14]], "5": None}}
    record = {"video": "clip", "expressions": [{"text": "red", "masks": [frames]}]}
    for seed in range(5):
        sample = own(record).read(0, rng(seed))
        assert sample.media.frame_indices == (1, 5) and sample.masks.sum(axis=(2, 3)).tolist() == [[100, 0]]
    sample = own(record, per_expression=True).read(0)
    assert sample.masks.sum(axis=(0, 2, 3)).tolist() == [0, 100, 0, 0, 0, 0]
    assert sample.void.all(axis=(1, 2)).tolist() == [True, False, True, True, True, False]


def test_a_folder_of_masks(own, tmp_path):
    (tmp_path / "masks").mkdir()
    for t in range(6):
        Image.fromarray(box_to_mask((t, 0, t + 2, 3), *SIZE)).save(tmp_path / "masks" / f"{t}.png")
    record = {"video": "clip", "expressions": [{"text": "red", "masks": ["masks"]}]}
    assert own(record, per_expression=True).read(0).masks.sum(axis=(0, 2, 3)).tolist() == [6] * 6


def test_void(own):
    record = {"image": "one.jpg", "expressions": [FIND], "void": [[30, 10, 50, 10, 50, 30, 30, 30]]}
    np.testing.assert_array_equal(own(record).read(0, rng()).void[0], box_to_mask(BLUE, *SIZE))


def test_plain_talk_and_the_root(own, tmp_path):
    turns = [{"role": "user", "text": " What is it? "}, {"role": "assistant", "text": "Two boxes."}] * 2
    source = own({"image": "clip/0.jpg", "turns": turns}, root=tmp_path)
    sample = source.read(0, rng())
    assert sample.task == "chat" and sample.id == "1" and sample.masks is None and sample.turns[0].text == "What is it?"
    assert len(own({"image": "one.jpg", "turns": turns}, per_expression=True)) == 2


IMAGE = {"image": "one.jpg"}
ASK, ANSWER = {"role": "user", "text": "Where?"}, {"role": "assistant", "text": f"Here {SEG}."}
WRONG = [
    ("[1, 2]", "got a JSON list, expected an object"),
    ('{"image": "one.jpg"', "not JSON"),
    (IMAGE | {"expresions": [FIND]}, "unknown key 'expresions' in the record; did you mean 'expressions'"),
    (IMAGE | {"expressions": [FIND | {"mask": 1}]}, "unknown key 'mask' in expression 1; did you mean 'masks'"),
    (IMAGE | {"expressions": [{"text": "red"}]}, "expression 1 has no 'masks'"),
    (IMAGE | {"expressions": []}, "'expressions' is empty"),
    (IMAGE | {"expressions": [FIND | {"text": " "}]}, "the text of expression 1 is ' ', expected a text"),
    (IMAGE | {"expressions": [FIND | {"text": f"red {SEG}"}]}, "expression 1 spells a special token"),
    ({"expressions": [FIND]}, "expected either 'image' or 'video', got neither"),
    (IMAGE | {"video": "clip", "expressions": [FIND]}, "expected either 'image' or 'video', got both"),
    (IMAGE, "expected either 'turns' .* got neither"),
    (IMAGE | {"turns": [ASK], "masks": []}, "got 1 turns, expected questions and answers"),
    (IMAGE | {"turns": [ANSWER, ASK]}, "turn 1 is the assistant's, expected the user's"),
    (IMAGE | {"turns": [ASK, ANSWER]}, r"1 \[SEG\] in the answers but 0 masks; give one mask for each"),
    (IMAGE | {"turns": [{"role": "user", "text": SEG}, ANSWER]}, "turn 1, the user's, spells a special token"),
    (IMAGE | {"expressions": [FIND], "masks": []}, "'masks' beside 'expressions'"),
    (IMAGE | {"expressions": [FIND | {"masks": [POLYGON[0]]}]}, "mask 1 of expression 1 is one flat list"),
    (IMAGE | {"expressions": [FIND | {"masks": [[[1, 2, 3, 4]]]}]}, "a polygon of mask 1 .* three points or more"),
    (IMAGE | {"expressions": [FIND | {"masks": [{"box": [0, 0, 1, 1]}]}]}, "is a box or points, which are 'regions'"),
    (IMAGE | {"expressions": [FIND | {"masks": [{"png": "a.png"}]}]}, "mask 1 of expression 1 has no 'value'"),
    (IMAGE | {"expressions": [FIND | {"masks": [None]}]}, "mask 1 of expression 1 is None, expected run lengths"),
    (IMAGE | {"expressions": [FIND], "regions": [{"box": [9, 0, 3, 3]}]}, "expected x0 < x1 and y0 < y1"),
    (IMAGE | {"expressions": [FIND], "regions": [{"points": [3, 3]}]}, r"expected \[\[x, y\], …\]"),
    (
        {"video": "clip", "expressions": [FIND | {"masks": [{"size": [1, 1], "counts": "0"}]}]},
        "mask 1 .* of a video is",
    ),
    ({"video": "clip", "expressions": [FIND | {"masks": [{"frames": {"a": None}}]}]}, "'a' is not the number"),
]


@pytest.mark.parametrize(("record", "words"), WRONG)
def test_a_wrong_line_is_refused_when_the_file_is_read(own, record, words):
    with pytest.raises(UserError, match=words) as caught:
        own(IMAGE | {"expressions": [FIND]}, record)
    message = str(caught.value)
    assert message.startswith("mugs[2]: line 2 of ") and "mugs.jsonl" in message and "\n" not in message


def test_an_id_stands_once(own):
    record = IMAGE | {"id": "a", "expressions": [FIND]}
    with pytest.raises(UserError, match=r"mugs\[a\]: line 3 of .*: the id stands on line 1 too"):
        own(record, "", record)


BAD_FILES = [
    (
        IMAGE | {"expressions": [FIND | {"masks": [{"size": [48, 64], "counts": [3072]}]}]},
        "mask 1 covers no pixel of the picture",
    ),
    (IMAGE | {"expressions": [FIND | {"masks": [{"size": [2, 2], "counts": [0, 4]}]}]}, r"size \[2, 2\] for a picture"),
    (IMAGE | {"expressions": [FIND | {"masks": [{"size": [48, 64], "counts": [5]}]}]}, "run lengths add up to 5"),
    (IMAGE | {"expressions": [FIND | {"masks": ["gone.png"]}]}, "gone.png: no such mask"),
    (IMAGE | {"expressions": [FIND | {"masks": ["one.jpg"]}]}, "a mask in colours"),
    (IMAGE | {"expressions": [FIND | {"masks": ["two.png"]}]}, r"two.png: holds the values 0, 1, 2; say which"),
    (IMAGE | {"expressions": [FIND | {"masks": ["mugs.jsonl"]}]}, "not a PNG that can be read"),
    ({"image": "gone.jpg", "expressions": [FIND]}, "gone.jpg: no such picture"),
    (IMAGE | {"expressions": [FIND], "regions": [{"box": [70, 0, 80, 9]}]}, "a region covers no pixel"),
    (IMAGE | {"expressions": [FIND], "regions": [{"points": [[70, 0]]}]}, "lies outside of a picture of 64 × 48"),
    ({"video": "clip", "expressions": [FIND | {"masks": [[None]]}]}, "1 masks for a video of 6 frames"),
    ({"video": "clip", "expressions": [FIND | {"masks": [{"frames": {"6": None}}]}]}, "a mask on frame 6 of a video"),
    ({"video": "clip", "expressions": [FIND | {"masks": ["gone"]}]}, "gone: no such folder of masks"),
]


@pytest.mark.parametrize(("record", "words"), BAD_FILES)
def test_what_a_record_names_must_be_there_and_fit(own, tmp_path, record, words):
    values = np.zeros(SIZE, np.uint8)
    values[0, :2] = 1, 2
    Image.fromarray(values).save(tmp_path / "two.png")
    source = own(record | {"id": "x"})
    with pytest.raises(UserError, match=words) as caught:
        source.read(0, rng())
    assert str(caught.value).startswith("mugs[x]: line 1 of ") and "\n" not in str(caught.value)


def test_the_file_itself(tmp_path):
    with pytest.raises(UserError, match=r"no such JSONL file; .* tools/convert_dataset.py"):
        OwnData(tmp_path / "gone.jsonl")
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(UserError, match="no record in it"):
        OwnData(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b'{"image": "\xff"}')
    with pytest.raises(UserError, match="not UTF-8"):
        OwnData(tmp_path / "a.jsonl")


def test_the_guide_s_example_holds(repository):
    text = (repository / "docs/own_data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)
    lines = block.splitlines()
    assert len(lines) == 3
    for line in lines:
        check_record(json.loads(line))
    assert all(f"`{key}`" in text for key in KEYS)
