"""Turn the export of an annotation program into word2mask's own JSONL.

    python tools/convert_dataset.py FORMAT INPUT --out DIR|FILE.jsonl [--images FOLDER …] [--names FILE] …

FORMAT is ``coco``, ``labelme``, ``cvat`` or ``label_studio``; INPUT is the file that was exported, for ``labelme`` the
folder. With a DIR, the pictures are copied beside ``train.jsonl`` in it, so that it can be moved; with a FILE, they
stay where they are. What was read, written and skipped, and why, is told at the end.

Exit codes: 0 done, 2 something to put right (one sentence says what).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.errors import UserError  # noqa: E402

FORMATS = ("coco", "labelme", "cvat", "label_studio")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Turn the export of an annotation program into word2mask's own JSONL.")
    parser.add_argument("format", choices=FORMATS, help="of the export")
    parser.add_argument("input", type=Path, help="the exported file; for labelme the folder")
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder, which gets copies of the pictures, or a .jsonl file"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what lies at --out")
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="where the pictures (label_studio: and videos) lie; beside INPUT without",
    )
    parser.add_argument("--skip-missing", action="store_true", help="leave out pictures that aren't on disk")
    parser.add_argument("--video", type=Path, help="cvat, for video: the video, or its folder of frames")
    parser.add_argument("--text", metavar="NAME", help="coco, cvat: key or attribute of an object that says what it is")
    parser.add_argument("--names", type=Path, metavar="FILE", help="JSON: label → text, texts, or null to leave it out")
    parser.add_argument(
        "--instances",
        choices=("all", "single", "each"),
        default="all",
        help="an expression for all objects of a label (default), only where it has one, or for each object",
    )
    parser.add_argument(
        "--absent",
        type=int,
        default=0,
        metavar="N",
        help="also ask for N labels that a picture doesn't show; only where every object is annotated",
    )
    return parser.parse_args(arguments)


def convert(arguments: argparse.Namespace) -> str:
    """Read, word and write; returns the summary.

    Raises:
        UserError: anything that the user can put right.
    """
    from word2mask.data.convert.annotated import Tally, Wording, records

    if not arguments.input.exists():
        raise UserError(f"{arguments.input}: no such file or folder; give what the annotation program exported")
    for folder in arguments.images:
        if not folder.is_dir():
            raise UserError(f"--images {folder}: no such folder")
    if arguments.absent < 0:
        raise UserError(f"--absent {arguments.absent}: give a number from 0")
    tally = Tally()
    wording = Wording(read_names(arguments.names), arguments.instances, arguments.absent)
    entries = records(annotated(arguments, tally), wording, tally)
    if arguments.out.suffix == ".jsonl":
        write_file(arguments.out, entries, arguments.overwrite)
        written = arguments.out
    else:
        write_folder(arguments.out, entries, arguments.overwrite)
        written = arguments.out / "train.jsonl"
    return f"{tally.summary()}\nto       {written}"


def annotated(arguments: argparse.Namespace, tally: Any) -> Iterator[Any]:
    """What the export holds."""
    from word2mask.data.convert.annotated import Media

    for option, formats in (("video", ("cvat",)), ("text", ("coco", "cvat"))):
        if getattr(arguments, option) is not None and arguments.format not in formats:
            raise UserError(f"--{option} is for {' and '.join(formats)}, not for {arguments.format}; leave it out")
    beside = arguments.input if arguments.input.is_dir() else arguments.input.parent
    media = Media(tuple(arguments.images) or (beside, beside / "images"), arguments.skip_missing)
    if arguments.format == "coco":
        from word2mask.data.convert.coco import read_coco

        return read_coco(arguments.input, media, tally, arguments.text)
    if arguments.format == "labelme":
        from word2mask.data.convert.labelme import read_labelme

        return read_labelme(arguments.input, media, tally)
    if arguments.format == "cvat":
        from word2mask.data.convert.cvat import read_cvat

        return read_cvat(arguments.input, media, tally, arguments.text, arguments.video)
    from word2mask.data.convert.label_studio import read_label_studio

    return read_label_studio(arguments.input, media, tally)


def read_names(path: Path | None) -> dict[str, Any]:
    """``--names``: label → text, list of texts, or ``None``.

    Raises:
        UserError: it holds anything else.
    """
    if path is None:
        return {}
    from word2mask.data.annotations import load_json

    names = load_json(path, dict)
    for label, text in names.items():
        texts = text if isinstance(text, list) and text else [text]
        if text is not None and not all(isinstance(one, str) and one.strip() for one in texts):
            raise UserError(f"{path}: {label!r} is {text!r}; expected a text, a list of texts, or null")
    return names


def write_file(path: Path, entries: Iterator[tuple[dict[str, Any], Any]], overwrite: bool) -> None:
    """The JSONL alone; pictures stay where they are, and paths lead to them from its folder."""
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; give another name, or --overwrite to replace it")
    lines = [line(entry, item, os.path.relpath(item.path, path.parent)) for entry, item in entries]
    refuse_empty(lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_name(f".{path.name}.{os.getpid()}")
        work.write_text("".join(lines), encoding="utf-8")
        work.replace(path)
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror}); choose a place that you may write") from error


def write_folder(target: Path, entries: Iterator[tuple[dict[str, Any], Any]], overwrite: bool) -> None:
    """``train.jsonl`` and copies of the pictures; the folder appears when it is complete."""
    from word2mask.export.folder import new_folder

    with new_folder(target, overwrite) as folder:
        taken: dict[str, Path] = {}
        lines = []
        for entry, item in entries:
            name = f"{'videos' if item.is_video else 'images'}/{item.path.name}"
            if taken.setdefault(name, item.path) != item.path:
                raise UserError(
                    f"{taken[name]} and {item.path} have the same name; give --out FILE.jsonl, which leaves them "
                    "where they are"
                )
            place = folder / name
            place.parent.mkdir(exist_ok=True)
            if item.path.is_dir():
                shutil.copytree(item.path, place, dirs_exist_ok=True)
            else:
                shutil.copyfile(item.path, place)
            lines.append(line(entry, item, name))
        refuse_empty(lines)
        (folder / "train.jsonl").write_text("".join(lines), encoding="utf-8")


def line(entry: dict[str, Any], item: Any, path: str) -> str:
    """A record as a line of the JSONL."""
    medium = "video" if item.is_video else "image"
    ordered = {"id": entry["id"], medium: Path(path).as_posix()} | entry
    return json.dumps(ordered, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def refuse_empty(lines: list[str]) -> None:
    """Raise UserError when there is nothing to write."""
    if not lines:
        raise UserError("nothing in the export can be used; is it the right format, and is anything annotated?")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        summary = convert(parse_arguments(arguments))
    except UserError as error:
        sys.stderr.write(f"convert_dataset: {error}\n")
        return 2
    sys.stdout.write(f"{summary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
