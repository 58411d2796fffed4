"""What frozen encoders make of a frame, kept on disk: each frame passes an encoder once in all runs, and then never.

On disk::

    <folder>/<encoder>/<ab>/<frame>.safetensors      the tensors of one frame

``<encoder>`` is a hash of the encoder's weights, its kind, the precision that it computes in, the precision that is
kept and the libraries that compute; ``<frame>`` is a hash of the pixels as the encoder gets them. So nothing has to be
declared stale: other weights, another preprocessing, an edited picture or a random crop are other names. A file
appears under its name when it is complete, so processes share a folder and a run that was stopped goes on with what is
there. Nothing is kept in memory beyond the batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from word2mask.errors import UserError
from word2mask.mllms.interface import MLLM
from word2mask.segmenters.interface import FrameFeatures

__all__ = ["STORED_DTYPES", "FeatureFolder", "StoredCalls", "store_features"]

logger = logging.getLogger(__name__)

#: Precisions that can be kept; ``None`` is the one that was computed.
STORED_DTYPES = {None: None, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Frames that pass an encoder together: what lies between its layers is large, and a batch of pretraining has many.
FRAMES_AT_ONCE = 4
_LAYOUT = 1


def weights_hash(modules: Sequence[nn.Module], *more: object) -> str:
    """A name for what modules compute, of their kinds, their weights and what else is given."""
    digest = hashlib.sha256(repr((_LAYOUT, torch.__version__, transformers.__version__, *more)).encode())
    for module in modules:
        digest.update(type(module).__qualname__.encode())
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
            digest.update(_content(tensor))
    return digest.hexdigest()[:32]


def _content(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor, as a buffer."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


@dataclass
class FeatureFolder:
    """Files of one encoder.

    Args:
        folder: of this encoder alone.
        dtype: that is kept; ``None`` for the computed one.
        limit: most bytes of the whole of :attr:`root`; beyond them frames are encoded and not kept.
        root: of all encoders.
    """

    folder: Path
    dtype: torch.dtype | None
    limit: int
    root: Path

    def __post_init__(self) -> None:
        self._size: int | None = None

    def read(self, frame: str) -> dict[str, torch.Tensor] | None:
        """The tensors of a frame, or ``None`` where it isn't there.

        Raises:
            UserError: a file that can't be read.
        """
        path = self._path(frame)
        try:
            return load_file(path)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: stored features that can't be read ({error}); delete the file") from None

    def write(self, frame: str, tensors: dict[str, torch.Tensor]) -> bool:
        """Keeps the tensors of a frame; whether there was room for them.

        Raises:
            UserError: values that the kept precision can't hold, or a disk that refuses.
        """
        kept = {name: value.detach().to("cpu", self.dtype).contiguous() for name, value in tensors.items()}
        for name, value in kept.items():
            if value.is_floating_point() and not value.isfinite().all() and tensors[name].isfinite().all():
                raise UserError(
                    f"cache_features: values up to {tensors[name].abs().max():.3g} don't fit {value.dtype}; "
                    "choose cache_features.dtype=bf16 or fp32"
                )
        num_bytes = sum(value.nbytes for value in kept.values())
        if self._size is None:
            self._size = sum(path.stat().st_size for path in self.root.rglob("*.safetensors"))
        if self._size + num_bytes > self.limit:
            return False
        path = self._path(frame)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(kept, temporary)
            os.replace(temporary, path)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: features can't be written ({error}); free some space, lower cache_features.limit_gb, or "
                "leave cache_features out"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._size += num_bytes
        return True

    def _path(self, frame: str) -> Path:
        return self.folder / frame[:2] / f"{frame}.safetensors"


class StoredCalls:
    """Stands in the place of an encoder's function; calls it for the frames that no file holds.

    Args:
        function: pixels ``[F,3,S,S]`` → a tensor, or :class:`FrameFeatures`, with F rows.
        modules: what it computes with; frozen.
        files: where results are kept.
        is_features: whether it gives :class:`FrameFeatures`.
    """

    def __init__(
        self,
        function: Callable[[torch.Tensor], Any],
        modules: Sequence[nn.Module],
        files: FeatureFolder,
        is_features: bool,
    ) -> None:
        self.function = function
        self.modules = modules
        self.files = files
        self.is_features = is_features
        #: How many frames were encoded, and how many were read.
        self.encoded = self.read = 0
        self._is_full = False

    def __call__(self, pixels: torch.Tensor) -> Any:
        """The result for these frames, in the type and precision in which the function gives it."""
        if any(module.training for module in self.modules):
            raise ValueError("stored features are those of an encoder in evaluation mode; this one is in training mode")
        frames = [hashlib.sha256(_content(row)).hexdigest() for row in pixels]
        rows = [self.files.read(frame) for frame in frames]
        missing = [place for place, row in enumerate(rows) if row is None]
        self.read += len(rows) - len(missing)
        self.encoded += len(missing)
        for start in range(0, len(missing), FRAMES_AT_ONCE):
            chunk = missing[start : start + FRAMES_AT_ONCE]
            with torch.no_grad():
                tensors = _named(self.function(pixels[chunk]))
            for row, place in enumerate(chunk):
                rows[place] = own = {name: value[row] for name, value in tensors.items()}
                if not self._is_full:
                    self._keep(frames[place], own)
        return self._together([row for row in rows if row is not None], pixels.device)

    def _together(self, rows: list[dict[str, torch.Tensor]], device: torch.device) -> Any:
        """The frames' tensors as the function gives them; what was encoded now is rounded as what was read."""
        tensors = []
        for name in sorted(rows[0]):
            computed = getattr(torch, name.partition(".")[2])
            kept = [row[name].to(self.files.dtype or computed) for row in rows]
            tensors.append(torch.stack([value.to(device, computed) for value in kept]))
        return FrameFeatures(tensors) if self.is_features else tensors[0]

    def _keep(self, frame: str, row: dict[str, torch.Tensor]) -> None:
        if not self.files.write(frame, row):
            self._is_full = True
            logger.warning(
                "cache_features: %s holds %.1f GB, its limit; further frames are encoded at every visit (raise "
                "cache_features.limit_gb; frames drawn at random from videos never end)",
                self.files.root,
                self.files.limit / 1e9,
            )


def _named(output: torch.Tensor | FrameFeatures) -> dict[str, torch.Tensor]:
    """The tensors of a result by place and precision, so that a file says in which one it was computed."""
    tensors = output.levels if isinstance(output, FrameFeatures) else [output]
    return {f"{place}.{str(value.dtype).removeprefix('torch.')}": value for place, value in enumerate(tensors)}


def store_features(
    model: nn.Module, folder: str | Path, dtype: str | None, limit_gb: float, precision: str = "fp32"
) -> dict[str, StoredCalls]:
    """Keeps what a model's frozen encoders make of frames; in place, on this instance alone.

    Where segmenter and MLLM share one encoder, or the MLLM's tower and connector are frozen, the MLLM's part is kept
    too; the tower of another MLLM computes as before.

    Args:
        model: with an ``mllm`` and perhaps a ``segmenter``, its trainable plan applied and its final weights.
        folder: of all encoders.
        dtype: of :data:`STORED_DTYPES`. ``"fp32"`` and ``None`` keep every bit of what was computed; ``"fp16"`` and
            ``"bf16"`` round to 11 and 8 bits, relative errors up to 2⁻¹¹ and 2⁻⁸, at half the size.
        limit_gb: most 10⁹ bytes in the folder.
        precision: in which the run computes.

    Returns:
        What was put in place, by name.

    Raises:
        UserError: the segmenter's encoder trains, or settings that can't be met.
    """
    if dtype not in STORED_DTYPES:
        raise UserError(f"cache_features.dtype is {dtype!r}; expected one of fp32, bf16, fp16 or None")
    if not limit_gb > 0:
        raise UserError(f"cache_features.limit_gb must be above 0, got {limit_gb!r}")
    mllm, segmenter = getattr(model, "mllm", None), getattr(model, "segmenter", None)
    if not isinstance(mllm, MLLM):
        raise UserError(f"cache_features is for models with an MLLM; this is a {type(model).__name__}")
    root = Path(folder).expanduser()
    places, settings = {}, {"segmenter": "", "mllm": mllm.encoder_settings()}
    if segmenter is not None:
        places["segmenter"] = (segmenter, "encode_frames", segmenter.encoder_modules(), True)
    seen = mllm.frame_encoder()
    if seen is not None and not _trains(seen[2]):
        places["mllm"] = (*seen, False)
    if segmenter is not None and _trains(places["segmenter"][2]):
        raise UserError(
            "cache_features: the segmenter's image encoder trains, so what it makes of a frame changes at every step; "
            "leave 'segmenter' and 'mask_decoder' out of model.trainable.train, or leave cache_features out"
        )
    placed = {}
    for name, (holder, attribute, modules, is_features) in places.items():
        own = weights_hash(modules, name, attribute, precision, dtype, settings[name])
        files = FeatureFolder(root / own, STORED_DTYPES[dtype], int(limit_gb * 1e9), root)
        placed[name] = StoredCalls(getattr(holder, attribute), modules, files, is_features)
        # On the instance, because a module in between would change the names of its weights.
        setattr(holder, attribute, placed[name])
    logger.info("cache_features: %s of frozen encoders kept in %s", " and ".join(placed), root)
    return placed


def _trains(modules: Sequence[nn.Module]) -> bool:
    return any(parameter.requires_grad for module in modules for parameter in module.parameters())
