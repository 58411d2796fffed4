"""The fixture's videos have 10 frames; the red box of the first starts at x = 4 and moves by 8 pixels a frame."""

import numpy as np
import pytest

from word2mask.data.sources.video_chat import VideoChat
from word2mask.errors import UserError


def test_one_frame_a_segment(tmp_path):
    source = VideoChat.fixture(tmp_path)
    assert len(source) == 2
    for seed in range(10):
        sample = source.read(0, np.random.default_rng(seed))
        assert [index // 2 for index in sample.media.frame_indices] == [0, 1, 2, 3, 4]
        assert sample.media.frames.shape == (5, 64, 128, 3) and sample.media.kind == "video"
        for t, frame in zip(sample.media.frame_indices, sample.media.frames, strict=True):
            red, green, _ = frame[16, 14 + 8 * t].astype(int)
            assert red > 150 and green < 100
    assert [turn.text for turn in sample.turns] == ["Where does the box go?", "To the right."]


def test_a_question_is_a_record_for_evaluation(tmp_path):
    source = VideoChat.fixture(tmp_path, per_expression=True)
    sample = source.read(1)
    assert sample.media is None and len(sample.extra["video"]) == 10 and sample.extra["answer"] == "It stands still."


def test_a_missing_video_is_named(tmp_path):
    source = VideoChat.fixture(tmp_path)
    (tmp_path / "videos" / "b.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"chat\[b\]: .*b.mp4: not a video that can be decoded"):
        source.read(1, np.random.default_rng(0))
    (tmp_path / "videos" / "b.mp4").unlink()
    with pytest.raises(UserError, match=r"chat\[b\]: .*b.mp4: no such video"):
        source.read(1, np.random.default_rng(0))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_video_that_is_cut_is_to_be_copied_again(tmp_path, share):
    source = VideoChat.fixture(tmp_path)
    file = tmp_path / "videos" / "a.mp4"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"chat\[a\]: .*a.mp4: not a video that can be decoded, or cut short; copy"):
        source.read(0, np.random.default_rng(0))
