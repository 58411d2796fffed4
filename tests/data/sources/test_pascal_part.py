"""Fixture: a cat with a head of 240 pixels and two ears of 256 and 400; a pot of 32 × 32.

The masks of LISA's own loader (3cb2d43), run on the fixture, are these; of the two ears it gives one at a time.
"""

import numpy as np

from word2mask.data.sources.pascal_part import PASCALPart


def test_a_part_is_all_of_its_annotations(tmp_path):
    source = PASCALPart.fixture(tmp_path, per_expression=True)
    found = {sample.id: int(sample.masks.sum()) for sample in map(source.read, range(len(source)))}
    assert found == {
        "2008000002/cat:ear": 656,
        "2008000002/cat:head": 240,
        "2008000003/potted plant:pot": 1024,
    }
    assert source.read(2).extra["kind"] == "part" and "pot" in source.read(2).extra["expression"]


def test_negatives_are_parts_of_objects_that_are_not_there(tmp_path):
    source = PASCALPart.fixture(tmp_path, negatives=1.0)
    for seed in range(20):
        assert "cat" not in source.read(0, np.random.default_rng(seed)).turns[0].text
        assert "cat" in source.read(1, np.random.default_rng(seed)).turns[0].text


def test_records_have_the_length_of_their_classes(tmp_path):
    sizes = PASCALPart.fixture(tmp_path).sizes()
    assert sizes[0, 1] == 2 * sizes[1, 1] > 0
