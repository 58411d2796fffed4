"""A training step beside the published Sa2VA: time and peak memory on equal weights, samples and trained parameters.

    python benchmarks/training_step.py CHECKOUT --published-python PYTHON --write benchmarks/training_step.md

CHECKOUT is a clone of github.com/bytedance/Sa2VA; PYTHON an interpreter with what it wants (tests/parity/README.md).
Each side runs in a process of its own, so that its memory is its own, on one thread. Time is the processor's, not the
wall's, and the sides take turns, so that whatever else the machine does falls on neither or both; a row shows medians
over the repeats and the range. Linux only (/proc).

A step is forward, backward and AdamW, in float32: LoRA on the language model, its embeddings and head, the projector
and SAM 2's mask decoder train, and the language model's activations are checkpointed, as the published recipe has it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_sa2va import Geometry, Published, seeded_masks, seeded_picture
from sides import SIDES, Worker, add_arguments, both_sides, serve

PARITY = Path(__file__).resolve().parents[1] / "tests" / "parity"
OBJECTS = 5
#: Frames, height, width, and what the sample is called in the table.
SAMPLES = {
    "image": (1, 224, 448, "one image, 5 objects"),
    "video": (5, 224, 224, "5 frames, 5 objects"),
}
#: A small language model beside a SAM 2 of real width with the trunk of Meta's "tiny".
GEOMETRY = Geometry(
    vocabulary=8192,
    hidden=256,
    layers=6,
    heads=4,
    intermediate=704,
    vision_hidden=128,
    vision_layers=3,
    vision_heads=2,
    tile=224,
    side=256,
    width=256,
    trunk=96,
    trunk_heads=1,
    stages=(1, 2, 7, 2),
    windows=(8, 4, 14, 7),
    everywhere=(5, 7, 9),
    memory_layers=4,
    memory_mlp=2048,
)
LORA = dict(rank=16, alpha=32, dropout=0.05)
NUM_POINTS = 12544


def main() -> None:
    """Runs both sides, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "bytedance/Sa2VA")
    parser.add_argument("--published-python", default=sys.executable, help="interpreter for the published code")
    parser.add_argument("--side", type=int, default=GEOMETRY.side, help="of SAM 2's input")
    parser.add_argument("--keep-activations", action="store_true", help="no checkpointing in ours")
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    options = ["--side", str(arguments.side)] + ["--keep-activations"] * arguments.keep_activations
    with both_sides(__file__, arguments, options, arguments.published_python) as both:
        results = measure(both, arguments.repeats)
    text = table(results, arguments)
    sys.stdout.write(text)
    if arguments.write:
        arguments.write.write_text(text)


def measure(workers: dict[str, Worker], repeats: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Steps of both sides by turns, the first of each kind thrown away: sample → side → steps."""
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for sample in SAMPLES:
        results[sample] = {side: [] for side in SIDES}
        for repeat in range(repeats + 1):
            for side in SIDES if repeat % 2 else SIDES[::-1]:
                step = workers[side].do(sample)
                results[sample][side].append(step)
                sys.stderr.write(f"{sample}, {side}: {step['seconds']:.2f} s, {step['megabytes']:.0f} MB\n")
        first = {side: steps.pop(0) for side, steps in results[sample].items()}
        texts = [first[side]["text_loss"] for side in SIDES]
        if sample == "image" and abs(texts[0] - texts[1]) > 1e-4 * abs(texts[0]):
            raise SystemExit(f"the sides don't compute the same: text losses of the first step are {texts}")
    return results


def table(results: dict[str, dict[str, list[dict[str, Any]]]], arguments: argparse.Namespace) -> str:
    """The results as Markdown."""
    geometry = replace(GEOMETRY, side=arguments.side)
    lines = [
        "# A training step beside the published Sa2VA",
        "",
        "`python benchmarks/training_step.py CHECKOUT --published-python PYTHON --write benchmarks/training_step.md`",
        "",
        f"Processor seconds and peak memory (MB, above the process at rest) of a step: medians of {arguments.repeats} "
        "and the range. The sides take turns in one run, on equal weights.",
        "",
        "| step | published, s | ours, s | time | published, MB | ours, MB | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for sample, sides in results.items():
        cells, ratios = [], []
        for key, digits in (("seconds", 2), ("megabytes", 0)):
            values = {side: [step[key] for step in sides[side]] for side in SIDES}
            middle = {side: statistics.median(values[side]) for side in SIDES}
            spread = {side: f"{min(values[side]):.{digits}f}-{max(values[side]):.{digits}f}" for side in SIDES}
            cells += [f"{middle[side]:.{digits}f} ({spread[side]})" for side in SIDES]
            ratios.append(f"{middle['ours'] / middle['published']:.2f}")
        lines.append(
            f"| {SAMPLES[sample][3]} | {cells[0]} | {cells[1]} | {ratios[0]} | {cells[2]} | {cells[3]} | {ratios[1]} |"
        )
    checkpointed = "published only" if arguments.keep_activations else "both"
    lines += [
        "",
        f"Setting: 1 thread, float32, torch {torch.__version__}; activations checkpointed: "
        f"{checkpointed}; LoRA rank {LORA['rank']}; {NUM_POINTS} points a mask. Geometry: "
        f"{', '.join(f'{name} {value}' for name, value in asdict(geometry).items())}.",
        "",
    ]
    return "\n".join(lines)


# -- a side ----------------------------------------------------------------------------------------------------------


def work(arguments: argparse.Namespace) -> None:
    """Is one side, and takes steps as asked."""

    def build() -> Callable[[str], dict[str, Any]]:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        geometry = replace(GEOMETRY, side=arguments.side)
        sys.path.insert(0, str(PARITY))
        forward, parameters = {"published": published_side, "ours": our_side}[arguments.worker](arguments, geometry)
        optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad], lr=4e-5, weight_decay=0.05)

        def step(sample: str) -> dict[str, Any]:
            optimizer.zero_grad(set_to_none=True)
            resting = reset_peak()
            start = time.process_time()
            losses, text_loss = forward(sample)
            sum(losses).backward()
            optimizer.step()
            seconds = time.process_time() - start
            return {"seconds": seconds, "megabytes": peak() - resting, "text_loss": float(text_loss.detach())}

        return step

    serve(build)


def reset_peak() -> float:
    """Gives freed memory back and forgets the process's peak; returns the memory it holds now, in MB."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> float:
    """Most memory that the process has held since :func:`reset_peak`, in MB."""
    return _status("VmHWM")


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def conversation(name: str) -> dict[str, Any]:
    """A sample with one object a turn."""
    from sa2va_cases import TRAINED

    count, height, width, _ = SAMPLES[name]
    return {"medium": (name, count, height, width), "turns": TRAINED[name]["turns"]}


Side = tuple[Callable[[str], tuple[list[torch.Tensor], torch.Tensor]], list[torch.nn.Parameter]]


def published_side(arguments: argparse.Namespace, geometry: Geometry) -> Side:
    """The published training wrapper."""
    published = Published(arguments.checkout)  # first: it lets torchvision be imported
    import make_sa2va
    from peft import LoraConfig

    tokenizer = make_sa2va.load_tokenizer(PARITY / "sa2va")
    chat = published.model(geometry)
    chat.img_context_token_id = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    shapes = {name: tuple(value.shape) for name, value in chat.state_dict().items()}
    (arguments.folder / "shapes.json").write_text(json.dumps(shapes))
    (arguments.folder / "config.json").write_text(json.dumps(chat.config.to_dict(), default=str))
    encoder = make_sa2va.Encoder(published, tokenizer, "qwen_chat", geometry)
    batches = {}
    for name in SAMPLES:
        count, height, width, _ = SAMPLES[name]
        masks = torch.from_numpy(seeded_masks(3, OBJECTS * count, height, width)).float()
        batches[name] = make_sa2va.batch_of(encoder(conversation(name)), masks)
    lora = LoraConfig(
        r=LORA["rank"],
        lora_alpha=LORA["alpha"],
        lora_dropout=LORA["dropout"],
        bias="none",
        task_type="CAUSAL_LM",
        modules_to_save=["embed_tokens", "lm_head"],
        target_modules="all-linear",
    )
    tokens = list(make_sa2va.GROUNDING)
    resize, chat.language_model.resize_token_embeddings = chat.language_model.resize_token_embeddings, lambda *_: None
    wrapper = published.trainer(chat, geometry, tokenizer, lora, special_tokens=tokens, num_points=NUM_POINTS)
    chat.language_model.base_model.model.resize_token_embeddings = resize
    chat.grounding_encoder = None  # the wrapper has its own
    wrapper.train()

    def forward(name: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        batch = {key: list(value) if isinstance(value, list) else value for key, value in batches[name].items()}
        losses = wrapper(batch)
        return list(losses.values()), losses["llm_loss"]

    return forward, list(wrapper.parameters())


def our_side(arguments: argparse.Namespace, geometry: Geometry) -> Side:
    """Ours."""
    from equal_weights import equal_model
    from transformers import PreTrainedTokenizerFast

    from word2mask.data.collate import collate
    from word2mask.data.encode import Encoder
    from word2mask.losses.grounding import GroundingLoss
    from word2mask.models.trainable import TrainablePlan
    from word2mask.types import Media, Sample, Turn

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(PARITY / "sa2va" / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    plan = TrainablePlan(
        lora_rank=LORA["rank"],
        lora_alpha=LORA["alpha"],
        lora_dropout=LORA["dropout"],
        train=("embeddings", "lm_head", "connector", "projector", "mask_decoder"),
    )
    model = equal_model(
        geometry,
        json.loads((arguments.folder / "shapes.json").read_text()),
        json.loads((arguments.folder / "config.json").read_text()),
        tokenizer,
        loss=GroundingLoss(num_points=NUM_POINTS),
        trainable=plan,
        gradient_checkpointing=not arguments.keep_activations,
    ).train()
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
    batches = {}
    for name in SAMPLES:
        count, height, width, _ = SAMPLES[name]
        frames = np.stack([seeded_picture(index, height, width) for index in range(count)])
        masks = seeded_masks(3, OBJECTS * count, height, width).reshape(OBJECTS, count, height, width)
        pairs = conversation(name)["turns"]
        turns = [Turn(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
        media = Media(name, frames, tuple(range(count)), name)
        batches[name] = collate([encoder(Sample("benchmark", name, "refer", tuple(turns), media, masks))], 0)

    def forward(name: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        losses = model(batches[name])
        return [value for key, value in losses.items() if key.startswith("loss_")], losses["loss_text"]

    return forward, list(model.parameters())


if __name__ == "__main__":
    main()
