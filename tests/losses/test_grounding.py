"""GroundingLoss: values by hand, counts that must agree."""

import math

import pytest
import torch

from word2mask.losses.grounding import GroundingLoss


def one_sample(num_objects=1, num_frames=1, side=4, size=(8, 8)):
    return {
        "mask_logits": [torch.zeros(num_objects, num_frames, side, side)],
        "masks": [torch.zeros(num_objects, num_frames, *size, dtype=torch.bool)],
        "void": [None],
        "names": ["shapes[7]"],
    }


def test_text_is_the_weighted_mean_over_tokens():
    loss = GroundingLoss(text_weight=3.0).text(torch.zeros(5, 4), torch.tensor([0, 1, 2, 3, 0]), ["a[0]"])
    torch.testing.assert_close(loss["loss_text"], torch.tensor(3 * math.log(4)))


def test_no_labelled_token_is_named():
    with pytest.raises(ValueError, match=r"shapes\[7\]: no token carries a label"):
        GroundingLoss().text(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), ["shapes[7]"])


def test_dense_masks_by_hand():
    sample = one_sample()
    sample["masks"][0][..., :4] = True
    losses = GroundingLoss(num_points=None).masks(**sample)
    torch.testing.assert_close(losses["loss_mask"], torch.tensor(2 * math.log(2)))
    # p = 0.5 on 64 pixels, 32 true: 1 - (32 + 1) / (32 + 32 + 1)
    torch.testing.assert_close(losses["loss_dice"], torch.tensor(0.5 * (1 - 33 / 65)))


def test_dice_with_another_epsilon():
    """LISA's: sums divided by 1000, then 1e-6 added, which is 1e-3 added to the sums."""
    sample = one_sample()
    sample["masks"][0][..., :4] = True
    loss = GroundingLoss(num_points=None, dice_eps=1e-3).masks(**sample)["loss_dice"]
    expected = 0.5 * (1 - (32 / 1000 + 1e-6) / (64 / 1000 + 1e-6))
    torch.testing.assert_close(loss, torch.tensor(expected), rtol=1e-6, atol=0)


def test_points_agree_with_dense_on_a_flat_prediction():
    sample = one_sample(size=(16, 16))
    sample["masks"][0][..., :8] = True
    points = GroundingLoss(num_points=2000).masks(**sample)["loss_dice"]
    assert points.item() == pytest.approx(0.5 * (1 - 1001 / 2001), abs=0.02)


def test_average_is_over_object_frame_pairs_not_over_samples():
    first, second = one_sample(1, 1), one_sample(3, 2)
    first["masks"][0][:] = True
    first["mask_logits"][0][:] = 50.0  # right: no loss
    both = {key: first[key] + second[key] for key in first}
    losses = GroundingLoss(num_points=None).masks(**both)
    torch.testing.assert_close(losses["loss_mask"], torch.tensor(2 * math.log(2) * 6 / 7))


def test_void_frames_do_not_count():
    sample = one_sample()
    sample["masks"][0][..., 4:] = True
    sample["mask_logits"][0][:] = -50.0
    void = torch.zeros(1, 8, 8, dtype=torch.bool)
    void[..., 4:] = True
    sample["void"] = [void]
    losses = GroundingLoss(num_points=None).masks(**sample)
    assert losses["loss_mask"].item() == pytest.approx(0, abs=1e-6)
    assert losses["loss_dice"].item() == pytest.approx(0, abs=1e-6)


def test_counts_must_agree():
    sample = one_sample(2, 3)
    sample["masks"] = [sample["masks"][0][:1]]
    with pytest.raises(ValueError, match=r"shapes\[7\]: 2 \[SEG\] on 3 frames but masks of 1 objects on 3 frames"):
        GroundingLoss().masks(**sample)


def test_object_score_learns_presence_only_when_asked():
    sample = one_sample(1, 2)
    sample["masks"][0][:, 0] = True
    object_logits = [torch.zeros(1, 2)]
    assert "loss_object" not in GroundingLoss(num_points=None).masks(**sample, object_logits=object_logits)
    losses = GroundingLoss(num_points=None, object_weight=2.0).masks(**sample, object_logits=object_logits)
    torch.testing.assert_close(losses["loss_object"], torch.tensor(2 * math.log(2)))


def test_coarse_truth_is_cut_down_by_the_nearest_pixel(monkeypatch):
    """A truth of 4 x 4 on logits of 2 x 2 keeps its pixels (0, 0), (0, 2), (2, 0), (2, 2); the first alone is set."""
    centres = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]])
    monkeypatch.setattr("word2mask.losses.grounding.sample_uncertain_points", lambda *_, **__: centres)
    truth = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    truth[0, 0, 0, 0] = True
    logits = torch.zeros(1, 1, 2, 2)
    coarse = GroundingLoss(num_points=4, coarse_truth=True)
    fine = GroundingLoss(num_points=4)
    # dice at logit 0: 1 - (2 * 0.5 * sum(t) + 1) / (4 * 0.5 + sum(t) + 1); a fine truth is a quarter pixel there.
    assert coarse.masks([logits], [truth], [None], ["s"])["loss_dice"].item() == pytest.approx(0.5 * (1 - 2 / 4))
    assert fine.masks([logits], [truth], [None], ["s"])["loss_dice"].item() == pytest.approx(0.5 * (1 - 1.25 / 3.25))


def test_coarse_truth_needs_points():
    with pytest.raises(ValueError, match="coarse_truth goes with sampled points"):
        GroundingLoss(num_points=None, coarse_truth=True)


def test_parts_say_what_each_sample_adds():
    """Logits of 0 over 4 words: log 4 a token. Mask logits of 0: log 2 a pair; samples of 2 and 3 pairs."""
    rows = torch.tensor([0, 2, 2])
    text = GroundingLoss(text_weight=3.0).text(
        torch.zeros(3, 4), torch.tensor([0, 1, 2]), ["a[0]", "b[0]", "c[0]"], rows
    )
    expected = torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]) * torch.tensor([3 * math.log(4), 1.0])
    torch.testing.assert_close(text["parts_text"], expected)
    two, three = one_sample(1, 2), one_sample(3, 1)
    losses = GroundingLoss(num_points=None, mask_weight=2.0).masks(
        *([*two[key], *three[key]] for key in ("mask_logits", "masks", "void", "names"))
    )
    torch.testing.assert_close(losses["parts_mask"], torch.tensor([[4 * math.log(2), 2.0], [6 * math.log(2), 3.0]]))
    assert losses["parts_dice"][:, 1].tolist() == [2, 3]
    assert not losses["parts_mask"].requires_grad
