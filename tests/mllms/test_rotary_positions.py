"""M-RoPE positions: text by hand (Qwen2-VL, arXiv:2409.12191, §2.1), regions as a picture with cells taken out."""

import pytest
import torch

from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.rotary_positions import rotary_positions, visual_layout

WORD, CELL = False, True


@pytest.fixture(scope="module", params=[Qwen25VL, Qwen3VL], ids=lambda cls: cls.__name__)
def rope_index(request):
    return request.param.tiny().model.model.get_rope_index


def positions(rope_index, rows, grids, cells=None, left=False):
    width = max(map(len, rows))
    places = torch.zeros(len(rows), width, dtype=torch.bool)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, kinds in enumerate(rows):
        here = slice(width - len(kinds), None) if left else slice(len(kinds))
        places[row, here], mask[row, here] = torch.tensor(kinds), 1
    layout = visual_layout(places, torch.tensor(grids).reshape(-1, 3), 2, cells)
    return rotary_positions(places, mask, layout, 2, cells, rope_index).permute(1, 2, 0).tolist()


def test_a_picture_between_words(rope_index):
    """2 by 3 visual tokens: rows and columns count from the picture's start, text goes on after the longer side."""
    (found,) = positions(rope_index, [[WORD] + [CELL] * 6 + [WORD, WORD]], [[1, 4, 6]])
    cells = [[1, 1 + row, 1 + column] for row in range(2) for column in range(3)]
    assert found == [[0, 0, 0], *cells, [4, 4, 4], [5, 5, 5]]


@pytest.mark.parametrize("left", [False, True])
def test_padding_doesnt_count(rope_index, left):
    rows = [[WORD] * 2, [WORD] + [CELL] * 2 + [WORD]]
    words, picture = positions(rope_index, rows, [[1, 2, 4]], left=left)
    kept = slice(2, None) if left else slice(2)
    assert words[kept] == [[0, 0, 0], [1, 1, 1]]
    assert picture == [[0, 0, 0], [1, 1, 1], [1, 1, 2], [3, 3, 3]]


def test_each_sample_has_its_own_pictures(rope_index):
    rows = [[WORD, CELL, WORD, CELL, CELL, WORD], [WORD] * 3, [WORD, CELL, CELL, WORD]]
    found = positions(rope_index, rows, [[1, 2, 2], [1, 4, 2], [1, 2, 4]])
    assert found[0] == [[0] * 3, [1] * 3, [2] * 3, [3, 3, 3], [3, 4, 3], [5] * 3]
    assert found[1][:3] == [[0] * 3, [1] * 3, [2] * 3]
    assert found[2][:4] == [[0] * 3, [1, 1, 1], [1, 1, 2], [3] * 3]


def test_regions_stand_as_in_the_picture(rope_index):
    """Two regions on a picture of 2 by 3: cells (0,1), (1,2), then (1,0); each stands as the picture shown again."""
    cells = torch.zeros(2, 2, 3, dtype=torch.bool)
    cells[0, 0, 1] = cells[0, 1, 2] = cells[1, 1, 0] = True
    kinds = [CELL] * 6 + [WORD] + [CELL] * 2 + [WORD] + [CELL] + [WORD] * 2
    (found,) = positions(rope_index, [kinds], [[1, 4, 6]], [cells])
    assert found[6:] == [[3] * 3, [4, 4, 5], [4, 5, 6], [7] * 3, [8, 9, 8], [11] * 3, [12] * 3]


def test_copies_are_of_the_right_cells():
    """Two samples; the second one has two frames and a region of two cells on the first of them."""
    places = torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 0, 1, 1]]).bool()
    cells = torch.tensor([[[False, True]]]), torch.tensor([[[True, True]]])
    grids = torch.tensor([[1, 2, 4]] * 3)
    layout = visual_layout(places, grids, 2, [None, cells[1]])
    assert layout.order.tolist() == [0, 1, 2, 3, 4, 5, 2, 3]
    assert [len(own) for own in layout.grids] == [1, 2]
    with pytest.raises(ValueError, match="8 places for visual tokens in the text, but 6 visual tokens"):
        visual_layout(places, grids, 2, [None, cells[0]])
    with pytest.raises(ValueError, match="8 places .* but 4 visual tokens"):
        visual_layout(places, grids[:2], 2, [None, cells[1]])
