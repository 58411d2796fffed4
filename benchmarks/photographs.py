"""What SAM 2 reaches on photographs with a box or one click, through ours and through transformers' own model.

    python benchmarks/photographs.py INSTANCES.json IMAGES WEIGHTS [--pictures 24] [--write benchmarks/photographs.md]
        [--expressions data/photo_expressions/val.jsonl] [--scores NAME=FOLDER …]

It is the ceiling of what words can reach that prompt the same frozen segmenter. INSTANCES.json is in COCO's format,
IMAGES the folder of its pictures, WEIGHTS anything that ``SAM2Segmenter.from_pretrained`` reads. Objects are all
annotations of the first pictures that have one, crowds and those below ``--share`` of their picture left out. The box
is the annotation's; the click is the object's pixel that lies farthest from all that isn't it, and of three masks the
one that the decoder scores best is taken, as the box has one mask. Both sides see the same pixels.
The third row gives the box as words give it: its two tokens beside the embeddings of "no point".

``--expressions`` adds what answering every question with the picture's biggest object gives, by the rule of the
benchmark ``own_pictures``; ``--scores`` adds what models reached, from folders that tools/test.py wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from tables import write_table  # noqa: E402
from transformers import Sam2Config, Sam2Model  # noqa: E402

from word2mask.apps.report.samples import records_of  # noqa: E402
from word2mask.data.pictures import decode_image  # noqa: E402
from word2mask.data.sources.own_data import OwnData  # noqa: E402
from word2mask.evaluation.summary import load_results  # noqa: E402
from word2mask.metrics.iou import intersection_and_union, iou  # noqa: E402
from word2mask.ops.masks import segmentation_to_mask  # noqa: E402
from word2mask.segmenters.sam2 import SAM2Segmenter  # noqa: E402

#: (points [P,1,2] or None, boxes [P,4] or None), in pixels of the S × S input → mask logits [P,s,s].
Ask = Callable[[torch.Tensor | None, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Picture:
    """A picture with what is to be found on it.

    Attributes:
        file: its name.
        masks: bool ``[N,H,W]``.
        boxes: float ``[N,4]``, (x1, y1, x2, y2) in its own pixels, as annotated.
    """

    file: str
    masks: np.ndarray
    boxes: np.ndarray


def read_objects(instances: Path, share: float, count: int) -> list[Picture]:
    """The first ``count`` pictures with at least one object of ``share`` of the picture."""
    content = json.loads(instances.read_text(encoding="utf-8"))
    by_picture: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_picture.setdefault(annotation["image_id"], []).append(annotation)
    found: list[Picture] = []
    for image in content["images"]:
        height, width = image["height"], image["width"]
        masks, boxes = [], []
        for annotation in by_picture.get(image["id"], []):
            mask = segmentation_to_mask(annotation["segmentation"], height, width)
            if not annotation.get("iscrowd") and mask.mean() > share:
                masks.append(mask)
                x, y, w, h = annotation["bbox"]
                boxes.append([x, y, x + w, y + h])
        if masks:
            found.append(Picture(image["file_name"], np.stack(masks), np.array(boxes)))
        if len(found) == count:
            break
    return found


def innermost(mask: np.ndarray) -> tuple[float, float]:
    """The middle of the pixel of a mask bool ``[H,W]`` that lies farthest from what isn't it: (x, y)."""
    distance = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(column) + 0.5, float(row) + 0.5


def ours(segmenter: SAM2Segmenter, pixels: torch.Tensor) -> Ask:
    """One picture through our segmenter."""
    features = segmenter.encode_frames(pixels)

    def ask(points: torch.Tensor | None, boxes: torch.Tensor | None) -> torch.Tensor:
        prompt = boxes if points is None else points
        assert prompt is not None
        places = torch.zeros(len(prompt), dtype=torch.long)
        labels = None if points is None else torch.ones(points.shape[:2], dtype=torch.long)
        return segmenter.decode_points(
            features, places, points, labels, boxes, multimask=points is not None
        ).mask_logits

    return ask


def as_words(segmenter: SAM2Segmenter, pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mask logits of boxes whose two tokens stand where a language model's prompt stands."""
    places = torch.zeros(len(boxes), dtype=torch.long)
    tokens = segmenter.embed_points(len(boxes), boxes=boxes)[:, :2]
    return segmenter.decode(segmenter.encode_frames(pixels), places, tokens, multimask=False).mask_logits


def image_model(segmenter: SAM2Segmenter) -> Sam2Model:
    """transformers' model for pictures with the same weights."""
    config = segmenter.model.config
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    model = Sam2Model(Sam2Config(**{part: getattr(config, part).to_dict() for part in parts}))
    wanted = model.state_dict()
    model.load_state_dict({name: value for name, value in segmenter.model.state_dict().items() if name in wanted})
    return model.eval()


def theirs(model: Sam2Model, pixels: torch.Tensor) -> Ask:
    """One picture through transformers' model."""
    embeddings = model.get_image_embeddings(pixels)

    def ask(points: torch.Tensor | None, boxes: torch.Tensor | None) -> torch.Tensor:
        output = model(
            image_embeddings=embeddings,
            input_points=None if points is None else points[None],
            input_labels=None if points is None else torch.ones(1, *points.shape[:2], dtype=torch.long),
            input_boxes=None if boxes is None else boxes[None],
            multimask_output=points is not None,
        )
        best = output.iou_scores[0].argmax(dim=1)
        return output.pred_masks[0, torch.arange(len(best)), best]

    return ask


def prompts(picture: Picture, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes ``[N,4]`` of a picture's objects and clicks ``[N,1,2]`` on them, in pixels of the S × S input."""
    height, width = picture.masks.shape[1:]
    scale = torch.tensor([side / width, side / height])
    clicks = torch.tensor([innermost(mask) for mask in picture.masks])[:, None] * scale
    return torch.from_numpy(picture.boxes).float() * scale.repeat(2), clicks


def scores(logits: torch.Tensor, picture: Picture) -> list[float]:
    """IoU of every object."""
    size = picture.masks.shape[1:]
    enlarged = F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0] > 0
    pairs = zip(enlarged.numpy(), picture.masks, strict=True)
    return [iou(*intersection_and_union(guess, truth)) for guess, truth in pairs]


def biggest_object(expressions: Path) -> tuple[int, float, float]:
    """Number of questions, and the mean IoU of the picture's biggest object given as the answer to each of them, and to
    each that has a target.

    Biggest among the objects that are meant by any question; the first wording counts, no target gives 0.
    """
    source = OwnData(expressions, per_expression=True)
    by_picture: dict[str, list[np.ndarray | None]] = {}
    for index in range(len(source)):
        sample = source.read(index)
        masks = None if sample.masks is None else sample.masks[:, 0]
        by_picture.setdefault(sample.id.partition("/")[0], []).append(masks)
    values, targeted = [], []
    for asked in by_picture.values():
        objects = np.concatenate([masks for masks in asked if masks is not None])
        biggest = objects[objects.sum(axis=(1, 2)).argmax()]
        for masks in asked:
            union = np.zeros_like(biggest) if masks is None else masks.any(axis=0)
            values.append(iou(*intersection_and_union(biggest, union)))
            if masks is not None:
                targeted.append(values[-1])
    return len(values), 100 * float(np.mean(values)), 100 * float(np.mean(targeted))


def of_targets(run: Path, entry: dict[str, Any]) -> float:
    """gIoU over the questions that have a target: of the others each counts 1 or 0, as N-acc says.

    Args:
        run: folder that tools/test.py wrote.
        entry: one of the benchmarks in its results.
    """
    scores = [record.scores for record in records_of(run, entry)]
    return 100 * float(np.mean([iou(one["intersection"], one["union"]) for one in scores if one["has_target"]]))


def score_table(expressions: Path | None, folders: Sequence[str]) -> list[str]:
    """What answers to expressions reach, as lines of Markdown."""
    if expressions is None:
        return []
    lines = [
        *("", "## Expressions", ""),
        "| answer | questions | gIoU | gIoU where there is a target | N-acc | T-acc |",
        "|---|---|---|---|---|---|",
    ]
    count, value, targeted = biggest_object(expressions)
    lines.append(
        f"| the picture's biggest object, `{expressions.name}` | {count} | {value:.1f} | {targeted:.1f} | 0.0 | 100.0 |"
    )
    for given in folders:
        name, _, folder = given.partition("=")
        for one in load_results(Path(folder))["benchmarks"]:
            numbers = [f"{one['metrics'].get(key, float('nan')):.1f}" for key in ("giou", "n_acc", "t_acc")]
            numbers.insert(1, f"{of_targets(Path(folder), one):.1f}")
            cells = [f"{name}, {one['label']}", one["count"], *numbers]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def table(results: dict[str, tuple[list[float], ...]], pictures: int, share: float, weights: str) -> str:
    """The results as Markdown."""
    number = len(next(iter(results.values()))[0])
    lines = [
        "# Photographs: what a box and a click reach",
        "",
        "`python benchmarks/photographs.py INSTANCES.json IMAGES WEIGHTS --write benchmarks/photographs.md`",
        "",
        f"{number} objects of {pictures} photographs of COCO 2017, each over {100 * share:g} % of its picture; "
        f"`{weights}`, float32, no training. Mean IoU × 100; it is the ceiling of words that prompt these weights.",
        "",
        "| prompt | our segmenter | transformers' Sam2Model | largest difference of an object |",
        "|---|---|---|---|",
    ]
    for place, name in enumerate(("box of the annotation", "one click, the best-scored of three masks")):
        both = [np.array(result[place]) for result in results.values()]
        means = " | ".join(f"{100 * values.mean():.1f}" for values in both)
        lines.append(f"| {name} | {means} | {100 * np.abs(both[0] - both[-1]).max():.2f} |")
    lines.append(f"| box of the annotation, as a prompt of words | {100 * np.mean(results['ours'][2]):.1f} | | |")
    return "\n".join([*lines, ""])


@torch.no_grad()
def main() -> None:
    """Read, ask, print the table."""
    parser = argparse.ArgumentParser(description="Mean IoU of a box and of a click on photographs.")
    parser.add_argument("instances", type=Path, help="annotations in COCO's format")
    parser.add_argument("images", type=Path, help="the folder of the pictures")
    parser.add_argument("weights", type=Path, help="of SAM 2")
    parser.add_argument("--pictures", type=int, default=24, help="how many")
    parser.add_argument("--share", type=float, default=0.005, help="smallest share of its picture that an object has")
    parser.add_argument("--expressions", type=Path, help="JSONL whose questions the biggest object answers")
    parser.add_argument("--scores", nargs="+", default=[], metavar="NAME=FOLDER", help="of tools/test.py")
    parser.add_argument("--write", type=Path, help="file for the table (default: stdout)")
    arguments = parser.parse_args()
    segmenter = SAM2Segmenter.from_pretrained(arguments.weights)
    model = image_model(segmenter)
    results: dict[str, tuple[list[float], ...]] = {"ours": ([], [], []), "theirs": ([], [])}
    pictures = read_objects(arguments.instances, arguments.share, arguments.pictures)
    for picture in pictures:
        pixels = segmenter.processor.prepare_frames(decode_image(arguments.images / picture.file)[None])
        boxes, clicks = prompts(picture, segmenter.side)
        for name, ask in (("ours", ours(segmenter, pixels)), ("theirs", theirs(model, pixels))):
            results[name][0].extend(scores(ask(None, boxes), picture))
            results[name][1].extend(scores(ask(clicks, None), picture))
        results["ours"][2].extend(scores(as_words(segmenter, pixels, boxes), picture))
        sys.stderr.write(f"{picture.file}: {len(results['ours'][0])} objects so far\n")
    text = table(results, len(pictures), arguments.share, arguments.weights.name)
    if arguments.expressions or arguments.scores:
        text += "\n".join([*score_table(arguments.expressions, arguments.scores), ""])
    write_table(text, arguments.write)


if __name__ == "__main__":
    main()
