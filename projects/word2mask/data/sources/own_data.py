"""Your own data: one JSONL file, a record a line, for pictures and videos.

On disk::

    <annotations>.jsonl         one JSON object a line; relative paths in it start at the folder that holds it

A record is ``{"image": …, "expressions": […]}`` (what to find) or ``{"image": …, "turns": […], "masks": […]}`` (a
conversation), with ``video`` in place of ``image`` for a video:

=============== =======================================================================================================
key             what it holds
=============== =======================================================================================================
``id``          name of the record; the number of its line without
``image``       path of a picture
``video``       path of a video, or of a folder of frames
``expressions`` ``[{"text": "a text" | ["several", "wordings"], "masks": [MASK, …], "kind": "…"}]``; without a mask:
                nothing there is meant; questions and answers are worded anew at every read
``turns``       ``[{"role": "user" | "assistant", "text": "…"}]`` in turn; ``[SEG]`` in the answers, one for each mask
``masks``       ``[MASK, …]`` of the turns, in the order of their ``[SEG]``
``regions``     ``[REGION, …]``, visual prompts, called ``region1``, ``region2`` … in the text; of a video, on frame 0
``void``        MASK of what neither loss nor score looks at
``objects``     ``[{"name": "dog", "mask": MASK}, …]``, all that can be named: for :mod:`word2mask.data.named_cells`
``kind``        a word for tables of scores
=============== =======================================================================================================

A MASK of a picture is one of ``{"size": [H, W], "counts": "…" | […]}`` (COCO's run lengths, compressed or not),
``[[x0, y0, x1, y1, …], …]`` (polygons in pixels), ``"path.png"`` (0 and one other value) and
``{"png": "path.png", "value": 3}`` (an indexed PNG). Of a video it is a list with such a mask or ``null`` for every
frame, ``{"frames": {"0": mask, "7": null, …}}`` where only some frames are annotated, or a folder with a PNG a frame.
A REGION is a mask, ``{"box": [x0, y0, x1, y1]}``, which becomes the filled box, or ``{"points": [[x, y], …]}``, each of
which becomes a disc: the language model sees a prompt as the pixels that it covers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from word2mask.data import files
from word2mask.data.fixtures import box_polygon, write_picture
from word2mask.data.media import VideoFile, open_image
from word2mask.data.own_schema import (
    annotated_frames,
    check_record,
    picture_mask,
    region_mask,
    texts_of,
    video_mask,
)
from word2mask.data.sources.interface import Source, draw, drawing, left_to_right
from word2mask.errors import UserError
from word2mask.ops.frames import random_frames
from word2mask.ops.masks import box_to_mask, encode_rle
from word2mask.text.questions import no_target_answer, segmentation_answer, segmentation_question
from word2mask.text.special_tokens import SEG
from word2mask.types import Sample, Turn


class OwnData(Source):
    """A picture or video a record: its conversation, or up to ``expressions_per_sample`` of its expressions as turns.

    An expression is drawn without replacement, one of its texts is drawn, and question and answer are worded by
    :mod:`word2mask.text.questions`; the answer has one ``[SEG]`` a mask, in a picture from left to right. Frames of a
    video are drawn from those on which every mask asked for is annotated.

    ``per_expression``: an expression, or a question of the conversation with its answer, a record; of a video, frames
    that aren't annotated are void. ``extra`` holds besides ``answer`` for turns, ``no_target`` and ``all_texts`` for
    expressions.

    Args:
        annotations: the JSONL file.
        root: where relative paths in it start; its own folder without.
        frames_per_sample: frames drawn from a video for training.
        expressions_per_sample: most expressions of a training sample.
        per_expression: the view for evaluation.
        name: what to call it; the file's name without.

    Raises:
        UserError: the file is missing, or a line isn't as the schema says.
    """

    tasks = ("generalized_refer", "chat", "region", "video_refer", "video_chat")

    def __init__(
        self,
        annotations: str | Path,
        root: str | Path | None = None,
        frames_per_sample: int = 5,
        expressions_per_sample: int = 5,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        self._file = Path(annotations)
        self._root = self._file.parent if root is None else Path(root)
        self.name = name or self._file.stem
        self.per_expression = per_expression
        self.frames_per_sample = frames_per_sample
        self.expressions_per_sample = expressions_per_sample
        self._records, self._lines = self._load()
        self._questions: list[tuple[int, int]] = []
        if per_expression:
            for position, entry in enumerate(self._records):
                count = len(entry["expressions"]) if "expressions" in entry else len(entry["turns"]) // 2
                self._questions += [(position, number) for number in range(count)]

    def media_folders(self) -> tuple[Path, ...]:
        return (self._root,)

    def __len__(self) -> int:
        return len(self._questions if self.per_expression else self._records)

    def sizes(self) -> np.ndarray:
        sizes = super().sizes()
        if not self.per_expression:
            sizes[:, 0] = [self.frames_per_sample if "video" in entry else 1 for entry in self._records]
        return sizes

    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        rng = drawing(rng, self.per_expression)
        position, number = self._questions[index] if self.per_expression else (index, None)
        entry = self._records[position]
        record_id = self._id(position) if number is None else f"{self._id(position)}/{number}"
        with self._line(record_id, self._lines[position]):
            medium = "video" if "video" in entry else "picture"
            if "turns" in entry:
                turns, groups = _conversation(entry, number)
            else:
                turns, groups = self._exchanges(entry, number, medium, rng)
            read = self._read_video if "video" in entry else self._read_picture
            sample = read(record_id, entry, turns, groups, rng)
            if number is not None:
                sample.extra.update(_describe(entry, number, turns))
            return sample

    def _exchanges(
        self, entry: dict[str, Any], number: int | None, medium: str, rng: np.random.Generator
    ) -> tuple[tuple[Turn, ...], list[list[Any]]]:
        """Questions and answers about some of the expressions, and the masks of each answer."""
        chosen = [entry["expressions"][number]] if number is not None else None
        turns: list[Turn] = []
        groups: list[list[Any]] = []
        for expression in chosen or draw(entry["expressions"], self.expressions_per_sample, rng):
            texts = texts_of(expression)
            text = texts[0 if number is not None else int(rng.integers(len(texts)))]
            count = len(expression["masks"])
            answer = segmentation_answer(count, rng) if count else no_target_answer(text, rng, medium)
            question = segmentation_question(text, rng, medium)
            turns += [Turn("user", question), Turn("assistant", answer)]
            groups.append(expression["masks"])
        return tuple(turns), groups

    def _read_picture(
        self, record_id: str, entry: dict[str, Any], turns: tuple[Turn, ...], groups: list[list[Any]], rng: Any
    ) -> Sample:
        media = open_image(self._root / entry["image"])
        size = media.frames.shape[1:3]
        drawn: list[np.ndarray] = []
        for masks in groups:
            group = [picture_mask(mask, size, self._root) for mask in masks]
            # A conversation's own text has its own order.
            drawn += group if "turns" in entry else [group[place] for place in left_to_right(group)]
        _refuse_empty([mask.any() for mask in drawn], "the picture")
        void = picture_mask(entry["void"], size, self._root)[None] if "void" in entry else None
        regions = self._regions(entry, size)
        return Sample(
            source=self.name,
            id=record_id,
            task="region" if regions is not None else "generalized_refer" if _asks_for_masks(entry) else "chat",
            turns=turns,
            media=media,
            masks=np.stack(drawn)[:, None] if drawn else None,
            void=void if void is not None and void.any() else None,
            regions=regions,
        )

    def _read_video(
        self,
        record_id: str,
        entry: dict[str, Any],
        turns: tuple[Turn, ...],
        groups: list[list[Any]],
        rng: np.random.Generator,
    ) -> Sample:
        masks = [mask for group in groups for mask in group]
        video = VideoFile(self._root / entry["video"])
        length, size = len(video), video.size
        annotated = np.ones(length, dtype=bool)
        for mask in [*masks, *([entry["void"]] if "void" in entry else [])]:
            annotated &= annotated_frames(mask, length)
        if not annotated.any():
            raise ValueError("no frame on which all masks are annotated; annotate the same frames for every object")
        regions = self._regions(entry, size)
        if self.per_expression:
            frames = np.arange(length)
        else:
            frames = self._draw_frames(np.flatnonzero(annotated), regions is not None, rng)
        drawn = [video_mask(mask, frames, length, size, self._root) for mask in masks]
        if self.per_expression:
            _refuse_empty([mask.any() for mask in drawn], "the video")
        void = np.zeros((len(frames), *size), dtype=bool)
        if "void" in entry:
            void |= video_mask(entry["void"], frames, length, size, self._root)
        void |= ~annotated[frames][:, None, None]
        return Sample(
            source=self.name,
            id=record_id,
            task="region" if regions is not None else "video_refer" if _asks_for_masks(entry) else "video_chat",
            turns=turns,
            media=None if self.per_expression else video.media(frames),
            masks=np.stack(drawn) if drawn else None,
            void=void if void.any() else None,
            regions=regions,
            extra={"video": video} if self.per_expression else {},
        )

    def _draw_frames(self, candidates: np.ndarray, with_first: bool, rng: np.random.Generator) -> np.ndarray:
        """Frames of a training sample; the first one among them where regions are marked on it."""
        if not with_first:
            return candidates[random_frames(len(candidates), self.frames_per_sample, rng)]
        if candidates[0] != 0:
            raise ValueError("regions are marked on frame 0, but the masks aren't annotated there; annotate it as well")
        if self.frames_per_sample == 1 or len(candidates) == 1:
            return candidates[:1]
        later = candidates[1:][random_frames(len(candidates) - 1, self.frames_per_sample - 1, rng)]
        return np.concatenate([candidates[:1], later])

    def _regions(self, entry: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
        """bool ``[R,H,W]``, or ``None`` without."""
        masks = [region_mask(region, size, self._root) for region in entry.get("regions", [])]
        return np.stack(masks) if masks else None

    def _id(self, position: int) -> str:
        return str(self._records[position].get("id", self._lines[position]))

    @contextmanager
    def _line(self, record_id: object, line: int) -> Iterator[None]:
        """Whatever is wrong with a record is said with its name, its line and the file."""
        try:
            yield
        except (UserError, ValueError, TypeError, OverflowError) as error:
            raise UserError(f"{self.name}[{record_id}]: line {line} of {self._file}: {error}") from error

    def _load(self) -> tuple[list[dict[str, Any]], list[int]]:
        """The records, checked, and the line of each."""
        if not files.is_file(self._file):
            raise UserError(f"{self._file}: no such JSONL file; check it, or make one by tools/convert_dataset.py")
        records: list[dict[str, Any]] = []
        lines: list[int] = []
        seen: dict[str, int] = {}
        with io.TextIOWrapper(files.open_file(self._file), encoding="utf-8-sig") as file:
            for number, text in enumerate(_decoded(file, self._file), start=1):
                if not text.strip():
                    continue
                with self._line(number, number):
                    try:
                        entry = json.loads(text)
                    except ValueError as error:
                        raise ValueError(f"not JSON ({error}); write one whole record {{…}} a line") from error
                record_id = str(entry.get("id", number)) if isinstance(entry, dict) else str(number)
                with self._line(record_id, number):
                    check_record(entry)
                    if record_id in seen:
                        raise ValueError(f"the id stands on line {seen[record_id]} too; give every record its own")
                seen[record_id] = number
                records.append(entry)
                lines.append(number)
        if not records:
            raise UserError(f"{self._file}: no record in it; write one JSON object a line")
        return records, lines

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> OwnData:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        write_picture(folder / "one.jpg", size, {"red": red, "blue": blue})
        indexed = np.zeros(size, dtype=np.uint8)
        indexed[box_to_mask(red, *size)], indexed[box_to_mask(blue, *size)] = 1, 2
        Image.fromarray(indexed).save(folder / "one_masks.png")
        # Red is 10 × 10 and moves to the right by 4 pixels a frame; it isn't there on the last one.
        boxes = [(2 + 4 * t, 4, 12 + 4 * t, 14) for t in range(5)]
        for t in range(6):
            write_picture(folder / "clip" / f"{t}.jpg", size, {"red": boxes[t]} if t < 5 else {})
        picture = {
            "id": "one",
            "image": "one.jpg",
            "expressions": [
                {"text": ["the red box", "what is warm"], "masks": [[box_polygon(red)]]},
                # The right one is listed first: answers go from left to right.
                {"text": "both boxes", "masks": [{"png": "one_masks.png", "value": 2}, encode_rle(indexed == 1)]},
                {"text": "the green box", "masks": []},
            ],
        }
        clip = {
            "id": "two",
            "video": "clip",
            "turns": [
                {"role": "user", "text": "What moves to the right?"},
                {"role": "assistant", "text": f"The red box {SEG} does."},
            ],
            "masks": [[encode_rle(box_to_mask(box, *size)) for box in boxes] + [None]],
        }
        (folder / "own.jsonl").write_text(f"{json.dumps(picture)}\n{json.dumps(clip)}\n")
        return cls(folder / "own.jsonl", **options)


def _conversation(entry: dict[str, Any], number: int | None) -> tuple[tuple[Turn, ...], list[list[Any]]]:
    """The turns of a record and their masks; one question with its answer where its ``number`` is given."""
    turns = [Turn(turn["role"], turn["text"].strip()) for turn in entry["turns"]]
    masks = entry.get("masks", [])
    if number is None:
        return tuple(turns), [masks]
    start = sum(turn.text.count(SEG) for turn in turns[1 : 2 * number : 2])
    return tuple(turns[2 * number : 2 * number + 2]), [masks[start : start + turns[2 * number + 1].text.count(SEG)]]


def _asks_for_masks(entry: dict[str, Any]) -> bool:
    return "expressions" in entry or bool(entry.get("masks"))


def _describe(entry: dict[str, Any], number: int, turns: Sequence[Turn]) -> dict[str, Any]:
    """What a benchmark is told of a question."""
    if "turns" in entry:
        return {"expression": turns[0].text, "answer": turns[1].text, "kind": entry.get("kind", "")}
    expression = entry["expressions"][number]
    kind = ("none", "single", "several")[min(len(expression["masks"]), 2)]
    return {
        "expression": texts_of(expression)[0],
        "kind": expression.get("kind", entry.get("kind", kind)),
        "all_texts": texts_of(expression),
        "no_target": not expression["masks"],
    }


def _refuse_empty(are_there: Sequence[bool], medium: str) -> None:
    empty = [str(number) for number, is_there in enumerate(are_there, start=1) if not is_there]
    if empty:
        raise ValueError(
            f"mask {', '.join(empty)} covers no pixel of {medium}; draw it again, or where nothing is meant, give an "
            'expression with "masks": []'
        )


def _decoded(file: Iterator[str], path: Path) -> Iterator[str]:
    """Lines of a text file.

    Raises:
        UserError: it isn't UTF-8.
    """
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as UTF-8 text") from error
