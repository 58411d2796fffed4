"""SAM 2 without weights: its network on the meta device, as the folder or the name of Meta's file describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from word2mask.errors import UserError
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.sam2 import SAM2Segmenter

__all__ = ["RELEASES", "blueprint"]


class Release(NamedTuple):
    """One of Meta's files.

    Attributes:
        architecture: of :func:`word2mask.segmenters.architectures.sam2_config`.
        version: likewise.
        repository: on huggingface.co, where the file lies.
    """

    architecture: str
    version: str
    repository: str


#: File name → what is in it (https://github.com/facebookresearch/sam2, checkpoints/download_ckpts.sh).
RELEASES = {
    f"{prefix}_hiera_{size}.pt": Release(size, version, f"facebook/{prefix}-hiera-{size.replace('_', '-')}")
    for prefix, version in (("sam2", "2.0"), ("sam2.1", "2.1"))
    for size in ("tiny", "small", "base_plus", "large")
}


def blueprint(folder: str | Path, dtype: torch.dtype = torch.float32, **settings: Any) -> SAM2Segmenter:
    """The segmenter that ``SAM2Segmenter.from_pretrained`` would read with these arguments, on the meta device.

    Args:
        folder: a folder with ``config.json``, or a path that ends in the name of one of Meta's files.
        dtype: of the weights.
        **settings: what else it takes; nothing of that changes sizes.

    Raises:
        UserError: neither a folder with ``config.json`` nor one of Meta's file names.
    """
    path = Path(folder)
    if (path / "config.json").is_file():
        config = Sam2VideoConfig.from_pretrained(path, local_files_only=True)
    elif path.name in RELEASES:
        release = RELEASES[path.name]
        config = sam2_config(release.architecture, version=release.version)
    else:
        raise UserError(
            f"{path} isn't a folder with config.json, and none of Meta's files is called {path.name!r}; "
            f"known are {', '.join(RELEASES)}"
        )
    with torch.device("meta"):
        return SAM2Segmenter(Sam2VideoModel(config).to(dtype)).eval()
