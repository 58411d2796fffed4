"""Makes ``sa2va/expected.npz`` and its neighbours: what the published Sa2VA computes from seeded weights.

    python tests/parity/make_sa2va.py CHECKOUT

CHECKOUT is a clone of github.com/bytedance/Sa2VA; README.md says at which commit, and which packages it wants. The
clone isn't touched. Weights and pictures are drawn from seeds, so that a test can draw them again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "benchmarks")]

from published_sa2va import Geometry, OnCpu, Published, seeded_masks, seeded_picture  # noqa: E402
from sa2va_cases import (  # noqa: E402
    ANSWER,
    ASKED,
    CONVERSATIONS,
    LORA,
    NUM_POINTS,
    OBJECT_SHIFT,
    TEMPLATES,
    TRAINED,
    gradient_summary,
    question,
    seeded_adapters,
    shared_points,
)
from sa2va_tokenizer import GROUNDING, load_tokenizer, make_tokenizer  # noqa: E402


class Encoder:
    """The published datasets' own methods, without a dataset around them."""

    def __init__(self, published: Published, tokenizer: Any, template: str, geometry: Geometry | None = None) -> None:
        base = published.module("projects.sa2va.datasets.base")
        regions = published.module("projects.sa2va.datasets.sa2va_data_06_vp").Sa2VA06VPDataset
        self.dataset = dataset = regions.__new__(regions)
        dataset._init_architecture_config("intern_vl")
        tile = geometry.tile if geometry else 448
        dataset._init_image_processing_config(image_size=tile)
        dataset._init_image_processor()
        dataset.tokenizer, dataset.max_length = tokenizer, 8192
        dataset._system = ""
        functions = published.module("projects.sa2va.datasets.data_utils")
        prompt = published.template(template)
        dataset.template_map_fn = lambda example: functions.template_map_fn(example, prompt)
        side = geometry.side if geometry else 1024
        dataset.extra_image_processor = published.chat.DirectResize(side)
        dataset.VP_START_TOKEN, dataset.VP_END_TOKEN, dataset.LIMIT = "<vp>", "</vp>", ""
        assert isinstance(dataset, base.Sa2VABaseDataset)

    def __call__(self, case: dict[str, Any], seed: int = 0) -> dict[str, Any]:
        """Ids, labels and media tensors of a conversation."""
        dataset, out, token_string = self.dataset, {}, None
        turns = [
            {"from": role, "value": text} for pair in case["turns"] for role, text in zip(ROLES, pair, strict=True)
        ]
        is_video = case["medium"] is not None and case["medium"][0] == "video"
        if case["medium"] is not None:
            _, count, height, width = case["medium"]
            frames = [Image.fromarray(seeded_picture(seed + index, height, width)) for index in range(count)]
            if is_video:
                out = dataset._process_multiple_images(frames)
                token_string = dataset._create_token_string(out["num_image_tokens"], count)
            else:
                out = dataset._process_single_image(frames[0])
                token_string = dataset._create_image_token_string(out["num_image_tokens"])
            start = "<image>\n"
            if case.get("regions"):
                masks = torch.from_numpy(seeded_masks(seed, case["regions"], height, width))
                out["prompt_masks"], counts = dataset._get_region_infos(masks)
                start = dataset._create_region_prompt(len(masks), counts)
            turns[0]["value"] = start + turns[0]["value"]
        conversation = dataset._process_conversations_for_encoding(turns, token_string, is_video=is_video)
        return out | dataset.get_inputid_labels(conversation)


ROLES = ("human", "gpt")


def main() -> None:
    """Writes everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="clone of github.com/bytedance/Sa2VA")
    parser.add_argument("--out", type=Path, default=HERE / "sa2va", help="folder to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(str(arguments.out / "tokenizer.json"))
    published = Published(arguments.checkout)

    ids: dict[str, np.ndarray] = {}
    for template in TEMPLATES:
        tokens = {"bos_token": "<|endoftext|>"} if template == "internlm2_chat" else {}
        encoder = Encoder(published, load_tokenizer(arguments.out, **tokens), template)
        for name, case in CONVERSATIONS.items():
            encoded = encoder(case)
            ids[f"{template}/{name}/input_ids"] = np.array(encoded["input_ids"], dtype=np.int16)
            ids[f"{template}/{name}/labels"] = np.array(encoded["labels"], dtype=np.int16)
    np.savez_compressed(arguments.out / "conversations.npz", **ids)

    tokenizer = load_tokenizer(arguments.out)
    geometry = Geometry(vocabulary=len(tokenizer))
    model = published.model(geometry)
    expected = states(published, model, geometry, tokenizer)
    expected |= trained(published, model, geometry, tokenizer)
    expected |= differentiated(published, geometry, tokenizer)
    planted = plant_answer(published, model, geometry, tokenizer)
    expected |= planted | predicted(published, model, geometry, tokenizer)
    np.savez_compressed(arguments.out / "expected.npz", **{key: np.asarray(value) for key, value in expected.items()})
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    (arguments.out / "shapes.json").write_text(json.dumps(shapes, separators=(",", ":")))
    config = json.loads(json.dumps(model.config.to_dict(), default=str))
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1))
    commit = subprocess.run(
        ["git", "-C", arguments.checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    versions = {name: __import__(name).__version__ for name in ("torch", "transformers", "numpy", "tokenizers")}
    made = {"repository": "https://github.com/bytedance/Sa2VA", "commit": commit, "versions": versions}
    (arguments.out / "made.json").write_text(json.dumps(made, indent=1) + "\n")


def batch_of(encoded: dict[str, Any], masks: torch.Tensor | None) -> dict[str, Any]:
    """One sample as the published collate function makes it."""
    length = len(encoded["input_ids"])
    frames = encoded.get("g_pixel_values")
    frames = frames if isinstance(frames, list) or frames is None else [frames]
    return {
        "input_ids": torch.tensor([encoded["input_ids"]]),
        "labels": torch.tensor([encoded["labels"]]),
        "attention_mask": torch.ones(1, length, dtype=torch.bool),
        "position_ids": torch.arange(length)[None],
        "pixel_values": [encoded["pixel_values"]],
        "g_pixel_values": frames,
        "frames_per_batch": [len(frames)] if frames else [1],
        "masks": None if masks is None else [masks],
    }


def states(published: Published, model: Any, geometry: Geometry, tokenizer: Any) -> dict[str, Any]:
    """Last hidden states of the language model, every seventh token, with and without regions."""
    model.img_context_token_id = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    model._count = 0
    found = {}
    encoder = Encoder(published, tokenizer, "qwen_chat", geometry)
    for name, case in CONVERSATIONS.items():
        encoded = encoder(case)
        if "pixel_values" not in encoded:
            encoded["pixel_values"] = torch.zeros(1, 3, geometry.tile, geometry.tile)
        data = batch_of(encoded, None)
        if case.get("regions"):
            cells = torch.nn.functional.interpolate(
                torch.from_numpy(seeded_masks(0, case["regions"], *case["medium"][2:]))[None].float(),
                size=(geometry.tile // 28,) * 2,
                mode="nearest",
            )[0]
            data |= region_inputs(tokenizer, encoded, cells, geometry)
        with torch.no_grad():
            output = model(data)
        found[f"hidden/{name}"] = output.hidden_states[-1][0, ::7].numpy()
        found[f"hidden/{name}/text_loss"] = output.loss.numpy()
    return found


def region_inputs(tokenizer: Any, encoded: dict[str, Any], cells: torch.Tensor, geometry: Geometry) -> dict[str, Any]:
    """Regions on the small model's grid: as many visual tokens a region as it has cells there, not on 16 x 16."""
    context, start, end = tokenizer.convert_tokens_to_ids(["<IMG_CONTEXT>", "<vp>", "</vp>"])
    counts = iter(cells.flatten(1).sum(1).int().tolist())
    ids: list[int] = []
    labels: list[int] = []
    inside = False
    for index, label in zip(encoded["input_ids"], encoded["labels"], strict=True):
        if inside and index == context:
            continue
        inside = index == start or (inside and index != end)
        new = [index, *[context] * next(counts)] if index == start else [index]
        ids += new
        labels += [label] * len(new)
    tiles = len(encoded["pixel_values"])
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.bool),
        "position_ids": torch.arange(len(ids))[None],
        "prompt_masks": [cells],
        "vp_overall_mask": torch.tensor([False] * (tiles - 1) + [True]),
    }


def share_points(module: Any) -> Any:
    """Every mask takes the same points, so that the order of masks doesn't matter; returns what drew them."""
    drawn, points = module.get_uncertain_point_coords_with_randomness, shared_points()
    module.get_uncertain_point_coords_with_randomness = lambda logits, *_: points.expand(len(logits), -1, -1)
    return drawn


def trained(published: Published, model: Any, geometry: Geometry, tokenizer: Any) -> dict[str, Any]:
    """Prompts, mask logits and losses of the published training step, and the points that it would draw."""
    module = published.module("projects.sa2va.models.sa2va")
    wrapper = published.trainer(model, geometry, tokenizer, special_tokens=list(GROUNDING), num_points=NUM_POINTS)
    wrapper.eval()
    found: dict[str, Any] = {}
    drawn = share_points(module)
    encoder = Encoder(published, tokenizer, "qwen_chat", geometry)
    inject = wrapper.grounding_encoder.inject_language_embd

    def record(sam_states: Any, prompts: torch.Tensor, nf_nobj: Any = None) -> torch.Tensor:
        found["prompts"], found["mask_logits"] = prompts, inject(sam_states, prompts, nf_nobj=nf_nobj)
        return found["mask_logits"]

    wrapper.grounding_encoder.inject_language_embd = record
    expected: dict[str, Any] = {}
    for name, case in TRAINED.items():
        _, count, height, width = case["medium"]
        masks = torch.from_numpy(seeded_masks(3, 5 * count, height, width))
        with torch.no_grad():
            losses = wrapper(batch_of(encoder(case), masks.float()))
        logits = found["mask_logits"]
        expected |= {f"trained/{name}/{key}": value.numpy() for key, value in losses.items()}
        expected[f"trained/{name}/prompts"] = found["prompts"][:5, 0].numpy()
        expected[f"trained/{name}/mask_logits"] = logits[:, :, ::3, ::3].numpy()
        expected[f"trained/{name}/mask_scale"] = logits.abs().amax().numpy()
    module.get_uncertain_point_coords_with_randomness = drawn
    # The drawing itself: the numbers that torch.rand gives are fixed, the choice among them is compared.
    expected["points/logits"] = logits[0, :3, ::2, ::2].numpy()
    numbers = iter(np.random.RandomState(11).uniform(size=(2, 3, 96, 2)).astype(np.float32))
    rand, torch.rand = torch.rand, lambda count, many, _, **__: torch.from_numpy(next(numbers)[:count, :many])
    expected["points/chosen"] = drawn(logits[0, :3, None, ::2, ::2].float(), None, 32, 3.0, 0.75).numpy()
    torch.rand = rand
    return expected


def differentiated(published: Published, geometry: Geometry, tokenizer: Any) -> dict[str, Any]:
    """Gradients of the sum of the published losses, as one published training step leaves them.

    All that the published recipe trains is there: adapters on the language model, its embeddings and head, the
    connector, the projector, the mask decoder; activations are checkpointed. Beside the weights', the gradients of the
    prompts and of the language model's states at ``[SEG]``.
    """
    from peft import LoraConfig

    module = published.module("projects.sa2va.models.sa2va")
    model = published.model(geometry)
    model.img_context_token_id, model._count = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), 0
    lora = LoraConfig(
        r=LORA["rank"],
        lora_alpha=LORA["alpha"],
        bias="none",
        task_type="CAUSAL_LM",
        modules_to_save=["embed_tokens", "lm_head"],
        target_modules="all-linear",
    )
    wrapper = published.trainer(model, geometry, tokenizer, lora, special_tokens=list(GROUNDING), num_points=NUM_POINTS)
    model.grounding_encoder = model.text_hidden_fcs = None  # the wrapper has its own
    assert seeded_adapters(wrapper) == 14 * geometry.layers
    wrapper.train()
    found: dict[str, torch.Tensor] = {}
    inject = wrapper.grounding_encoder.inject_language_embd

    def record(sam_states: Any, prompts: torch.Tensor, nf_nobj: Any = None) -> torch.Tensor:
        found["prompts"] = prompts.requires_grad_()
        prompts.retain_grad()
        return inject(sam_states, prompts, nf_nobj=nf_nobj)

    def keep_states(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        found["states"] = inputs[0]
        inputs[0].retain_grad()

    wrapper.grounding_encoder.inject_language_embd = record
    wrapper.text_hidden_fcs.register_forward_pre_hook(keep_states)
    drawn = share_points(module)
    encoder = Encoder(published, tokenizer, "qwen_chat", geometry)
    expected: dict[str, Any] = {}
    for name, case in TRAINED.items():
        _, count, height, width = case["medium"]
        batch = batch_of(encoder(case), torch.from_numpy(seeded_masks(3, 5 * count, height, width)).float())
        at_seg = batch["input_ids"][0] == tokenizer.convert_tokens_to_ids("[SEG]")
        wrapper.zero_grad(set_to_none=True)
        losses = wrapper(batch)
        sum(losses.values()).backward()
        gradients = {
            published_name(key): torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for key, parameter in wrapper.named_parameters()
            if parameter.requires_grad
        }
        expected["gradients/names"] = np.array(sorted(gradients))
        expected |= {f"gradients/{name}/{key}": value for key, value in gradient_summary(gradients).items()}
        expected[f"gradients/{name}/prompts"] = found["prompts"].grad[:, 0].unflatten(0, (count, 5)).sum(0).numpy()
        row = gradients["language_model.model.embed_tokens.weight"][tokenizer.convert_tokens_to_ids("[SEG]")]
        expected[f"gradients/{name}/seg_embedding"] = row.numpy()
        expected[f"gradients/{name}/states"] = found["states"].grad[0, at_seg].numpy()
        expected[f"gradients/{name}/losses"] = torch.stack([losses[key].detach() for key in sorted(losses)]).numpy()
    module.get_uncertain_point_coords_with_randomness = drawn
    return expected


def published_name(name: str) -> str:
    """The name in a published folder of a tensor of the training wrapper; adapters keep peft's ending."""
    for inner in ("mllm.model.", "base_model.model.", "modules_to_save.default."):
        name = name.replace(inner, "", 1)
    return name


def plant_answer(published: Published, model: Any, geometry: Geometry, tokenizer: Any) -> dict[str, Any]:
    """Sets rows of the output layer so that greedy generation says :data:`ANSWER`; a random model never would.

    The states that predict the tokens of the answer, of both requests, are pseudo-inverted; every other token stays
    far below.
    """
    encoder = Encoder(published, tokenizer, "qwen_chat", geometry)
    tokens = tokenizer.convert_tokens_to_ids([piece.replace(" ", "Ġ") for piece in ANSWER])
    assert None not in tokens and tokenizer.unk_token_id not in tokens, "the tokenizer lacks a piece of the answer"
    rows = []
    for name, (count, height, width) in ASKED.items():
        count = min(count, 5)
        encoded = encoder(dict(medium=(name, count, height, width), turns=[(question(name), "")]))
        # The empty answer is its suffix and the separator: taken off.
        prompt = encoded["input_ids"][: -1 - len(tokenizer.encode("\n", add_special_tokens=False))]
        encoded["input_ids"] = prompt + tokens
        encoded["labels"] = encoded["input_ids"]
        with torch.no_grad():
            hidden = model(batch_of(encoded, None)).hidden_states[-1][0]
        rows.append(hidden[len(prompt) - 1 : -1])
    wanted = torch.eye(len(tokens)).repeat(len(rows), 1) * 30
    solution = torch.linalg.lstsq(torch.cat(rows).double(), wanted.double()).solution.T.float()
    with torch.no_grad():
        model.language_model.lm_head.weight[tokens] = solution
        # So that the object is there on some frames and absent on others.
        model.grounding_encoder.sam2_model.sam_mask_decoder.pred_obj_score_head.layers[2].bias += OBJECT_SHIFT
    return {"planted/tokens": np.array(tokens, dtype=np.int16), "planted/rows": solution.numpy()}


def predicted(published: Published, model: Any, geometry: Geometry, tokenizer: Any) -> dict[str, Any]:
    """What ``predict_forward`` says of a picture and of a video: text, mask logits, masks."""
    published.prepare_for_prediction(model, geometry, tokenizer, max_new_tokens=12)
    found: dict[str, Any] = {}
    infer = model.grounding_encoder.language_embd_inference

    def record(sam_states: Any, prompts: Any) -> torch.Tensor:
        found["prompt"], found["logits"] = prompts[0][0], infer(sam_states, prompts)
        return found["logits"]

    model.grounding_encoder.language_embd_inference = record
    expected: dict[str, Any] = {}
    for name, (count, height, width) in ASKED.items():
        frames = [Image.fromarray(seeded_picture(index, height, width)) for index in range(count)]
        media = {"video": frames} if name == "video" else {"image": frames[0]}
        with OnCpu(), torch.no_grad():
            answer = model.predict_forward(**media, text="<image>\n" + question(name), tokenizer=tokenizer)
        assert len(answer["prediction_masks"]) == 1, answer["prediction"]
        expected[f"predicted/{name}/text"] = answer["prediction"]
        expected[f"predicted/{name}/prompt"] = found["prompt"].numpy()
        expected[f"predicted/{name}/logits"] = found["logits"][:, 0, ::7, ::7].numpy()
        expected[f"predicted/{name}/masks"] = np.packbits(answer["prediction_masks"][0])
    return expected


if __name__ == "__main__":
    main()
