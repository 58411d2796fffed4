"""Mask losses against values worked out by hand."""

import math

import pytest
import torch

from word2mask.losses.masks import dice_loss, mask_cross_entropy, sample_points, sample_uncertain_points


def test_cross_entropy_of_undecided_logits_is_ln_2():
    loss = mask_cross_entropy(torch.zeros(2, 3, 3), torch.ones(2, 3, 3, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.full((2,), math.log(2)))


def test_dice_by_hand():
    # p = 0.5 at four positions, target 1 at two: 1 - (2 * 1 + 1) / (2 + 2 + 1) = 0.4
    loss = dice_loss(torch.zeros(1, 4), torch.tensor([[True, True, False, False]]))
    torch.testing.assert_close(loss, torch.tensor([0.4]))


def test_dice_of_empty_prediction_and_empty_target_is_0():
    loss = dice_loss(torch.full((1, 9), -100.0), torch.zeros(1, 9))
    torch.testing.assert_close(loss, torch.zeros(1))


def test_void_positions_change_nothing():
    logits = torch.tensor([[5.0, -5.0, 3.0, 9.0]])
    target = torch.tensor([[True, False, True, False]])
    void = torch.tensor([[False, False, False, True]])
    for loss in (dice_loss, mask_cross_entropy):
        torch.testing.assert_close(loss(logits, target, void), loss(logits[:, :3], target[:, :3]))


def test_all_void_is_0_and_finite():
    void = torch.ones(1, 4, dtype=torch.bool)
    assert mask_cross_entropy(torch.ones(1, 4), torch.zeros(1, 4), void).item() == 0
    assert dice_loss(torch.ones(1, 4), torch.zeros(1, 4), void).item() == 0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(1, 4\) and target \(1, 5\)"):
        dice_loss(torch.zeros(1, 4), torch.zeros(1, 5))


def test_sample_points_reads_pixel_centres():
    values = torch.arange(4.0).reshape(1, 2, 2)
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]])
    torch.testing.assert_close(sample_points(values, points), torch.tensor([[0.0, 1.0, 2.0, 1.5]]))


def test_uncertain_points_gather_at_the_border():
    # |logit| grows with the distance from the middle column; a quarter of the candidates is kept.
    logits = torch.linspace(-8, 8, 16).expand(1, 16, 16)
    points = sample_uncertain_points(logits, num_points=64, generator=torch.Generator().manual_seed(0))
    assert points.shape == (1, 64, 2)
    assert (points[0, :48, 0] - 0.5).abs().max() < 0.2  # 48 of 192 candidates: about 0.125 either side
    assert (points[0, 48:, 0] - 0.5).abs().max() > 0.3  # the even rest
    assert (points >= 0).all() and (points <= 1).all()


def test_uncertain_points_avoid_void():
    logits = torch.zeros(1, 8, 8)
    void = torch.zeros(1, 8, 8, dtype=torch.bool)
    void[:, :, :4] = True
    points = sample_uncertain_points(
        logits, num_points=40, importance=1.0, void=void, generator=torch.Generator().manual_seed(0)
    )
    assert (points[..., 0] >= 0.5).all()


def test_outside_is_border_or_zero():
    """At the upper left corner only a quarter of the weight is inside the map."""
    values, corner = torch.full((1, 2, 2), 8.0), torch.zeros(1, 1, 2)
    assert sample_points(values, corner).item() == 8.0
    assert sample_points(values, corner, border="zeros").item() == 2.0
