"""Fixture: a teddy bear of 256 pixels and a rug of 400 on a wooden floor; sky of 64 × 20 over what isn't labelled.

LISA's own loader (3cb2d43), run on the fixture, asks for the same classes and gives the same masks.
"""

import numpy as np

from word2mask.data.sources.coco_stuff import CLASS_NAMES, COCOStuff


def test_the_names_are_those_of_the_data_set():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES.values())) == 182
    # labels.txt, less one.
    assert [CLASS_NAMES[index] for index in (0, 90, 91, 117, 181)] == [
        *("person", "hair brush", "banner", "floor-wood", "wood")
    ]


def test_names_with_a_hyphen_are_background(tmp_path):
    source = COCOStuff.fixture(tmp_path, per_expression=True)
    records = [source.read(index) for index in range(len(source))]
    found = {sample.extra["class_name"]: int(sample.masks.sum()) for sample in records}
    assert found == {"teddy bear": 256, "rug": 400, "sky": 64 * 20}
    assert [sample.void is None for sample in records] == [True, True, False]
    assert records[2].void.sum() == 64 * 28 and not records[2].void[0, :20].any()


def test_no_negative_has_a_hyphen(tmp_path):
    source = COCOStuff.fixture(tmp_path, negatives=1.0)
    asked = [source.read(0, np.random.default_rng(seed)).turns[0].text for seed in range(80)]
    assert not any("-" in text or "teddy" in text or "rug" in text for text in asked) and len(set(asked)) > 40
