"""RefCOCO-like samples beside the published Sa2VA's loader: a picture, five of its objects, from disk to tensors.

    python benchmarks/loading.py CHECKOUT --published-python PYTHON --write benchmarks/loading.md

CHECKOUT is a clone of github.com/bytedance/Sa2VA; PYTHON an interpreter with what it wants (tests/parity/README.md).
Pictures of 640 × 480 with objects outlined by polygons, in RefCOCO's files, which both sides read. Each side runs in a
process of its own, on one thread, and takes turns with the other; what counts is processor time, as loaders share a
machine's cores. The tiles of every picture must be equal, and as many expressions be asked about.
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from published_sa2va import Published, seeded_picture
from sides import SIDES, add_arguments, both_sides, serve

PARITY = Path(__file__).resolve().parents[1] / "tests" / "parity"
sys.path.insert(0, str(PARITY))
from sa2va_tokenizer import load_tokenizer  # noqa: E402

PICTURES, OBJECTS, SIZE = 40, 5, (480, 640)
#: What the published recipe takes: tiles of 448, at most 12 and a thumbnail; SAM 2 at 1024; 8192 tokens.
TILE, TILES, SIDE, LENGTH = 448, 12, 1024, 8192
#: Our picture may have other tiles by this much: both round Pillow's bytes once, in float32.
MAY_DIFFER = 1e-6
TARGET = 2.0


def main() -> None:
    """Runs both sides, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "bytedance/Sa2VA")
    parser.add_argument("--published-python", default=sys.executable, help="interpreter for the published code")
    arguments = parser.parse_args()
    if arguments.worker:
        serve(lambda: {"published": published_side, "ours": our_side}[arguments.worker](arguments))
        return
    with both_sides(__file__, arguments, published_python=arguments.published_python) as both:
        rounds = []
        for number in range(arguments.repeats + 1):
            times: dict[str, float] = {}
            for side in SIDES if number % 2 else SIDES[::-1]:
                times |= both[side].do("pass")
            sys.stderr.write(", ".join(f"{side} {1e3 * value:.1f} ms" for side, value in times.items()) + "\n")
            rounds.append(times)
        compare(arguments.folder)
    written = table(rounds[1:], arguments)
    if arguments.write:
        arguments.write.write_text(written)
    sys.stdout.write(written)


def compare(folder: Path) -> None:
    """Ends the program where the sides have not made the same of a picture."""
    made = [np.load(folder / f"{side}.npz") for side in SIDES]
    for name in sorted(made[0].files):
        one, other = (of_side[name] for of_side in made)
        if one.shape != other.shape or np.abs(one - other).max() > MAY_DIFFER:
            raise SystemExit(f"{name}: the sides don't make the same of it, {one.shape} and {other.shape}")


def table(rounds: list[dict[str, float]], arguments: argparse.Namespace) -> str:
    """The results as Markdown."""
    sides = {side: [1e3 * times[side] for times in rounds] for side in SIDES}
    cells = [f"{statistics.median(of):.1f} ({min(of):.1f}-{max(of):.1f})" for of in sides.values()]
    rate = statistics.median(sides["published"]) / statistics.median(sides["ours"])
    lines = [
        "# Loading RefCOCO-like samples beside the published Sa2VA",
        "",
        "`python benchmarks/loading.py CHECKOUT --published-python PYTHON --write benchmarks/loading.md`",
        "",
        f"Processor milliseconds a sample, a picture of {SIZE[1]} × {SIZE[0]} with {OBJECTS} expressions: medians of "
        f"{arguments.repeats} passes over {PICTURES} pictures, and the range. The sides take turns in one run and make "
        "the same tiles.",
        "",
        "| published | ours | rate | asked for |",
        "|---|---|---|---|",
        f"| {cells[0]} | {cells[1]} | {rate:.2f} × | {TARGET:g} × |",
        "",
        f"Setting: 1 thread, torch {torch.__version__}; tiles of {TILE}, at most {TILES} and a thumbnail; {SIDE} × "
        f"{SIDE} for SAM 2, which the published loader leaves as bytes and ours gives in normalised floats.",
        "",
    ]
    return "\n".join(lines)


# -- the data --------------------------------------------------------------------------------------------------------


def write_data(folder: Path) -> None:
    """RefCOCO's files, of pictures with some grain, so that a JPEG has something to decode."""
    pictures = folder / "coco2014" / "train2014"
    pictures.mkdir(parents=True)
    random = np.random.RandomState(0)
    images, annotations, references = [], [], []
    for number in range(PICTURES):
        grain = random.randint(-20, 21, (*SIZE, 3))
        picture = np.clip(seeded_picture(number, *SIZE).astype(int) + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(pictures / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
        images.append({"id": number, "file_name": f"{number}.jpg", "height": SIZE[0], "width": SIZE[1]})
        for place in range(OBJECTS):
            key = number * OBJECTS + place
            annotations.append(
                {"id": key, "image_id": number, "category_id": 1, "iscrowd": 0, "segmentation": [outline(random)]}
            )
            sentences = [{"sent_id": key, "sent": text, "raw": text} for text in (f"the red car {place}",)]
            references.append(
                {"ref_id": key, "ann_id": key, "image_id": number, "split": "train", "sentences": sentences}
            )
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(references, protocol=2))


def outline(random: np.random.RandomState) -> list[float]:
    """A polygon of 40 corners around a point, x and y in turn."""
    angles = np.arange(40) * 2 * np.pi / 40
    radius = random.uniform(30, 90) * (1 + 0.2 * random.uniform(-1, 1, 40))
    x, y = random.uniform(100, SIZE[1] - 100), random.uniform(100, SIZE[0] - 100)
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    return [float(value) for value in points.flatten()]


# -- a side ----------------------------------------------------------------------------------------------------------

Pass = Callable[[str], dict[str, float]]


def passes(side: str, load: Callable[[int], Any], tiles: Callable[[Any], torch.Tensor], folder: Path) -> Pass:
    """Asked, goes over all pictures and tells the seconds a sample.

    Args:
        side: whose.
        load: a sample by its index.
        tiles: of a sample.
        folder: for what is compared.
    """

    def run(_: str) -> dict[str, float]:
        start = time.process_time()
        for index in range(PICTURES):
            load(index)
        seconds = (time.process_time() - start) / PICTURES
        np.savez(folder / f"{side}.npz", tiles=tiles(load(0)).numpy())
        return {side: seconds}

    return run


def published_side(arguments: argparse.Namespace) -> Pass:
    """``Sa2VA01RefSeg``, as its configs build it."""
    torch.set_num_threads(1)
    published = Published(arguments.checkout)
    write_data(arguments.folder / "refcoco")
    dataset = published.module("projects.sa2va.datasets.sa2va_data_01_refseg").Sa2VA01RefSeg(
        data_root=str(arguments.folder / "refcoco"),
        data_prefix=dict(img_path="coco2014/train2014/"),
        ann_file="instances.json",
        split_file="refs(unc).p",
        num_classes_per_sample=OBJECTS,
        tokenizer=load_tokenizer(PARITY / "sa2va"),
        prompt_template=published.template("qwen_chat"),
        extra_image_processor=published.chat.DirectResize(SIDE),
        max_length=LENGTH,
    )
    # Its own order is drawn; both sides shall look at the same pictures.
    paths = {Path(dataset.get_data_info(index)["img_path"]).name: index for index in range(PICTURES)}
    return passes(
        "published",
        lambda index: dataset.prepare_data(paths[f"{index}.jpg"]),
        lambda sample: sample["pixel_values"],
        arguments.folder,
    )


def our_side(arguments: argparse.Namespace) -> Pass:
    """``RefCOCO`` and the encoder that training has, in a process that is set up as a worker of its loader."""
    from word2mask.data.encode import Encoder
    from word2mask.data.sources.refcoco import RefCOCO
    from word2mask.engine.heap import keep_freed_memory
    from word2mask.engine.loading import KEPT_BYTES
    from word2mask.mllms.internvl_processor import InternVLProcessor
    from word2mask.segmenters.interface import FrameProcessor
    from word2mask.text.templates import CHAT_TEMPLATES

    torch.set_num_threads(1)
    keep_freed_memory(KEPT_BYTES)
    source = RefCOCO(arguments.folder / "refcoco", expressions_per_sample=OBJECTS)
    processor = InternVLProcessor(
        load_tokenizer(PARITY / "sa2va"), CHAT_TEMPLATES["qwen_chat"], TILES, TILE, TILE // 28
    )
    encoder = Encoder(processor, FrameProcessor(SIDE, "bicubic"), LENGTH)
    random = np.random.default_rng(0)

    def load(index: int) -> Any:
        example = encoder(source.read(index, random))
        if len(example.seg_positions) != OBJECTS:
            raise SystemExit(f"{len(example.seg_positions)} objects in a sample, not {OBJECTS}")
        return example

    return passes("ours", load, lambda example: example.mllm_media["pixel_values"], arguments.folder)


if __name__ == "__main__":
    main()
