"""The published Sa2VA, from a checkout of its repository, unmodified, on a CPU and at any geometry.

Knows nothing of word2mask and imports none of it: its interpreter may hold other versions of the libraries (the
published code wants transformers 4.57, torchvision, timm, einops, hydra-core). Nothing of the checkout is edited: what
stands in the way of a CPU or of a small geometry is replaced from outside, when the code is imported or called.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import types
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

#: Keeps torchvision's operators declared.
_libraries: list[Any] = []


@dataclass(frozen=True)
class Geometry:
    """Sizes of a Sa2VA over an InternVL with a Qwen2 language model; the defaults are for parity tests.

    Attributes:
        vocabulary: tokens, the special ones included.
        hidden: D.
        layers: of the language model.
        heads: of the language model; half as many hold keys and values.
        intermediate: width of the language model's MLP.
        vision_hidden: width of the vision tower.
        vision_layers: its depth.
        vision_heads: its attention heads.
        tile: side of a tile in pixels; a patch is 14, four patches are a visual token.
        side: S.
        width: C.
        trunk: width of Hiera's first stage.
        trunk_heads: its attention heads.
        stages: blocks in each stage.
        windows: of each stage.
        everywhere: blocks with global attention.
        background: side of Hiera's coarse position table.
        memory_layers: of memory attention.
        memory_mlp: width of its MLP.
    """

    vocabulary: int = 640
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    intermediate: int = 96
    vision_hidden: int = 32
    vision_layers: int = 2
    vision_heads: int = 2
    tile: int = 112
    side: int = 128
    width: int = 128
    trunk: int = 16
    trunk_heads: int = 1
    stages: tuple[int, ...] = (1, 2, 2, 1)
    windows: tuple[int, ...] = (8, 4, 6, 3)
    everywhere: tuple[int, ...] = (4,)
    background: int = 7
    memory_layers: int = 2
    memory_mlp: int = 64


def seeded_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A weight that depends on its name and shape alone, of a size that keeps activations near one.

    numpy's legacy generator is frozen, so both sides and every later version draw the same numbers.
    """
    numbers = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    tensor = torch.from_numpy(np.asarray(numbers))
    if _TABLE.search(name):
        return 0.5 * tensor
    if len(shape) <= 1:
        is_scale = name.endswith(("weight", "g_weight", "ls1", "ls2"))
        return (1.0 if is_scale else 0.0) + 0.1 * tensor
    return tensor / int(np.prod(shape[1:])) ** 0.5


#: Tensors that are added to activations, or are activations, instead of multiplying them.
_TABLE = re.compile(
    r"(tokens?|tok_embeddings|point_embeddings\.\d|not_a_point_embed|no_mask_embed)\.weight$"
    r"|(pos_embed|pos_embed_window|class_embedding|position_embedding|tpos_enc|no_mem_\w+|no_obj_ptr|gaussian_matrix)$"
)


def seeded_picture(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of soft blobs, uint8 RGB ``[H,W,3]``: waves whose lengths and phases the seed draws."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    channels = []
    for _ in range(3):
        down, across, phase = random.uniform(0.02, 0.2), random.uniform(0.02, 0.2), random.uniform(0, 6.28)
        channels.append(127.5 + 120 * np.sin(down * rows + phase) * np.cos(across * columns - phase))
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def seeded_masks(seed: int, count: int, height: int, width: int) -> np.ndarray:
    """Discs anywhere, bool ``[count,H,W]``."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    masks = []
    for _ in range(count):
        row, column, radius = random.uniform(0, height), random.uniform(0, width), random.uniform(5, height / 2)
        masks.append((rows - row) ** 2 + (columns - column) ** 2 < radius**2)
    return np.stack(masks)


def seeded_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """:func:`seeded_tensor` of every name."""
    return {name: seeded_tensor(name, tuple(shape)) for name, shape in shapes.items()}


class OnCpu(TorchFunctionMode):
    """Calls that name a CUDA device get the CPU instead."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cuda:
            return args[0]
        kwargs = {key: _cpu(value) for key, value in (kwargs or {}).items()}
        return func(*(_cpu(value) for value in args), **kwargs)


def _cpu(value: Any) -> Any:
    is_cuda = (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and value.startswith("cuda")
    )
    return torch.device("cpu") if is_cuda else value


class Script:
    """Has a language model write a given answer, token by token; its output layer works as it always does.

    A random model would never write one that can be compared. Each call of the output layer is taken for one step.

    Args:
        head: the output layer.
        tokenizer: knows the answer's pieces.
    """

    #: Added to the logit of the token whose turn it is; logits of seeded weights stay far below.
    CERTAIN = 1e4

    def __init__(self, head: nn.Module, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._rest: list[int] = []
        head.register_forward_hook(self._say)

    def start(self, pieces: Sequence[str]) -> None:
        """The next answer, as the pieces that the tokenizer knows."""
        self._rest = self._tokenizer.convert_tokens_to_ids(list(pieces))
        unknown = [piece for piece, token in zip(pieces, self._rest, strict=True) if token in (None, self._unknown)]
        if unknown:
            raise SystemExit(f"the tokenizer has no token for {unknown}")

    @property
    def _unknown(self) -> Any:
        return self._tokenizer.unk_token_id

    def _say(self, _: nn.Module, __: Any, logits: torch.Tensor) -> torch.Tensor:
        if self._rest:
            logits = logits.clone()
            logits[..., -1, self._rest.pop(0)] += self.CERTAIN
        return logits


class Published:
    """The modules of a checkout.

    Args:
        checkout: folder of github.com/bytedance/Sa2VA.
    """

    def __init__(self, checkout: str | Path) -> None:
        self.checkout = Path(checkout).resolve()
        if not (self.checkout / "projects" / "sa2va").is_dir():
            raise SystemExit(f"{self.checkout}: no checkout of bytedance/Sa2VA (projects/sa2va is missing)")
        sys.path.insert(0, str(self.checkout))
        _declare_torchvision()
        _stand_in_for_xtuner()
        self.chat = self.module("projects.sa2va.hf.models.modeling_sa2va_chat")
        self.sam2 = self.module("projects.sa2va.hf.models.sam2")

    def module(self, name: str) -> Any:
        """A module of the checkout."""
        return importlib.import_module(name)

    def template(self, name: str) -> Any:
        """A chat template, as the published datasets want it."""
        templates = self.module("projects.sa2va.hf.models.templates").PROMPT_TEMPLATE
        return self.module("mmengine.config").ConfigDict(templates[name])

    # -- models ----------------------------------------------------------------------------------------------------

    def config(self, geometry: Geometry, template: str) -> Any:
        """``Sa2VAChatConfig`` of a small InternVL with Qwen2."""
        module = self.module("projects.sa2va.hf.models.configuration_sa2va_chat")
        return module.Sa2VAChatConfig(
            architectures=["Sa2VAChatModel"],
            vision_config=dict(
                architectures=["InternVisionModel"],
                hidden_size=geometry.vision_hidden,
                num_hidden_layers=geometry.vision_layers,
                num_attention_heads=geometry.vision_heads,
                intermediate_size=4 * geometry.vision_hidden,
                image_size=geometry.tile,
                patch_size=14,
                qkv_bias=True,
                qk_normalization=False,
                norm_type="layer_norm",
                drop_path_rate=0.0,
                use_flash_attn=False,
            ),
            llm_config=dict(
                architectures=["Qwen2ForCausalLM"],
                vocab_size=geometry.vocabulary,
                hidden_size=geometry.hidden,
                num_hidden_layers=geometry.layers,
                num_attention_heads=geometry.heads,
                num_key_value_heads=max(geometry.heads // 2, 1),
                intermediate_size=geometry.intermediate,
                max_position_embeddings=8192,
                rms_norm_eps=1e-6,
                rope_theta=1000000.0,
                tie_word_embeddings=False,
            ),
            template=template,
            force_image_size=geometry.tile,
            downsample_ratio=0.5,
            ps_version="v2",
            select_layer=-1,
            dynamic_image_size=True,
            use_thumbnail=True,
            max_dynamic_patch=12,
        )

    def model(self, geometry: Geometry, template: str = "qwen_chat") -> Any:
        """``Sa2VAChatModel`` with SAM 2 at the geometry, with seeded weights, in evaluation mode."""
        small = lambda *_, **__: self.grounding_encoder(geometry)  # noqa: E731
        original, self.chat.SAM2 = self.chat.SAM2, small
        try:
            model = self.chat.Sa2VAChatModel(self.config(geometry, template), use_flash_attn=False)
        finally:
            self.chat.SAM2 = original
        model.load_state_dict(seeded_state({name: tuple(value.shape) for name, value in model.state_dict().items()}))
        return model.float().eval()

    def grounding_encoder(self, geometry: Geometry) -> Any:
        """The published ``SAM2`` module around a predictor of the wanted size, with the published settings."""
        module = self.sam2
        encoder = module.SAM2.__new__(module.SAM2)
        nn.Module.__init__(encoder)
        encoder.sam2_model = module.SAM2VideoPredictor(**_sam2_parts(module, geometry), **_SAM2_SETTINGS)
        encoder.hidden_dim = geometry.width
        encoder.img_mean, encoder.img_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        # The published default rounds mean and deviation to bfloat16.
        preprocess = encoder.preprocess_image
        encoder.preprocess_image = lambda image: preprocess(image, dtype=torch.float32)
        return encoder

    def prepare_for_prediction(self, model: Any, geometry: Geometry, tokenizer: Any, max_new_tokens: int) -> None:
        """``preparing_for_generation`` in float32, then the sizes that it fixes (448, 1024) for the geometry's."""
        model.preparing_for_generation(tokenizer=tokenizer, max_new_tokens=max_new_tokens, torch_dtype=torch.float32)
        model.image_size = geometry.tile
        model.patch_token = (geometry.tile // 28) ** 2
        model.transformer.transforms[1].size = (geometry.tile, geometry.tile)
        model.extra_image_processor.target_length = geometry.side

    def trainer(self, chat_model: Any, geometry: Geometry, tokenizer: Any, lora: Any = None, **options: Any) -> Any:
        """``Sa2VAModel``, the training wrapper, around the parts of a ``Sa2VAChatModel``.

        Args:
            chat_model: whose language model, vision tower and weights it takes.
            geometry: of the model.
            tokenizer: knows the special tokens already.
            lora: a ``LoraConfig``; ``None`` trains nothing of the language model.
            **options: of ``Sa2VAModel``, e.g. ``num_points``.
        """
        training = self.module("projects.sa2va.models.sa2va")
        losses = self.module("third_parts.mmdet.models.losses")
        encoder = self._training_encoder(geometry)
        renamed = {
            name.replace(".g_weight", ".gamma"): value
            for name, value in chat_model.grounding_encoder.sam2_model.state_dict().items()
        }
        encoder.sam2_model.load_state_dict(renamed)
        internvl = self.module("projects.sa2va.models.mllm.internvl").InternVLMLLM
        mllm = internvl(model_path=chat_model, freeze_llm=True, freeze_visual_encoder=True, llm_lora=lora)
        settings = dict(use_sigmoid=True, reduction="mean")
        wrapper = training.Sa2VAModel(
            mllm=mllm,
            tokenizer=tokenizer,
            grounding_encoder=encoder,
            loss_mask=losses.CrossEntropyLoss(loss_weight=2.0, **settings),
            loss_dice=losses.DiceLoss(activate=True, naive_dice=True, eps=1.0, loss_weight=0.5, **settings),
            torch_dtype=torch.float32,
            frozen_sam2_decoder=False,
            loss_sample_points=True,
            training_bs=1,
            **options,
        )
        wrapper.text_hidden_fcs.load_state_dict(chat_model.text_hidden_fcs.state_dict())
        return wrapper

    def _training_encoder(self, geometry: Geometry) -> Any:
        """``SAM2TrainRunner`` around the published training SAM 2 at the geometry."""
        parts = types.SimpleNamespace()
        for module, names in {
            "backbones.hieradet": ("Hiera",),
            "backbones.image_encoder": ("FpnNeck", "ImageEncoder"),
            "position_encoding": ("PositionEmbeddingSine",),
            "memory_attention": ("MemoryAttention", "MemoryAttentionLayer"),
            "memory_encoder": ("MaskDownSampler", "CXBlock", "Fuser", "MemoryEncoder"),
            "sam.transformer": ("RoPEAttention",),
        }.items():
            found = self.module(f"third_parts.sam2.modeling.{module}")
            for name in names:
                setattr(parts, name, getattr(found, name))
        base = self.module("projects.sa2va.models.extension").SAM2Base
        runner = self.module("projects.sa2va.models.sam2_train").SAM2TrainRunner
        encoder = runner.__new__(runner)
        super(runner, encoder).__init__(init_cfg=None)
        settings = {key: value for key, value in _SAM2_SETTINGS.items() if key != "sam_mask_decoder_extra_args"}
        encoder.sam2_model = base(**_sam2_parts(parts, geometry), **settings)
        encoder.hidden_dim = geometry.width
        encoder.img_mean, encoder.img_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return encoder


#: What the published class and the published yaml both say, sizes apart.
_SAM2_SETTINGS: dict[str, Any] = dict(
    num_maskmem=7,
    sigmoid_scale_for_mem_enc=20.0,
    sigmoid_bias_for_mem_enc=-10.0,
    use_mask_input_as_output_without_sam=True,
    directly_add_no_mem_embed=True,
    use_high_res_features_in_sam=True,
    multimask_output_in_sam=True,
    iou_prediction_use_sigmoid=True,
    use_obj_ptrs_in_encoder=True,
    add_tpos_enc_to_obj_ptrs=False,
    only_obj_ptrs_in_the_past_for_eval=True,
    pred_obj_scores=True,
    pred_obj_scores_mlp=True,
    fixed_no_obj_ptr=True,
    multimask_output_for_tracking=True,
    use_multimask_token_for_obj_ptr=True,
    multimask_min_pt_num=0,
    multimask_max_pt_num=1,
    use_mlp_for_obj_ptr_proj=True,
    compile_image_encoder=False,
    sam_mask_decoder_extra_args=dict(
        dynamic_multimask_via_stability=True,
        dynamic_multimask_stability_delta=0.05,
        dynamic_multimask_stability_thresh=0.98,
    ),
)


def _sam2_parts(module: Any, geometry: Geometry) -> dict[str, Any]:
    """Image encoder, memory attention and memory encoder out of the classes of ``module``, at the geometry."""
    width, grid = geometry.width, geometry.side // 16
    trunk = module.Hiera(
        embed_dim=geometry.trunk,
        num_heads=geometry.trunk_heads,
        stages=geometry.stages,
        global_att_blocks=geometry.everywhere,
        window_pos_embed_bkg_spatial_size=(geometry.background,) * 2,
        window_spec=geometry.windows,
    )
    neck = module.FpnNeck(
        d_model=width,
        position_encoding=module.PositionEmbeddingSine(num_pos_feats=width, normalize=True),
        backbone_channel_list=[geometry.trunk * 2**stage for stage in (3, 2, 1, 0)],
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    rope = dict(feat_sizes=[grid, grid], embedding_dim=width, num_heads=1, downsample_rate=1, dropout=0.1)
    layer = module.MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=geometry.memory_mlp,
        dropout=0.1,
        pos_enc_at_attn=False,
        d_model=width,
        pos_enc_at_cross_attn_queries=False,
        pos_enc_at_cross_attn_keys=True,
        self_attention=module.RoPEAttention(**rope),
        cross_attention=module.RoPEAttention(rope_k_repeat=True, kv_in_dim=64, **rope),
    )
    return dict(
        image_size=geometry.side,
        image_encoder=module.ImageEncoder(scalp=1, trunk=trunk, neck=neck),
        memory_attention=module.MemoryAttention(
            d_model=width, pos_enc_at_input=True, num_layers=geometry.memory_layers, layer=layer
        ),
        memory_encoder=module.MemoryEncoder(
            out_dim=64,
            in_dim=width,
            position_encoding=module.PositionEmbeddingSine(num_pos_feats=64, normalize=True),
            mask_downsampler=module.MaskDownSampler(embed_dim=width, kernel_size=3, stride=2, padding=1),
            fuser=module.Fuser(module.CXBlock(dim=width, kernel_size=7, padding=3, use_dwconv=True), num_layers=2),
        ),
    )


def _declare_torchvision() -> None:
    """Lets torchvision be imported beside a CPU build of torch: declares the two operators that it asks for."""
    if torch.version.cuda or _libraries or importlib.util.find_spec("torchvision") is None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)


def _stand_in_for_xtuner() -> None:
    """Puts the few names that the published code takes from xtuner in its place; xtuner pins other libraries."""
    model = importlib.import_module("mmengine.model")

    class Builder:
        """Objects are taken as they are."""

        @staticmethod
        def build(given: Any) -> Any:
            return given

    class InternVL(model.BaseModel):
        """The parent of the published MLLM: holds the model, freezes it and gives it LoRA as xtuner does."""

        def __init__(self, model_path: Any, llm_lora: Any = None, **_: Any) -> None:
            super().__init__()
            self.model, self._count = model_path, 1
            self.model.language_model.requires_grad_(False)
            self.model.vision_model.requires_grad_(False)

        def _prepare_llm_for_lora(self, lora: Any) -> None:
            if lora is None:
                return
            from peft import get_peft_model, prepare_model_for_kbit_training

            self.model.language_model.gradient_checkpointing_enable()
            prepared = prepare_model_for_kbit_training(self.model.language_model, True)
            self.model.language_model = get_peft_model(prepared, lora)

    def bos_eos(tokenizer: Any) -> tuple[list[int], list[int]]:
        found = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        return tuple([] if index is None else [index] for index in found)

    def module(name: str, **values: Any) -> None:
        made = types.ModuleType(name)
        vars(made).update(values)
        sys.modules[name] = made

    module("xtuner")
    module("xtuner.registry", BUILDER=Builder)
    module("xtuner.model", InternVL_V1_5=InternVL)
    module("xtuner.model.utils", guess_load_checkpoint=torch.load)
    module("xtuner.dataset")
    module("xtuner.dataset.utils", get_bos_eos_token_ids=bos_eos)
    module(
        "xtuner.utils",
        IGNORE_INDEX=nn.CrossEntropyLoss().ignore_index,
        DEFAULT_PAD_TOKEN_INDEX=0,
    )
    if not torch.distributed.is_initialized():
        torch.distributed.get_rank = lambda *_: 1  # silences a report that only rank 0 prints
