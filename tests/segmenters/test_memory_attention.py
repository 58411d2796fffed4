"""Memory attention against transformers' own forward, on equal weights."""

from __future__ import annotations

import pytest
import torch
from transformers import Sam2VideoConfig
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoMemoryAttention

from word2mask.segmenters import memory_attention
from word2mask.segmenters.memory_attention import KeptKeys, attend

SIDE, WIDTH, MEMORY, POINTERS = 6, 64, 64, 8


def module(heads: int, layers: int = 3) -> Sam2VideoMemoryAttention:
    torch.manual_seed(heads)
    config = Sam2VideoConfig(
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=layers,
        memory_attention_num_attention_heads=heads,
        memory_attention_feed_forward_hidden_size=96,
        memory_attention_rope_feat_sizes=[SIDE, SIDE],
        memory_attention_dropout=0.0,
    )
    config._attn_implementation = "sdpa"
    built = Sam2VideoMemoryAttention(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # biases and norms start at 0 and 1
    return built


def given(pairs: list[int], frames: int, spatial: int = 3, pointers: int = POINTERS) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    length = spatial * SIDE**2 + pointers

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    places, memory = draw(frames, SIDE**2, WIDTH), draw(len(pairs), length, MEMORY)
    return places, draw(1, SIDE**2, WIDTH), torch.tensor(pairs), memory, draw(1, length, MEMORY)


def reference(attention: Sam2VideoMemoryAttention, places, encoding, pairs, memory, memory_encoding, pointers):
    """What transformers computes: ``[P,L,C]``."""
    found = attention(
        current_vision_features=places[pairs].transpose(0, 1),
        current_vision_position_embeddings=encoding.expand(len(pairs), -1, -1).transpose(0, 1),
        memory=memory.transpose(0, 1),
        memory_posision_embeddings=memory_encoding.expand(len(pairs), -1, -1).transpose(0, 1),
        num_object_pointer_tokens=pointers,
    )
    return found[0]  # [1,P,L,C]


def ours(attention: Sam2VideoMemoryAttention, places, encoding, pairs, memory, memory_encoding, pointers):
    return attend(attention, places + 0.1 * encoding, pairs, memory, memory_encoding, pointers)


@pytest.mark.parametrize("written_out", [True, False], ids=["written out", "fused"])
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize(
    ("pairs", "frames", "pointers"),
    [([0, 0, 0, 0, 0], 1, POINTERS), ([0, 1, 1, 2], 3, POINTERS), ([2, 0], 3, POINTERS), ([0, 0], 1, 0)],
    ids=["one frame", "several frames", "frames without objects", "no pointers"],
)
def test_same_as_transformers(monkeypatch, pairs, frames, pointers, heads, written_out):
    monkeypatch.setattr(memory_attention, "MOST_KEYS", 8192 if written_out else 0)
    attention = module(heads)
    inputs = given(pairs, frames, pointers=pointers)
    with torch.no_grad():
        expected, found = (side(attention, *inputs, pointers) for side in (reference, ours))
    assert found.shape == expected.shape == (len(pairs), SIDE**2, WIDTH)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_more_queries_than_rows_written_out_at_once(monkeypatch):
    monkeypatch.setattr(memory_attention, "ROWS", 7)
    attention, inputs = module(1), given([0, 0], 1)
    with torch.no_grad():
        expected, found = (side(attention, *inputs, POINTERS) for side in (reference, ours))
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_same_gradients():
    attention = module(1, layers=2)
    gradients = []
    for side in (reference, ours):
        inputs = [part.requires_grad_() if part.is_floating_point() else part for part in given([0, 0, 1], 2)]
        attention.zero_grad()
        (side(attention, *inputs, POINTERS) ** 2).sum().backward()
        gradients.append([inputs[0].grad, inputs[3].grad, *(p.grad.clone() for p in attention.parameters())])
    scale = max(float(gradient.abs().max()) for gradient in gradients[0])
    for expected, found in zip(*gradients, strict=True):
        # Biases of keys move every score alike: their gradient is rounding on both sides.
        assert (found - expected).abs().max() <= 1e-4 * max(float(expected.abs().max()), 1e-2 * scale)


def test_bfloat16_stays_near_float32():
    attention, inputs = module(1), given([0, 0], 1)
    with torch.no_grad():
        exact = ours(attention, *inputs, POINTERS)
        attention.bfloat16()
        halved = [part.bfloat16() if part.is_floating_point() else part for part in inputs]
        found = ours(attention, *halved, POINTERS)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() <= 0.02 * exact.abs().mean()


def kept_keys(attention: Sam2VideoMemoryAttention) -> tuple[KeptKeys, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    places, ages = (torch.randn(*shape, MEMORY, generator=generator) for shape in ((1, SIDE**2), (4,)))
    return KeptKeys(attention, places, ages), places, ages


@pytest.mark.parametrize("heads", [1, 4])
def test_kept_keys_are_those_that_would_be_made(heads, monkeypatch):
    """Memories stay while they grow older, and others come and go."""
    attention = module(heads)
    kept, places, ages = kept_keys(attention)
    made = []
    plain = KeptKeys._of
    monkeypatch.setattr(KeptKeys, "_of", lambda self, memory: made.append(memory) or plain(self, memory))
    memories = [torch.randn(2, MEMORY, SIDE, SIDE).bfloat16() for _ in range(4)]
    queries, told = torch.randn(1, SIDE**2, WIDTH), torch.randn(2, POINTERS, MEMORY)
    for read in ([(-1, 0), (0, 1)], [(-1, 0), (1, 1), (0, 2)], [(1, 2), (0, 3)]):
        chosen = [(age, memories[number]) for age, number in read]
        tokens = [memory.float().flatten(2).transpose(1, 2) for _, memory in chosen]
        memory = torch.cat([*tokens, told], dim=1)
        encoding = torch.cat([*(places + ages[age] for age, _ in read), torch.zeros(1, POINTERS, MEMORY)], dim=1)
        arguments = attention, queries, torch.tensor([0, 0]), memory, encoding, POINTERS
        with torch.no_grad():
            expected = attend(*arguments)
            found = attend(*arguments, kept.keys(chosen, POINTERS))
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert [any(memory is one for one in memories) for memory in made] == [True] * 4, "each is projected once"
    assert len(kept._kept) == 2, "what isn't read any more is let go"


def test_keys_are_not_kept_where_they_are_of_no_use(monkeypatch):
    kept, _, _ = kept_keys(module(1))
    memories = [(0, torch.randn(2, MEMORY, SIDE, SIDE))]
    assert kept.keys(memories, POINTERS) is None, "gradients are wanted"
    with torch.no_grad():
        assert kept.keys([], POINTERS) is None
        assert len(kept.keys(memories, POINTERS)) == 3
        monkeypatch.setattr(memory_attention, "KEPT_BYTES", 1000)
        assert kept.keys(memories, POINTERS) is None, "too large"
        monkeypatch.undo()
        monkeypatch.setattr(memory_attention, "MOST_KEYS", 0)
        monkeypatch.setattr(memory_attention, "onednn_is_faster", lambda: False)
        assert kept.keys(memories, POINTERS) is None, "the fused kernel reads the memory itself"
