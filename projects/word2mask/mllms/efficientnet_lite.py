"""EfficientNet-Lite as transformers' EfficientNet: the classes and weights of ImageNet for a model from parts.

EfficientNet-Lite (Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020) is
EfficientNet (arXiv:1905.11946) without squeeze and excitation, with ReLU6, and with stem and head of fixed width.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn
from transformers import EfficientNetConfig, EfficientNetModel

from word2mask.errors import UserError
from word2mask.mllms.pickled_weights import read_pickled

__all__ = ["efficientnet_lite", "lite_config", "read_lite", "renamed"]

#: Factor of width, of depth, and the side of the pictures of the published training.
SIZES = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 280), 4: (1.4, 1.8, 300)}
_WIDTHS, _REPEATS = (32, 16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)
_HEAD = 1280
#: Colours are ``(byte - 127) / 128`` for these networks.
LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3

#: Names of the tensors in the files of the PyTorch port, and in transformers' model.
_NAMES = (
    (r"^_conv_stem\.", "embeddings.convolution."),
    (r"^_bn0\.", "embeddings.batchnorm."),
    (r"^_conv_head\.", "encoder.top_conv."),
    (r"^_bn1\.", "encoder.top_bn."),
    (r"^_blocks\.", "encoder.blocks."),
    (r"\._expand_conv\.", ".expansion.expand_conv."),
    (r"\._bn0\.", ".expansion.expand_bn."),
    (r"\._depthwise_conv\.", ".depthwise_conv.depthwise_conv."),
    (r"\._bn1\.", ".depthwise_conv.depthwise_norm."),
    (r"\._project_conv\.", ".projection.project_conv."),
    (r"\._bn2\.", ".projection.project_bn."),
)


class StillBatchNorm(nn.BatchNorm2d):
    """Batch norm that never takes statistics, for a network that doesn't train.

    torch's own wants weights and statistics of one precision; a run in bf16 has frozen weights in bf16, and statistics
    as they were.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[n,C,h,w]`` → the same, in the precision of ``features``."""
        if features.dtype == self.weight.dtype == self.running_var.dtype:
            return super().forward(features)
        scale = self.weight.float() * (self.running_var.float() + self.eps).rsqrt()
        shift = self.bias.float() - self.running_mean.float() * scale
        return (features * scale[:, None, None] + shift[:, None, None]).to(features.dtype)


def lite_config(size: int) -> EfficientNetConfig:
    """transformers' configuration of EfficientNet-Lite0 … 4, widths and depths worked out.

    Raises:
        UserError: a size that there isn't.
    """
    if size not in SIZES:
        raise UserError(f"EfficientNet-Lite has the sizes {', '.join(map(str, SIZES))}, not {size}")
    width, depth, side = SIZES[size]
    widths = [_WIDTHS[0], *(_round_to_eight(width * channels) for channels in _WIDTHS[1:])]
    inner = [int(-(-depth * count // 1)) for count in _REPEATS[1:-1]]
    return EfficientNetConfig(
        image_size=side,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        in_channels=widths[:-1],
        out_channels=widths[1:],
        num_block_repeats=[_REPEATS[0], *inner, _REPEATS[-1]],
        depthwise_padding=[],
        hidden_dim=_HEAD,
        hidden_act="relu6",
        drop_connect_rate=0.0,
        squeeze_expansion_ratio=0.0,
    )


def efficientnet_lite(config: EfficientNetConfig) -> EfficientNetModel:
    """The network of a configuration; one whose ``squeeze_expansion_ratio`` is 0 gets no squeeze and excitation.

    Returns:
        pixels ``[n,3,S,S]`` → ``last_hidden_state [n,1280,S/32,S/32]``, S a multiple of 32.
    """
    model = EfficientNetModel(config)
    if not config.squeeze_expansion_ratio:
        for block in model.encoder.blocks:
            block.squeeze_excite = nn.Identity()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, StillBatchNorm(child.num_features, eps=child.eps))
    return model


def read_lite(path: str | Path) -> EfficientNetModel:
    """Reads a file of the PyTorch port, such as ``efficientnet-lite2-9656183e.pth``; the size stands in its name.

    Raises:
        UserError: no such file, or other weights.
    """
    path = Path(path)
    size = re.search(r"lite(\d)", path.name)
    if size is None:
        raise UserError(f"{path}: which EfficientNet-Lite is it? The file's name must say it, as in efficientnet-lite2")
    tensors = read_pickled(path)
    model = efficientnet_lite(lite_config(int(size[1])))
    given = {renamed(name): tensor for name, tensor in tensors.items() if not name.startswith("_fc.")}
    known = model.state_dict()
    if different := sorted(known.keys() ^ given.keys()):
        raise UserError(f"{path}: not the weights of EfficientNet-Lite{size[1]} (differs in {different[0]})")
    if wrong := [name for name, tensor in given.items() if tensor.shape != known[name].shape]:
        raise UserError(
            f"{path}: {wrong[0]} is {tuple(given[wrong[0]].shape)}, EfficientNet-Lite{size[1]} has "
            f"{tuple(known[wrong[0]].shape)}"
        )
    model.load_state_dict(given)
    return model.eval()


def renamed(name: str) -> str:
    """The name in transformers' model of a tensor of the port."""
    for pattern, other in _NAMES:
        name = re.sub(pattern, other, name)
    return name


def _round_to_eight(channels: float) -> int:
    """The nearest multiple of 8 that isn't more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
