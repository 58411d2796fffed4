"""Published sizes: what huggingface.co shows of each Sa2VA repository, in billions, rounded to three places."""

import json

import pytest
import torch

from word2mask.errors import UserError
from word2mask.mllms.blueprints import VocabularyOnly, blueprint
from word2mask.mllms.geometries import GEOMETRIES
from word2mask.mllms.internvl import InternVL
from word2mask.mllms.llava import LLaVA
from word2mask.mllms.qwen_vl import Qwen3VL, Qwen25VL
from word2mask.mllms.smolvlm import SmolVLM
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.blueprints import blueprint as segmenter_blueprint

PUBLISHED = {
    "InternVL2_5-1B": (InternVL, 1.164),
    "InternVL2_5-4B": (InternVL, 3.942),
    "InternVL2_5-8B": (InternVL, 8.318),
    "InternVL2_5-26B": (InternVL, 25.778),
    "InternVL3-2B": (InternVL, 2.316),
    "InternVL3-8B": (InternVL, 8.183),
    "InternVL3-14B": (InternVL, 15.369),
    "Qwen2.5-VL-3B-Instruct": (Qwen25VL, 4.294),
    "Qwen2.5-VL-7B-Instruct": (Qwen25VL, 8.528),
    "Qwen3-VL-2B-Instruct": (Qwen3VL, 2.667),
    "Qwen3-VL-4B-Instruct": (Qwen3VL, 5.057),
    "llava-1.5-7b-hf": (LLaVA, 7.305),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_as_many_parameters_as_the_published_model(name):
    family, billions = PUBLISHED[name]
    mllm = blueprint(family, f"pretrained/{name}", torch.bfloat16)
    with torch.device("meta"):
        model = GroundedMLLM(mllm, segmenter_blueprint("pretrained/sam2_hiera_large.pt"))
    total = sum(parameter.numel() for parameter in model.parameters())
    # Published exports cut the rows that embeddings and head have beyond the tokenizer; ours stay.
    embeddings = model.mllm.model.get_input_embeddings()
    surplus = embeddings.num_embeddings - len(model.mllm.tokenizer)
    assert (surplus > 0) == (family is not InternVL)
    assert round((total - 2 * surplus * embeddings.embedding_dim) / 1e9, 3) == billions
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


#: huggingface.co's own count of each base model.
SMOLVLM = {
    "SmolVLM2-256M-Video-Instruct": 256_484_928,
    "SmolVLM2-500M-Video-Instruct": 507_482_304,
    "SmolVLM2-2.2B-Instruct": 2_246_784_880,
}


@pytest.mark.parametrize("name", SMOLVLM)
def test_smolvlms_have_as_many_parameters_as_published(name):
    mllm = blueprint(SmolVLM, f"pretrained/{name}", torch.bfloat16)
    assert sum(parameter.numel() for parameter in mllm.parameters()) == SMOLVLM[name]
    # 64 tokens a tile of 512 pixels, 81 a tile of 384 (the model cards).
    assert (mllm.processor.side, mllm.processor.grid_side**2) == ((384, 81) if "2.2B" in name else (512, 64))


def test_a_folder_on_disk_speaks_for_itself(tmp_path):
    model = InternVL.tiny()
    model.save_pretrained(tmp_path)
    sketch = blueprint(InternVL, tmp_path, max_tiles=3, gradient_checkpointing=True)
    expected = {name: (value.shape, value.dtype) for name, value in model.state_dict().items()}
    assert {name: (value.shape, value.dtype) for name, value in sketch.state_dict().items()} == expected
    assert (sketch.settings.max_tiles, sketch.settings.max_length) == (3, model.settings.max_length)
    assert len(sketch.tokenizer) == len(model.tokenizer)
    assert sketch.model.is_activation_checkpointing


def test_what_has_no_size_is_refused(tmp_path):
    with pytest.raises(UserError, match="no published model is called 'InternVL9'; known are InternVL2_5-1B"):
        blueprint(InternVL, tmp_path / "InternVL9")
    with pytest.raises(UserError, match="InternVL3-2B is of the family 'internvl', not Qwen3VL's"):
        blueprint(Qwen3VL, "pretrained/InternVL3-2B")
    with pytest.raises(UserError, match="unexpected keyword argument 'tiles'"):
        blueprint(InternVL, "pretrained/InternVL2_5-1B", tiles=3)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_vl"}))
    with pytest.raises(UserError, match="is of model_type 'qwen3_vl', expected 'internvl'"):
        blueprint(InternVL, tmp_path)


def test_names_of_a_vocabulary():
    vocabulary = VocabularyOnly(100, ("<a>", "<b>"))
    assert vocabulary.convert_tokens_to_ids("<b>") == 99
    assert vocabulary.add_tokens(["<b>", "<c>"]) == 1
    assert len(vocabulary) == 101 and vocabulary.get_added_vocab() == {"<a>": 98, "<b>": 99, "<c>": 100}


def test_every_geometry_is_named_after_its_repository():
    assert all(geometry.repository.endswith(f"/{name}") for name, geometry in GEOMETRIES.items())
