"""SAM and SAM 2 without weights: on the meta device, as the folder or the name of Meta's file describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedConfig, Sam2VideoConfig, SamConfig

from word2mask.errors import UserError
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.interface import Segmenter
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.sam2_files import read_sam2
from word2mask.segmenters.sam_files import sam_config
from word2mask.segmenters.tensor_files import READERS, read_model_type

__all__ = ["RELEASES", "Release", "blueprint"]


class Release(NamedTuple):
    """One of Meta's files.

    Attributes:
        architecture: of :func:`word2mask.segmenters.architectures.sam2_config`, or of
            :func:`word2mask.segmenters.sam_files.sam_config`.
        version: likewise; ``"1"`` is SAM.
        place: on huggingface.co the repository where the file lies, else its address.
    """

    architecture: str
    version: str
    place: str

    def download(self, path: str | Path) -> str:
        """The command that puts the file where it was looked for."""
        path = Path(path)
        if self.place.startswith("https://"):
            return f"curl -L --create-dirs -o {path} {self.place}"
        return f"hf download {self.place} {path.name} --local-dir {path.parent}"


#: File name → what is in it (https://github.com/facebookresearch/sam2, checkpoints/download_ckpts.sh, and the README of
#: https://github.com/facebookresearch/segment-anything).
RELEASES = {
    f"{prefix}_hiera_{size}.pt": Release(size, version, f"facebook/{prefix}-hiera-{size.replace('_', '-')}")
    for prefix, version in (("sam2", "2.0"), ("sam2.1", "2.1"))
    for size in ("tiny", "small", "base_plus", "large")
} | {
    name: Release(size, "1", f"https://dl.fbaipublicfiles.com/segment_anything/{name}")
    for size, name in (
        ("vit_h", "sam_vit_h_4b8939.pth"),
        ("vit_l", "sam_vit_l_0b3195.pth"),
        ("vit_b", "sam_vit_b_01ec64.pth"),
    )
}


def blueprint(folder: str | Path, dtype: torch.dtype = torch.float32, **settings: Any) -> Segmenter:
    """The segmenter that ``from_pretrained`` would read with these arguments, on the meta device.

    Args:
        folder: a folder with ``config.json``, a path that ends in the name of one of Meta's files, or any other file
            with the tensors of a SAM 2, which has to be there.
        dtype: of the weights.
        **settings: what else it takes; nothing of that changes sizes.

    Raises:
        UserError: none of these.
    """
    path = Path(folder)
    family: type[Segmenter]
    config: PreTrainedConfig
    if (path / "config.json").is_file():
        is_sam = read_model_type(path / "config.json") == SamConfig.model_type
        family = SAMSegmenter if is_sam else SAM2Segmenter
        config = (SamConfig if is_sam else Sam2VideoConfig).from_pretrained(path, local_files_only=True)
    elif path.name in RELEASES:
        release = RELEASES[path.name]
        family = SAMSegmenter if release.version == "1" else SAM2Segmenter
        config = (
            sam_config(release.architecture)
            if release.version == "1"
            else sam2_config(release.architecture, version=release.version)
        )
    elif path.is_file() and path.suffix in READERS:
        with torch.device("cpu"):
            family, config = SAM2Segmenter, read_sam2(path).config
    else:
        raise UserError(
            f"{path} isn't a folder with config.json, and none of Meta's files is called {path.name!r}; "
            f"known are {', '.join(RELEASES)}"
        )
    with torch.device("meta"):
        return family.assemble(family.backbone(config).to(dtype)).eval()
