"""Boxes: around masks in shares of the picture, how far from others, and as cells tell them."""

from __future__ import annotations

import pytest
import torch

from word2mask.ops.boxes import box_distance, boxes_around, cell_middles, shares_of


def test_boxes_end_around_the_last_pixel():
    masks = torch.zeros(1, 2, 4, 8, dtype=torch.bool)
    masks[0, 0, 1:3, 2:6] = True
    masks[0, 1] = True
    assert shares_of(masks).tolist() == [[[0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1]]]


def test_the_distance_is_worked_out_by_hand():
    """Two squares of a quarter that touch: no overlap, the hull twice as large as both."""
    truth = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]])
    predicted = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    generalised = 0 - (1 - 0.5) / 1
    assert box_distance(predicted, truth).tolist() == pytest.approx([0.0, 1 - generalised + 5 * 0.5])


def test_cells_stand_row_by_row_and_tell_boxes_around_themselves():
    middles = cell_middles((2, 4))
    assert middles[1].tolist() == [0.375, 0.25] and middles[4].tolist() == [0.125, 0.75]
    boxes = boxes_around(middles, torch.zeros(8, 4))
    torch.testing.assert_close((boxes[:, :2] + boxes[:, 2:]) / 2, middles)
    torch.testing.assert_close(boxes[:, 2:] - boxes[:, :2], torch.sigmoid(torch.tensor(-1.0)).expand(8, 2))
    larger = boxes_around(middles, torch.tensor([4.0, 0.0, 2.0, 0.0]).expand(8, 4))
    assert (larger[:, 0] + larger[:, 2] > boxes[:, 0] + boxes[:, 2]).all()
    torch.testing.assert_close(larger[:, [1, 3]], boxes[:, [1, 3]])
