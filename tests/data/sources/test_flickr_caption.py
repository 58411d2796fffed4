"""Fixture: red of 256 pixels and blue of 400; the two halves of green share a strip and are 32 × 32 together."""

import json

import numpy as np
import pytest

from word2mask.data.sources.flickr_caption import FlickrCaption
from word2mask.errors import UserError


def rewrite(folder, change):
    file = folder / "flickr_mergedGT_GCG_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return FlickrCaption(file, folder / "Flickr30K")


def test_annotations_of_a_caption_in_its_order(tmp_path):
    source = FlickrCaption.fixture(tmp_path)
    # The caption of two words is left out.
    assert len(source) == 2
    sample = source.read(0, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> A red box </p> [SEG] is left of <p> a blue box </p> [SEG] ."
    assert sample.masks.sum(axis=(1, 2, 3)).tolist() == [256, 400] and sample.id == "0"


def test_annotations_of_one_phrase_are_one_mask(tmp_path):
    sample = FlickrCaption.fixture(tmp_path).read(1, np.random.default_rng(0))
    assert sample.turns[1].text == "<p> Two halves </p> [SEG] of a box ."
    assert sample.masks.dtype == bool and sample.masks.sum() == 32 * 32


@pytest.mark.parametrize(
    "change", [{"area": 0}, {"bbox": [70, 6, 16, 16]}, {"bbox": [4, 6, 0.5, 16]}, {"ignore": True}]
)
def test_annotations_that_dont_count(tmp_path, change):
    FlickrCaption.fixture(tmp_path)
    source = rewrite(tmp_path, lambda content: content["annotations"][1].update(change))
    assert source.read(0, np.random.default_rng(0)).masks.sum(axis=(1, 2, 3)).tolist() == [400]


def test_small_pictures_are_left_out(tmp_path):
    FlickrCaption.fixture(tmp_path)
    assert len(rewrite(tmp_path, lambda content: content["images"][0].update(height="31"))) == 1


def test_wrong_input_is_refused_in_one_sentence(tmp_path):
    FlickrCaption.fixture(tmp_path)
    source = rewrite(tmp_path, lambda content: content["annotations"][0].update(tokens_positive=[[21, 99]]))
    with pytest.raises(UserError, match=r"flickr_mergedGT_GCG_train\[0\]: .*annotation 0' at \[21, 99\] of a caption"):
        source.read(0, np.random.default_rng(0))
    source = rewrite(tmp_path, lambda content: content["annotations"][3]["sam_mask"].update(size=[24, 128]))
    with pytest.raises(UserError, match=r"\[1\]: .* a mask of \[24, 128\] for a picture of \[48, 64\]"):
        source.read(1, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"flickr_mergedGT_GCG_train: .*json is not a file of captions .*: no 7"):
        rewrite(tmp_path, lambda content: content["annotations"][0].update(image_id=7))
