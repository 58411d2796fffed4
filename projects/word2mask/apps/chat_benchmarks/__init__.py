"""Benchmarks of image and video chat, through lmms-eval (extra ``chat-benchmarks``).

    python -m lmms_eval --model word2mask --model_args pretrained=HF_FOLDER --tasks mme,mmbench_en_dev,videomme

lmms-eval finds the model by itself (entry point ``lmms_eval.models``); MME, MMBench, SEED-Bench, Video-MME and the
others are its own, and nothing of them is copied here.

``messages``   its messages → a request
``model``      its model class, which answers with a session; the only module that imports lmms-eval
"""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """What lmms-eval registers: the name of the model, and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="word2mask", chat_class_path=f"{__name__}.model.Word2Mask")
