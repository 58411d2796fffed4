"""Only the questions change hands."""

import numpy as np

from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.shuffled_text import ShuffledText


def test_questions_come_from_another_record(tmp_path):
    plain = RefCOCO.fixture(tmp_path / "refcoco")
    source = ShuffledText(plain)
    assert len(source) == 2 and source.name == "refcoco (text shuffled)"
    for seed in range(10):
        sample, original = (one.read(0, np.random.default_rng(seed)) for one in (source, plain))
        # Record 0 has a red and a blue box, record 1 a green one only.
        assert all("green box" in turn.text for turn in sample.turns[::2])
        assert sample.turns[1::2] == original.turns[1::2]
        assert np.array_equal(sample.masks, original.masks)
        assert np.array_equal(sample.media.frames, original.media.frames)
        other = source.read(1, np.random.default_rng(seed)).turns[0].text
        assert "red" in other or "blue" in other


def test_a_single_record_keeps_its_own(tmp_path):
    class One(RefCOCO):
        def __len__(self):
            return 1

    RefCOCO.fixture(tmp_path)
    assert "green" not in ShuffledText(One(tmp_path)).read(0, np.random.default_rng(0)).turns[0].text
