"""Expected tensors of the published Sa2VA over Qwen2.5-VL and Qwen3-VL, from a checkout of its repository on a CPU.

    python tests/parity/make_qwen_vl.py CHECKOUT

Made with github.com/bytedance/Sa2VA at 9832e1a80e74ed513e8072bf882a09bdd80566c4 under the packages that README.md names
and qwen-vl-utils 0.0.14, which want an interpreter of their own. Nothing of the checkout is edited: models are small,
their weights drawn from their names (:func:`seeded`), and what needs a GPU or xtuner is replaced from outside.

Three parts of it are run: the datasets' preprocessing (``Sa2VADatasetMixin``), the training wrappers' forward
(``models/mllm/qwenvl.py`` and ``qwen3vl.py``) and ``predict_forward`` up to the states of the ``[SEG]`` tokens.
The first lines, up to ``main``, are what both sides share; they need torch and numpy only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parent
COMMIT = "9832e1a80e74ed513e8072bf882a09bdd80566c4"
FAMILIES = ("Qwen25VL", "Qwen3VL")
PATCH = {"Qwen25VL": 14, "Qwen3VL": 16}
#: Keyword arguments of ``QwenVL.from_scratch``, beside the patch.
GEOMETRY = {
    "vision_size": 32,
    "vision_layers": 2,
    "vision_heads": 2,
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "intermediate_size": 64,
}
#: Pictures and frames are multiples of 28 in size: the published inference resizes them twice, first to such multiples.
PICTURE, FRAME = (420, 616), (224, 308)
NUM_FRAMES = 3
NEW_TOKENS = 12
SEG_WEIGHT = {"Qwen25VL": 12, "Qwen3VL": 9}

CHAT = [("who are you", "Sa2VA."), ("and what can you do?", "Find <p>things</p>.")]
ON_PICTURE = [("Can you segment the red cup in this image?", "Sure, [SEG]."), ("where is it", "It is [SEG].")]
ON_VIDEO = [("Please segment the dog that runs.", "It is [SEG]."), ("What is it?", "A dog.\nIt runs.")]
ASKED = "Please segment the cup."


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A weight drawn from its name by numpy's frozen generator; matrices keep the size of what they map."""
    numbers = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    tensor = torch.from_numpy(np.asarray(numbers))
    if len(shape) == 1:
        return (1.0 if name.endswith("weight") else 0.0) + 0.1 * tensor
    scale = 1.0 if "embed_tokens" in name or "pos_embed" in name else float(np.prod(shape[1:])) ** -0.5
    return (3.0 if "layers" in name else 1.0) * scale * tensor


def fill(model: nn.Module, seg_id: int, family: str) -> None:
    """Gives every weight its number; ``[SEG]`` is made likely, so that answers have some."""
    model.load_state_dict({name: seeded(name, tuple(value.shape)) for name, value in model.state_dict().items()})
    with torch.no_grad():
        model.lm_head.weight[seg_id] *= SEG_WEIGHT[family]


def frames(size: tuple[int, int], count: int) -> np.ndarray:
    """Moving waves with some noise, uint8 ``[count,H,W,3]``."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
    phases = np.arange(3 * count).reshape(count, 1, 1, 3)
    waves = 128 + 100 * np.sin(rows[..., None] / 17 + phases) * np.cos(columns[..., None] / 23 - phases)
    return (waves + np.random.RandomState(0).uniform(-20, 20, waves.shape)).clip(0, 255).astype(np.uint8)


def main(checkout: Path) -> None:
    """Writes ``qwen_vl.safetensors`` beside this file."""
    from safetensors.torch import save_file

    if not (checkout / "projects" / "sa2va").is_dir():
        raise SystemExit(f"{checkout}: no checkout of bytedance/Sa2VA (projects/sa2va is missing)")
    stand_in(checkout)
    found: dict[str, torch.Tensor] = {}
    for family in FAMILIES:
        for name, tensor in made(family).items():
            found[f"{family}.{name}"] = tensor.contiguous()
    made_by = {"made_by": "make_qwen_vl.py", "source": f"github.com/bytedance/Sa2VA@{COMMIT}", "transformers": "4.57.6"}
    save_file(found, FOLDER / "qwen_vl.safetensors", made_by)


def stand_in(checkout: Path) -> Any:
    """Lets the published modules be imported, beside a CPU build of torch and without xtuner.

    Returns:
        A ``published_sa2va.Published``.
    """
    sys.path.insert(0, str(FOLDER.parents[1] / "benchmarks"))
    from published_sa2va import Published

    def module(name: str, **values: Any) -> None:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(values)

    # Packages whose own __init__ imports what isn't needed here.
    for package in ("projects.sa2va.datasets", "projects.sa2va.models", "projects.sa2va.models.mllm"):
        module(package, __path__=[str(checkout.joinpath(*package.split(".")))])
    published = Published(checkout)
    vars(sys.modules["xtuner.model.utils"])["get_peft_model_state_dict"] = None
    if importlib.util.find_spec("pycocotools") is None:
        module("pycocotools", mask=None)
        module("pycocotools.mask")
    return published


def made(family: str) -> dict[str, torch.Tensor]:
    """Every expected tensor of one family."""
    tokenizer, seg_id = published_tokenizer()
    model = published_model(family, tokenizer)
    fill(model, seg_id, family)
    processor = published_processor(family, tokenizer)
    found = trained(family, model, processor, tokenizer)
    return {**found, **answered(family, model, processor, "picture"), **answered(family, model, processor, "video")}


def published_tokenizer() -> tuple[Any, int]:
    """Bytes as tokens, in the class that the published processor wants, with the published special tokens."""
    from transformers import Qwen2TokenizerFast

    source = FOLDER.parents[1] / "projects" / "word2mask" / "text" / "byte_tokenizer.py"
    spec = importlib.util.spec_from_file_location("byte_tokenizer", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=module.byte_tokenizer().backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.add_tokens(["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"], special_tokens=True)
    tokenizer.add_tokens(["[SEG]", "<p>", "</p>", "<vp>", "</vp>"], special_tokens=True)
    return tokenizer, tokenizer.convert_tokens_to_ids("[SEG]")


def configuration(family: str, tokenizer: Any) -> dict[str, Any]:
    """The geometry in transformers 4's words."""
    head = GEOMETRY["hidden_size"] // GEOMETRY["heads"]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": GEOMETRY["hidden_size"],
        "num_hidden_layers": GEOMETRY["layers"],
        "num_attention_heads": GEOMETRY["heads"],
        "num_key_value_heads": GEOMETRY["heads"],
        "intermediate_size": GEOMETRY["intermediate_size"],
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": GEOMETRY["vision_size"],
        "depth": GEOMETRY["vision_layers"],
        "num_heads": GEOMETRY["vision_heads"],
        "intermediate_size": 4 * GEOMETRY["vision_size"],
        "patch_size": PATCH[family],
        "out_hidden_size": GEOMETRY["hidden_size"],
    }
    assert head == 16  # the sections below are for this width
    if family == "Qwen25VL":
        text |= {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
        vision |= {"window_size": 8 * PATCH[family], "fullatt_block_indexes": [GEOMETRY["vision_layers"] - 1]}
    else:
        scaling = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [4, 2, 2]}
        text |= {"rope_theta": 5e6, "rope_scaling": scaling, "head_dim": head}
        vision |= {"num_position_embeddings": 256, "deepstack_visual_indexes": [0]}
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}
    return {"text_config": text, "vision_config": vision, "tie_word_embeddings": False, **ids}


def published_model(family: str, tokenizer: Any) -> Any:
    """transformers' class, in evaluation mode."""
    import transformers

    name = {"Qwen25VL": "Qwen2_5_VL", "Qwen3VL": "Qwen3VL"}[family]
    config = getattr(transformers, f"{name}Config")(**configuration(family, tokenizer))
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


#: What the published base models' chat templates say of a user's pictures and words; Qwen3-VL's has no system prompt.
_TEMPLATE = (
    "{%% for message in messages %%}%s<|im_start|>{{ message.role }}\n{%% for part in message.content %%}"
    "{%% if part.type == 'image' %%}<|vision_start|><|image_pad|><|vision_end|>{%% else %%}{{ part.text }}{%% endif %%}"
    "{%% endfor %%}<|im_end|>\n{%% endfor %%}{%% if add_generation_prompt %%}<|im_start|>assistant\n{%% endif %%}"
)
_SYSTEM = "{% if loop.first %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"


def published_processor(family: str, tokenizer: Any) -> Any:
    """transformers' processor; its picture processor is the one that the published code gets (``Qwen2VL…Fast``)."""
    import transformers

    statistics = {} if family == "Qwen25VL" else {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    pictures = transformers.Qwen2VLImageProcessorFast(patch_size=PATCH[family], **statistics)
    name, video = {
        "Qwen25VL": ("Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor"),
        "Qwen3VL": ("Qwen3VLProcessor", "Qwen3VLVideoProcessor"),
    }[family]
    return getattr(transformers, name)(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=getattr(transformers, video)(),
        chat_template=_TEMPLATE % (_SYSTEM if family == "Qwen25VL" else ""),
    )


def published_examples(processor: Any, tokenizer: Any, frame_processor: Any = None) -> tuple[dict[str, Any], ...]:
    """The three conversations as the published datasets encode them: chat, picture, video."""
    from mmengine.config import ConfigDict
    from PIL import Image

    base = importlib.import_module("projects.sa2va.datasets.base")
    templates = importlib.import_module("projects.sa2va.hf.models_qwen.templates").PROMPT_TEMPLATE
    dataset = base.Sa2VABaseDataset(
        tokenizer=tokenizer,
        prompt_template=ConfigDict(templates["qwen_chat"]),
        max_length=8192,
        arch_type="qwen",
        preprocessor=types.SimpleNamespace(image_processor=fast_tensors(processor.image_processor)),
    )
    dataset.extra_image_processor = frame_processor

    def turns(conversation: list[tuple[str, str]], placeholder: bool) -> list[dict[str, str]]:
        said = [message for pair in conversation for message in zip(("human", "gpt"), pair, strict=True)]
        messages = [{"from": who, "value": text} for who, text in said]
        messages[0]["value"] = "<image>\n" * placeholder + messages[0]["value"]
        return messages

    chat = dataset.get_inputid_labels(dataset._process_conversations_for_encoding(turns(CHAT, False), None))
    single = dataset._process_single_image(Image.fromarray(frames(PICTURE, 1)[0]), True)
    tokens = dataset._create_image_token_string(single["num_image_tokens"])
    said = dataset._process_conversations_for_encoding(turns(ON_PICTURE, True), tokens)
    picture = {**single, **dataset.get_inputid_labels(said)}
    several = dataset._process_multiple_images([Image.fromarray(frame) for frame in frames(FRAME, NUM_FRAMES)])
    tokens = dataset._create_token_string(several["num_image_tokens"], NUM_FRAMES)
    said = dataset._process_conversations_for_encoding(turns(ON_VIDEO, True), tokens, is_video=True)
    said = dataset._expand_video_tokens(said, several["num_frame_tokens"], several["num_image_tokens"])
    return chat, picture, {**several, **dataset.get_inputid_labels(said)}


def published_wrapper(family: str, model: Any) -> Any:
    """The published training class around a model."""
    module, name = {"Qwen25VL": ("qwenvl", "Qwen2_5_VL"), "Qwen3VL": ("qwen3vl", "Qwen3VL")}[family]
    wrapper_class = getattr(importlib.import_module(f"projects.sa2va.models.mllm.{module}"), name)
    wrapper = wrapper_class.__new__(wrapper_class)
    nn.Module.__init__(wrapper)
    wrapper.model = model
    return wrapper


def trained(family: str, model: Any, processor: Any, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Ids and labels of three conversations; states, text loss and M-RoPE of a batch of two of them."""
    collate = importlib.import_module("projects.sa2va.datasets.data_utils").sa2va_collect_fn
    chat, picture, video = published_examples(processor, tokenizer)
    data = collate([dict(picture), dict(video)])["data"]
    with torch.no_grad():
        output = published_wrapper(family, model)(data)
    hidden = output.hidden_states[-1]
    found = {"loss": output.loss[None], "pixels": picture["pixel_values"][::97, ::59]}
    for label, example in (("chat", chat), ("picture", picture), ("video", video)):
        found[f"{label}.ids"] = torch.tensor(example["input_ids"], dtype=torch.int16)
        found[f"{label}.labels"] = torch.tensor(example["labels"], dtype=torch.int16)
    for row, (label, example) in enumerate((("picture", picture), ("video", video))):
        here = hidden[row, : len(example["input_ids"])]
        found[f"{label}.hidden"] = here[:: max(1, len(here) // 24)]
        found[f"{label}.seg"] = here[torch.tensor(example["input_ids"]) == tokenizer.convert_tokens_to_ids("[SEG]")]
    return found


def fast_tensors(image_processor: Any) -> Any:
    """The picture processor, with tensors out as the published code expects of it."""

    class Processor:
        merge_size = image_processor.merge_size

        def __call__(self, **given: Any) -> Any:
            return image_processor(**given, return_tensors="pt")

    return Processor()


def answered(family: str, model: Any, processor: Any, kind: str) -> dict[str, torch.Tensor]:
    """``predict_forward`` up to SAM 2: the prompt, the answer, and the state that stands for each ``[SEG]``."""
    from PIL import Image

    folder = {"Qwen25VL": "models_qwen2_5_vl", "Qwen3VL": "models_qwen3vl"}[family]
    module = importlib.import_module(f"projects.sa2va.hf.{folder}.modeling_sa2va_qwen")
    states: list[torch.Tensor] = []

    class Recorder(nn.Module):
        """In SAM 2's place."""

        hidden_dim = 256

        def preprocess_image(self, picture: torch.Tensor) -> torch.Tensor:
            return picture[:, :1, :1].float()

        def get_sam2_embeddings(self, pictures: torch.Tensor) -> None:
            return None

        def language_embd_inference(self, _: None, embeddings: list[torch.Tensor]) -> torch.Tensor:
            states.append(embeddings[0][0])
            return torch.zeros(len(embeddings), 1, 4, 4)

    module.SAM2 = Recorder
    config = importlib.import_module(f"projects.sa2va.hf.{folder}.configuration_sa2va_chat").Sa2VAChatConfigQwen
    chat = module.Sa2VAChatModelQwen(config(**model.config.to_dict()), model=model)
    chat.text_hidden_fcs = nn.Identity()
    prompts: list[torch.Tensor] = []
    answers: list[torch.Tensor] = []
    generate = model.generate

    def short(**given: Any) -> Any:
        answer = generate(**{**given, "max_new_tokens": NEW_TOKENS})
        prompts.append(given["input_ids"][0])
        answers.append(answer.sequences[0, len(prompts[0]) :])
        return answer

    model.generate = short
    shown = [Image.fromarray(frame) for frame in frames(PICTURE if kind == "picture" else FRAME, 2)]
    media = {"image": shown[0]} if kind == "picture" else {"video": shown}
    with torch.no_grad():
        chat.predict_forward(text=f"<image>\n{ASKED}", processor=processor, **media)
    model.generate = generate
    return {
        f"asked.{kind}.ids": prompts[0].to(torch.int16),
        f"asked.{kind}.answer": answers[0].to(torch.int16),
        f"asked.{kind}.seg": torch.stack(states) if states else torch.zeros(0, GEOMETRY["hidden_size"]),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
