"""Pictures of one's own with expressions, in the JSONL of own_data: several objects, one, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.sources.interface import Source
from word2mask.data.sources.own_data import OwnData
from word2mask.evaluation.protocols import Protocol, presets
from word2mask.evaluation.referring import ReferringBenchmark
from word2mask.text.special_tokens import SEG


class OwnPictures(ReferringBenchmark):
    """Every expression is a sample, by the first of its wordings; where nothing is meant, the right answer has no mask.

    A split is the file of that name: ``val.jsonl`` in the folder of the data.
    """

    name = "own_pictures"
    splits: ClassVar[tuple[str, ...]] = ("val", "test", "train")
    folder = "own_data"
    other_folders: ClassVar[tuple[str, ...]] = ("photo_expressions",)
    metrics: ClassVar[dict[str, str]] = {"giou": "gIoU", "ciou": "cIoU", "n_acc": "N-acc", "t_acc": "T-acc"}
    default_title = "Pictures of one's own"
    max_new_tokens = 96
    presets: ClassVar[Mapping[str, Protocol]] = presets({"wording": "own", "segments": "all"})

    @classmethod
    def open(cls, root: Path, split: str) -> Source:
        return OwnData(root / f"{split}.jsonl", per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        split = options.pop("split", cls.splits[0])
        folder.mkdir(parents=True, exist_ok=True)
        red, blue = (4, 6, 20, 22), (30, 10, 50, 30)
        write_picture(folder / "one.jpg", (48, 64), {"red": red, "blue": blue})
        expressions = [
            {"text": ["the red box", "what is warm"], "masks": [[box_polygon(red)]]},
            {"text": "both boxes", "masks": [[box_polygon(red)], [box_polygon(blue)]]},
            {"text": "the green box", "masks": []},
        ]
        line = json.dumps({"id": "one", "image": "one.jpg", "expressions": expressions})
        (folder / f"{split}.jsonl").write_text(line + "\n", encoding="utf-8")
        return cls.build(folder, split, **options)

    @property
    def rules(self) -> str:
        return (
            f"one question an expression, {self.shown_prompt}; the union of all {SEG} masks against the union of the "
            "objects; no target: IoU 1 if no mask has a pixel, else 0 and its area adds to cIoU's union; N-acc = share "
            "of no-target samples without a mask, T-acc = share of the others with one"
        )
