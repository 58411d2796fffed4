"""A grounded model as one Hugging Face folder: ``config.json``, safetensors, tokenizer. Written and read here only.

The weights are one set (sharded when large) under ``mllm.…``, ``segmenter.…`` and ``projector.…``; ``config.json``
holds the configurations of both parts. Reading runs no code from the folder.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from word2mask import mllms, segmenters
from word2mask.data.outputs import with_usual_rights
from word2mask.errors import UserError
from word2mask.mllms.interface import MLLM
from word2mask.mllms.weights import Piece, TensorFolder, built_from
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.parts import GroundedWeights, PartWeights
from word2mask.models.projector import CornerProjector, PointingProjector, Projector, make_projector
from word2mask.models.published import MODEL_TYPE as PUBLISHED_TYPE
from word2mask.models.published import read_published
from word2mask.models.published_lisa import is_lisa, read_lisa
from word2mask.segmenters.interface import Segmenter

__all__ = [
    "MODEL_TYPE",
    "build_grounded",
    "configuration",
    "load_grounded",
    "read_configuration",
    "save_grounded",
]

MODEL_TYPE = "word2mask"
CONFIG_NAME = "config.json"
#: Where the parts' tensors stand in the weights; the last is there when the mask decoder was trained.
PARTS = ("mllm.model.", "segmenter.model.", "projector.", "segmenter.original_decoder.")


def configuration(model: GroundedMLLM) -> dict[str, Any]:
    """What ``config.json`` says of a model: all that is needed to build it without its weights."""
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["Word2MaskModel"],
        "seg_state": model.seg_state,
        "prompt_frames": model.prompt_frames,
        "projector": {
            "hidden_size": model.projector.hidden_size,
            "prompt_dim": model.projector.prompt_dim,
            # One token is what folders of earlier versions hold without saying so.
            **_form(model.projector),
        },
        "mllm": {
            "family": type(model.mllm).__name__,
            "settings": asdict(model.mllm.settings),
            "shared_encoder": model.mllm.shared_encoder,
            "config": model.mllm.model.config.to_diff_dict(),
        },
        "segmenter": {"family": type(model.segmenter).__name__, "config": model.segmenter.model.config.to_diff_dict()},
    }


def _form(projector: Projector | CornerProjector) -> dict[str, Any]:
    """What its widths don't say of a projector."""
    if isinstance(projector, PointingProjector):
        pointer = projector.pointer
        own_boxes = pointer.box is not None
        return {"corners": True, "grid": list(pointer.grid), "layer": pointer.layer, "own_boxes": own_boxes}
    if isinstance(projector, CornerProjector):
        return {"corners": True}
    return {"num_tokens": projector.num_tokens} if projector.num_tokens > 1 else {}


def save_grounded(model: GroundedMLLM, folder: str | Path, max_shard_size: int | str = "5GB") -> None:
    """Writes configuration, weights and tokenizer.

    Args:
        model: without adapters.
        folder: made if need be.
        max_shard_size: larger models are written in several files.

    Raises:
        ValueError: the model still carries adapters.
    """
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise ValueError("the model carries adapters; call model.merge() before saving it")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).write_text(json.dumps(configuration(model), indent=2, default=str) + "\n")
    model.mllm.tokenizer.save_pretrained(folder)
    shared = None if model.mllm.shared_encoder is None else "mllm." + model.mllm.shared_encoder[0]
    state = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if shared is None or not name.startswith(shared)
    }
    save_torch_state_dict(state, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})
    for weights in folder.glob("*.safetensors"):
        # A server may run as another user, in a container for one.
        with_usual_rights(weights)


def read_configuration(folder: str | Path) -> dict[str, Any]:
    """The contents of ``config.json``.

    Raises:
        UserError: no such folder, or neither one that :func:`save_grounded` wrote nor a published Sa2VA or LISA.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder; give one that convert_to_hf.py wrote")
    try:
        config = json.loads((folder / CONFIG_NAME).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder}: no {CONFIG_NAME} in it; give a folder that convert_to_hf.py wrote") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG_NAME}: can't be read ({error}); export the model again") from None
    if config.get("model_type") not in (MODEL_TYPE, PUBLISHED_TYPE) and not is_lisa(config):
        raise UserError(
            f"{folder / CONFIG_NAME}: model_type is {config.get('model_type')!r}, expected {MODEL_TYPE!r} (or "
            f"{PUBLISHED_TYPE!r}, the published layout); give a folder that convert_to_hf.py wrote"
        )
    return config


def load_grounded(
    folder: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    vision_tower: str | Path | None = None,
) -> GroundedMLLM:
    """Reads what :func:`save_grounded` wrote, or a Sa2VA or LISA folder as published; in evaluation mode.

    Args:
        folder: the folder.
        device: where the model is to lie.
        dtype: of its weights; ``None`` keeps the files' own.
        vision_tower: the folder of CLIP, which a published LISA lacks; ``None`` looks for the one that its
            ``config.json`` names, also beside ``folder``.

    Raises:
        UserError: a missing folder or file, or weights that don't fit the configuration.
    """
    folder = Path(folder)
    config = read_configuration(folder)
    if is_lisa(config):
        tower = None if vision_tower is None else Path(vision_tower)
        config, tokenizer, weights = read_lisa(folder, config, tower)
        return build_grounded(config, tokenizer, weights, str(folder), device, dtype)
    if config["model_type"] == PUBLISHED_TYPE:
        config, tokenizer, weights = read_published(folder, config)
        return build_grounded(config, tokenizer, weights, str(folder), device, dtype)
    weights = _weights(TensorFolder(folder), str(folder), config.get("mllm", {}).get("shared_encoder"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: its tokenizer can't be read ({error}); export the model again") from None
    return build_grounded(config, tokenizer, weights, str(folder), device, dtype)


def build_grounded(
    config: dict[str, Any],
    tokenizer: Any,
    weights: GroundedWeights,
    name: str,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> GroundedMLLM:
    """A model from its configuration and all its weights; in evaluation mode.

    Args:
        config: as :func:`configuration` makes it.
        tokenizer: the language model's.
        weights: of the parts.
        name: where it comes from, for messages.
        device: where the model is to lie.
        dtype: of its weights; ``None`` keeps that of the part.

    Raises:
        UserError: weights that don't fit the configuration, or a part that this version doesn't know.
    """
    try:
        family = _family(mllms, MLLM, config["mllm"]["family"])
        settings = config["mllm"]["settings"]
        backbone = _backbone(family, config["mllm"]["config"], weights.mllm, name, device, dtype)
        mllm = family.assemble(backbone, tokenizer, settings)
        family = _family(segmenters, Segmenter, config["segmenter"]["family"])
        segmenter = family.assemble(
            _backbone(family, config["segmenter"]["config"], weights.segmenter, name, device, dtype)
        )
        if weights.original_decoder:
            segmenter.keep_original_decoder(weights.original_decoder)
        projector = make_projector(**config["projector"])
        projector.to(device, dtype or next(iter(weights.projector.values())).dtype).load_state_dict(weights.projector)
        return GroundedMLLM(
            mllm, segmenter, projector, seg_state=config["seg_state"], prompt_frames=config["prompt_frames"]
        ).eval()
    except KeyError as error:
        raise UserError(f"{name}: {CONFIG_NAME} lacks {error}; export the model again") from None
    except (RuntimeError, StopIteration) as error:
        raise UserError(f"{name}: weights and {CONFIG_NAME} don't fit ({error}); export the model again") from None


def _backbone(
    family: Any,
    config: dict[str, Any],
    weights: PartWeights,
    name: str,
    device: str | torch.device,
    dtype: torch.dtype | None,
) -> PreTrainedModel:
    """The transformers model inside a part, with every weight given and none left over."""
    built = AutoConfig.for_model(**config)
    return built_from(family.backbone, built, weights.pieces, name, dtype or weights.dtype, device=device)


def _weights(tensors: TensorFolder, name: str, shared_encoder: list[str] | None = None) -> GroundedWeights:
    """The tensors of a folder, dealt out to the parts; those of a shared encoder, kept once, to both."""
    strangers = [key for key in tensors if not key.startswith(PARTS)]
    if strangers:
        raise UserError(f"{name}: {len(strangers)} tensors are of no part of the model, the first is {strangers[0]}")

    def pieces(part: str) -> Iterator[Piece]:
        return (Piece(key.removeprefix(part), tensors[key], key) for key in tensors if key.startswith(part))

    def state(part: str) -> dict[str, torch.Tensor]:
        # Copies, because tensors lie in the file at any address, and where one lies decides which kernel runs.
        return {piece.name: piece.tensor.clone() for piece in pieces(part)}

    def of_encoder() -> Iterator[Piece]:
        if shared_encoder is not None:
            own, theirs = shared_encoder[0].removeprefix("model."), "segmenter." + shared_encoder[1]
            yield from (Piece(own + piece.name, piece.tensor, piece.origin) for piece in pieces(theirs))

    language, segmenter, projector, original_decoder = PARTS
    return GroundedWeights(
        mllm=PartWeights(chain(pieces(language), of_encoder()), tensors.dtype(language) or torch.float32),
        segmenter=PartWeights(pieces(segmenter), tensors.dtype(segmenter) or torch.float32),
        projector=state(projector),
        original_decoder=state(original_decoder),
    )


def _family(package: ModuleType, base: type, name: str) -> Any:
    """The subclass of ``base`` called ``name`` in one of the package's modules."""
    for module in pkgutil.iter_modules(package.__path__):
        found = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), name, None)
        if isinstance(found, type) and issubclass(found, base) and found is not base:
            return found
    raise UserError(f"{CONFIG_NAME} names the {base.__name__.lower()} family {name!r}, which this version doesn't have")
