"""Asking beside the published Sa2VA, on equal weights: a picture, a video with five objects; and a second turn.

    python benchmarks/asking.py CHECKOUT --published-python PYTHON --write benchmarks/asking.md

CHECKOUT is a clone of github.com/bytedance/Sa2VA; PYTHON an interpreter with what it wants (tests/parity/README.md).
Each side runs in a process of its own, on one thread. Time is the processor's, not the wall's, and the sides take
turns, so that whatever else the machine does falls on neither or both; a row shows medians over the repeats and the
range. The weights are random and say nothing of themselves, so a hook on the output layer has both sides write the same
answer, token by token; all else is theirs. Masks of the like-for-like rows are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from published_sa2va import OnCpu, Published, Script, seeded_picture
from sides import SIDES, Worker, add_arguments, both_sides, serve
from training_step import GEOMETRY, PARITY

sys.path.insert(0, str(PARITY))
from sa2va_tokenizer import GROUNDING

IMAGE, VIDEO, FRAMES, OBJECTS = (448, 448), (240, 320), 20, 5
#: The token of an object; the published side, whose interpreter knows nothing of word2mask, needs its spelling too.
MARK, STOP = GROUNDING[0], "<|im_end|>"
QUESTIONS = ("Can you segment the dog in this image?", "Please segment the red car in this image.")
ONE = ("It", "Ġis", "Ġ", MARK, ".", STOP)
MANY = (*(piece for _ in range(OBJECTS) for piece in (MARK, ",")), STOP)
WORDS = ("It", "Ġis", "Ġthe", "Ġdog", ".", STOP)
#: Row → its name, what is measured against what, and the ratio that was aimed at.
ROWS = {
    "image": ("a picture, one mask", "ours", "published", 0.7),
    "image_default": ("the same, our default session", "ours", "published", 0.7),
    "video": (f"{FRAMES} frames, {OBJECTS} objects", "ours", "published", 0.3),
    "video_default": ("the same, our default session", "ours", "published", 0.3),
    "turn_mask": (f"second turn about {FRAMES} frames, with a mask, against the first", "second", "first", 0.2),
    "turn_words": ("the same, the second answered in words", "second", "first", 0.2),
}
#: Rows whose masks are compared with the published ones, and the share of pixels that may differ.
COMPARED, MAY_DIFFER = ("image", "video"), 1e-3


def main() -> None:
    """Runs both sides, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "bytedance/Sa2VA")
    parser.add_argument("--published-python", default=sys.executable, help="interpreter for the published code")
    parser.add_argument("--side", type=int, default=GEOMETRY.side, help="of SAM 2's input")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="rows of the table")
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    with both_sides(__file__, arguments, ["--side", str(arguments.side)], arguments.published_python) as both:
        found: dict[str, list[tuple[float, float]]] = {}
        for row in arguments.rows:
            found[row] = measured(row, both, arguments)
            if arguments.write:  # a long run that is cut short leaves what it has found
                arguments.write.write_text(table(found, arguments))
    sys.stdout.write(table(found, arguments))


def measured(row: str, workers: dict[str, Worker], arguments: argparse.Namespace) -> list[tuple[float, float]]:
    """Seconds of the one and of the other, round by round; the first round is thrown away."""
    _, one, other, _ = ROWS[row]
    sides = SIDES if other == "published" else ("ours",)
    rounds = []
    for number in range(arguments.repeats + 1):
        times: dict[str, float] = {}
        for side in sides if number % 2 else sides[::-1]:
            times |= workers[side].do(row)
        sys.stderr.write(f"{row}: " + ", ".join(f"{key} {value:.2f} s" for key, value in times.items()) + "\n")
        rounds.append((times[one], times[other]))
    if row in COMPARED:
        masks = [np.load(arguments.folder / f"{row}_{side}.npy") for side in SIDES]
        if masks[0].shape != masks[1].shape or (masks[0] != masks[1]).mean() > MAY_DIFFER:
            raise SystemExit(f"{row}: the sides don't find the same masks")
    return rounds[1:]


def table(found: dict[str, list[tuple[float, float]]], arguments: argparse.Namespace) -> str:
    """The results as Markdown."""
    lines = [
        "# Asking beside the published Sa2VA",
        "",
        "`python benchmarks/asking.py CHECKOUT --published-python PYTHON "
        f"--side {arguments.side} --write benchmarks/asking.md`",
        "",
        f"Processor seconds: medians of {arguments.repeats} and the range. The sides take turns in one run, on equal "
        'weights, and write the same answer. "Published" is `predict_forward`; ours beside it is '
        '`Session(procedure="sa2va", key_frame_choice="first")`, whose masks are the same (at most '
        f"{MAY_DIFFER:.1%} of the pixels differ, or the program ends). The default session follows Sa2VA-i: uniform "
        "key frames, and the tracker gets their masks. A second turn is one of `Session.converse`, our default.",
        "",
        "| what | published, or first turn, s | ours, or second turn, s | ratio | target |",
        "|---|---|---|---|---|",
    ]
    for row, rounds in found.items():
        name, _, _, target = ROWS[row]
        ones, others = ([pair[place] for pair in rounds] for place in (0, 1))
        cells = [f"{statistics.median(side):.2f} ({min(side):.2f}-{max(side):.2f})" for side in (others, ones)]
        ratio = statistics.median(ones) / statistics.median(others)
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} | {target} |")
    geometry = replace(GEOMETRY, side=arguments.side)
    lines += [
        "",
        f"Setting: 1 thread, float32, torch {torch.__version__}; a picture of "
        f"{IMAGE[0]} × {IMAGE[1]}, frames of {VIDEO[0]} × {VIDEO[1]} (height × width) in memory. Geometry: "
        f"{', '.join(f'{name} {value}' for name, value in asdict(geometry).items())}.",
        "",
    ]
    return "\n".join(lines)


# -- a side ----------------------------------------------------------------------------------------------------------

#: Row → seconds by what they are of.
Rows = dict[str, Callable[[str], dict[str, float]]]


def work(arguments: argparse.Namespace) -> None:
    """Is one side."""

    def build() -> Callable[[str], dict[str, float]]:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        rows = {"published": published_side, "ours": our_side}[arguments.worker](arguments)
        return lambda row: rows[row](row)

    serve(build)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of some work, and what it gave."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def pictures(row: str) -> list[np.ndarray]:
    """The frames that a row is about."""
    count, size = (1, IMAGE) if row.startswith("image") else (FRAMES, VIDEO)
    return [seeded_picture(index, *size) for index in range(count)]


def spoken(row: str) -> Sequence[str]:
    """The answer that a row is about."""
    return MANY if row.startswith("video") else ONE


def published_side(arguments: argparse.Namespace) -> Rows:
    """``predict_forward``."""
    published = Published(arguments.checkout)  # first: it lets torchvision be imported
    import make_sa2va
    from PIL import Image

    tokenizer = make_sa2va.load_tokenizer(PARITY / "sa2va")
    geometry = replace(GEOMETRY, side=arguments.side)
    model = published.model(geometry)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    (arguments.folder / "shapes.json").write_text(json.dumps(shapes))
    (arguments.folder / "config.json").write_text(json.dumps(model.config.to_dict(), default=str))
    published.prepare_for_prediction(model, geometry, tokenizer, max_new_tokens=len(MANY) + 1)
    script = Script(model.language_model.lm_head, tokenizer)

    def ask(row: str) -> dict[str, float]:
        frames = [Image.fromarray(frame) for frame in pictures(row)]
        media = {"image": frames[0]} if row.startswith("image") else {"video": frames}
        script.start(spoken(row))
        with OnCpu(), torch.no_grad():
            seconds, answer = timed(
                lambda: model.predict_forward(**media, text="<image>\n" + QUESTIONS[0], tokenizer=tokenizer)
            )
        if row in COMPARED:
            np.save(arguments.folder / f"{row}_published.npy", np.stack(answer["prediction_masks"]))
        return {"published": seconds}

    return dict.fromkeys(ROWS, ask)


def our_side(arguments: argparse.Namespace) -> Rows:
    """Sessions and conversations."""
    from equal_weights import equal_model
    from transformers import PreTrainedTokenizerFast

    from word2mask.inference.session import Session
    from word2mask.types import Media, Request, Turn

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(PARITY / "sa2va" / "tokenizer.json"), eos_token=STOP, pad_token="<|endoftext|>"
    )
    shapes, raw = (json.loads((arguments.folder / f"{name}.json").read_text()) for name in ("shapes", "config"))
    model = equal_model(replace(GEOMETRY, side=arguments.side), shapes, raw, tokenizer)
    script = Script(model.mllm.model.lm_head, model.mllm.tokenizer)
    alike, default = Session(model, key_frame_choice="first", procedure="sa2va"), Session(model)

    def media(row: str) -> Media:
        frames = np.stack(pictures(row))
        return Media("image" if row.startswith("image") else "video", frames, tuple(range(len(frames))), row)

    def ask(row: str) -> dict[str, float]:
        request = Request((Turn("user", QUESTIONS[0]),), media(row))
        session = default if row.endswith("default") else alike
        script.start(spoken(row))
        seconds, answer = timed(lambda: session.ask(request))
        if row in COMPARED:
            np.save(arguments.folder / f"{row}_ours.npy", np.stack([own.masks for own in answer.segments]))
        return {"ours": seconds}

    def turns(row: str) -> dict[str, float]:
        talk, times = default.converse(media(row)), {}
        scripts = (ONE, WORDS if row == "turn_words" else ONE)
        for name, question, answer in zip(("first", "second"), QUESTIONS, scripts, strict=True):
            script.start(answer)
            times[name], found = timed(lambda question=question: talk.ask(question))
            if len(found.segments) != answer.count(MARK):
                raise SystemExit(f"{row}: {len(found.segments)} masks in the {name} turn")
        return times

    return {row: turns if row.startswith("turn") else ask for row in ROWS}


if __name__ == "__main__":
    main()
