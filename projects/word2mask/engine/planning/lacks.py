"""What a run would miss on disk, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from word2mask.engine.build import is_node, walk
from word2mask.engine.config import missing_paths
from word2mask.mllms.blueprints import has_tokenizer
from word2mask.mllms.geometries import GEOMETRIES
from word2mask.segmenters.blueprints import RELEASES

__all__ = ["Lack", "list_lacks"]

#: Beginning of a path → what makes or brings it; the first that fits.
_REMEDIES = (
    ("data/shapes_world", "python tools/make_shapes_world.py"),
    ("pretrained/internvl_shapes", "part of this repository: restore the folder"),
    ("pretrained/sam2_shapes", "part of this repository: restore the folder"),
    ("pretrained/sam_shapes", "part of this repository: restore the folder"),
    (
        "data/photo_expressions",
        "python tools/make_photo_expressions.py INSTANCES.json IMAGES data/photo_expressions, of any photographs with "
        "instance annotations in COCO's format",
    ),
    ("work_dirs/", "train the config of that name first"),
    ("data/video_datas/sam_v_full", "SA-V from Meta (https://ai.meta.com/datasets/segment-anything-video)"),
    ("dataset/", "LISA's data: docs/data.md shows the tree, and its README where they come from"),
    ("data/", "hf download --repo-type dataset Dense-World/Sa2VA-Training --local-dir data, and unpack it"),
)


#: Lists what tools/fetch_pretrained.py brings and verifies.
_MANIFEST = Path("pretrained/manifest.json")


@dataclass(frozen=True)
class Lack:
    """Something that isn't there.

    Attributes:
        what: "weights", "tokenizer", "data" or "file".
        path: where it was looked for.
        remedy: what to do.
        needed: whether training needs it; evaluation may lack its data.
    """

    what: str
    path: str
    remedy: str
    needed: bool = True


def list_lacks(settings: Mapping[str, Any]) -> list[Lack]:
    """Everything that the config names and the disk lacks, each path once."""
    lacks: dict[str, Lack] = {}
    for line in missing_paths(settings):
        where, _, path = line.partition(": ")
        section = where.partition(".")[0]
        what = {"model": "weights", "data": "data", "evaluation": "data"}.get(section, "file")
        lack = Lack(what, path, remedy(path), needed=section != "evaluation")
        if path not in lacks or lack.needed:
            lacks[path] = lack
    for folder in _model_folders(settings.get("model")):
        if not folder.is_dir():
            continue
        if not any(folder.glob("*.safetensors")):
            lacks[f"{folder}/"] = Lack("weights", f"{folder}/*.safetensors", remedy(str(folder)))
        if folder.name in GEOMETRIES and not has_tokenizer(folder):
            lacks[f"{folder}/t"] = Lack("tokenizer", f"{folder}/tokenizer.json", remedy(str(folder)))
    return list(lacks.values())


def remedy(path: str) -> str:
    """How to get what should lie at a path."""
    name = Path(path).name
    part = _part_at(Path(path))
    if part is not None:
        return f"python tools/fetch_pretrained.py {part}"
    if name in GEOMETRIES:
        return GEOMETRIES[name].download(path)
    if name in RELEASES:
        return RELEASES[name].download(path)
    known = next((advice for start, advice in _REMEDIES if path.removeprefix("./").startswith(start)), None)
    return known or "check the path in the config"


def _part_at(path: Path) -> str | None:
    """The part of the manifest whose folder, or one of whose files, belongs at a path."""
    if not _MANIFEST.is_file():
        return None
    for name, part in json.loads(_MANIFEST.read_text(encoding="utf-8")).get("downloads", {}).items():
        folder = _MANIFEST.parent / part["folder"]
        if path in (folder / file for file in part["files"]) or (path == folder and len(part["files"]) != 1):
            return name
    return None


def _model_folders(model: Any) -> Iterable[Path]:
    """Folders from which nodes of the model read weights."""
    for _, value in walk(model):
        if is_node(value) and getattr(value["type"], "__name__", "") == "from_pretrained" and "folder" in value:
            yield Path(value["folder"])
