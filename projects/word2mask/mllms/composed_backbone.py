"""A LLaVA-style network from parts that were never trained together: any vision tower, an MLP, any causal LM."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, EfficientNetConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedConfig

from word2mask.errors import UserError
from word2mask.mllms.efficientnet_lite import LITE_MEAN, LITE_STD, efficientnet_lite
from word2mask.ops.boxes import boxes_around, cell_middles
from word2mask.ops.images import IMAGENET_MEAN, IMAGENET_STD

#: Pixels of a classifier's cell.
CLASSIFIER_STRIDE = 32

__all__ = ["ComposedBackbone", "ComposedConfig", "is_hierarchical", "tower_grid", "tower_width"]


class ComposedConfig(LlavaConfig):
    """transformers' configuration of LLaVA, and beside it ``connector_group``: so many cells of the tower's grid, each
    way, become one visual token; ``place_width``: of the code of its place that each token gets, 0 for none;
    ``classifier_config``: of a classifier whose features stand beside the tower's, ``None`` for none;
    ``classifier_scales``: the sizes at which it looks, 1 where a token is one of its cells each way, 2 where it is two
    (small things are known better by their details, large ones as a whole); and ``tells_boxes``: whether visual tokens
    tell what box the object has that they show."""

    model_type = "llava_composed"
    #: Folders of earlier versions don't name these.
    classifier_config: dict[str, Any] | None = None
    classifier_scales: tuple[int, ...] | list[int] = (1,)
    tells_boxes: bool = False

    def classifier(self) -> EfficientNetConfig | None:
        """The classifier's configuration."""
        own = self.classifier_config
        return None if own is None else EfficientNetConfig(**own)


AutoConfig.register(ComposedConfig.model_type, ComposedConfig)


class GroupingConnector(nn.Module):
    """Neighbouring cells side by side, then two layers: features ``[n,t,t,g²C+E]`` → tokens ``[n,t²,D]``.

    The norm is there because SAM 2's features, unlike CLIP's, have never been brought to a common scale.

    Args:
        width: C.
        group: g, cells of one token each way.
        hidden_size: D.
        place_width: P, of the code of each token's place; 0 for none.
        num_tokens: of a picture; needed with ``place_width``.
        beside: E, width of what a classifier says of each token, at all sizes together; 0 for nothing.
        tells_boxes: whether there is a head that reads boxes off tokens.

    Attributes:
        places: ``[t²,P]``, not trained. A tower's features hardly say where they are, and a language model that is to
            point would have to count its way through the rows.
    """

    def __init__(
        self,
        width: int,
        group: int,
        hidden_size: int,
        place_width: int = 0,
        num_tokens: int = 0,
        beside: int = 0,
        tells_boxes: bool = False,
    ) -> None:
        super().__init__()
        self.group = group
        self.norm = nn.LayerNorm(width)
        self.norm_beside = nn.LayerNorm(beside) if beside else None
        self.linear_1 = nn.Linear(width * group**2 + beside, hidden_size)
        self.linear_2 = nn.Linear(hidden_size, hidden_size)
        self.place = nn.Linear(place_width, hidden_size, bias=False) if place_width else None
        if place_width:
            self.register_buffer("places", torch.zeros(num_tokens, place_width))
        self.box = None
        if tells_boxes:
            self.box = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, 4))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Tokens, row by row."""
        return self.placed(self.looks(features))

    def placed(self, looks: torch.Tensor) -> torch.Tensor:
        """Tokens with the code of their places."""
        return looks if self.place is None else looks + self.place(self.places.to(self.place.weight.dtype))

    def told_boxes(self, tokens: torch.Tensor) -> torch.Tensor:
        """The boxes that tokens ``[…,t²,D]`` tell: float32 ``[…,t²,4]``, (x1, y1, x2, y2) in shares of the square."""
        normed = F.layer_norm(tokens.float(), tokens.shape[-1:]).to(self.box[0].weight.dtype)
        side = math.isqrt(tokens.shape[-2])
        return boxes_around(cell_middles((side, side)).to(tokens.device), self.box(normed))

    def looks(self, features: torch.Tensor) -> torch.Tensor:
        """Tokens without the code of their places."""
        features = features.to(self.linear_1.weight.dtype).flatten(1, 2)
        width = self.norm.normalized_shape[0]
        cells = features[..., : width * self.group**2].unflatten(-1, (width, self.group**2))
        parts = [self.norm(cells.transpose(-1, -2)).transpose(-1, -2).flatten(-2)]
        if self.norm_beside is not None:
            parts.append(self.norm_beside(features[..., width * self.group**2 :]))
        return self.linear_2(F.gelu(self.linear_1(torch.cat(parts, dim=-1))))

    @torch.no_grad()
    def name_places(self, code: torch.Tensor, length: float) -> None:
        """Takes a segmenter's own code of places, in which it also reads prompts.

        Args:
            code: ``[1,P,n,n]``, of a grid at least as fine as the tokens'.
            length: that what a token is told of its place starts at, on average. Left to chance it is several times the
                length of words, and drowns what the token shows.
        """
        side = math.isqrt(len(self.places))
        self.places.copy_(F.adaptive_avg_pool2d(code.float(), side)[0].flatten(1).T)
        self.place.weight.mul_(length / self.place(self.places).norm(dim=-1).mean())


class ComposedBackbone(LlavaForConditionalGeneration):
    """transformers' LLaVA with a connector for towers of any make, hierarchical ones among them.

    Args:
        config: with ``vision_config`` and ``text_config`` of any kinds that transformers knows.
    """

    config: ComposedConfig
    config_class: ClassVar[type] = ComposedConfig

    def __init__(self, config: ComposedConfig) -> None:
        super().__init__(config)
        classifier = config.classifier()
        if classifier is not None:
            self.model.classifier = efficientnet_lite(classifier)
        self.model.multi_modal_projector = GroupingConnector(
            tower_width(config.vision_config),
            config.connector_group,
            config.text_config.hidden_size,
            getattr(config, "place_width", 0),
            (tower_grid(config.vision_config)[1] // config.connector_group) ** 2,
            classifier.hidden_dim * len(config.classifier_scales) if classifier is not None else 0,
            getattr(config, "tells_boxes", False),
        )

    def encoders(self) -> list[nn.Module]:
        """What :meth:`grid_features` computes with."""
        classifier = getattr(self.model, "classifier", None)
        return [self.model.vision_tower] if classifier is None else [self.model.vision_tower, classifier]

    def grid_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What tower and classifier say of squares ``[n,3,S,S]``, token by token: ``[n,t,t,g²C+E]``.

        Of a hierarchical tower the last two stages, the finer one averaged down to the coarser one's grid; of any other
        the last states, without class and register tokens, which stand first. The classifier sees the square at 32
        pixels a token, or at several sizes, whose features are averaged down to the tokens.
        """
        grid = self._tower_grid(pixels).permute(0, 3, 1, 2)
        features = [F.pixel_unshuffle(grid, self.config.connector_group)]
        if hasattr(self.model, "classifier"):
            num_tokens = features[0].shape[-1]
            features += [self._classified(pixels, num_tokens, scale) for scale in self.config.classifier_scales]
            features = [part.to(grid.dtype) for part in features]
        return torch.cat(features, dim=1).permute(0, 2, 3, 1)

    def _tower_grid(self, pixels: torch.Tensor) -> torch.Tensor:
        """``[n,h,w,C]``."""
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

    def _classified(self, pixels: torch.Tensor, num_tokens: int, scale: int) -> torch.Tensor:
        """``[n,E,t,t]``, from the colours that the classifier was trained on."""
        side = num_tokens * CLASSIFIER_STRIDE * scale
        small = F.interpolate(pixels.float(), size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        own, other = self._colours(small)
        dtype = next(self.model.classifier.parameters()).dtype
        states = self.model.classifier(((small * own[1] + own[0] - other[0]) / other[1]).to(dtype)).last_hidden_state
        return F.avg_pool2d(states, scale)

    @staticmethod
    def _colours(like: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        """Mean and spread ``[3,1,1]`` of the tower's colours, and of the classifier's."""

        def column(values: tuple[float, ...]) -> torch.Tensor:
            return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]

        return (column(IMAGENET_MEAN), column(IMAGENET_STD)), (column(LITE_MEAN), column(LITE_STD))

    def visual_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Squares ``[n,3,S,S]`` → tokens ``[n,t²,D]``."""
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
