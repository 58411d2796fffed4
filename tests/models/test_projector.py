"""Projector: shapes, and the start that resembles the segmenter's own prompts."""

import torch

from word2mask.models.projector import Projector


def test_one_token_per_state():
    assert Projector(8, 6)(torch.zeros(3, 8)).shape == (3, 1, 6)
    assert Projector(8, 6)(torch.zeros(0, 8)).shape == (0, 1, 6)


def test_starts_with_the_wanted_statistics():
    torch.manual_seed(0)
    mean = torch.linspace(-2, 2, 64)
    projector = Projector(256, 64, prompt_statistics=(mean, 0.5))
    tokens = projector(torch.randn(4000, 256))[:, 0].detach()
    torch.testing.assert_close(tokens.mean(0), mean, atol=0.1, rtol=0)
    assert 0.4 < tokens.std(0).mean() < 0.6
