"""Word2MaskConfig and Word2MaskModel: a grounded model as a transformers model.

``import word2mask`` imports this module and so registers both with ``AutoConfig`` and ``AutoModel``; therefore it
imports nothing of word2mask but what is light, and the model itself when one is read. No remote code is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from word2mask.errors import UserError

__all__ = ["Word2MaskConfig", "Word2MaskModel"]

#: Arguments of ``from_pretrained`` that say where to download from or how, and mean nothing for a local folder.
_MEANINGLESS = frozenset(
    (
        *("adapter_kwargs", "cache_dir", "code_revision", "force_download", "local_files_only", "low_cpu_mem_usage"),
        *("proxies", "revision", "token", "trust_remote_code", "use_safetensors"),
    )
)


class Word2MaskConfig(PreTrainedConfig):
    """What ``config.json`` of an exported model says.

    Args:
        mllm: ``{"family", "settings", "config"}`` of the language model.
        segmenter: ``{"family", "config"}`` of the segmenter.
        projector: ``{"hidden_size", "prompt_dim"}``, ``"num_tokens"`` where it isn't 1, and ``"corners"`` where
            prompts are boxes.
        seg_state: which state stands for an object, ``"at"`` or ``"before"`` the ``[SEG]``.
        prompt_frames: on which frames a ``[SEG]`` prompts the segmenter, ``"all"`` or the ``"first"``.
        **kwargs: of ``PreTrainedConfig``.
    """

    model_type = "word2mask"

    def __init__(
        self,
        mllm: dict[str, Any] | None = None,
        segmenter: dict[str, Any] | None = None,
        projector: dict[str, int] | None = None,
        seg_state: str = "at",
        prompt_frames: str = "all",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mllm = mllm or {}
        self.segmenter = segmenter or {}
        self.projector = projector or {}
        self.seg_state = seg_state
        self.prompt_frames = prompt_frames


class Word2MaskModel(PreTrainedModel):
    """A :class:`word2mask.models.grounded.GroundedMLLM` that transformers' ``AutoModel`` can read.

    Args:
        config: of the model.
        grounded: the model itself; :meth:`from_pretrained` reads it from a folder.
    """

    config_class = Word2MaskConfig
    main_input_name = "input_ids"

    def __init__(self, config: Word2MaskConfig, grounded: torch.nn.Module) -> None:
        super().__init__(config)
        self.grounded = grounded
        self._session: Any = None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *args: Any,
        config: Word2MaskConfig | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device_map: str | torch.device | None = None,
        **kwargs: Any,
    ) -> Word2MaskModel:
        """Reads an exported folder, or a published Sa2VA one; in evaluation mode.

        Args:
            pretrained_model_name_or_path: the folder.
            *args: none.
            config: as ``AutoModel`` read it; the folder's own counts.
            dtype: of the weights, e.g. ``torch.bfloat16`` or ``"bfloat16"``; ``None`` or ``"auto"`` keeps the files'
                own.
            torch_dtype: the older name of ``dtype``.
            device_map: one device.
            **kwargs: ``AutoModel``'s arguments about downloading, which a local folder doesn't need.

        Raises:
            UserError: a folder that isn't one of ours.
            TypeError: an argument that this model doesn't have.
        """
        from word2mask.models.folder import configuration, load_grounded

        unknown = [name for name in kwargs if name not in _MEANINGLESS and not name.startswith("_")]
        if args or unknown:
            raise TypeError(f"Word2MaskModel.from_pretrained doesn't take {', '.join(unknown) or 'more than a folder'}")
        folder = Path(pretrained_model_name_or_path)
        grounded = load_grounded(folder, device=device_map or "cpu", dtype=_dtype(dtype or torch_dtype))
        saved = configuration(grounded)
        del saved["model_type"]
        return cls(Word2MaskConfig(**saved), grounded).eval()

    def save_pretrained(self, save_directory: str | Path, max_shard_size: int | str = "5GB", **kwargs: Any) -> None:
        """Writes the folder that :meth:`from_pretrained` reads."""
        from word2mask.export.folder import save_hf

        if kwargs:
            raise TypeError(f"Word2MaskModel.save_pretrained doesn't take {', '.join(kwargs)}")
        save_hf(self.grounded, save_directory, max_shard_size=max_shard_size)

    def forward(self, batch: Any) -> dict[str, torch.Tensor]:
        """Losses of a :class:`word2mask.types.Batch`; see :class:`word2mask.models.grounded.GroundedMLLM`."""
        return self.grounded(batch)

    @property
    def session(self) -> Any:
        """A :class:`word2mask.inference.session.Session`, for what :meth:`predict_forward` can't say."""
        if self._session is None:
            from word2mask.inference.session import Session

            self._session = Session(self.grounded)
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session

    def predict_forward(
        self,
        image: Any = None,
        video: Sequence[Any] | None = None,
        text: str | None = None,
        past_text: str | None = "",
        mask_prompts: Sequence[np.ndarray] | None = None,
        tokenizer: Any = None,
        processor: Any = None,
        max_new_tokens: int = 2048,
    ) -> dict[str, Any]:
        """Answers as the published Sa2VA models do, for programs that were written for them.

        It is :attr:`session` that answers, so a video's key frames are spread over it. Assign a session with other
        settings for the published code's own procedure.

        Args:
            image: a PIL picture.
            video: PIL frames.
            text: the question; ``<image>`` in it is dropped, because the media's place is known.
            past_text: the conversation so far, in the model's chat template.
            mask_prompts: visual prompts, ``[n,H,W]`` each.
            tokenizer: ignored; the model has its own.
            processor: ignored; likewise.
            max_new_tokens: upper limit of the answer's length; at most half of what the model can read is left to it.

        Returns:
            ``{"prediction": str, "prediction_masks": [bool [T,H,W]]}``, special tokens kept but for the one that ends
            the answer, one entry a ``[SEG]``.

        Raises:
            UserError: an empty question, or both a picture and a video.
        """
        from word2mask.export.transcript import parse_transcript
        from word2mask.types import Media, Request, Turn

        if image is not None and video is not None:
            raise UserError("predict_forward: give image or video, not both")
        media = None
        if image is not None:
            media = Media("image", _pixels([image]))
        elif video is not None:
            if not len(video):
                raise UserError("predict_forward: the video has no frames")
            media = Media("video", _pixels(video), tuple(range(len(video))))
        turns = parse_transcript(past_text or "", self.grounded.mllm.template)
        question = Turn("user", (text or "").replace("<image>\n", "").replace("<image>", ""))
        regions = None if not mask_prompts else np.concatenate([np.asarray(mask).astype(bool) for mask in mask_prompts])
        # The published default is more than a small model's whole length.
        limit = min(max_new_tokens, self.session.encoder.max_length // 2)
        result = self.session.ask(Request((*turns, question), media, regions, limit))
        return {"prediction": result.raw_text, "prediction_masks": [segment.masks for segment in result.segments]}


def _pixels(frames: Sequence[Any]) -> np.ndarray:
    """PIL pictures as uint8 RGB ``[T,H,W,3]``."""
    return np.stack([np.asarray(frame.convert("RGB")) for frame in frames])


def _dtype(name: torch.dtype | str | None) -> torch.dtype | None:
    if name is None or isinstance(name, torch.dtype):
        return name
    found = getattr(torch, name, None)
    if name != "auto" and not isinstance(found, torch.dtype):
        raise UserError(f"dtype {name!r} is unknown; choose float32, bfloat16, float16 or auto")
    return found if name != "auto" else None


AutoConfig.register(Word2MaskConfig.model_type, Word2MaskConfig, exist_ok=True)
AutoModel.register(Word2MaskConfig, Word2MaskModel, exist_ok=True)
