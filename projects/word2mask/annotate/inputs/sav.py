"""SA-V: an mp4 and its masklets side by side, ``sav_000001.mp4`` with ``sav_000001_manual.json`` or ``…_auto.json``.

https://github.com/facebookresearch/sam2/tree/main/sav_dataset. The other kinds of input are brought into this layout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from word2mask.annotate.records import VideoReference
from word2mask.data.annotations import require_folder
from word2mask.data.outputs import new_file
from word2mask.data.sources.ref_sav import STEP
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle

__all__ = ["Masklets", "find_sav", "relative", "write_masklets"]

Masklets = Literal["manual", "auto", "both"]


def find_sav(folder: str | Path, masklets: Masklets = "manual") -> list[VideoReference]:
    """The videos below a folder that have masklets.

    Args:
        folder: e.g. that which holds ``sav_train``.
        masklets: those that people drew, those that a model drew, or both, as videos of their own; of those that a
            model drew, what people drew too is left out then.

    Raises:
        UserError: no such folder, masklets without their video, or nothing at all.
    """
    root = require_folder(Path(folder), "the videos of SA-V")
    found: list[VideoReference] = []
    for kind in ("manual", "auto") if masklets == "both" else (masklets,):
        for annotation in sorted(root.rglob(f"*_{kind}.json")):
            stem = annotation.name.removesuffix(f"_{kind}.json")
            video = annotation.with_name(f"{stem}.mp4")
            if not video.is_file():
                raise UserError(f"{annotation}: no {video.name} beside it; copy the video, or remove the masklets")
            is_second = masklets == "both" and kind == "auto"
            drawn = annotation.with_name(f"{stem}_manual.json")
            found.append(
                VideoReference(
                    f"{stem}_auto" if is_second else stem,
                    relative(video, root),
                    relative(annotation, root),
                    relative(drawn, root) if is_second and drawn.is_file() else "",
                )
            )
    if not found:
        raise UserError(f"{root}: no *_{masklets}.json below it; check the folder, or choose other masklets")
    return distinct(found, root)


def distinct(references: Sequence[VideoReference], folder: Path) -> list[VideoReference]:
    """References by name.

    Raises:
        UserError: two have one name.
    """
    ordered = sorted(references)
    for one, other in zip(ordered, ordered[1:], strict=False):
        if one.video_id == other.video_id:
            raise UserError(
                f"{folder}: two videos are called {one.video_id} ({one.video_path}, {other.video_path}); rename one"
            )
    return ordered


def relative(path: Path, folder: Path) -> str:
    """The way from a folder to a path, with ``/``; it may lead upwards."""
    return Path(os.path.relpath(path, folder)).as_posix()


def write_masklets(
    file: Path, video_id: str, tracks: Sequence[Sequence[np.ndarray | dict[str, Any]]], num_frames: int, kind: str
) -> None:
    """Masklets in SA-V's layout.

    Args:
        file: to write.
        video_id: of the video.
        tracks: ``[N][T]``, of each object a mask (bool ``[H,W]``) or run lengths for every annotated frame.
        num_frames: of the video.
        kind: ``"manual"`` or ``"auto"``.

    Raises:
        UserError: the file can't be written.
    """
    rles = [[mask if isinstance(mask, dict) else encode_rle(mask) for mask in track] for track in tracks]
    content = {
        "video_id": video_id,
        "video_frame_count": float(num_frames),
        "masklet": [list(objects) for objects in zip(*rles, strict=True)] or [[] for _ in range(0, num_frames, STEP)],
        "masklet_id": list(range(len(rles))),
        "masklet_num": len(rles),
        "masklet_type": [kind] * len(rles),
    }
    with new_file(file) as work:
        work.write_text(json.dumps(content), encoding="utf-8")
