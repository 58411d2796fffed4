"""Sizes of Meta's files: the parameters that the table in the README of facebookresearch/sam2 gives, in millions."""

import pytest

from word2mask.errors import UserError
from word2mask.segmenters.blueprints import blueprint
from word2mask.segmenters.sam2 import SAM2Segmenter


@pytest.mark.parametrize(
    ("file", "millions"),
    [
        ("sam2_hiera_tiny.pt", 38.9),
        ("sam2_hiera_small.pt", 46),
        ("sam2_hiera_base_plus.pt", 80.8),
        ("sam2_hiera_large.pt", 224.4),
        ("sam2.1_hiera_large.pt", 224.4),
    ],
)
def test_metas_files_by_their_names(file, millions):
    sketch = blueprint(f"nowhere/{file}")
    assert sum(parameter.numel() for parameter in sketch.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    assert {parameter.device.type for parameter in sketch.parameters()} == {"meta"}


def test_a_folder_on_disk_speaks_for_itself(tmp_path):
    segmenter = SAM2Segmenter.tiny()
    segmenter.save_pretrained(tmp_path)
    shapes = {name: value.shape for name, value in segmenter.state_dict().items()}
    assert {name: value.shape for name, value in blueprint(tmp_path).state_dict().items()} == shapes


def test_another_name_says_nothing():
    with pytest.raises(UserError, match=r"none of Meta's files is called 'mine.pt'; known are sam2_hiera_tiny.pt"):
        blueprint("pretrained/mine.pt")
