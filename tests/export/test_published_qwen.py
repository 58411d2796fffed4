"""The published layout over Qwen: which settings a folder of ByteDance's own means, and what is said of ours."""

import json

import pytest

from word2mask.export.published import differences, save_published
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.models.folder import load_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.published import EXTRA
from word2mask.segmenters.sam2 import SAM2Segmenter


@pytest.mark.parametrize("family", [Qwen25VL, Qwen3VL])
def test_states_before_the_final_norm_are_qwen3s_alone(family, tmp_path):
    model = GroundedMLLM(family.tiny(), SAM2Segmenter.tiny()).eval()
    save_published(model, tmp_path)
    assert load_grounded(tmp_path).mllm.settings.normed_states

    config = json.loads((tmp_path / "config.json").read_text())
    del config[EXTRA]["settings"]  # as the published code writes it
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = load_grounded(tmp_path).mllm.settings
    assert settings.normed_states == (family is Qwen25VL)
    assert settings.image_mean == model.mllm.settings.image_mean

    said = [difference for difference in differences(model) if "final norm" in difference]
    assert len(said) == (family is Qwen3VL)
