"""What is saved by not doing a thing twice: a second turn beside the first, many objects at once beside one at a time.

    python benchmarks/asking.py MODEL --write benchmarks/asking.md

MODEL is a folder that convert_to_hf.py wrote, such as the one that tools/quickstart.sh leaves. Both sides of a row have
the same weights, take turns in one run, and are timed by the processor, not the wall, so that whatever else the machine
does falls on neither. Figures are ratios of medians; times would be those of this machine alone.

"One at a time" does what the published ``predict_forward`` does: each object has a state of its own, so all frames pass
the image encoder once per object, and each object is followed by itself. It is done here with our own parts; decoding
and resizing happen once on both sides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "projects"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from word2mask.inference.frames import look  # noqa: E402
from word2mask.inference.session import Session, silent  # noqa: E402
from word2mask.segmenters.tracker import Tracker  # noqa: E402
from word2mask.text.special_tokens import SEG  # noqa: E402
from word2mask.types import Media, Request, Turn  # noqa: E402

FRAMES, SIDE, OBJECTS = 20, 256, 5
QUESTIONS = ("Please segment the red circle.", "Please segment the green square.")
#: Of the first turn's time, and of the time of one at a time.
TARGETS = {"turns": 0.2, "objects": 0.3}


def main() -> None:
    """Times both rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder that convert_to_hf.py wrote")
    parser.add_argument("--repeats", type=int, default=5, help="medians of how many")
    parser.add_argument("--write", type=Path, help="the table, in Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    session, video = Session.from_pretrained(arguments.model), draw_video()
    turns(session, video)  # once for nothing: what is made at the first use
    found = {
        "turns": [turns(session, video) for _ in range(arguments.repeats)],
        "objects": [objects(session, video) for _ in range(arguments.repeats)],
    }
    text = table(found)
    sys.stdout.write(text)
    if arguments.write:
        arguments.write.write_text(text)


def draw_video() -> Media:
    """A red disc and a green square that cross a grey field."""
    import cv2

    frames = np.full((FRAMES, SIDE, SIDE, 3), 128, dtype=np.uint8)
    for index, frame in enumerate(frames):
        place = 40 + index * 8
        cv2.circle(frame, (place, SIDE // 3), 26, (220, 40, 40), -1)
        cv2.rectangle(frame, (SIDE - place - 22, 160), (SIDE - place + 22, 204), (60, 200, 60), -1)
    return Media("video", frames, tuple(range(FRAMES)), "drawn")


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def turns(session: Session, video: Media) -> tuple[float, float]:
    """Seconds of the second turn and of the first."""
    talk = session.converse(video)
    first, second = (seconds(lambda text=text: talk.ask(text)) for text in QUESTIONS)
    if SEG not in talk.turns[1].text or SEG not in talk.turns[3].text:
        raise SystemExit("the model answered without a mask; give one that was trained to ground")
    return second, first


def objects(session: Session, video: Media) -> tuple[float, float]:
    """Seconds of many objects in one batch, and one at a time; the words are read once on both sides."""
    request = Request((Turn("user", QUESTIONS[0]),), video, answer=" ".join([SEG] * OBJECTS))
    together = seconds(lambda: [None for _ in session.track(request)])
    return together, seconds(lambda: one_at_a_time(session, request))


@torch.no_grad()
def one_at_a_time(session: Session, request: Request) -> None:
    """Every object by itself, every frame encoded for it anew."""
    model, finder = session.model, session.finder
    propagator = model.segmenter.propagator() if session.propagate_with == "original" else model.segmenter
    job = session.prepare(request, "request")
    (written,) = session._write([job], silent)
    (prompts,) = model.prompts([written.states])
    view = look(request.media, session.key_frame_choice, session.key_frames, tracks=True)
    pixels = model.segmenter.processor.prepare_frames(request.media.frames)
    for prompt in prompts.split(1):
        features = [propagator.encode_frames(frame[None]) for frame in pixels]
        keys = model.encode_frames(pixels[list(view.indices)]) if propagator is not model.segmenter else None
        known = keys or type(features[0]).concatenate([features[frame] for frame in view.indices])
        every = torch.arange(len(view.indices))[None]
        (found,) = model.segment(known, [prompt], [every], [len(view.indices)])
        places = finder._conditioning(found)[0][1]
        key_logits = {view.indices[place]: found.mask_logits[:, place] for place in places}
        for _, mask_logits, _ in Tracker(propagator).track(features.__getitem__, key_logits, FRAMES):
            finder.at_original_size(mask_logits, view.source.size)


def table(found: dict[str, list[tuple[float, float]]]) -> str:
    """The result in Markdown: ratios of medians, and the range of the single ratios."""
    names = {
        "turns": f"second turn / first turn, {FRAMES} frames",
        "objects": f"{OBJECTS} objects together / one at a time, {FRAMES} frames",
    }
    lines = [
        "# Asking: what isn't done twice",
        "",
        "`python benchmarks/asking.py MODEL --write benchmarks/asking.md`",
        "",
        "| what | ratio of time | range | target |",
        "|---|---|---|---|",
    ]
    for name, pairs in found.items():
        ratio = statistics.median(one for one, _ in pairs) / statistics.median(other for _, other in pairs)
        single = [one / other for one, other in pairs]
        lines.append(f"| {names[name]} | {ratio:.2f} | {min(single):.2f}-{max(single):.2f} | {TARGETS[name]} |")
    repeats = len(next(iter(found.values())))
    lines += [
        "",
        f"Setting: the model of `tools/quickstart.sh`, frames of {SIDE} × {SIDE} in memory, float32, one thread, "
        f"medians of {repeats}, processor time. One at a time is the published procedure done with our own parts, "
        "not the published program: all frames encoded once per object.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
