"""What a base MLLM knows before fine-tuning: does it find what an expression means, and does it answer questions?

Protocol: scenes of a split that training never saw; one question per conversation; greedy answers. An expression counts
as found when the answer has as many ``<box>`` as there are targets and each box, read by the pretraining's regression
head from the token's state, has IoU over 0.5 with its target, in order; an expression without target, when there is no
``<box>``. A question counts by exact match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from word2mask.data.collate import collate
from word2mask.data.encode import Encoder
from word2mask.data.shapes_world.base_stream import shown_frames
from word2mask.data.shapes_world.language import IMAGE_KINDS, VIDEO_KINDS, chat, object_boxes, reasoning, referring
from word2mask.data.shapes_world.scene import Scene, sample_scene
from word2mask.data.shapes_world.splits import Split, scene_rng
from word2mask.models.mllm_pretraining import MLLMPretraining
from word2mask.ops.boxes import box_overlaps
from word2mask.text.questions import segmentation_question
from word2mask.text.special_tokens import BOX_START
from word2mask.types import Example, Media, Request, Turn

#: First scene index of this check.
FIRST_INDEX = 30_000_000


@dataclass(frozen=True)
class Probe:
    """One question with its right answer: ``answer`` for a chat, else ``boxes`` float32 ``[K,4]``."""

    kind: str
    example: Example
    answer: str | None
    boxes: torch.Tensor


class BaseMLLMCheck:
    """Scores a base MLLM by kind of question; a validation node for training configs.

    Args:
        encoder: as in training.
        num_scenes: pictures; a quarter as many videos are asked about besides.
        split: ``"val"`` or ``"combo"``.
        seed: of the scenes.
        batch_size: prompts answered at once.
    """

    def __init__(
        self, encoder: Encoder, num_scenes: int = 40, split: Split = "val", seed: int = 0, batch_size: int = 24
    ) -> None:
        self.encoder, self.num_scenes, self.split = encoder, num_scenes, split
        self.seed, self.batch_size = seed, batch_size

    def __call__(self, model: MLLMPretraining, iteration: int = 0) -> dict[str, float]:
        """Share of right answers, as ``image/relation``, ``video/motion``, ``image/chat/count``, … and their means."""
        scores: dict[str, list[float]] = defaultdict(list)
        was_training = model.training
        model.eval()
        for kind in ("image", "video"):
            probes = list(self._probes(kind))
            for start in range(0, len(probes), self.batch_size):
                chunk = probes[start : start + self.batch_size]
                for probe, right in zip(chunk, self._judge(model, chunk), strict=True):
                    scores[f"{kind}/{probe.kind}"].append(right)
                    scores[f"{kind}/{'chat' if probe.answer is not None else 'locate'}"].append(right)
        model.train(was_training)
        return {name: round(100 * float(np.mean(values)), 1) for name, values in sorted(scores.items())}

    def _probes(self, kind: str) -> Iterator[Probe]:
        for number in range(self.num_scenes if kind == "image" else max(1, self.num_scenes // 4)):
            rng = scene_rng(self.seed, self.split, FIRST_INDEX + number + (500_000 if kind == "video" else 0))
            scene = sample_scene(rng, kind, self.split)
            frames, _, indices = shown_frames(scene, 5)
            media = Media(kind, frames, indices)
            boxes = torch.tensor([box or (0, 0, 0, 0) for box in object_boxes(scene)], dtype=torch.float32) / 100
            for name, question, targets in _located(scene, rng):
                yield Probe(name, self._encode(media, question), None, boxes[list(targets)])
            for item in chat(scene, rng)[:4]:
                yield Probe(f"chat/{item.topic}", self._encode(media, item.question), item.answer, boxes[:0])

    def _encode(self, media: Media, question: str) -> Example:
        return self.encoder.encode_request(Request((Turn("user", question),), media, max_new_tokens=32))

    def _judge(self, model: MLLMPretraining, probes: list[Probe]) -> list[float]:
        tokenizer = model.mllm.tokenizer
        batch = collate([probe.example for probe in probes], tokenizer.pad_token_id)
        device = next(model.parameters()).device
        answers = model.mllm.generate(batch.to(device), 32, state_token=BOX_START)
        results = []
        for probe, ids, states in zip(probes, answers.ids, answers.seg_hidden, strict=True):
            if probe.answer is not None:
                said = tokenizer.decode(ids, skip_special_tokens=True)
                results.append(float(said.strip().lower() == probe.answer.lower()))
            elif len(states) != len(probe.boxes):
                results.append(0.0)
            elif not len(states):
                results.append(1.0)
            else:
                with torch.no_grad():
                    iou = box_overlaps(model.box_head(states).cpu(), probe.boxes)[0]
                results.append(float(bool((iou > 0.5).all())))
        return results


def _located(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Kind, question and targets: one expression of each kind that the scene has, and a question of knowledge."""
    for kind in IMAGE_KINDS if scene.kind == "image" else VIDEO_KINDS:
        for expression in referring(scene, rng, kind)[:1]:
            medium = "picture" if scene.kind == "image" else "video"
            yield kind, segmentation_question(expression.text, rng, medium), expression.targets
    for asked in reasoning(scene, rng)[:1]:
        yield "reasoning", asked.question, asked.targets
