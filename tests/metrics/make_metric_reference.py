"""Writes metric_reference.json: what the published code says about the cases of metric_cases.py.

    python tests/metrics/make_metric_reference.py CHECKOUTS

CHECKOUTS holds clones of the repositories of ORIGINS under their names, each at its commit; nothing in them is edited.
Beside the requirements it takes scikit-image 0.26.0, pycocoevalcap 1.2 and Java. What was done to run them:

* DAVIS: as it is; its data set is written to a temporary folder in its own layout.
* LISA: ``intersectionAndUnionGPU`` gets float tensors, since PyTorch's histogram of integers is for CUDA only.
* ReLA: detectron2 is stood in for by the names that the evaluator imports, none of which it needs on one process.
* refer: the box IoU stands in a cell of ``pyEvalDemo.ipynb``, which is taken from there and run.
* GLaMM: ``eval.utils`` and scikit-learn are stood in for by its ``compute_iou`` and a cosine; ``bert-base-uncased`` by
  the small encoder of text_encoder.py.
* pycocoevalcap: ``COCOEvalCap`` as GLaMM calls it, but for SPICE, which downloads models.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import types
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1] / "projects")]
import metric_cases as cases  # noqa: E402
import text_encoder  # noqa: E402

ORIGINS = {
    "davis2017-evaluation": "davisvideochallenge/davis2017-evaluation ac7c43fca936f9722837b7fbd337d284ba37004b",
    "LISA": "dvlab-research/LISA 3cb2d4301f1af4691bd4f3938335ef06e76f155a",
    "ReLA": "henghuiding/ReLA 3ca955198da8ace68f8980b6fcbada0791cc51c2",
    "refer": "lichengunc/refer e3bbaa30d2ca41cf0e5c0d3819d7e4ed9fd38fff",
    "VISA": "cilinyan/VISA ec158fde9cdf87f702399c73618aa0f1127062e9",
    "groundingLMM": "mbzuai-oryx/groundingLMM e74865f207d02c8cbb54795758b855acd6bb51bb",
    "pycocoevalcap": "pycocoevalcap 1.2 of PyPI",
}


def stand_in(name: str, **members: Any) -> None:
    """Makes ``name`` and the packages above it importable, with these members."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:length]), types.ModuleType(".".join(parts[:length])))
    for key, value in members.items():
        setattr(sys.modules[name], key, value)


def load(path: Path, name: str) -> types.ModuleType:
    """A single file of a checkout as a module."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def floats(values: Any) -> list[float]:
    return [float(value) for value in values]


# -- frames and sequences ---------------------------------------------------------------------------------------------


def davis_frames() -> dict[str, Any]:
    from davis2017.metrics import db_eval_boundary, db_eval_iou

    return {
        name: {
            "j": floats(db_eval_iou(target, prediction, void)),
            "f": floats(db_eval_boundary(target, prediction, void)),
        }
        for name, (prediction, target, void) in cases.mask_cases().items()
    }


def davis_protocol() -> dict[str, Any]:
    """By task, one result of the toolkit an annotator."""
    from davis2017.evaluation import DAVISEvaluation

    expected: dict[str, Any] = {}
    everything = cases.sequences()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for year in ("2017", "2019"):
            (root / "ImageSets" / year).mkdir(parents=True)
            (root / "ImageSets" / year / "val.txt").write_text("\n".join(everything) + "\n")
        for name, (target, _) in everything.items():
            images = root / "JPEGImages/480p" / name
            images.mkdir(parents=True)
            for index in range(len(target)):
                (images / f"{index:05d}.jpg").touch()
            for part in ("Annotations", "Annotations_unsupervised"):
                write_labels(root / part / "480p" / name, target)
        for task in ("unsupervised", "semi-supervised"):
            expected[task] = []
            for annotator in range(cases.ANNOTATORS):
                results = root / task / str(annotator)
                for name, (target, predictions) in everything.items():
                    labels = predictions[annotator]
                    if task == "semi-supervised":
                        labels = np.where(labels > target[target < 255].max(), 0, labels)
                    write_labels(results / name, labels)
                with contextlib.redirect_stderr(io.StringIO()):
                    measured = DAVISEvaluation(str(root), task, "val").evaluate(str(results))
                expected[task].append(
                    {measure: {key: floats(measured[measure][key]) for key in "MRD"} for measure in "JF"}
                )
    return expected


def write_labels(folder: Path, labels: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for index, frame in enumerate(labels):
        Image.fromarray(frame.astype(np.uint8)).save(folder / f"{index:05d}.png")


def visa_frames(checkout: Path) -> dict[str, Any]:
    """Accuracy and robustness; the foreground is what is target or void."""
    metrics = load(checkout / "tools/metrics.py", "visa_metrics")
    expected = {}
    for name, (prediction, target, void) in cases.mask_cases().items():
        masks = [mask.astype(np.uint8) for mask in (target, prediction, target if void is None else target | void)]
        expected[name] = {
            "accuracy": floats(metrics.get_r2vos_accuracy(*masks[:2])),
            "robustness": floats(metrics.get_r2vos_robustness(*masks)),
        }
    return expected


# -- pictures ---------------------------------------------------------------------------------------------------------


def lisa_counts(checkout: Path) -> dict[str, Any]:
    """Intersection and union of the foreground, and the sample's IoU in the words of ``validate()``, of each frame."""
    count = load(checkout / "utils/utils.py", "lisa_utils").intersectionAndUnionGPU
    expected = {}
    for name, (prediction, target, void) in cases.mask_cases().items():
        truth = target.astype(np.float32)
        if void is not None:
            truth[void] = 255
        rows = []
        for one, other in zip(prediction.astype(np.float32), truth, strict=True):
            intersection, union, _ = count(torch.from_numpy(one.copy()), torch.from_numpy(other), 2, ignore_index=255)
            iou = intersection / (union + 1e-5)
            iou[union == 0] += 1.0
            rows.append([int(intersection[1]), int(union[1]), float(iou[1])])
        expected[name] = rows
    return expected


def rela_results(checkout: Path) -> dict[str, float]:
    """The evaluator of gRefCOCO on the frames of all cases without void; an empty prediction says "no target"."""
    stand_in("detectron2.utils.comm", all_gather=None, is_main_process=None, synchronize=None)
    stand_in("detectron2.utils.file_io", PathManager=None)
    stand_in("detectron2.evaluation.evaluator", DatasetEvaluator=object)
    evaluator = load(checkout / "gres_model/evaluation/refer_evaluation.py", "rela_evaluation").ReferEvaluator(
        "grefcoco_unc_val", distributed=False
    )
    evaluator.reset()
    logging.disable()
    for name, (prediction, target, void) in cases.mask_cases().items():
        if void is not None:
            continue
        for one, other in zip(prediction, target, strict=True):
            scores = torch.from_numpy(np.array([~one, one], dtype=np.float32))
            answer = {"ref_seg": scores, "nt_label": torch.tensor([float(one.any()), float(not one.any())])}
            sample = {
                "image_id": 0,
                "source": "grefcoco",
                "gt_mask_merged": torch.from_numpy(other.astype(np.int64)),
                "sentence": {"raw": name},
                "empty": not other.any(),
            }
            evaluator.process([sample], [answer])
    return {key: float(value) for key, value in evaluator.evaluate()["grefcoco"].items()}


def refer_boxes(checkout: Path) -> list[float]:
    notebook = json.loads((checkout / "pyEvalDemo.ipynb").read_text(encoding="utf-8"))
    source = next(text for cell in notebook["cells"] if "def computeIoU" in (text := "".join(cell["source"])))
    scope: dict[str, Any] = {}
    exec(source, scope)
    return [float(scope["computeIoU"](one, other)) for one, other in cases.boxes()]


# -- captions ---------------------------------------------------------------------------------------------------------


def glamm(checkout: Path) -> dict[str, Any]:
    """mIoU and recall of every picture, and the similarity of phrases by the small encoder."""
    from pycocotools import mask as coco
    from transformers import AutoModel, AutoTokenizer

    def compute_iou(one: np.ndarray, other: np.ndarray) -> float:
        return np.logical_and(one, other).sum() / np.logical_or(one, other).sum()

    def cosine(one: list[np.ndarray], other: list[np.ndarray]) -> np.ndarray:
        first, second = np.asarray(one), np.asarray(other)
        return first @ second.T / np.linalg.norm(first) / np.linalg.norm(second)

    stand_in("eval.utils", torch=torch, np=np, compute_iou=compute_iou)
    stand_in("sklearn.metrics.pairwise", cosine_similarity=cosine)
    with tempfile.TemporaryDirectory() as folder:
        text_encoder.write(Path(folder))
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    with (
        mock.patch.object(AutoTokenizer, "from_pretrained", return_value=tokenizer),
        mock.patch.object(AutoModel, "from_pretrained", return_value=model),
    ):
        module = load(checkout / "eval/gcg/evaluate.py", "glamm_evaluate")
    similarities = [float(module.text_similarity_bert(one, other)) for one, other in cases.PHRASES]
    module.text_similarity_bert = cases.equal_last_words
    pictures = []
    for predicted, true, guesses, labels in cases.grounded_pictures():
        found, wanted = (
            [{"segmentation": coco.encode(np.asfortranarray(mask, dtype=np.uint8))} for mask in masks]
            for masks in (predicted, true)
        )
        matches = module.find_best_matches(wanted, labels, found, guesses, 0.5, 0.5)
        pictures.append({"miou": float(module.compute_miou(predicted, true)), "recalled": len(matches)})
    return {"similarities": similarities, "pictures": pictures}


def captions() -> dict[str, Any]:
    from pycocoevalcap import eval as evaluation

    def dataset(texts: list[list[str]]) -> Any:
        annotations = {index: [{"caption": text} for text in group] for index, group in enumerate(texts)}
        return types.SimpleNamespace(imgToAnns=annotations, getImgIds=lambda: list(annotations))

    class NoSpice:
        def method(self) -> str:
            return "none"

        def compute_score(self, truths: dict[int, Any], results: dict[int, Any]) -> tuple[float, list[Any]]:
            return 0.0, [0.0] * len(truths)

    evaluation.Spice = NoSpice
    # COCOEvalCap's tokenizer takes a line a caption, so breaks are blanks here.
    predictions = [[" ".join(prediction.split())] for prediction, _ in cases.CAPTIONS]
    measured = evaluation.COCOEvalCap(dataset([references for _, references in cases.CAPTIONS]), dataset(predictions))
    with contextlib.redirect_stdout(io.StringIO()):
        measured.evaluate()
    each = [measured.imgToEval[index] for index in range(len(cases.CAPTIONS))]
    return {
        **{name: float(measured.eval[name]) for name in ("METEOR", "CIDEr")},
        "each": [{name: float(one[name]) for name in ("METEOR", "CIDEr")} for one in each],
    }


def main(checkouts: Path) -> None:
    sys.path.insert(0, str(checkouts / "davis2017-evaluation"))
    reference = {
        "origins": ORIGINS,
        "davis_frames": davis_frames(),
        "davis_protocol": davis_protocol(),
        "visa_frames": visa_frames(checkouts / "VISA"),
        "lisa_counts": lisa_counts(checkouts / "LISA"),
        "rela": rela_results(checkouts / "ReLA"),
        "refer_boxes": refer_boxes(checkouts / "refer"),
        "glamm": glamm(checkouts / "groundingLMM"),
        "captions": captions(),
    }
    text = json.dumps(reference, indent=None, separators=(",", ": "))
    (FOLDER / "metric_reference.json").write_text(text.replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
