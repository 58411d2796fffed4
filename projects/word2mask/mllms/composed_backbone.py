"""A LLaVA-style network from parts that were never trained together: any vision tower, an MLP, any causal LM."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedConfig

from word2mask.errors import UserError

__all__ = ["ComposedBackbone", "ComposedConfig", "is_hierarchical", "tower_grid", "tower_width"]


class ComposedConfig(LlavaConfig):
    """transformers' configuration of LLaVA, and beside it ``connector_group``: so many cells of the tower's grid, each
    way, become one visual token; and ``place_width``: of the code of its place that each token gets, 0 for none."""

    model_type = "llava_composed"


AutoConfig.register(ComposedConfig.model_type, ComposedConfig)


class GroupingConnector(nn.Module):
    """Neighbouring cells side by side, then two layers: the grid ``[n,h,w,C]`` → tokens ``[n,(h/g)(w/g),D]``.

    The norm is there because SAM 2's features, unlike CLIP's, have never been brought to a common scale.

    Args:
        width: C.
        group: g, cells of one token each way.
        hidden_size: D.
        place_width: P, of the code of each token's place; 0 for none.
        num_tokens: of a picture; needed with ``place_width``.

    Attributes:
        places: ``[(h/g)(w/g),P]``, not trained. A tower's features hardly say where they are, and a language model
            that is to point would have to count its way through the rows.
    """

    def __init__(self, width: int, group: int, hidden_size: int, place_width: int = 0, num_tokens: int = 0) -> None:
        super().__init__()
        self.group = group
        self.norm = nn.LayerNorm(width)
        self.linear_1 = nn.Linear(width * group**2, hidden_size)
        self.linear_2 = nn.Linear(hidden_size, hidden_size)
        self.place = nn.Linear(place_width, hidden_size, bias=False) if place_width else None
        if place_width:
            self.register_buffer("places", torch.zeros(num_tokens, place_width))

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Tokens, row by row."""
        grid = self.norm(grid.to(self.norm.weight.dtype)).permute(0, 3, 1, 2)
        cells = F.pixel_unshuffle(grid, self.group).flatten(2).transpose(1, 2)
        tokens = self.linear_2(F.gelu(self.linear_1(cells)))
        return tokens if self.place is None else tokens + self.place(self.places.to(self.place.weight.dtype))

    @torch.no_grad()
    def name_places(self, code: torch.Tensor) -> None:
        """Takes a segmenter's own code of places, in which it also reads prompts.

        Args:
            code: ``[1,P,n,n]``, of a grid at least as fine as the tokens'.
        """
        side = math.isqrt(len(self.places))
        self.places.copy_(F.adaptive_avg_pool2d(code.float(), side)[0].flatten(1).T)


class ComposedBackbone(LlavaForConditionalGeneration):
    """transformers' LLaVA with a connector for towers of any make, hierarchical ones among them.

    Args:
        config: with ``vision_config`` and ``text_config`` of any kinds that transformers knows.
    """

    config: ComposedConfig
    config_class: ClassVar[type] = ComposedConfig

    def __init__(self, config: ComposedConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = GroupingConnector(
            tower_width(config.vision_config),
            config.connector_group,
            config.text_config.hidden_size,
            getattr(config, "place_width", 0),
            (tower_grid(config.vision_config)[1] // config.connector_group) ** 2,
        )

    def grid_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the tower says of squares ``[n,3,S,S]``, cell by cell: ``[n,h,w,C]``.

        Of a hierarchical tower the last two stages, the finer one averaged down to the coarser one's grid; of any other
        the last states, without class and register tokens, which stand first.
        """
        tower = self.model.vision_tower
        output = tower(pixels.to(next(tower.parameters()).dtype))
        stages = getattr(output, "intermediate_hidden_states", None)
        if stages is None:
            states = output.last_hidden_state
            side = math.isqrt(states.shape[1])
            return states[:, states.shape[1] - side**2 :].unflatten(1, (side, side))
        fine, coarse = stages[-2:]
        averaged = F.avg_pool2d(fine.permute(0, 3, 1, 2), fine.shape[1] // coarse.shape[1]).permute(0, 2, 3, 1)
        return torch.cat([averaged, coarse], dim=-1)

    def visual_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → tokens ``[n,cells,D]``."""
        return self.model.multi_modal_projector(self.grid_features(pixels))


def is_hierarchical(vision: PreTrainedConfig) -> bool:
    """Whether a tower has stages of several resolutions, as SAM 2's Hiera."""
    return hasattr(vision, "embed_dim_per_stage")


def tower_width(vision: PreTrainedConfig) -> int:
    """C of :meth:`ComposedBackbone.grid_features`."""
    return sum(vision.embed_dim_per_stage[-2:]) if is_hierarchical(vision) else vision.hidden_size


def tower_grid(vision: PreTrainedConfig) -> tuple[int, int]:
    """Side of the squares in pixels, and of the grid in cells.

    Raises:
        UserError: squares that aren't square.
    """
    size: Any = vision.image_size
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise UserError(f"the vision tower reads pictures of {tuple(size)} pixels, which aren't square")
    side = sides.pop()
    if is_hierarchical(vision):
        stride = vision.patch_stride[0] * 2 ** (len(vision.embed_dim_per_stage) - 1)
        return side, side // stride
    return side, side // vision.patch_size
