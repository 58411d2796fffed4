"""Pretraining of SAM 2: segmentation and tracking of whatever is prompted, without classes or language.

The recipe is the SAM 2 paper's (arXiv:2408.00714, §D.2) in small: prompts are drawn, a second prompt corrects the first
answer, clips are tracked through the memory, and the IoU and the presence of the object are learned beside the mask.
"""

from __future__ import annotations

import torch

from word2mask.data.shapes_world.promptable import PromptableBatch
from word2mask.models.promptable_pretraining import PromptablePretraining
from word2mask.segmenters.interface import Decoded, FrameFeatures
from word2mask.segmenters.sam2 import MemoryFrame, SAM2Segmenter

__all__ = ["SAM2Pretraining"]


class SAM2Pretraining(PromptablePretraining):
    """:class:`PromptablePretraining` of a segmenter that also follows objects through clips.

    Its segmenter is a :class:`word2mask.segmenters.sam2.SAM2Segmenter`.
    """

    segmenter: SAM2Segmenter

    def _rounds(self, features: FrameFeatures, batch: PromptableBatch) -> list[dict[str, torch.Tensor]]:
        """Losses of one answer after another, or of one frame after another."""
        if batch.frame_index.shape[1] == 1:
            return self._segment(features, batch)
        return self._track(features, batch)

    # ---------------------------------------------------------------- clips

    def _track(self, features: FrameFeatures, batch: PromptableBatch) -> list[dict[str, torch.Tensor]]:
        """Objects shown on the first frame (and at times on later ones), followed through the memory on the others."""
        num_objects, num_frames = batch.frame_index.shape
        shown = {0} | {t for t in range(1, num_frames) if torch.rand(()).item() < 0.2}
        keys: dict[int, MemoryFrame] = {}
        rounds: list[dict[str, torch.Tensor]] = []
        for t in sorted(shown):
            keys[t] = self._show(features, batch, t, rounds)
        tracked: dict[int, MemoryFrame] = {}
        for t in range(num_frames):
            if t in shown:
                continue
            frames = batch.frame_index[:, t]
            decoded, tracked[t] = self.follow(features, frames, t, keys, tracked, batch.frame_step)
            rounds.append(self._losses(decoded, batch.targets[:, t]))
        if not rounds:  # every frame was given by its masks
            decoded = self._click(features, batch.frame_index[:, 0], batch.clicks)
            rounds.append(self._losses(decoded, batch.targets[:, 0]))
        return rounds

    def _show(
        self, features: FrameFeatures, batch: PromptableBatch, t: int, rounds: list[dict[str, torch.Tensor]]
    ) -> MemoryFrame:
        """Memory of a frame where the objects are given: by their masks, or on the first frame also by clicks."""
        segmenter, frames = self.segmenter, batch.frame_index[:, t]
        if t > 0 or torch.rand(()).item() < 0.4:
            return segmenter.remember_masks(features, frames, batch.targets[:, t] > 0.5)[0]
        decoded = self._click(features, frames, batch.clicks)
        rounds.append(self._losses(decoded, batch.targets[:, t]))
        if torch.rand(()).item() < 0.5:
            return segmenter.remember_masks(features, frames, segmenter.enlarge(decoded.mask_logits.detach()) > 0)[0]
        return segmenter.remember_decoded(features, frames, decoded, binarize=True)

    def follow(
        self,
        features: FrameFeatures,
        frames: torch.Tensor,
        t: int,
        keys: dict[int, MemoryFrame],
        tracked: dict[int, MemoryFrame],
        frame_step: int = 1,
    ) -> tuple[Decoded, MemoryFrame]:
        """One step of tracking with gradients through the memory, which is selected as the tracker selects it."""
        config = self.segmenter.model.config
        memories = [(0, memory.features) for memory in keys.values()]
        recent = range(config.num_maskmem - 1, 0, -1)
        memories += [(ago, tracked[t - ago].features) for ago in recent if t - ago in tracked]
        pointers = [(frame_step * (t - s), memory.pointers) for s, memory in keys.items() if s <= t]
        past = range(1, config.max_object_pointers_in_encoder)
        pointers += [(frame_step * ago, tracked[t - ago].pointers) for ago in past if t - ago in tracked]
        conditioned = self.segmenter.attend_memory(features, frames, memories, pointers)
        sparse = self.segmenter.embed_points(len(frames))
        decoded = self.segmenter.decode_embeddings(features, frames, sparse, conditioned=conditioned)
        return decoded, self.segmenter.remember_decoded(features, frames, decoded)
