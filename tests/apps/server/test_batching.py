"""What is answered together is what each would have been told alone, masks included, with a real session."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from server_requests import asked

from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def talkative() -> Session:
    """A tiny model with weights so large that words and masks differ from picture to picture, and with many [SEG]."""
    torch.manual_seed(0)
    session = Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()))
    mllm = session.model.mllm
    with torch.no_grad():
        for weight in mllm.parameters():
            weight.mul_(8 if weight.dim() > 1 else 1)
        for weight in session.model.projector.parameters():
            weight.mul_(12 if weight.dim() > 1 else 1)
        mllm.model.lm_head.weight[mllm.tokenizer.convert_tokens_to_ids("[SEG]")].mul_(2)
    return session


def picture(number: int) -> bytes:
    """Noise, of a size of its own."""
    generator = np.random.default_rng(number)
    height, width = generator.integers(20, 60, 2)
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def bodies() -> list[dict[str, Any]]:
    """Five pictures and one mere text; questions and answers of different lengths."""
    media = [*map(picture, range(1, 6)), None]
    return [asked(f"What is {'really ' * n}this?", one, max_tokens=4 + n) for n, one in enumerate(media)]


def sizes(client: Any) -> Iterator[float]:
    """How many batches were answered, and how many questions in them."""
    text = client.get("/metrics").text
    for name in ("count", "sum"):
        found = re.search(rf"^word2mask_batch_size_{name} (\S+)", text, re.MULTILINE)
        assert found is not None
        yield float(found[1])


def compared(answer: Any) -> tuple[Any, Any, list[Any], list[float]]:
    """Words, end, objects without their scores, and the scores, which sums in another order may change a little."""
    (choice,) = answer.json()["choices"]
    objects = choice["message"]["word2mask"]["objects"]
    scores = [score for found in objects for score in (found.pop("confidence"), *found.pop("scores"))]
    return choice["message"]["content"], choice["finish_reason"], objects, scores


def test_together_as_alone(serve, talkative: Session) -> None:
    single = serve(session=talkative, batch=1)
    alone = [compared(single.post(CHAT, json=body)) for body in bodies()]
    assert list(sizes(single)) == [6, 6]
    # Or equality would say little.
    assert len({words for words, *_ in alone}) == 6
    masks = [found["masks"][0]["counts"] for _, _, objects, _ in alone for found in objects]
    assert len(masks) > 8 and len(set(masks)) == len(masks)

    together = serve(session=talkative, batch=6, batch_milliseconds=30_000)
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda body: together.post(CHAT, json=body), bodies()))
    assert list(sizes(together)) == [1, 6]
    for answer, expected in zip(map(compared, answers), alone, strict=True):
        assert answer[:3] == expected[:3]
        assert answer[3] == pytest.approx(expected[3], abs=1e-4)
