"""Expected masks of the published Sa2VA over Qwen2.5-VL and Qwen3-VL: ``qwen_masks.safetensors``.

    python tests/parity/make_qwen_masks.py CHECKOUT

The models, weights and pictures are ``make_qwen_vl.py``'s, at the same commit and under the same packages; beside them
stand the published SAM 2 at a small geometry and the published projection, with weights drawn from their names
(``published_sa2va.seeded_tensor``). The training class (``Sa2VAModel``) is run on a batch of a picture and a video, and
``predict_forward`` on a picture and on a video with two frames more than the language model sees.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "benchmarks")]

import make_qwen_vl as made  # noqa: E402
from published_sa2va import Geometry, OnCpu, Published, seeded_masks, seeded_state  # noqa: E402

#: Of SAM 2; the language models have sizes of their own.
GEOMETRY = Geometry()
#: Frames of the video of which is asked; the language model sees the first five.
NUM_FRAMES = 7
#: Random models don't say ``[SEG]`` to everything.
ASKED = {"picture": made.ASKED, "video": "Show me the car."}
#: Of the ``[SEG]`` of an answer, the published code decodes one after the other: so many are kept.
KEPT = 2
#: Every so-manieth row and column of the masks of training (S/4) and of the answers (S).
TRAINED_STEP, ANSWERED_STEP = 3, 9


def shown_frames(kind: str) -> np.ndarray:
    """The frames of a request, uint8 ``[T,H,W,3]``."""
    return made.frames(made.PICTURE, 2)[:1] if kind == "picture" else made.frames(made.FRAME, NUM_FRAMES)


def main(checkout: Path) -> None:
    """Writes the file beside this one."""
    from safetensors.torch import save_file

    published = made.stand_in(checkout)
    found: dict[str, torch.Tensor] = {}
    for family in made.FAMILIES:
        tokenizer, seg_id = made.published_tokenizer()
        model = made.published_model(family, tokenizer)
        made.fill(model, seg_id, family)
        processor = made.published_processor(family, tokenizer)
        chat = chat_model(published, family, model)
        here = trained(published, family, chat, processor, tokenizer)
        for kind in ASKED:
            here |= answered(chat, processor, kind)
        found |= {f"{family}.{name}": tensor.contiguous() for name, tensor in here.items()}
    made_by = {"made_by": "make_qwen_masks.py", "source": f"github.com/bytedance/Sa2VA@{made.COMMIT}"}
    save_file(found, HERE / "qwen_masks.safetensors", made_by)
    (HERE / "qwen_masks.safetensors").chmod(0o644)


def chat_model(published: Published, family: str, model: Any) -> Any:
    """``Sa2VAChatModelQwen`` around a model, in float32, with SAM 2 at the geometry."""
    folder = {"Qwen25VL": "models_qwen2_5_vl", "Qwen3VL": "models_qwen3vl"}[family]
    module = importlib.import_module(f"projects.sa2va.hf.{folder}.modeling_sa2va_qwen")
    published.sam2 = importlib.import_module(f"projects.sa2va.hf.{folder}.sam2")
    module.SAM2 = lambda: published.grounding_encoder(GEOMETRY)
    config = importlib.import_module(f"projects.sa2va.hf.{folder}.configuration_sa2va_chat").Sa2VAChatConfigQwen
    chat = module.Sa2VAChatModelQwen(config(**model.config.to_dict()), model=model).eval()
    chat.torch_dtype, chat.extra_image_processor.target_length = torch.float32, GEOMETRY.side
    for name in ("grounding_encoder", "text_hidden_fcs"):
        part = getattr(chat, name)
        shapes = {f"{name}.{key}": tuple(value.shape) for key, value in part.state_dict().items()}
        part.load_state_dict({key.removeprefix(f"{name}."): value for key, value in seeded_state(shapes).items()})
    return chat


def trained(published: Published, family: str, chat: Any, processor: Any, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Prompts and mask logits of the published training forward.

    It repeats the objects of a sample until there are five a frame; the repetitions are left out.
    """
    internvl = published.module("projects.sa2va.models.mllm.internvl")
    wrapper = made.published_wrapper(family, chat.model)
    wrapper.use_llm_lora = False
    original, internvl.InternVLMLLM = internvl.InternVLMLLM, lambda **_: wrapper
    trainer = published.trainer(chat, GEOMETRY, tokenizer, special_tokens=["[SEG]"], num_points=64).eval()
    internvl.InternVLMLLM = original
    found: dict[str, torch.Tensor] = {}
    inject = trainer.grounding_encoder.inject_language_embd

    def record(sam_states: Any, prompts: torch.Tensor, nf_nobj: Any = None) -> torch.Tensor:
        found["prompts"], found["logits"] = prompts, inject(sam_states, prompts, nf_nobj=nf_nobj)
        return found["logits"]

    trainer.grounding_encoder.inject_language_embd = record
    resize = published.module("projects.sa2va.models.preprocess.image_resize").DirectResize(GEOMETRY.side)
    _, picture, video = made.published_examples(processor, tokenizer, resize)
    picture["masks"] = torch.from_numpy(seeded_masks(3, 2, *made.PICTURE)).float()
    video["masks"] = torch.from_numpy(seeded_masks(4, made.NUM_FRAMES, *made.FRAME)).float()
    data = importlib.import_module("projects.sa2va.datasets.data_utils").sa2va_collect_fn([picture, video])["data"]
    with torch.no_grad():
        trainer(data)
    logits = found["logits"][:, :, ::TRAINED_STEP, ::TRAINED_STEP]
    return {
        "trained.picture.prompts": found["prompts"][:2, 0],
        "trained.video.prompts": found["prompts"][5:6, 0],
        "trained.picture.logits": logits[:1, :2],
        "trained.video.logits": logits[1:, :1],
    }


def answered(chat: Any, processor: Any, kind: str) -> dict[str, torch.Tensor]:
    """Of ``predict_forward``: the answer, and prompt, mask logits and mask sizes of its first ``[SEG]``."""
    from PIL import Image

    prompts: list[torch.Tensor] = []
    logits: list[torch.Tensor] = []
    answers: list[torch.Tensor] = []
    infer, generate = chat.grounding_encoder.language_embd_inference, chat.model.generate

    def record(sam_states: Any, embeddings: list[torch.Tensor]) -> torch.Tensor:
        prompts.append(embeddings[0][0])
        logits.append(infer(sam_states, embeddings))
        return logits[-1]

    def short(**given: Any) -> Any:
        answer = generate(**{**given, "max_new_tokens": made.NEW_TOKENS})
        answers.append(answer.sequences[0, given["input_ids"].shape[1] :])
        return answer

    chat.grounding_encoder.language_embd_inference, chat.model.generate = record, short
    shown = [Image.fromarray(frame) for frame in shown_frames(kind)]
    media = {"image": shown[0]} if kind == "picture" else {"video": shown}
    with OnCpu(), torch.no_grad():
        answer = chat.predict_forward(text=f"<image>\n{ASKED[kind]}", processor=processor, **media)
    chat.grounding_encoder.language_embd_inference, chat.model.generate = infer, generate
    assert answer["prediction_masks"], f"{kind}: no [SEG] in {answer['prediction']!r}"
    sizes = np.stack(answer["prediction_masks"][:KEPT]).sum((2, 3))
    return {
        f"asked.{kind}.answer": answers[0].to(torch.int16),
        f"asked.{kind}.prompts": torch.stack(prompts[:KEPT]),
        f"asked.{kind}.logits": torch.stack(logits[:KEPT])[:, :, 0, ::ANSWERED_STEP, ::ANSWERED_STEP],
        f"asked.{kind}.sizes": torch.from_numpy(sizes).to(torch.int32),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
