"""Following by masks: shapes that move, with weights that know shapes; and what no weights decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from word2mask.segmenters import Decoded, FrameFeatures, MaskFollower, SAM2Segmenter, SAMSegmenter, Tracker
from word2mask.segmenters.follower import displacement

SIDE = 96


@pytest.fixture(scope="module")
def trained(repository) -> SAM2Segmenter:
    return SAM2Segmenter.from_pretrained(repository / "pretrained" / "sam2_shapes")


def scene(t: int) -> tuple[np.ndarray, np.ndarray]:
    """A red disc that goes right and a blue square that goes left, uint8 ``[H,W,3]``, and their masks ``[2,H,W]``."""
    y, x = np.mgrid[:SIDE, :SIDE]
    disc, square = (x - 20 - 5 * t) ** 2 + (y - 30) ** 2 < 12**2, (abs(x - 70 + 3 * t) < 10) & (abs(y - 70) < 10)
    frame = np.full((SIDE, SIDE, 3), 128, np.uint8)
    frame[disc], frame[square] = (220, 40, 40), (40, 80, 220)
    return frame, np.stack([disc, square])


def overlaps(logits: torch.Tensor, truth: np.ndarray) -> list[float]:
    large = functional.interpolate(logits[:, None].float(), truth.shape[1:], mode="bilinear")[:, 0] > 0
    found = large.numpy()
    return [float((own & other).sum() / (own | other).sum()) for own, other in zip(found, truth, strict=True)]


def test_moving_shapes_are_followed_forward_and_backward(trained):
    scenes = [scene(t) for t in range(9)]
    pixels = trained.processor.prepare_frames(np.stack([frame for frame, _ in scenes]))
    known = {3: torch.from_numpy(scenes[3][1])}
    followed = list(MaskFollower(trained).track(lambda t: pixels[t : t + 1], known, 9))
    assert [t for t, *_ in followed] == [3, 4, 5, 6, 7, 8, 2, 1, 0]
    assert [t for t, *_ in Tracker(trained).track(lambda t: pixels[t : t + 1], known, 9)] == [t for t, *_ in followed]
    discs, squares = zip(*(overlaps(logits, scenes[t][1]) for t, logits, _ in followed), strict=True)
    assert np.mean(discs + squares) > 0.9 and min(discs + squares) > 0.6, (discs, squares)
    # Where they were at first they aren't any longer: standing still would not do.
    assert overlaps(followed[0][1], scenes[8][1])[0] < 0.2


class Scripted(MaskFollower):
    """Finds what it is told to on each frame, and remembers what it was asked."""

    def __init__(self, found: dict[int, torch.Tensor]) -> None:
        super().__init__(SAMSegmenter.tiny())
        self.segmenter.decode_points = self.decode
        self.found, self.asked = found, {}

    def decode(self, features, frame_index, **prompts) -> Decoded:
        t = int(features.levels[0].mean())
        self.asked[t] = prompts
        count = len(frame_index)
        logits = self.found[t][:count]
        return Decoded(logits, torch.ones(count), torch.full((count,), 3.0), torch.zeros(count, 0))


def plain(t: int) -> FrameFeatures:
    """A frame that looks the same everywhere; its number is in it."""
    return FrameFeatures([torch.full((1, 2, 4, 4), float(t))])


def at(row: int, column: int) -> torch.Tensor:
    logits = torch.full((1, 16, 16), -50.0)
    logits[:, row : row + 2, column : column + 4] = 50.0
    return logits


def test_who_hides_is_looked_for_where_it_was_seen_last():
    nothing = torch.full((1, 16, 16), -1.0)
    follower = Scripted({1: at(4, 6), 2: nothing, 3: at(5, 6)})
    given = at(4, 4)[:, :, :] > 0
    found = {t: logits for t, logits, _ in follower.track([plain(t) for t in range(4)], {0: given}, 4)}
    torch.testing.assert_close(found[2], nothing)  # what is shown is what was found
    torch.testing.assert_close(found[3], at(5, 6))
    first, second, third = (follower.asked[t] for t in (1, 2, 3))
    # Pixels 4 to 7 of a side of 16 are 16 to 32 of the square of 64, from edge to edge.
    torch.testing.assert_close(first["boxes"], torch.tensor([[15.5, 15.5, 31.5, 23.5]]))
    torch.testing.assert_close(second["boxes"], torch.tensor([[23.5, 15.5, 39.5, 23.5]]))
    for asked in (second, third):
        torch.testing.assert_close(asked["boxes"], second["boxes"])
        torch.testing.assert_close(asked["mask_logits"], at(4, 6).clamp(-32, 32))


def test_what_a_key_frame_does_not_show_stays_away_until_one_does():
    both = torch.cat([torch.zeros(1, 16, 16), at(2, 2)]) > 0
    follower = Scripted({1: at(3, 3), 3: torch.cat([at(7, 7), at(3, 4)])})
    later = torch.cat([at(7, 6), at(3, 3)]) > 0
    steps = list(follower.track([plain(t) for t in range(4)], {0: both, 2: later}, 4))
    (_, _, at_key), (_, found, scores), _, (_, last, _) = steps
    assert (at_key > 0).tolist() == (scores > 0).tolist() == [False, True]
    assert not (found[0] > 0).any() and (found[1] > 0).any()
    assert len(follower.asked[1]["boxes"]) == 1 and len(follower.asked[3]["boxes"]) == 2
    assert (last > 0).flatten(1).any(1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_of_a_picture_that_does_not_fill_the_square(dtype):
    """SAM fills pictures up to the right and below: a mask on one of 20 × 40 lies in the upper half of the square."""
    follower = MaskFollower(SAMSegmenter.tiny().to(dtype))
    pixels = follower.segmenter.processor.prepare_frames(np.zeros((2, 20, 40, 3), np.uint8))
    given = torch.zeros(1, 20, 40, dtype=torch.bool)
    given[:, :, 20:] = True
    (_, shown, _), (_, found, _) = follower.track(lambda t: pixels[t : t + 1].to(dtype), {0: given}, 2)
    assert (shown[0, :7, 9:] > 0).all() and not (shown[0, 9:] > 0).any()
    assert found.shape == (1, 16, 16) and found.isfinite().all()


def test_a_video_of_unknown_length():
    follower = Scripted({1: at(3, 3), 2: at(3, 4)})
    frames = {t: plain(t) for t in range(3)}
    assert [t for t, *_ in follower.track(frames.get, {0: at(3, 2) > 0}, None)] == [0, 1, 2]


@pytest.mark.parametrize("step", [(0, 0), (3, -2), (-4, 4), (1, 0)])
def test_an_object_is_found_where_it_went(step):
    """A patch of noise that moves over other noise, on a grid of 32: at most 4 cells each way."""
    generator = torch.Generator().manual_seed(1)
    patch = torch.randn(8, 6, 5, generator=generator)
    before, now = (torch.randn(8, 32, 32, generator=generator) for _ in range(2))
    before[:, 10:16, 12:17] = patch
    now[:, 10 + step[0] : 16 + step[0], 12 + step[1] : 17 + step[1]] = patch
    mask = torch.zeros(128, 128, dtype=torch.bool)
    mask[40:64, 48:68] = True
    looks = [functional.normalize(one, dim=0) for one in (before, now)]
    assert displacement(*looks, mask) == (step[0] / 32, step[1] / 32)


def test_a_leap_is_followed_with_mask_and_box():
    """What leapt further than it is wide is asked for where it went, and what came in at the other side is not."""
    generator = torch.Generator().manual_seed(2)
    thing, ground = torch.randn(1, 8, 2, 2, generator=generator), torch.zeros(1, 8, 16, 16)
    frames = []
    for column in (12, 14, 10):
        frame = ground.clone()
        frame[..., 6:8, column : column + 2] = thing
        frames.append(FrameFeatures([frame]))
    follower = MaskFollower(SAMSegmenter.tiny())
    asked = []

    def decode(features, frame_index, boxes, mask_logits, multimask):
        asked.append(boxes[0].tolist())
        assert not multimask and (mask_logits[0] > 0).sum() == 4
        return Decoded(mask_logits, torch.ones(1), torch.ones(1), torch.zeros(1, 0))

    follower.segmenter.decode_points = decode
    given = torch.zeros(1, 16, 16, dtype=torch.bool)
    given[:, 6:8, 12:14] = True
    found = [logits[0] > 0 for _, logits, _ in follower.track(frames[:2], {0: given}, 2)]
    assert asked == [[55.5, 23.5, 63.5, 31.5]]  # of a square of 64
    assert found[1][6:8, 14:16].all()
    found = [logits[0] > 0 for _, logits, _ in follower.track([frames[0], frames[2]], {0: given}, 2)]
    assert found[1][6:8, 10:12].all() and found[1].sum() == 4


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "give at least one key frame"),
        ({7: at(0, 0)}, r"key frames \[7\] lie outside a video of 3 frames"),
        ({0: at(0, 0), 1: torch.cat([at(0, 0)] * 2)}, "every key frame must show the same objects"),
    ],
)
def test_impossible_key_frames(known, message):
    with pytest.raises(ValueError, match=message):
        next(MaskFollower(SAMSegmenter.tiny()).track([plain(0)] * 3, known, 3))
