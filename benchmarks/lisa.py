"""Asking and training beside the published LISA, on equal weights: an answer of 30 tokens with a mask, a training step.

    python benchmarks/lisa.py CHECKOUT --write benchmarks/lisa.md

CHECKOUT is a clone of github.com/dvlab-research/LISA, which runs unmodified (tests/parity/make_lisa.py says how). Each
side runs in a process of its own, on one thread. Time is the processor's, not the wall's, and the sides take turns; a
row shows medians over the repeats and the range. A hook on the output layer has both sides write the same answer, token
by token; all else is theirs. Masks of the answer and losses of the same conversations are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from published_sa2va import Script
from sides import SIDES, Worker, add_arguments, both_sides, serve

from word2mask.text.special_tokens import SEG

PARITY = Path(__file__).resolve().parents[1] / "tests" / "parity"
sys.path.insert(0, str(PARITY))
import lisa_cases as cases  # noqa: E402
import sam_cases  # noqa: E402

#: LISA-7B's proportions at 1/270 of its size: a pass of the language model costs 1.5 times SAM's image encoder.
LANGUAGE = dict(HIDDEN=512, LAYERS=8, HEADS=8, INNER=1376)
VOCABULARY = 4096
#: SAM's width and depth are small, its mask decoder as released.
SAM = dict(SIDE=512, WIDTH=192, DEPTH=12, HEADS=6, EVERYWHERE=(2, 5, 8, 11), WINDOW=14)
SAM |= dict(PROMPT_DIM=256, DECODER_MLP=2048, DECODER_HEADS=8, IOU_WIDTH=256)
CLIP = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=6, num_attention_heads=2, projection_dim=128)
PICTURE = (480, 640)
#: 30 tokens, the object's and the end's among them.
ANSWER = (*"Itissaidthatthedogsitsthere", SEG, ".", "</s>")
QUESTION = "Where is it? Please output segmentation mask."
#: As LISA's data have them: three questions about one picture, each with a mask.
TALKS = [
    ("Can you segment the dog in this image?", f"It is {SEG}."),
    ("What is red in this image? Please output segmentation mask.", f"Sure, {SEG}."),
    ("Please segment the car in this image.", f"Sure, the segmentation result is {SEG}."),
]
LORA = dict(rank=8, alpha=16, dropout=0.05)
WEIGHTS = dict(text_weight=1.0, mask_weight=2.0, dice_weight=0.5, num_points=None, dice_eps=1e-3)
#: Row → its name, the target, and whether it is measured on both sides.
ROWS = {
    "answer": (f"an answer of {len(ANSWER)} tokens with one mask", 0.3),
    "step": (f"a training step, {len(TALKS)} questions about a picture, as each trains them", 0.6),
    "step_apart": ("the same, ours too with a conversation for each question", None),
}
#: Largest difference of losses of the same conversations, and the share of a mask's pixels that may differ.
LOSS_TOLERANCE, MAY_DIFFER = 1e-4, 1e-3


def main() -> None:
    """Runs both sides, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "dvlab-research/LISA")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="rows of the table")
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    with both_sides(__file__, arguments) as both:
        compare(both)
        found: dict[str, list[dict[str, dict[str, float]]]] = {}
        for row in arguments.rows:
            found[row] = measured(row, both, arguments)
            if arguments.write:  # a run that is cut short leaves what it has found
                arguments.write.write_text(table(found, arguments))
    sys.stdout.write(table(found, arguments))


def measured(row: str, workers: dict[str, Worker], arguments: argparse.Namespace) -> list[dict[str, dict[str, float]]]:
    """What each side gave, round by round; the first round is compared and thrown away."""
    rounds = []
    for number in range(arguments.repeats + 1):
        rounds.append({side: workers[side].do(row) for side in (SIDES if number % 2 else SIDES[::-1])})
        sys.stderr.write(f"{row}: {rounds[-1]}\n")
    if row == "answer":
        masks = [np.load(arguments.folder / f"{side}.npy") for side in SIDES]
        if masks[0].shape != masks[1].shape or (masks[0] != masks[1]).mean() > MAY_DIFFER:
            raise SystemExit("the sides don't find the same mask")
    return rounds[1:]


def compare(workers: dict[str, Worker]) -> None:
    """Ends the program unless the first steps of the same conversations have the same mask losses.

    The first, because under transformers 5 a published model that was asked for hidden states sees others later.
    """
    first = {side: workers[side].do("step_apart") for side in SIDES}
    for name in ("mask", "dice"):
        one, other = (first[side][name] for side in SIDES)
        if abs(one - other) > LOSS_TOLERANCE * abs(one):
            raise SystemExit(f"the sides don't compute the same: {name} {one} and {other}")


def table(found: dict[str, list[dict[str, dict[str, float]]]], arguments: argparse.Namespace) -> str:
    """The results as Markdown."""
    lines = [
        "# Beside the published LISA",
        "",
        "`python benchmarks/lisa.py CHECKOUT --write benchmarks/lisa.md`",
        "",
        f"Processor seconds: medians of {arguments.repeats} and the range. The sides take turns in one run, on equal "
        "weights, and write the same answer. Masks of the answer are the same (at most "
        f"{MAY_DIFFER:.1%} of the pixels differ, or the program ends), and so are mask and dice losses of the same "
        f"conversations (to {LOSS_TOLERANCE:.0e}).",
        "",
        "| what | published, s | ours, s | ratio | target |",
        "|---|---|---|---|---|",
    ]
    for row, rounds in found.items():
        name, target = ROWS[row]
        values = {side: [own[side]["seconds"] for own in rounds] for side in SIDES}
        middle = {side: statistics.median(values[side]) for side in SIDES}
        cells = [f"{middle[side]:.2f} ({min(values[side]):.2f}-{max(values[side]):.2f})" for side in SIDES]
        ratio = middle["ours"] / middle["published"]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} | {'' if target is None else f'≤ {target}'} |")
    lines += ["", "Where ours spends it, in seconds (medians): " + "; ".join(parts_of(found)) + "."]
    sizes = {"language": LANGUAGE | {"vocabulary": VOCABULARY}, "CLIP": CLIP, "SAM": SAM}
    described = "; ".join(
        f"{part}: {', '.join(f'{name.lower()} {value}' for name, value in own.items())}" for part, own in sizes.items()
    )
    lines += [
        "",
        f"Setting: 1 thread, float32, torch {torch.__version__}; a picture of "
        f"{PICTURE[0]} × {PICTURE[1]} (height × width); activations checkpointed on both sides in training; LoRA of "
        f"rank {LORA['rank']} and what LISA trains besides; AdamW. The published language model has eager attention, "
        f"as in the transformers of its time. {described}.",
        "",
    ]
    return "\n".join(lines)


def parts_of(found: dict[str, list[dict[str, dict[str, float]]]]) -> list[str]:
    """Row by row the median of each timed part of ours."""
    texts = []
    for row, rounds in found.items():
        names = [name for name in rounds[0]["ours"] if name.startswith("part_")]
        medians = {name: statistics.median(own["ours"][name] for own in rounds) for name in names}
        if medians:
            shown = ", ".join(f"{name.removeprefix('part_')} {value:.2f}" for name, value in medians.items())
            texts.append(f"{ROWS[row][0]}: {shown}")
    return texts


# -- a side ----------------------------------------------------------------------------------------------------------

#: Row → what is to be told of it.
Rows = dict[str, Callable[[], dict[str, float]]]


def work(arguments: argparse.Namespace) -> None:
    """Is one side."""

    def build() -> Callable[[str], dict[str, float]]:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        scale(arguments.folder)
        rows = {"published": published_side, "ours": our_side}[arguments.worker](arguments)
        return lambda row: rows[row]()

    serve(build)


def scale(folder: Path) -> None:
    """The cases of the parity test at this program's geometry."""
    for module, values in ((cases, LANGUAGE), (sam_cases, SAM)):
        for name, value in values.items():
            setattr(module, name, value)
    cases.SHAPES = folder / "shapes.json"
    small, published = cases.clip_config(), cases.config
    cases.clip_config = lambda: small | CLIP
    cases.config = lambda num_tokens, tower: published(VOCABULARY, tower)
    cases.SIZES = [PICTURE]
    cases.CONVERSATIONS = [TALKS]
    cases.picture = lambda number: sam_cases.picture(*PICTURE)
    cases.masks = lambda number: masks()


def masks() -> np.ndarray:
    """An object for each question, bool ``[N,H,W]``."""
    found = np.zeros((len(TALKS), *PICTURE), dtype=bool)
    for index in range(len(TALKS)):
        found[index, 50 + 70 * index : 250 + 50 * index, 30 + 40 * index : 300 + 90 * index] = True
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of some work, and what it gave."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def published_side(arguments: argparse.Namespace) -> Rows:
    """``evaluate`` and ``model_forward``."""
    import make_lisa
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    make_lisa.make_importable(arguments.checkout)
    tokenizer = cases.tokenizer()
    tower = arguments.folder / "clip-small"
    clip = CLIPVisionModel(CLIPVisionConfig(**cases.clip_config()))
    clip.load_state_dict({name: cases.clip_weight(name, value.shape) for name, value in clip.state_dict().items()})
    clip.save_pretrained(tower)
    CLIPImageProcessor.from_pretrained = lambda name: None
    asked, trained = (make_lisa.build_model(str(tower), tokenizer) for _ in range(2))
    folder = arguments.folder / "LISA-small"
    tokenizer.save_pretrained(folder)
    torch.save(cases.published_weights(), folder / "pytorch_model.bin")
    step = published_step(trained, make_lisa, tokenizer)
    return {"answer": published_answer(asked, make_lisa, tokenizer, arguments), "step": step, "step_apart": step}


def published_answer(model: Any, make_lisa: Any, tokenizer: Any, arguments: argparse.Namespace) -> Callable:
    """The picture prepared as ``chat.py`` does it, then ``evaluate``."""
    from model.llava import conversation as conversation_lib
    from model.llava.mm_utils import tokenizer_image_token

    model.eval()
    model.generate = lambda images, input_ids, max_new_tokens, **_: make_lisa.greedy(
        model, images, input_ids, max_new_tokens
    )
    script = Script(model.lm_head, tokenizer)

    def ask() -> Any:
        item = make_lisa.batch(tokenizer)[0]
        talk = conversation_lib.conv_templates["llava_v1"].copy()
        talk.messages = []
        talk.append_message(talk.roles[0], f"<im_start><image><im_end>\n{QUESTION}")
        talk.append_message(talk.roles[1], "")
        ids = tokenizer_image_token(talk.get_prompt(), tokenizer, return_tensors="pt")[None]
        with torch.no_grad():
            return model.evaluate(
                item[2][None], item[1][None], ids, [item[6]], [PICTURE], max_new_tokens=len(ANSWER) + 1
            )

    sam = make_lisa.build_sam()
    make_lisa.build_sam = lambda checkpoint=None: sam  # only its preprocessing is used

    def answer() -> dict[str, float]:
        script.start(ANSWER)
        seconds, (_, found) = timed(ask)
        np.save(arguments.folder / "published.npy", (found[0] > 0).numpy())
        return {"seconds": seconds}

    return answer


def published_step(model: Any, make_lisa: Any, tokenizer: Any) -> Callable:
    """A step as ``train_ds.py`` sets it up, with torch's AdamW in DeepSpeed's place."""
    from peft import LoraConfig, get_peft_model
    from utils.dataset import collate_fn

    model.enable_input_require_grads()
    model.gradient_checkpointing_enable()
    frozen = (model.get_model().get_vision_tower(), model.get_model().mm_projector)
    for module in frozen:
        module.requires_grad_(False)
    others = ("visual_model", "vision_tower", "mm_projector", "text_hidden_fcs")
    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and not any(other in name for other in others)
        and any(layer in name for layer in ("q_proj", "v_proj"))
    ]
    lora = LoraConfig(
        r=LORA["rank"],
        lora_alpha=LORA["alpha"],
        lora_dropout=LORA["dropout"],
        target_modules=targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, lora)
    for name, parameter in wrapped.named_parameters():
        if any(part in name for part in ("lm_head", "embed_tokens", "mask_decoder", "text_hidden_fcs")):
            parameter.requires_grad = True
    optimizer = optimizer_of(wrapped)
    tokenizer.model_max_length = 512
    wrapped.train()

    def step() -> dict[str, float]:
        given = collate_fn(make_lisa.batch(tokenizer), tokenizer=tokenizer)  # a data worker's business

        def run() -> dict[str, torch.Tensor]:
            optimizer.zero_grad(set_to_none=True)
            losses = wrapped(**given)
            losses["loss"].backward()
            optimizer.step()
            return losses

        seconds, losses = timed(run)
        return {
            "seconds": seconds,
            "text": losses["ce_loss"].item(),
            "mask": losses["mask_bce_loss"].item(),
            "dice": losses["mask_dice_loss"].item(),
        }

    return step


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    """What both sides train with; a rate so small that later rounds see the first one's weights."""
    return torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=1e-12, weight_decay=0.0)


def our_side(arguments: argparse.Namespace) -> Rows:
    """A session, and the model that trains."""
    from transformers import SamConfig

    from word2mask.models.folder import load_grounded
    from word2mask.segmenters.sam_files import sam_config

    described = sam_config("vit_b", side=SAM["SIDE"]).to_diff_dict()
    described["vision_config"] |= dict(
        hidden_size=SAM["WIDTH"],
        num_hidden_layers=SAM["DEPTH"],
        num_attention_heads=SAM["HEADS"],
        global_attn_indexes=list(SAM["EVERYWHERE"]),
        window_size=SAM["WINDOW"],
        mlp_dim=4 * SAM["WIDTH"],
    )
    folder = arguments.folder / "LISA-small"
    config = cases.config(0, str(arguments.folder / "clip-small"))
    config["word2mask"] = {"segmenter": SamConfig(**described).to_diff_dict()}
    (folder / "config.json").write_text(json.dumps(config))
    asked, trained = load_grounded(folder), load_grounded(folder)
    steps = {name: our_step(trained, name) for name in ("step", "step_apart")}
    return {"answer": our_answer(asked, arguments), **steps}


def our_answer(model: Any, arguments: argparse.Namespace) -> Callable:
    """``Session.ask``."""
    from word2mask.inference.session import Session
    from word2mask.types import Media, Request, Turn

    script = Script(model.mllm.model.lm_head, model.mllm.tokenizer)
    session = Session(model)
    parts = Parts()
    parts.watch("SAM's encoder", model.segmenter, "encode_frames")
    parts.watch("writing", model.mllm, "generate")

    def answer() -> dict[str, float]:
        script.start(ANSWER)
        parts.clear()
        media = Media("image", cases.picture(0)[None])
        seconds, found = timed(lambda: session.ask(Request((Turn("user", QUESTION),), media, max_new_tokens=64)))
        np.save(arguments.folder / "ours.npy", np.stack([own.masks[0] for own in found.segments]))
        return {"seconds": seconds, **parts.told(seconds)}

    return answer


class Parts:
    """Processor seconds of single methods."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def clear(self) -> None:
        """Nothing yet."""
        self.seconds = dict.fromkeys(self.seconds, 0.0)

    def watch(self, name: str, target: Any, method: str) -> None:
        """Count a method under a name."""
        inner = getattr(target, method)
        self.seconds[name] = 0.0

        def counted(*given: Any, **named: Any) -> Any:
            seconds, found = timed(lambda: inner(*given, **named))
            self.seconds[name] += seconds
            return found

        object.__setattr__(target, method, counted)

    def told(self, total: float) -> dict[str, float]:
        """Each, and the rest of the total."""
        told = {f"part_{name}": value for name, value in self.seconds.items()}
        return {**told, "part_rest": total - sum(self.seconds.values())}


def our_step(loaded: Any, name: str) -> Callable:
    """A step of the model as ``lisa_7b.py`` trains it; ``step``: the questions are turns of one conversation."""
    from word2mask.data.collate import collate
    from word2mask.data.encode import Encoder
    from word2mask.losses.grounding import GroundingLoss
    from word2mask.models.grounded import GroundedMLLM
    from word2mask.models.trainable import TrainablePlan
    from word2mask.types import Media, Sample, Turn

    plan = TrainablePlan(
        lora_rank=LORA["rank"],
        lora_alpha=LORA["alpha"],
        lora_dropout=LORA["dropout"],
        lora_layers=("q_proj", "v_proj"),
        train=("embeddings", "lm_head", "projector", "mask_decoder"),
    )
    parts = getattr(loaded, "_benchmark", None)
    if parts is None:
        loaded.mllm.checkpoint_gradients(True)
        model = GroundedMLLM(
            loaded.mllm,
            loaded.segmenter,
            loaded.projector,
            loss=GroundingLoss(**WEIGHTS),
            trainable=plan,
            seg_state="before",
        ).train()
        timing = Parts()
        timing.watch("SAM's encoder", model.segmenter, "encode_frames")
        timing.watch("visual tokens", model.mllm, "visual_tokens")
        parts = loaded._benchmark = SimpleNamespace(model=model, optimizer=optimizer_of(model), timing=timing)
    model, optimizer, timing = parts.model, parts.optimizer, parts.timing
    encoder = Encoder(model.mllm.processor, model.segmenter.processor, model.mllm.max_length)
    media = Media("image", cases.picture(0)[None])
    apart = name == "step_apart"
    talks = [[talk] for talk in TALKS] if apart else [TALKS]
    samples, used = [], 0
    for number, talk in enumerate(talks):
        turns = [Turn(role, text) for pair in talk for role, text in zip(("user", "assistant"), pair, strict=True)]
        own = masks()[used : used + len(talk), None]
        used += len(talk)
        samples.append(Sample("benchmark", str(number), "refer", tuple(turns), media, own))
    batch = collate([encoder(sample) for sample in samples], model.mllm.tokenizer.pad_token_id)

    def step() -> dict[str, float]:
        timing.clear()
        backward = [0.0]

        def run() -> dict[str, torch.Tensor]:
            optimizer.zero_grad(set_to_none=True)
            losses = model(batch)
            total = sum(value for key, value in losses.items() if key.startswith("loss_"))
            backward[0], _ = timed(total.backward)
            optimizer.step()
            return losses

        seconds, losses = timed(run)
        told = timing.told(seconds - backward[0])
        return {
            "seconds": seconds,
            **{name: losses[f"loss_{name}"].item() for name in ("text", "mask", "dice")},
            **told,
            "part_backward": backward[0],
        }

    return step


if __name__ == "__main__":
    main()
