"""Where visual tokens lie in a sequence and in the picture: multimodal rotary positions (M-RoPE) and marked regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

#: transformers' ``get_rope_index`` of a Qwen model.
RopeIndex = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class VisualLayout:
    """Which visual tokens stand where in a batch.

    Attributes:
        grids: ``[B]`` of int64 ``[n_b,3]``, the grids of patches of each sample's pictures or frames.
        order: int64 ``[P]``, for each place for a visual token, row by row, which of the batch's visual tokens stands
            there; a marked region's tokens stand there once more.
    """

    grids: list[torch.Tensor]
    order: torch.Tensor


def visual_layout(
    places: torch.Tensor,
    grids: torch.Tensor,
    merge: int,
    region_cells: Sequence[torch.Tensor | None] | None,
) -> VisualLayout:
    """Deals out the media of a batch to its samples.

    Args:
        places: bool ``[B,L]``, where visual tokens stand.
        grids: int64 ``[n,3]``, of all samples' pictures, in order.
        merge: ``merge²`` patches are one visual token.
        region_cells: ``[B]`` of bool ``[R_b,F_b,h,w]`` on the sample's pictures, which are of one size, or ``None``.

    Raises:
        ValueError: places and visual tokens differ in number.
    """
    sizes = (grids.prod(dim=1) // merge**2).tolist()
    dealt: list[torch.Tensor] = []
    order: list[torch.Tensor] = []
    grid = first = 0  # the next picture, and its first visual token
    for row, count in enumerate(places.sum(dim=1).tolist()):
        cells = None if region_cells is None else region_cells[row]
        own = count - (0 if cells is None else int(cells.sum()))
        start_grid, start = grid, first
        while grid < len(sizes) and first - start < own:
            first += sizes[grid]
            grid += 1
        if first - start != own:
            break
        dealt.append(grids[start_grid:grid])
        order.append(torch.arange(start, first))
        if cells is not None:
            order += [start + region.flatten().nonzero().flatten() for region in cells.cpu()]
    if len(dealt) < len(places) or grid < len(sizes):
        raise ValueError(f"{int(places.sum())} places for visual tokens in the text, but {sum(sizes)} visual tokens")
    return VisualLayout(dealt, torch.cat(order))


def rotary_positions(
    places: torch.Tensor,
    attention_mask: torch.Tensor,
    layout: VisualLayout,
    merge: int,
    region_cells: Sequence[torch.Tensor | None] | None,
    rope_index: RopeIndex,
) -> torch.Tensor:
    """Positions in time, height and width of every token, by transformers' own rule.

    A region's tokens get the positions that they would have if the picture were shown once more where the region
    stands, with all cells but the marked ones taken out: so a cell keeps its offset within the picture, which is how
    the base model knows places, and the text goes on where it would after a picture.

    Args:
        places: bool ``[B,L]``, where visual tokens stand.
        attention_mask: int64 ``[B,L]``, padded on either side.
        layout: of the batch.
        merge: ``merge²`` patches are one visual token.
        region_cells: ``[B]`` of bool ``[R_b,F_b,h,w]``, each region on one picture, or ``None``.
        rope_index: the model's ``get_rope_index``.

    Returns:
        int64 ``[3,B,L]``; 0 at padding.
    """
    positions = torch.zeros(3, *places.shape, dtype=torch.long)
    for row, real in enumerate(attention_mask.bool()):
        kinds, grids = places[row, real].int(), layout.grids[row]
        cells = None if region_cells is None else region_cells[row]
        kept = slice(None)
        if cells is not None:
            kinds, kept = _with_whole_pictures(kinds, cells.cpu())
            grids = torch.cat([grids, grids[:1].repeat(len(cells), 1)])
        found, _ = rope_index(kinds[None].long(), kinds[None], image_grid_thw=grids)
        positions[:, row, real] = found[:, 0, kept]
    return positions


def _with_whole_pictures(kinds: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A sequence in which each region is the whole picture.

    Args:
        kinds: int ``[L]``, 1 at visual tokens; the regions' are the last of them.
        cells: bool ``[R,F,h,w]``, each region on one picture.

    Returns:
        int ``[L']``, and int64 ``[L]``, where each token of the sequence went.
    """
    size = cells.shape[-2] * cells.shape[-1]
    marked = [region.flatten().nonzero().flatten() % size for region in cells]
    visual = kinds.nonzero().flatten()
    start = len(visual) - sum(map(len, marked))
    kept = torch.arange(len(kinds))
    for region in marked:
        here, after = int(visual[start]), int(visual[start]) + len(region)
        kept[after:] += size - len(region)
        kept[here:after] = kept[here] + region
        start += len(region)
    whole = torch.ones(int(kept[-1]) + 1, dtype=kinds.dtype)
    whole[kept[kinds == 0]] = 0
    return whole, kept
