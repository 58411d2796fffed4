"""Samples and requests → examples, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from word2mask.data.encode import Encoder
from word2mask.errors import UserError
from word2mask.mllms.internvl import InternVL
from word2mask.text.special_tokens import IGNORE_INDEX, SEG
from word2mask.types import Media, Request, Sample, Turn


class Frames:
    """A segmenter's preprocessing of side 4."""

    def prepare_frames(self, frames: np.ndarray) -> torch.Tensor:
        return torch.zeros(len(frames), 3, 4, 4)


@pytest.fixture(scope="module")
def processor():
    return InternVL.tiny().with_grounding_tokens().processor


def sample(turns: list[str], masks: int | None = None, **changes) -> Sample:
    roles = ("user", "assistant")
    media = Media("image", np.zeros((1, 20, 30, 3), np.uint8))
    fields = {
        "source": "refcoco",
        "id": "1042",
        "task": "refer",
        "turns": tuple(Turn(roles[i % 2], text) for i, text in enumerate(turns)),
        "media": media,
        "masks": None if masks is None else np.arange(masks * 600).reshape(masks, 1, 20, 30) % 2 == 0,
    }
    return Sample(**{**fields, **changes})


def test_training_sample(processor):
    example = Encoder(processor, Frames(), 500)(sample(["the cat", "It is [SEG]."], 1, void=np.ones((1, 20, 30), bool)))
    assert example.name == "refcoco[1042]" and example.original_size == (20, 30)
    assert example.input_ids[example.seg_positions].tolist() == [processor.tokenizer.convert_tokens_to_ids(SEG)]
    kept = example.input_ids[example.labels != IGNORE_INDEX]
    assert processor.tokenizer.decode(kept) == "It is [SEG].<|im_end|>"
    assert example.masks.shape == (1, 1, 20, 30) and example.masks.dtype == torch.bool
    assert example.void.shape == (1, 20, 30) and example.segmenter_frames.shape == (1, 3, 4, 4)


def test_no_segmenter_frames_without_objects(processor):
    example = Encoder(processor, Frames(), 500)(sample(["how many?", "two"]))
    assert example.segmenter_frames is None and example.masks is None and len(example.seg_positions) == 0


def test_serving_begins_as_training_did(processor):
    encoder = Encoder(processor, Frames(), 500)
    trained = encoder(sample(["the cat", "It is [SEG]."], 1))
    media = sample(["x", "y"]).media
    asked = encoder.encode_request(Request((Turn("user", "the cat"),), media, max_new_tokens=8))
    assert trained.input_ids[: len(asked.input_ids)].tolist() == asked.input_ids.tolist()
    assert asked.labels is None and asked.segmenter_frames is not None


def test_too_long_is_refused_with_numbers_and_a_way_out(processor):
    with pytest.raises(
        UserError, match=r"refcoco\[1042\]: \d+ tokens \(2 turns, 1 \[SEG\]\) are more than max_length=40; raise"
    ):
        Encoder(processor, Frames(), 40)(sample(["the cat", "It is [SEG]."], 1))


def test_dropping_turns_never_cuts_through_an_answer(processor):
    turns = ["the cat", "It is [SEG].", "both dogs", "They are [SEG], [SEG]."]
    whole = Encoder(processor, Frames(), 500)(sample(turns, 3))
    first = Encoder(processor, Frames(), 500)(sample(turns[:2], 1))
    for limit in range(len(first.input_ids), len(whole.input_ids) + 1):
        example = Encoder(processor, Frames(), limit, overlong="drop_turns")(sample(turns, 3))
        expected = whole if limit == len(whole.input_ids) else first
        assert example.input_ids.tolist() == expected.input_ids.tolist()
        assert example.labels.tolist() == expected.labels.tolist()
        assert len(example.seg_positions) == len(example.masks) == (3 if expected is whole else 1)
    with pytest.raises(UserError, match="more than max_length"):
        Encoder(processor, Frames(), len(first.input_ids) - 1, overlong="drop_turns")(sample(turns, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"turns": ["a", "[SEG] [SEG]"], "masks": 1}, r"refcoco\[1042\]: 2 \[SEG\] in the answers but 1 masks"),
        ({"turns": ["a", "b"], "masks": 1}, r"0 \[SEG\] in the answers but 1 masks"),
        ({"turns": ["a [SEG]", "b"], "masks": 1}, r"0 \[SEG\] in the answers but 1 masks"),
        ({"turns": ["a"]}, "must end with an answer"),
    ],
)
def test_bad_samples(processor, changes, message):
    with pytest.raises(UserError, match=message):
        Encoder(processor, Frames(), 500)(sample(**changes))


def test_masks_of_another_size(processor):
    broken = replace(sample(["a", "[SEG]"], 1), masks=np.ones((1, 1, 5, 5), bool))
    with pytest.raises(UserError, match=r"masks are \(1, 5, 5\), the frames are \(1, 20, 30\)"):
        Encoder(processor, Frames(), 500)(broken)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request((Turn("user", "  "),)), "the question is empty"),
        (Request(()), "the last turn must be the user's"),
        (Request((Turn("user", "a"), Turn("assistant", "b"))), "the last turn must be the user's"),
        (Request((Turn("user", "a" * 600),)), "shorten the conversation"),
        (Request((Turn("user", "a"),), regions=np.ones((1, 4, 4), bool)), "1 regions without a picture"),
    ],
)
def test_bad_requests(processor, request_, message):
    with pytest.raises(UserError, match=message):
        Encoder(processor, Frames(), 500).encode_request(request_)


def test_bad_regions(processor):
    media = sample(["a", "b"]).media
    for regions, message in (
        (np.ones((1, 4, 4), bool), r"regions are \(4, 4\), the picture is \(20, 30\)"),
        (np.zeros((1, 20, 30), bool), "a region is empty"),
    ):
        with pytest.raises(UserError, match=message):
            Encoder(processor, Frames(), 500).encode_request(Request((Turn("user", "a"),), media, regions, 8))


def test_regions_stand_in_the_question(processor):
    regions = np.zeros((1, 20, 30), bool)
    regions[0, 0, 0] = True
    asked = Request((Turn("user", "what is region1?"),), sample(["a", "b"]).media, regions, 8)
    example = Encoder(processor, Frames(), 500).encode_request(asked)
    assert example.region_cells.shape == (1, 1, 4, 4) and int(example.region_cells.sum()) == 1
    assert (
        "There are 1 part regions in the picture: region1<vp><IMG_CONTEXT></vp>.\nwhat is"
        in processor.tokenizer.decode(example.input_ids)
    )


def test_unknown_way_with_long_samples(processor):
    with pytest.raises(UserError, match="choose 'error' or 'drop_turns'"):
        Encoder(processor, Frames(), 500, overlong="cut")
