"""Export: what is written, that reading it gives the same masks bit for bit, and what bad folders get."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoTokenizer

from word2mask.errors import UserError
from word2mask.export.folder import new_folder, save_hf
from word2mask.export.hf import Word2MaskModel
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Media, Request, Turn


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    plan = TrainablePlan(lora_rank=2, lora_alpha=4)
    model = GroundedMLLM(
        InternVL.tiny(), SAM2Segmenter.tiny(), trainable=plan, seg_state="before", prompt_frames="first"
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    with pytest.raises(ValueError, match="carries adapters"):
        save_grounded(model, "never-written")
    model.merge()
    return model.eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    target = tmp_path_factory.mktemp("export") / "model"
    save_hf(model, target, {"config": "sa2va_shapes.py"})
    return target


def test_files(folder):
    names = {entry.name for entry in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json", "README.md"} <= names
    assert not any(name.endswith((".py", ".pth", ".bin")) for name in names)
    weights = load_file(folder / "model.safetensors")
    assert {key.split(".")[0] for key in weights} == {"mllm", "segmenter", "projector"}
    assert "* config: `sa2va_shapes.py`" in (folder / "README.md").read_text()


def test_both_decoders_are_exported(tmp_path):
    """A decoder that was trained goes out with the original one, and both come back."""
    plan = TrainablePlan(lora_rank=0, train=("mask_decoder",))
    model = GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), trainable=plan)
    with torch.no_grad():
        model.segmenter.model.mask_decoder.mask_tokens.weight.add_(1)
    save_hf(model, tmp_path / "model")
    copy = load_grounded(tmp_path / "model")
    expected, state = model.segmenter.state_dict(), copy.segmenter.state_dict()
    assert state.keys() == expected.keys() and any("original_decoder" in name for name in state)
    assert all(torch.equal(state[name], expected[name]) for name in state)


@torch.no_grad()
def test_prompts_of_two_tokens_come_back(tmp_path):
    model = GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny(), projector_start="box")
    save_hf(model, tmp_path / "model")
    copy = load_grounded(tmp_path / "model")
    states = [torch.randn(3, model.mllm.hidden_size)]
    assert copy.projector.num_tokens == 2 and torch.equal(copy.prompts(states)[0], model.prompts(states)[0])


@torch.no_grad()
def test_masks_are_equal_bit_for_bit(model, folder):
    copy = load_grounded(folder)
    assert (copy.seg_state, copy.prompt_frames) == ("before", "first") and not copy.training
    pixels = torch.randn(2, 3, model.segmenter.side, model.segmenter.side)
    states = [torch.randn(3, model.mllm.hidden_size)]
    every = [torch.arange(2).expand(3, -1)]
    ids = torch.tensor([model.mllm.tokenizer.encode("Where is it? [SEG]")])
    for first, second in zip(
        model.segment(model.encode_frames(pixels), model.prompts(states), every, [2]),
        copy.segment(copy.encode_frames(pixels), copy.prompts(states), every, [2]),
        strict=True,
    ):
        assert torch.equal(first.mask_logits, second.mask_logits)
        assert torch.equal(first.object_logits, second.object_logits)
    mask = torch.ones_like(ids)
    assert torch.equal(model.mllm(ids, mask, {}).hidden, copy.mllm(ids, mask, {}).hidden)


def test_auto_classes_read_it(model, folder):
    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == "word2mask" and config.seg_state == "before"
    loaded = AutoModel.from_pretrained(folder)
    assert isinstance(loaded, Word2MaskModel) and not loaded.training
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.grounded.state_dict().items())
    assert AutoTokenizer.from_pretrained(folder).encode("[SEG]") == model.mllm.tokenizer.encode("[SEG]")
    assert next(AutoModel.from_pretrained(folder, dtype="bfloat16").parameters()).dtype == torch.bfloat16
    with pytest.raises(TypeError, match="colour"):
        AutoModel.from_pretrained(folder, colour="blue")


def test_import_word2mask_is_enough(folder):
    """In a fresh process, as a user would."""
    program = (
        "import word2mask, sys\nfrom transformers import AutoModel\n"
        f"print(type(AutoModel.from_pretrained({str(folder)!r})).__name__)"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stdout.strip() == "Word2MaskModel", done.stderr


def test_saved_again_by_transformers(folder, tmp_path):
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "again")
    first, second = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "again"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_shards(model, tmp_path):
    save_grounded(model, tmp_path, max_shard_size="500KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_grounded(tmp_path).state_dict().items())


def rights(path):
    return oct(path.stat().st_mode & 0o777)


@pytest.mark.parametrize(("mask", "wanted"), [(0o022, "0o644"), (0o077, "0o600")])
def test_whoever_may_read_what_else_is_written_may_read_the_weights(model, tmp_path, mask, wanted):
    before = os.umask(mask)
    try:
        save_hf(model, tmp_path / "one")
        save_hf(model, tmp_path / "shards", max_shard_size="200KB")
    finally:
        os.umask(before)
    files = [path for name in ("one", "shards") for path in (tmp_path / name).iterdir()]
    assert {rights(path) for path in files} == {wanted} and sum(path.suffix == ".safetensors" for path in files) > 2


def test_predict_forward_returns_the_published_keys(folder):
    model = AutoModel.from_pretrained(folder)
    picture = Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8))
    answer = model.predict_forward(image=picture, text="<image>\nWhere?", max_new_tokens=4, tokenizer=None)
    assert set(answer) == {"prediction", "prediction_masks"} and isinstance(answer["prediction"], str)
    answer = model.predict_forward(video=[picture] * 2, text="Where?", max_new_tokens=4)
    assert all(mask.shape == (2, 20, 30) for mask in answer["prediction_masks"])
    first = model.predict_forward(image=picture, text="Where?", max_new_tokens=4)["prediction"]
    past = f"<|im_start|>user\n<image>Where?<|im_end|>\n<|im_start|>assistant\n{first}<|im_end|>\n"
    second = model.predict_forward(image=picture, text="And now?", past_text=past, max_new_tokens=4)
    turns = (Turn("user", "Where?"), Turn("assistant", first), Turn("user", "And now?"))
    media = Media("image", np.asarray(picture)[None])
    assert second["prediction"] == model.session.ask(Request(turns, media, max_new_tokens=4)).raw_text
    # Programs for the published models leave the length of the answer out.
    model.session.encoder.max_length = 128
    longest = model.predict_forward(image=picture, text="Where?")["prediction"]
    assert longest == model.session.ask(Request(turns[:1], media, max_new_tokens=64)).raw_text
    with pytest.raises(UserError, match="not both"):
        model.predict_forward(image=picture, video=[picture], text="Where?")
    with pytest.raises(UserError, match="question is empty"):
        model.predict_forward(image=picture, text="<image>")
    with pytest.raises(UserError, match="no frames"):
        model.predict_forward(video=[], text="Where?")


def test_predict_forward_takes_masks_and_another_session(folder):
    model = AutoModel.from_pretrained(folder)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 48, 3), dtype=np.uint8))
    masks = np.zeros((2, 24, 48))
    masks[0, :12, :12] = masks[1, 12:, 24:] = 1
    answer = model.predict_forward(
        image=picture, text="<image>What is region1?", mask_prompts=[masks], max_new_tokens=6
    )
    media = Media("image", np.asarray(picture)[None])
    request = Request((Turn("user", "What is region1?"),), media, masks.astype(bool), max_new_tokens=6)
    assert answer["prediction"] == Session(model.grounded).ask(request).raw_text
    plain = model.predict_forward(image=picture, text="What is that?", max_new_tokens=6)
    assert plain["prediction"] != answer["prediction"]
    model.session = Session(model.grounded, key_frames=1, key_frame_choice="first")
    assert model.session.key_frame_choice == "first"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "can't be read"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "'bert', expected 'word2mask'"),
        (lambda folder: (folder / "model.safetensors").unlink(), "a file of the weights is missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"nothing"), "weights can't be read"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
        (lambda folder: change(folder, "family", "GPT9"), "family 'GPT9'"),
        (lambda folder: change(folder, "projector", {"hidden_size": 3, "prompt_dim": 4}), "don't fit"),
    ],
)
def test_bad_folders_get_one_sentence(model, tmp_path, damage, message):
    save_grounded(model, tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        load_grounded(tmp_path)


def change(folder, key, value):
    config = json.loads((folder / "config.json").read_text())
    (config["mllm"] if key == "family" else config)[key] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="no such model folder"):
        load_grounded(tmp_path / "nothing")


def test_new_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "a" / "target"
    with pytest.raises(RuntimeError), new_folder(target) as work:
        (work / "half").write_text("")
        raise RuntimeError
    assert not target.exists() and list(target.parent.iterdir()) == []
    with new_folder(target) as work:
        assert not target.exists()
        (work / "whole").write_text("")
    assert [entry.name for entry in target.iterdir()] == ["whole"]


def test_new_folder_replaces_only_when_asked(tmp_path):
    (tmp_path / "old").write_text("")
    with pytest.raises(UserError, match="isn't empty"), new_folder(tmp_path):
        pass
    with new_folder(tmp_path, overwrite=True) as work:
        (work / "new").write_text("")
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]
    with pytest.raises(UserError, match="is a file"), new_folder(tmp_path / "new"):
        pass
