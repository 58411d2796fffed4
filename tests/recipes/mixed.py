"""A tiny grounded model on batches that take different ways through it: text, a picture, a video, with and without
masks."""

from __future__ import annotations

import os
import signal

import numpy as np
import torch

from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.conversation import encode_conversation
from word2mask.types import Batch, Media, Turn

#: ``(answer, number of frames or 0)``; in dataset order, two processes see text beside a video, and the reverse.
SAMPLES = (
    ("Yes.", 0),
    ("It is [SEG].", 3),
    ("[SEG] and [SEG].", 1),
    ("A long answer without any picture at all, long enough to be of another length.", 0),
    ("None.", 1),
    ("No.", 0),
    ("Here: [SEG].", 1),
    ("[SEG].", 2),
)


class MixedModel(GroundedMLLM):
    """Random weights of a few thousand parameters; can die at a step, on one process.

    Args:
        kill_at: forward pass before which the process ``kill_rank`` ends itself by SIGKILL.
        kill_rank: which.
        checkpointing: compute activations twice.
    """

    def __init__(self, kill_at: int | None = None, kill_rank: int = 1, checkpointing: bool = False):
        torch.manual_seed(0)
        plan = TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0)
        # All points of a mask instead of a random choice, which would differ between one process and two.
        super().__init__(InternVL.tiny(), SAM2Segmenter.tiny(), loss=GroundingLoss(num_points=None), trainable=plan)
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self.named_parameters():
            if "lora_B" in name:
                # At its usual zeros, half of the adapters would have no gradient.
                parameter.data.normal_(std=0.1, generator=generator)
        self.mllm.checkpoint_gradients(checkpointing)
        self.kill_at, self.kill_rank, self.passes = kill_at, kill_rank, 0

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        self.passes += 1
        if self.passes == self.kill_at and int(os.environ.get("RANK", 0)) == self.kill_rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(batch)


class MixedValidation:
    """Calls the language model more often on one process than on the other, as generating answers does.

    Args:
        model: what validates; its collation makes the input.
    """

    def __init__(self, model: MixedModel):
        self.batch = MixedCollate(model)([3])

    def __call__(self, model: MixedModel, iteration: int) -> dict[str, float]:
        for _ in range(1 + int(os.environ.get("RANK", 0))):
            hidden = model.mllm(self.batch.input_ids, self.batch.attention_mask, {}).hidden
        return {"length": float(hidden.shape[1])}


class MixedDataset:
    """:data:`SAMPLES`, as indices."""

    def __len__(self) -> int:
        return len(SAMPLES)

    def __getitem__(self, index: int) -> int:
        return index


class MixedCollate:
    """Indices → batch, with random pixels and masks that depend on the index alone.

    Args:
        model: whose processors to use.
    """

    def __init__(self, model: GroundedMLLM):
        self.mllm, self.segmenter = model.mllm.processor, model.segmenter.processor

    def __call__(self, indices: list[int]) -> Batch:
        encoded, media, frames, masks = [], [], [], []
        for index in indices:
            answer, num_frames = SAMPLES[index]
            generator = np.random.default_rng(index)
            placeholder, pixels = "", generator.integers(0, 255, (max(num_frames, 1), 24, 20, 3), dtype=np.uint8)
            if num_frames:
                prepared = self.mllm.prepare_media(Media("video" if num_frames > 1 else "image", pixels))
                placeholder = prepared.placeholder
                media.append(prepared.tensors)
            turns = (Turn("user", "Where?"), Turn("assistant", answer))
            item = encode_conversation(turns, self.mllm.tokenizer, self.mllm.template, placeholder)
            encoded.append(item)
            count = len(item.seg_positions)
            frames.append(self.segmenter.prepare_frames(pixels) if count else None)
            masks.append(torch.from_numpy(generator.random((count, num_frames, 24, 20)) > 0.5) if count else None)
        pad = torch.nn.utils.rnn.pad_sequence
        return Batch(
            names=[f"mixed[{index}]" for index in indices],
            tasks=["refer"] * len(indices),
            input_ids=pad([item.input_ids for item in encoded], batch_first=True),
            attention_mask=pad([torch.ones_like(item.input_ids) for item in encoded], batch_first=True),
            labels=pad([item.labels for item in encoded], batch_first=True, padding_value=-100),
            seg_positions=[item.seg_positions for item in encoded],
            mllm_media={key: torch.cat([item[key] for item in media]) for key in media[0]} if media else {},
            segmenter_frames=frames,
            masks=masks,
            void=[None] * len(indices),
            region_cells=[None] * len(indices),
        )
