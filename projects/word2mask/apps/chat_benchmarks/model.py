"""The model class that lmms-eval calls (its ``lmms_eval.api.model.lmms``, chat interface, 0.7.3)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from tqdm import tqdm

from word2mask.apps.chat_benchmarks.messages import MAX_NEW_TOKENS, cut, to_request
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.types import Request

logger = logging.getLogger(__name__)

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Word2Mask(lmms):
    """An exported folder under lmms-eval. Answers are greedy, whatever a task's temperature.

    A request that can't be answered stops the run. With ``on_failure="empty"`` it counts as an empty answer, and all of
    them are named at the end.

    Args:
        pretrained: the exported folder.
        device: where to run; each process on its own GPU where there are several, else CUDA where there is one.
        batch_size: requests answered together.
        max_batch_size: lmms-eval's own setting; not used.
        dtype: ``fp32``, ``bf16`` or ``fp16``; the folder's own without.
        key_frames: of a video, how many frames the model sees.
        key_frame_choice: ``"uniform"`` or ``"first"``.
        on_failure: ``"raise"`` or ``"empty"``.

    Raises:
        UserError: no such folder, or an unknown value.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        dtype: str | None = None,
        key_frames: int = 5,
        key_frame_choice: str = "uniform",
        on_failure: str = "raise",
    ) -> None:
        super().__init__()
        if dtype is not None and dtype not in _DTYPES:
            raise UserError(f"dtype is {' or '.join(_DTYPES)}, got {dtype!r}")
        if on_failure not in ("raise", "empty"):
            raise UserError(f"on_failure is raise or empty, got {on_failure!r}")
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise UserError(f"batch_size must be 1 or more, got {batch_size!r}")
        self.batch_size = int(batch_size)
        self.on_failure = on_failure
        self.failures: list[str] = []
        self.session = Session.from_pretrained(
            pretrained,
            device=_choose_device(device),
            dtype=_DTYPES[dtype] if dtype else None,
            key_frames=key_frames,
            key_frame_choice=key_frame_choice,
        )

    @property
    def device(self) -> torch.device:
        """Where the model lies; lmms-eval gathers there."""
        return self.session.device

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The answer to each request, in order.

        Raises:
            UserError: one can't be answered, unless failures are let through.
        """
        answers: list[str] = []
        bar = tqdm(total=len(requests), disable=self.rank != 0, desc="word2mask")
        for start in range(0, len(requests), self.batch_size):
            chunk = requests[start : start + self.batch_size]
            answers += self._answer(chunk)
            bar.update(len(chunk))
        bar.close()
        if self.failures:
            logger.warning("%d requests counted as empty answers: %s", len(self.failures), "; ".join(self.failures))
        return answers

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Not offered: tasks that score given answers instead of asking for one can't be run."""
        raise NotImplementedError("word2mask writes answers; choose a task of the kind generate_until")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Not offered."""
        raise NotImplementedError("word2mask answers one round; choose a task of the kind generate_until")

    def _answer(self, instances: Sequence[Instance]) -> list[str]:
        asked: list[tuple[str, Request | None, Any]] = []
        for instance in instances:
            # (context, doc_to_messages, settings, record, task, split); the context repeats what the messages say.
            doc_to_messages, settings, doc_id, task, split = instance.args[-5:]
            where = f"{task}[{doc_id}]"
            request: Request | None = None
            try:
                messages = doc_to_messages(self.task_dict[task][split][doc_id])
                request = to_request(messages, int(settings.get("max_new_tokens", MAX_NEW_TOKENS)), where)
            except UserError as error:
                self._fail(where, error)
            asked.append((where, request, settings.get("until")))
        texts = self._texts([(where, request) for where, request, _ in asked if request is not None])
        return ["" if request is None else cut(texts.pop(0), until) for _, request, until in asked]

    def _texts(self, asked: Sequence[tuple[str, Request]]) -> list[str]:
        """Answers without markup; where they fail together they are asked one by one, to name the culprit."""
        if not asked:
            return []
        try:
            return [result.text for result in self.session.batch([request for _, request in asked])]
        except (UserError, RuntimeError) as error:
            if len(asked) == 1:
                self._fail(asked[0][0], error)
                return [""]
        return [text for one in asked for text in self._texts([one])]

    def _fail(self, where: str, error: Exception) -> None:
        message = str(error) if where in str(error) else f"{where}: {error}"
        if self.on_failure == "raise":
            raise UserError(f"{message} (on_failure=empty goes on without it)") from error
        self.failures.append(message)


def _choose_device(device: str | None) -> str:
    """The device given; this process's own GPU where lmms-eval runs several processes."""
    if not torch.cuda.is_available():
        return device or "cpu"
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and device in (None, "cuda"):
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return device or "cuda"
