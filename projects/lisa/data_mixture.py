"""LISA's training data: the names and rates of its command line → what a mixture is made of.

Kinds of data are drawn by the rates of ``--sample_rates`` and the data sets of a kind alike often, as in
``utils/dataset.py`` of dvlab-research/LISA (3cb2d43). The tree that they lie in is LISA's::

    <dataset_dir>/ade20k  cocostuff  coco  mapillary  vlpart/{paco,pascal_part}  refer_seg/{refclef,refcoco,…,images}
                  llava_dataset  reason_seg/ReasonSeg
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from word2mask.data import files
from word2mask.data.mixture import nested_rates
from word2mask.data.sources.ade20k import ADE20K
from word2mask.data.sources.coco_stuff import COCOStuff
from word2mask.data.sources.explained_reason_seg import ExplainedReasonSeg
from word2mask.data.sources.grefcoco import GRefCOCO
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mapillary import Mapillary
from word2mask.data.sources.paco_lvis import PACOLVIS
from word2mask.data.sources.pascal_part import PASCALPart
from word2mask.data.sources.refclef import RefCLEF
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.engine.build import suggest
from word2mask.errors import UserError

#: Between names on LISA's command line.
SEPARATOR = "||"
#: The value of ``--explanatory`` that leaves explanations out.
NO_EXPLANATIONS = -1

#: A node of a config: a source's class and its arguments.
Node = dict[str, Any]

#: Of ``--sem_seg_data``.
_SEMANTIC: dict[str, Callable[[str], Node]] = {
    "ade20k": lambda root: dict(type=ADE20K, folder=f"{root}/ade20k"),
    "cocostuff": lambda root: dict(
        type=COCOStuff, folder=f"{root}/cocostuff/train2017", image_folder=f"{root}/coco/train2017"
    ),
    "mapillary": lambda root: dict(type=Mapillary, folder=f"{root}/mapillary"),
    "paco_lvis": lambda root: dict(
        type=PACOLVIS,
        annotations=f"{root}/vlpart/paco/annotations/paco_lvis_v1_train.json",
        image_folder=f"{root}/coco",
    ),
    "pascal_part": lambda root: dict(
        type=PASCALPart,
        annotations=f"{root}/vlpart/pascal_part/train.json",
        image_folder=f"{root}/vlpart/pascal_part/VOCdevkit/VOC2010/JPEGImages",
    ),
}
#: Of ``--refer_seg_data``: class, whose splits, and the pictures.
_REFERRING: dict[str, tuple[type, str, str]] = {
    "refclef": (RefCLEF, "unc", "saiapr_tc-12"),
    "refcoco": (RefCOCO, "unc", "mscoco/images/train2014"),
    "refcoco+": (RefCOCO, "unc", "mscoco/images/train2014"),
    "refcocog": (RefCOCO, "umd", "mscoco/images/train2014"),
    "grefcoco": (GRefCOCO, "unc", "mscoco/images/train2014"),
}
#: Of ``--dataset``.
_KINDS = ("sem_seg", "refer_seg", "vqa", "reason_seg")


def mixture_sources(
    dataset_dir: str = "./dataset",
    dataset: str = "sem_seg||refer_seg||vqa||reason_seg",
    sample_rates: str = "9,3,3,1",
    sem_seg_data: str = "ade20k||cocostuff||pascal_part||paco_lvis||mapillary",
    refer_seg_data: str = "refclef||refcoco||refcoco+||refcocog",
    vqa_data: str = "llava_instruct_150k",
    reason_seg_data: str = "ReasonSeg|train",
    explanatory: float = 0.1,
    num_classes_per_sample: int = 3,
    negatives: float = 0.0,
) -> list[tuple[Node, float]]:
    """The sources of LISA's mixture as nodes of a config, each with its rate.

    Nothing is read but how many pictures there are where ``reason_seg_data`` names several splits, so that each is
    drawn by its size. The defaults are LISA's.

    Args:
        dataset_dir: where the tree lies.
        dataset: kinds of data.
        sample_rates: a number for each of them, separated by commas.
        sem_seg_data: data sets of classes.
        refer_seg_data: data sets of referring expressions; ``grefcoco`` too.
        vqa_data: files of conversations in ``llava_dataset``, without ``.json``.
        reason_seg_data: folder and split, ``ReasonSeg|train``, or splits, ``ReasonSeg|train_val``.
        explanatory: chance of an answer in words alone where ReasonSeg has reasons, 0…1; -1 leaves reasons out.
        num_classes_per_sample: most questions about a picture.
        negatives: how often a question of ``sem_seg`` asks for a class that isn't there, 0…1; LISA has none.

    Returns:
        ``(node, rate)`` each, for ``Mixture(sources, length=…)``.

    Raises:
        UserError: when a name isn't known, or numbers and names don't match.
    """
    names = {
        "sem_seg": sem_seg_data,
        "refer_seg": refer_seg_data,
        "vqa": vqa_data,
        "reason_seg": reason_seg_data,
    }
    kinds = [_known("--dataset", kind, _KINDS) for kind in dataset.split(SEPARATOR)]
    rates = _rates(sample_rates, kinds)
    root = dataset_dir.rstrip("/") or "/"
    found: list[tuple[float, list[tuple[Node, float]]]] = []
    for kind, rate in zip(kinds, rates, strict=True):
        if kind == "reason_seg":
            entries = _reasoning(root, reason_seg_data, explanatory, num_classes_per_sample)
        else:
            entries = []
            for name in names[kind].split(SEPARATOR):
                if kind == "sem_seg":
                    node = _SEMANTIC[_known("--sem_seg_data", name, _SEMANTIC)](root)
                    node |= dict(name=name, classes_per_sample=num_classes_per_sample, negatives=negatives)
                elif kind == "refer_seg":
                    node = _referring(root, name, num_classes_per_sample)
                else:
                    annotations = f"{root}/llava_dataset/{name}.json"
                    node = dict(type=LLaVA, annotations=annotations, image_folder=f"{root}/coco/train2017", name=name)
                entries.append((node, 1.0))
        found.append((rate, entries))
    return nested_rates(found)


def require_data(sources: Sequence[tuple[Node, float]], dataset_dir: str) -> None:
    """Raise UserError, naming all of them, unless the files and folders of the sources are there.

    Args:
        sources: from :func:`mixture_sources`.
        dataset_dir: where the tree lies, for the message.
    """
    if not files.is_folder(Path(dataset_dir)):
        raise UserError(
            f"{dataset_dir}: no such folder; give that of LISA's data with --dataset_dir (docs/data.md shows the tree)"
        )
    wanted = dict.fromkeys(path for node, _ in sources for path in _paths(node))
    missing = [path for path in wanted if not files.exists(Path(path))]
    if missing:
        raise UserError(
            f"{dataset_dir}: {len(missing)} of the {len(wanted)} files and folders of LISA's data aren't there: "
            f"{', '.join(missing)}; put them there (docs/data.md shows the tree), give another --dataset_dir, or name "
            "less data with --dataset, --sample_rates, --sem_seg_data, --refer_seg_data, --vqa_data or "
            "--reason_seg_data"
        )


def _referring(root: str, name: str, expressions: int) -> Node:
    target, split_by, pictures = _REFERRING[_known("--refer_seg_data", name, _REFERRING)]
    return dict(
        type=target,
        folder=f"{root}/refer_seg/{name}",
        split_by=split_by,
        image_folder=f"{root}/refer_seg/images/{pictures}",
        name=name,
        expressions_per_sample=expressions,
    )


def _reasoning(root: str, data: str, explanatory: float, texts: int) -> list[tuple[Node, float]]:
    """A source for each split, with the number of its pictures as weight where there are several."""
    name, bar, splits = data.partition("|")
    if not name or not splits or "|" in splits:
        raise UserError(f"--reason_seg_data: expected folder|split, such as ReasonSeg|train, got '{data}'")
    folder = f"{root}/reason_seg/{name}"
    entries: list[tuple[Node, float]] = []
    for split in splits.split("_"):
        node: Node = dict(
            type=ExplainedReasonSeg, folder=folder, split=split, name=f"{name}|{split}", texts_per_sample=texts
        )
        if explanatory != NO_EXPLANATIONS:
            node |= dict(explanations=f"{folder}/explanatory/train.json", explanatory=explanatory)
        entries.append((node, 1.0))
    if len(entries) == 1:
        return entries
    # A folder that isn't there counts as one picture: require_data says that it is missing.
    return [(node, float(max(_count_pictures(Path(folder, node["split"])), 1))) for node, _ in entries]


def _count_pictures(folder: Path) -> int:
    return sum(entry.suffix == ".jpg" for entry in files.list_folder(folder))


def _rates(sample_rates: str, kinds: Sequence[str]) -> list[float]:
    try:
        rates = [float(rate) for rate in sample_rates.split(",")]
    except ValueError as error:
        raise UserError(f"--sample_rates: expected numbers separated by commas, got '{sample_rates}'") from error
    if len(rates) != len(kinds):
        raise UserError(
            f"--sample_rates: {len(rates)} numbers ('{sample_rates}') for the {len(kinds)} kinds of --dataset "
            f"({', '.join(kinds)}); give one for each"
        )
    return rates


def _known(flag: str, name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """``name``, when the flag may have it."""
    if name not in known:
        raise UserError(f"{flag}: no '{name}'{suggest(name, list(known))}")
    return name


def _paths(node: Node) -> list[str]:
    """What a node needs on disk."""
    paths = [node[key] for key in ("folder", "annotations", "image_folder", "explanations") if key in node]
    return [*paths, f"{node['folder']}/{node['split']}"] if "split" in node else paths


#: All of it, in the folder that LISA looks for it in.
SOURCES = mixture_sources()
