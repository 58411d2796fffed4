"""Examples → batch."""

from __future__ import annotations

import pytest
import torch

from word2mask.data.collate import collate
from word2mask.types import Example


def example(length: int, tiles: int, labelled: bool = True) -> Example:
    ids = torch.arange(1, length + 1)
    return Example(
        name=f"s[{length}]",
        task="chat",
        input_ids=ids,
        labels=ids if labelled else None,
        seg_positions=torch.tensor([length - 1]),
        mllm_media={"pixel_values": torch.full((tiles, 3, 2, 2), float(length))} if tiles else {},
    )


def test_text_is_padded_and_media_are_not():
    batch = collate([example(3, 2), example(5, 0), example(2, 1)], pad_id=9)
    assert batch.input_ids.tolist() == [[1, 2, 3, 9, 9], [1, 2, 3, 4, 5], [1, 2, 9, 9, 9]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert batch.labels[0].tolist() == [1, 2, 3, -100, -100]
    assert batch.mllm_media["pixel_values"][:, 0, 0, 0].tolist() == [3.0, 3.0, 2.0]
    assert [positions.tolist() for positions in batch.seg_positions] == [[2], [4], [1]]
    assert batch.names == ["s[3]", "s[5]", "s[2]"] and batch.masks == [None] * 3


def test_the_media_of_a_single_example_are_not_copied():
    one = example(3, 2)
    assert collate([one], pad_id=0).mllm_media["pixel_values"] is one.mllm_media["pixel_values"]


def test_text_only_and_serving():
    batch = collate([example(3, 0, False), example(2, 0, False)], pad_id=0)
    assert batch.mllm_media == {} and batch.labels is None


def test_training_and_serving_do_not_mix():
    with pytest.raises(ValueError, match="1 of 2 examples have labels"):
        collate([example(3, 0), example(3, 0, False)], pad_id=0)
    with pytest.raises(ValueError, match="one example at least"):
        collate([], pad_id=0)
