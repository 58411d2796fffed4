"""A grounded model as one Hugging Face folder: ``config.json``, safetensors, tokenizer. Written and read here only.

The weights are one set (sharded when large) under ``mllm.…``, ``segmenter.…`` and ``projector.…``; ``config.json``
holds the configurations of both parts. Reading runs no code from the folder.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from word2mask import mllms, segmenters
from word2mask.errors import UserError
from word2mask.mllms.interface import MLLM
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.projector import Projector
from word2mask.segmenters.interface import Segmenter

__all__ = ["MODEL_TYPE", "build_grounded", "configuration", "load_grounded", "read_configuration", "save_grounded"]

MODEL_TYPE = "word2mask"
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
#: Where the parts' tensors stand in the weights; the last is there when the mask decoder was trained.
PARTS = ("mllm.model.", "segmenter.model.", "projector.", "segmenter.original_decoder.")


def configuration(model: GroundedMLLM) -> dict[str, Any]:
    """What ``config.json`` says of a model: all that is needed to build it without its weights."""
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["Word2MaskModel"],
        "seg_state": model.seg_state,
        "prompt_frames": model.prompt_frames,
        "projector": {"hidden_size": model.projector.hidden_size, "prompt_dim": model.projector.prompt_dim},
        "mllm": {
            "family": type(model.mllm).__name__,
            "settings": asdict(model.mllm.settings),
            "config": model.mllm.model.config.to_diff_dict(),
        },
        "segmenter": {"family": type(model.segmenter).__name__, "config": model.segmenter.model.config.to_diff_dict()},
    }


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
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_torch_state_dict(state, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})


def read_configuration(folder: str | Path) -> dict[str, Any]:
    """The contents of ``config.json``.

    Raises:
        UserError: no such folder, or not one that :func:`save_grounded` wrote.
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
    if config.get("model_type") != MODEL_TYPE:
        raise UserError(
            f"{folder / CONFIG_NAME}: model_type is {config.get('model_type')!r}, expected {MODEL_TYPE!r}; "
            "give a folder that convert_to_hf.py wrote"
        )
    return config


def load_grounded(
    folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> GroundedMLLM:
    """Reads what :func:`save_grounded` wrote; in evaluation mode.

    Args:
        folder: the folder.
        device: where the model is to lie.
        dtype: of its weights; ``None`` keeps the files' own.

    Raises:
        UserError: a missing folder or file, or weights that don't fit the configuration.
    """
    folder = Path(folder)
    config = read_configuration(folder)
    state = _read_weights(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: its tokenizer can't be read ({error}); export the model again") from None
    return build_grounded(config, tokenizer, state, str(folder), dtype).to(device).eval()


def build_grounded(
    config: dict[str, Any],
    tokenizer: Any,
    state: dict[str, torch.Tensor],
    name: str,
    dtype: torch.dtype | None = None,
) -> GroundedMLLM:
    """A model from its configuration and all its weights.

    Args:
        config: as :func:`configuration` makes it.
        tokenizer: the language model's.
        state: every tensor of the model.
        name: where it comes from, for messages.
        dtype: ``None`` keeps the tensors' own.

    Raises:
        UserError: weights that don't fit the configuration, or a part that this version doesn't know.
    """
    language, vision, projection, original_decoder = (
        {key.removeprefix(part): tensor for key, tensor in state.items() if key.startswith(part)} for part in PARTS
    )
    strangers = [key for key in state if not key.startswith(PARTS)]
    if strangers:
        raise UserError(f"{name}: {len(strangers)} tensors are of no part of the model, the first is {strangers[0]}")
    try:
        family = _family(mllms, MLLM, config["mllm"]["family"])
        settings = config["mllm"]["settings"]
        mllm = family.assemble(_backbone(family, config["mllm"]["config"], language, name, dtype), tokenizer, settings)
        family = _family(segmenters, Segmenter, config["segmenter"]["family"])
        segmenter = family.assemble(_backbone(family, config["segmenter"]["config"], vision, name, dtype))
        if original_decoder:
            segmenter.keep_original_decoder(original_decoder)
        projector = Projector(**config["projector"])
        projector.to(dtype or next(iter(projection.values())).dtype).load_state_dict(projection)
        return GroundedMLLM(
            mllm, segmenter, projector, seg_state=config["seg_state"], prompt_frames=config["prompt_frames"]
        )
    except KeyError as error:
        raise UserError(f"{name}: {CONFIG_NAME} lacks {error}; export the model again") from None
    except (RuntimeError, StopIteration) as error:
        raise UserError(f"{name}: weights and {CONFIG_NAME} don't fit ({error}); export the model again") from None


def _backbone(
    family: type, config: dict[str, Any], state: dict[str, torch.Tensor], name: str, dtype: torch.dtype | None
) -> PreTrainedModel:
    """The transformers model inside a part, with every weight given and none left over."""
    dtype = dtype or next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())
    with _quiet():
        model, info = family.backbone.from_pretrained(
            None, config=AutoConfig.for_model(**config), state_dict=state, dtype=dtype, output_loading_info=True
        )
    wrong = {
        kind: sorted(map(str, info[kind]))
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if info.get(kind)
    }
    if wrong:
        raise UserError(
            f"{name}: weights of {family.__name__} don't fit {CONFIG_NAME}: {wrong}; export the model again"
        )
    return model


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the folder."""
    index = folder / INDEX_NAME
    try:
        files = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else [WEIGHTS_NAME]
        state: dict[str, torch.Tensor] = {}
        for file in files:
            # Copies, because tensors lie in the file at any address, and where one lies decides which kernel runs.
            state.update((name, tensor.clone()) for name, tensor in load_file(folder / Path(file).name).items())
        return state
    except FileNotFoundError as error:
        missing = error.filename or str(error)
        raise UserError(f"{folder}: a file of the weights is missing ({missing}); export the model again") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: the weights can't be read ({error}); export the model again") from None


def _family(package: ModuleType, base: type, name: str) -> Any:
    """The subclass of ``base`` called ``name`` in one of the package's modules."""
    for module in pkgutil.iter_modules(package.__path__):
        found = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), name, None)
        if isinstance(found, type) and issubclass(found, base) and found is not base:
            return found
    raise UserError(f"{CONFIG_NAME} names the {base.__name__.lower()} family {name!r}, which this version doesn't have")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar over tensors."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
