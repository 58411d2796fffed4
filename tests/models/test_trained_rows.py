"""Rows of the vocabulary that train alone."""

import pytest
import torch

from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan, merge_adapters
from word2mask.models.trained_rows import train_rows
from word2mask.segmenters.sam2 import SAM2Segmenter


def grounded(**plan) -> GroundedMLLM:
    return GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), trainable=TrainablePlan(**plan))


def test_an_embedding_gives_its_rows_and_the_trained_ones():
    table = torch.nn.Embedding(5, 2)
    table.requires_grad_(False)
    before = table.weight.clone()
    rows = train_rows(table, [4, 1])
    ids = torch.tensor([[0, 1, 4, 1]])
    assert torch.equal(table(ids), before[ids])
    with torch.no_grad():
        rows.rows.copy_(torch.tensor([[10.0, 11], [40, 41]]))
    assert table(ids)[0].tolist() == [before[0].tolist(), [10, 11], [40, 41], [10, 11]]
    table(ids).sum().backward()
    assert rows.rows.grad.tolist() == [[2, 2], [1, 1]] and table.weight.grad is None


def test_a_head_scores_with_the_trained_ones():
    head = torch.nn.Linear(2, 3, bias=False).requires_grad_(False)
    before = head.weight.clone()
    rows = train_rows(head, [2])
    states = torch.tensor([[1.0, 2.0]])
    torch.testing.assert_close(head(states), states @ before.T)
    with torch.no_grad():
        rows.rows.copy_(torch.tensor([[3.0, 4.0]]))
    scores = head(states)
    torch.testing.assert_close(scores[:, :2], states @ before[:2].T)
    assert scores[0, 2] == 11
    scores.sum().backward()
    assert rows.rows.grad.tolist() == [[1, 2]]


def test_merged_they_are_the_tables_own():
    model = grounded(lora_rank=2, train=("projector",), train_tokens=True)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len([name for name in trained if name.endswith("trained_rows.rows")]) == 2
    assert not any(name.endswith(("embed_tokens.weight", "lm_head.weight")) for name in trained)
    ids = torch.tensor([model.mllm.tokenizer.encode("a [SEG] <p>b</p>")])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("trained_rows.rows"):
                parameter.add_(torch.randn_like(parameter))

        def scores():
            return model.mllm.logits(model.mllm(ids, torch.ones_like(ids), {}).hidden)

        expected = scores()
        merge_adapters(model)
        torch.testing.assert_close(scores(), expected, atol=1e-4, rtol=1e-4)
    assert not any("trained_rows" in name for name in model.state_dict())


def test_what_is_refused():
    with pytest.raises(ValueError, match="leave them out of train"):
        grounded(train_tokens=True)
    with pytest.raises(ValueError, match="not in Conv2d"):
        train_rows(torch.nn.Conv2d(1, 1, 1), [0])
    table = torch.nn.Embedding(2, 2)
    train_rows(table, [0])
    with pytest.raises(ValueError, match="already carries rows"):
        train_rows(table, [0])
    assert TrainablePlan().train_tokens is False
