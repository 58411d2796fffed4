"""Rows of like length together: the split by hand, and states that don't notice it."""

import torch

from word2mask.mllms.internvl import InternVL
from word2mask.mllms.lengths import length_groups


def test_splits_by_hand():
    # One row of 1000 with seven of 100: 8 × 1000 places, or 7 × 100 + 1000.
    assert length_groups([100] * 3 + [1000] + [100] * 4) == [[0, 1, 2, 4, 5, 6, 7], [3]]
    assert length_groups([100, 120, 110]) == [[0, 1, 2]]
    assert length_groups([7]) == [[0]]
    # Saves 2 × 100 places, less than a pass costs.
    assert length_groups([100, 200, 200, 100], pass_cost=201) == [[0, 1, 2, 3]]
    assert length_groups([100, 200, 200, 100], pass_cost=199) == [[0, 3], [1, 2]]


@torch.no_grad()
def test_states_are_those_of_each_row_alone():
    model = InternVL.tiny().eval()
    generator = torch.Generator().manual_seed(0)
    lengths = [40, 400, 50, 45, 390]
    ids = torch.randint(20, 200, (5, 400), generator=generator)
    mask = (torch.arange(400) < torch.tensor(lengths)[:, None]).long()
    assert len(length_groups(lengths)) == 2
    hidden = model(ids, mask, {}).hidden
    assert hidden.shape[:2] == (5, 400)
    for row, length in enumerate(lengths):
        alone = model(ids[row : row + 1, :length], mask[row : row + 1, :length], {}).hidden[0]
        torch.testing.assert_close(hidden[row, :length], alone, atol=1e-5, rtol=1e-4)
