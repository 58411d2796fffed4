"""Runs the published LISA at a small geometry and keeps what it gives, for ``test_lisa_parity.py``.

    python tests/parity/make_lisa.py CHECKOUT

CHECKOUT is a clone of https://github.com/dvlab-research/LISA at 3cb2d4301f1af4691bd4f3938335ef06e76f155a (the files
here were made with that one, by torch 2.13.0 and transformers 5.23.0). Nothing of it is edited:

* its SAM, which fixes ViT-H at 1024, is composed of the same classes at the geometry of ``sam_cases.py``;
* ``cuda()`` does nothing, and torchvision, of which Pillow's own resizing is wanted, is stood in for by that;
* what transformers has renamed since is given back: the ``use_return_dict`` of a config, and the name ``llava``;
* ``generate`` is spelt out as what it was in transformers 4.31: greedy, without a cache;
* every call has a model of its own: under transformers 5, one that asks for hidden states changes what a later call of
  the same model sees.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from functools import partial
from pathlib import Path

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import lisa_cases as cases  # noqa: E402
import sam_cases  # noqa: E402


def package(name: str, folder: Path, **names: object) -> types.ModuleType:
    """A package whose own ``__init__`` isn't run."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    vars(module).update(names)
    sys.modules[name] = module
    return module


def build_sam(checkpoint: object = None) -> torch.nn.Module:
    """As its ``build_sam.py`` does, smaller."""
    from model.segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    cells = sam_cases.SIDE // sam_cases.PATCH
    width = sam_cases.PROMPT_DIM
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=sam_cases.DEPTH,
            embed_dim=sam_cases.WIDTH,
            img_size=sam_cases.SIDE,
            mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=sam_cases.HEADS,
            patch_size=sam_cases.PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=sam_cases.EVERYWHERE,
            window_size=sam_cases.WINDOW,
            out_chans=width,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=width,
            image_embedding_size=(cells, cells),
            input_image_size=(sam_cases.SIDE, sam_cases.SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=width, mlp_dim=sam_cases.DECODER_MLP, num_heads=sam_cases.DECODER_HEADS
            ),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=sam_cases.IOU_WIDTH,
        ),
    )


def make_importable(checkout: Path) -> None:
    """The published modules, without what they need of other machines and other releases."""
    functional = types.ModuleType("torchvision.transforms.functional")
    functional.to_pil_image = Image.fromarray
    functional.resize = lambda image, size: image.resize(size[::-1], Image.Resampling.BILINEAR)
    for name in ("torchvision", "torchvision.transforms"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.transforms.functional"] = functional
    torch.Tensor.cuda = lambda self, *arguments, **keywords: self
    AutoConfig.register = AutoModelForCausalLM.register = lambda *arguments, **keywords: None
    transformers.PreTrainedConfig.use_return_dict = True
    package("model", checkout / "model")
    for name in ("llava", "llava/model", "segment_anything"):
        package("model." + name.replace("/", "."), checkout / "model" / name)
    sys.modules["model.segment_anything"].build_sam_vit_h = build_sam
    package("utils", checkout / "utils")
    # Of its data sets only the collation is wanted.
    names = {
        "utils.data_processing": ["get_mask_from_json"],
        "utils.reason_seg_dataset": ["ReasonSegDataset"],
        "utils.refer": ["REFER"],
        "utils.refer_seg_dataset": ["ReferSegDataset"],
        "utils.sem_seg_dataset": ["SemSegDataset"],
        "utils.vqa_dataset": ["VQADataset"],
    }
    for name, members in names.items():
        module = sys.modules[name] = types.ModuleType(name)
        for member in members:
            setattr(module, member, None)


def build_model(clip_folder: str, tokenizer: object) -> torch.nn.Module:
    """The published class around the seeded weights."""
    from model.LISA import LISAForCausalLM
    from model.llava.model.language_model.llava_llama import LlavaConfig

    settings = cases.config(len(tokenizer), clip_folder)
    config = LlavaConfig(**{key: value for key, value in settings.items() if key != "model_type"})
    config._attn_implementation = "eager"
    model = LISAForCausalLM(config, seg_token_idx=tokenizer.convert_tokens_to_ids("[SEG]"))
    model.ce_loss_weight, model.bce_loss_weight, model.dice_loss_weight = 1.0, 2.0, 0.5
    model.model.config.use_cache = False
    names = {name: tuple(value.shape) for name, value in model.state_dict().items() if "vision_tower" not in name}
    cases.SHAPES.write_text(json.dumps(names, indent=1) + "\n")
    model.load_state_dict(cases.published_weights(), strict=False)
    model.get_model().initialize_vision_modules(types.SimpleNamespace(**settings, pretrain_mm_mlp_adapter=None))
    tower = model.get_model().get_vision_tower().vision_tower
    tower.load_state_dict({name: cases.clip_weight(name, value.shape) for name, value in tower.state_dict().items()})
    return model


def batch(tokenizer: object) -> list[tuple]:
    """What its data sets give for each picture."""
    from model.llava import conversation as conversation_lib
    from model.segment_anything.utils.transforms import ResizeLongestSide

    transform = ResizeLongestSide(sam_cases.SIDE)
    sam = build_sam()
    side = cases.CLIP_SIDE
    clip = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    conversation_lib.default_conversation = conversation_lib.conv_templates["llava_v1"]
    items = []
    for number, size in enumerate(cases.SIZES):
        picture = cases.picture(number)
        resized = transform.apply_image(picture)
        conversations = []
        for question, answer in cases.CONVERSATIONS[number]:
            talk = conversation_lib.default_conversation.copy()
            talk.messages = []
            talk.append_message(talk.roles[0], f"<image>\n{question}")
            talk.append_message(talk.roles[1], answer)
            conversations.append(talk.get_prompt())
        items.append(
            (
                str(number),
                sam.preprocess(torch.from_numpy(resized).permute(2, 0, 1).contiguous()),
                clip(Image.fromarray(picture), return_tensors="pt")["pixel_values"][0],
                conversations,
                torch.from_numpy(cases.masks(number)),
                torch.zeros(size),
                resized.shape[:2],
                None,
                None,
                False,
            )
        )
    return items


@torch.no_grad()
def training(model: torch.nn.Module, tokenizer: object, items: list[tuple]) -> dict[str, torch.Tensor]:
    """Ids, labels, losses and mask logits of one batch."""
    from utils.dataset import collate_fn

    tokenizer.model_max_length = 512
    given = collate_fn(items, tokenizer=tokenizer)
    seen = []
    sam = model.model.visual_model
    inner = type(sam).postprocess_masks
    sam.postprocess_masks = lambda *arguments, **keywords: (
        seen.append(inner(sam, *arguments, **keywords)),
        seen[-1],
    )[1]
    model.train()
    losses = model(**given)
    del sam.postprocess_masks
    found = {name: value.reshape(()) for name, value in losses.items()}
    found |= {f"masks.{number}": value[:, 0] for number, value in enumerate(seen)}
    return found | {"input_ids": given["input_ids"], "labels": given["labels"], "images": given["images"]}


def greedy(model: torch.nn.Module, images: torch.Tensor, input_ids: torch.Tensor, max_new_tokens: int) -> object:
    """The likeliest token each time, the whole sequence anew each time; the states of the last pass."""
    for _ in range(max_new_tokens):
        mask = torch.ones_like(input_ids)
        output = model(images=images, input_ids=input_ids, attention_mask=mask, past_key_values=None, use_cache=False)
        input_ids = torch.cat([input_ids, output.logits[:, -1:].argmax(dim=-1)], dim=1)
        if input_ids[0, -1] == 2:
            break
    return types.SimpleNamespace(sequences=input_ids, hidden_states=[output.hidden_states])


@torch.no_grad()
def answered(
    model: torch.nn.Module, tokenizer: object, item: tuple, planted: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """What ``evaluate`` answers; with a planted row, one that says ``[SEG]``."""
    from model.llava import conversation as conversation_lib
    from model.llava.mm_utils import tokenizer_image_token

    model.eval()
    model.generate = lambda images, input_ids, max_new_tokens, **options: greedy(
        model, images, input_ids, max_new_tokens
    )
    talk = conversation_lib.conv_templates["llava_v1"].copy()
    talk.messages = []
    talk.append_message(talk.roles[0], f"<im_start><image><im_end>\n{cases.QUESTION}")
    talk.append_message(talk.roles[1], "")
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, return_tensors="pt")[None]

    states: list[torch.Tensor] = []
    model.lm_head.register_forward_pre_hook(lambda module, inputs: states.append(inputs[0][0, -1].clone()))
    if planted is not None:
        model.lm_head.weight[model.seg_token_idx] = planted
    pictures = (item[2][None], item[1][None])
    output, masks = model.evaluate(*pictures, ids, [item[6]], [tuple(item[5].shape)], max_new_tokens=cases.NEW_TOKENS)
    new = output[0, ids.shape[1] :]
    if planted is not None:
        return {"planted.row": planted, "planted.ids": new, "planted.masks": masks[0]}
    state = states[cases.PLANTED_AT]
    row = state / state.norm() ** 2 * (1.5 * (model.lm_head.weight @ state).max())
    return {"plain.ids": new, "row": row}


def main() -> None:
    """Writes the results."""
    make_importable(Path(sys.argv[1]))
    torch.set_num_threads(1)
    tokenizer = cases.tokenizer()
    with tempfile.TemporaryDirectory(suffix="clip") as clip_folder:
        CLIPVisionModel(CLIPVisionConfig(**cases.clip_config())).save_pretrained(clip_folder)
        transformers.CLIPImageProcessor.from_pretrained = lambda name: None
        models = [build_model(clip_folder, tokenizer) for _ in range(3)]
    items = batch(tokenizer)
    results = training(models[0], tokenizer, items) | answered(models[1], tokenizer, items[1])
    results |= answered(models[2], tokenizer, items[1], results.pop("row"))
    save_file(
        {key: value.contiguous().clone() for key, value in results.items()}, FOLDER / "lisa_reference.safetensors"
    )


if __name__ == "__main__":
    main()
