"""Expressions for photographs with instance annotations in COCO's format, as a data set that OwnData reads.

    python tools/make_photo_expressions.py INSTANCES.json IMAGES FOLDER [--held-out 0.3] [--mirrored]

Writes FOLDER/train.jsonl and FOLDER/val.jsonl, split by picture; the pictures stay where they are. With --mirrored,
FOLDER/mirrored.jsonl says of the training pictures in the mirror what is true there; these are written to
FOLDER/mirrored/, once and for all, so that what frozen encoders make of them can be kept.
Exit codes: 0 done, 2 something to put right (one sentence says what).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "projects"))

from word2mask.data.convert.photo_expressions import mirrored, read_things, record, split_of  # noqa: E402
from word2mask.data.outputs import new_folder  # noqa: E402
from word2mask.data.pictures import decode_image  # noqa: E402
from word2mask.errors import UserError  # noqa: E402


def write(arguments: argparse.Namespace) -> str:
    """All records; returns what was written, by split and kind."""
    try:
        content: dict[str, Any] = json.loads(arguments.instances.read_text(encoding="utf-8"))
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        images = sorted(content["images"], key=lambda entry: entry["file_name"])
        by_picture: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            by_picture[annotation["image_id"]].append(annotation)
    except OSError as error:
        raise UserError(
            f"{arguments.instances}: can't be read ({error.strerror}); give the JSON of instance annotations"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{arguments.instances}: not instance annotations in COCO's format ({type(error).__name__}: {error})"
        ) from None
    splits = ["train", "val", *(["mirrored"] if arguments.mirrored else [])]
    counts: dict[str, Counter[str]] = {split: Counter() for split in splits}
    with new_folder(arguments.folder, arguments.overwrite) as folder:
        files = {split: (folder / f"{split}.jsonl").open("w", encoding="utf-8") for split in counts}
        for image in images[: arguments.limit]:
            path = arguments.images / image["file_name"]
            picture = decode_image(path)
            if picture.shape[:2] != (image["height"], image["width"]):
                raise UserError(
                    f"{path}: {picture.shape[:2]} (height, width), the annotations say "
                    f"{(image['height'], image['width'])}; give the pictures that belong to them"
                )
            things = read_things(by_picture[image["id"]], names, picture.shape[:2])
            name, split = Path(image["file_name"]).stem, split_of(image["file_name"], arguments.held_out)
            views = [(split, os.path.relpath(path.resolve(), arguments.folder.resolve()), (picture, things))]
            if arguments.mirrored and split == "train":
                views.append(("mirrored", f"mirrored/{name}.png", mirrored(picture, things)))
            for view, relative, shown in views:
                entry = record(*shown, relative, name, sorted(names.values()))
                if entry is None:
                    counts[view]["pictures without a word"] += 1
                    continue
                if view == "mirrored":
                    (folder / relative).parent.mkdir(exist_ok=True)
                    Image.fromarray(shown[0]).save(folder / relative)
                files[view].write(json.dumps(entry, ensure_ascii=False) + "\n")
                counts[view]["pictures"] += 1
                counts[view].update(expression["kind"] for expression in entry["expressions"])
        for file in files.values():
            file.close()
    return "".join(
        f"{split}: {', '.join(f'{n} {kind}' for kind, n in found.items())}\n" for split, found in counts.items()
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make expressions for photographs with instance annotations.")
    parser.add_argument("instances", type=Path, help="annotations in COCO's format")
    parser.add_argument("images", type=Path, help="the folder of the pictures")
    parser.add_argument("folder", type=Path, help="what to write")
    parser.add_argument("--held-out", type=float, default=0.3, help="share of the pictures that val.jsonl gets")
    parser.add_argument("--mirrored", action="store_true", help="the training pictures in the mirror as well")
    parser.add_argument("--limit", type=int, help="the first so many pictures, by name")
    parser.add_argument("--overwrite", action="store_true", help="replace what lies at FOLDER")
    arguments = parser.parse_args()
    try:
        sys.stdout.write(write(arguments))
    except UserError as error:
        sys.stderr.write(f"make_photo_expressions: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
