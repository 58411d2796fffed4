"""Projector: one token per state, whatever the number of states."""

import pytest
import torch

from word2mask.models.projector import CornerProjector, Projector, make_projector
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter


def test_one_token_per_state():
    assert Projector(8, 6)(torch.zeros(3, 8)).shape == (3, 1, 6)
    assert Projector(8, 6)(torch.zeros(0, 8)).shape == (0, 1, 6)


def test_two_layers_with_a_relu_between():
    """Weights chosen by hand: relu(x - 1) summed, plus 0.5."""
    projector = Projector(2, 1)
    first, last = projector.layers[0], projector.layers[2]
    with torch.no_grad():
        first.weight.copy_(torch.eye(2))
        first.bias.fill_(-1)
        last.weight.fill_(1)
        last.bias.fill_(0.5)
    assert projector(torch.tensor([[3.0, 0.0], [2.0, 5.0]])).flatten().tolist() == [2.5, 5.5]


def test_starts_with_the_wanted_statistics():
    torch.manual_seed(0)
    mean, std = torch.linspace(-2, 2, 64), torch.linspace(0.2, 0.8, 64)
    projector = Projector(256, 64)
    projector.start_at(mean, std)
    tokens = projector(torch.randn(4000, 256))[:, 0].detach()
    torch.testing.assert_close(tokens.mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(tokens.std(0), std, atol=0.15, rtol=0.2)


def test_two_tokens_start_each_at_their_own_statistics():
    torch.manual_seed(0)
    mean, std = torch.tensor([[-1.0, 2.0], [3.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.2, 0.8]])
    projector = Projector(256, 2, num_tokens=2)
    projector.start_at(mean, std)
    tokens = projector(torch.randn(4000, 256)).detach()
    assert tokens.shape == (4000, 2, 2)
    torch.testing.assert_close(tokens.mean(0), mean, atol=0.15, rtol=0)
    torch.testing.assert_close(tokens.std(0), std, atol=0.15, rtol=0.2)


@pytest.mark.parametrize("family", [SAM2Segmenter, SAMSegmenter])
@torch.no_grad()
def test_corners_are_those_of_the_segmenters_own_box(family):
    """Whatever the state: the box that is read off, embedded by the segmenter itself, is the prompt."""
    torch.manual_seed(0)
    segmenter = family.tiny()
    projector = CornerProjector(8, segmenter.prompt_dim)
    projector.take_code(*segmenter.box_code())
    states = torch.randn(5, 8)
    boxes = projector.boxes(states)
    assert (boxes[:, 2:] > boxes[:, :2]).all() and not torch.equal(boxes[0], boxes[1])
    # Half a pixel is added by the segmenter.
    expected = segmenter.embed_points(5, boxes=boxes * segmenter.side - 0.5)[:, :2]
    torch.testing.assert_close(projector(states), expected, atol=1e-5, rtol=1e-5)


def test_a_box_is_middle_and_size():
    """0, ln 3 and -ln 3 are 0.5, 0.75 and 0.25 after the sigmoid."""
    projector = CornerProjector(3, 4)
    with torch.no_grad():
        projector.layers[2].weight.zero_()
        projector.layers[2].bias.copy_(torch.tensor([1.0, 1.0, 3.0, 1 / 3]).log())
    box = projector.boxes(torch.zeros(1, 3))[0]
    torch.testing.assert_close(box, torch.tensor([0.125, 0.375, 0.875, 0.625]))


def test_a_configuration_says_which():
    assert isinstance(make_projector(hidden_size=4, prompt_dim=6), Projector)
    assert isinstance(make_projector(hidden_size=4, prompt_dim=6, corners=True), CornerProjector)
