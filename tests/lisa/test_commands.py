"""LISA's commands on fixtures: train, merge, chat; and what they say when something is wrong."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPVisionModel

from lisa import app, chat, merge_lora_weights_and_save_hf_model, train_ds
from word2mask.data.sources.reason_seg import ReasonSeg
from word2mask.errors import UserError
from word2mask.mllms.llava import LLaVA
from word2mask.models.folder import load_grounded
from word2mask.segmenters.sam import SAMSegmenter


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LLaVA, its CLIP, a small SAM, and ReasonSeg where LISA looks for it."""
    root = tmp_path_factory.mktemp("lisa")
    base = LLaVA.tiny()
    base.save_pretrained(root / "llava")
    clip = CLIPVisionModel(base.model.config.vision_config)
    clip.load_state_dict(base.model.model.vision_tower.state_dict())
    clip.save_pretrained(root / "clip-vit-large-patch14")
    SAMSegmenter.tiny().save_pretrained(root / "sam")
    for split in ("train", "val"):
        ReasonSeg.fixture(root / "dataset" / "reason_seg" / "ReasonSeg", split=split)
    return root


def flags(root: Path, *more: str) -> list[str]:
    return [
        f"--version={root / 'llava'}",
        f"--vision_pretrained={root / 'sam'}",
        "--precision=fp32",
        "--model_max_length=2048",
        "--lora_r=2",
        *more,
    ]


def training(root: Path, *more: str) -> list[str]:
    return flags(
        root,
        f"--dataset_dir={root / 'dataset'}",
        f"--log_base_dir={root / 'runs'}",
        "--exp_name=lisa-tiny",
        "--dataset=reason_seg",
        "--sample_rates=1",
        "--explanatory=-1",
        "--epochs=1",
        "--steps_per_epoch=2",
        "--batch_size=1",
        "--grad_accumulation_steps=2",
        "--workers=0",
        "--device=cpu",
        *more,
    )


@pytest.fixture(scope="module")
def trained(root: Path) -> Path:
    train_ds.run(train_ds.parse_arguments(training(root)))
    return root / "runs" / "lisa-tiny"


@pytest.fixture(scope="module")
def merged(root: Path, trained: Path) -> Path:
    arguments = flags(root, f"--weight={trained / 'iter_2.pth'}", f"--save_path={root / 'LISA-tiny'}")
    merge_lora_weights_and_save_hf_model.merge(merge_lora_weights_and_save_hf_model.parse_arguments(arguments))
    return root / "LISA-tiny"


def test_flags_become_a_config(root):
    arguments = training(
        root, "--no-gradient_checkpointing", "--no-train_mask_decoder", "--lr=1e-3", "--no-auto_resume"
    )
    arguments += ["--bce_loss_weight=3", "--lora_target_modules=k_proj", "--conv_type=llava_llama_2"]
    settings = train_ds.read_settings(train_ds.parse_arguments(arguments))
    mllm, plan = settings.model["mllm"], settings.model["trainable"]
    assert not mllm["gradient_checkpointing"] and mllm["template"] == "llava_llama_2" and mllm["max_length"] == 2048
    assert plan["train"] == ("embeddings", "lm_head", "projector") and plan["lora_layers"] == ("k_proj",)
    assert settings.model["loss"]["mask_weight"] == 3 and settings.optimizer["lr"] == 1e-3
    assert settings.schedule["max_iters"] == 2 and settings.accumulate == 2 and settings.data["batch_size"] == 1


def test_defaults_are_the_config_of_lisa_7b(root):
    """Without flags the command trains what ``lisa_7b.py`` does, but for where things lie."""
    from lisa.flags import CONFIG
    from word2mask.engine.config import check_settings, load_config

    given = ["--version=pretrained/LLaVA-Lightning-7B-v1-1", "--vision_pretrained=pretrained/sam/sam_vit_h_4b8939.pth"]
    ours = train_ds.read_settings(train_ds.parse_arguments(given))
    config = check_settings(load_config(CONFIG))
    for name in ("model", "optimizer", "schedule", "checkpoint", "precision", "accumulate", "strategy"):
        assert getattr(ours, name) == getattr(config, name), name
    assert [node for node, _ in ours.data["dataset"]["mixture"]["sources"]] == [
        node for node, _ in config.data["dataset"]["mixture"]["sources"]
    ]


def test_training_leaves_a_checkpoint_and_a_score(trained):
    saved = torch.load(trained / "iter_2.pth", weights_only=True)["state_dict"]
    adapters = {name for name in saved if "lora_" in name}
    assert adapters and all(".q_proj." in name or ".v_proj." in name for name in adapters)
    assert any(name.startswith("segmenter.model.mask_decoder.") for name in saved)
    assert not any("vision_encoder" in name for name in saved)
    assert list((trained / "evaluation").rglob("*.jsonl"))


def test_the_best_epoch_is_kept(root, monkeypatch):
    """Every epoch is scored; the best stays as ``best.pth`` when the checkpoint that it was is long deleted."""
    from word2mask.engine.validation import BenchmarkCheck

    scores = {1: 3.0, 2: 7.0, 3: 7.0, 4: 5.0}
    monkeypatch.setattr(
        BenchmarkCheck, "__call__", lambda self, model, iteration: {"giou": scores[iteration], "ciou": 1.0}
    )
    more = ["--exp_name=best", "--epochs=4", "--steps_per_epoch=1", "--grad_accumulation_steps=1"]
    train_ds.run(train_ds.parse_arguments(training(root, *more)))
    folder = root / "runs" / "best"
    assert sorted(path.name for path in folder.glob("*.pth")) == ["best.pth", "iter_3.pth", "iter_4.pth"]
    assert torch.load(folder / "best.pth", weights_only=True)["meta"]["iter"] == 2
    assert json.loads((folder / "best.json").read_text()) == {
        "iter": 2,
        "by": "giou",
        "numbers": {"giou": 7.0, "ciou": 1.0},
    }
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [entry["val_giou"] for entry in history if "val_giou" in entry] == list(scores.values())


def test_no_eval_keeps_no_best(root):
    settings = train_ds.read_settings(train_ds.parse_arguments(training(root, "--no_eval")))
    assert settings.validation is None
    settings = train_ds.read_settings(train_ds.parse_arguments(training(root)))
    assert settings.validation["best"] == "giou" and settings.validation["interval"] == 2


def test_deepspeeds_file_is_merged(merged, tmp_path):
    """Names as peft has them; an adapter is added into its layer, all else is as it was."""
    tensors = load_file(merged / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj"
    down, up = torch.randn(2, tensors[f"{name}.weight"].shape[1]), torch.randn(tensors[f"{name}.weight"].shape[0], 2)
    saved = {f"base_model.model.{key}": value for key, value in tensors.items()}
    saved |= {f"base_model.model.{name}.lora_{side}.default.weight": v for side, v in (("A", down), ("B", up))}
    folder = tmp_path / "ckpt_model"
    folder.mkdir()
    torch.save(saved, folder / "pytorch_model.bin")
    given = [f"--version={merged}", "--vision_pretrained=unused", "--precision=fp32", f"--weight={folder}"]
    command = merge_lora_weights_and_save_hf_model
    command.merge(command.parse_arguments([*given, "--lora_r=2", f"--save_path={tmp_path / 'LISA'}"]))
    again = load_file(tmp_path / "LISA" / "model.safetensors")
    expected = tensors | {f"{name}.weight": tensors[f"{name}.weight"] + 16 / 2 * up @ down}
    assert again.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(again[key], value, msg=key)
    with pytest.raises(UserError, match=r"of rank 2, --lora_r is 8; give --lora_r=2"):
        command.merge(command.parse_arguments([*given, f"--save_path={tmp_path / 'x'}"]))
    (folder / "pytorch_model.bin").rename(folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    with pytest.raises(UserError, match="DeepSpeed's parts, not put together; run its own zero_to_fp32.py"):
        command.merge(command.parse_arguments([*given, f"--save_path={tmp_path / 'x'}"]))


def test_a_name_of_the_hub_is_not_downloaded():
    with pytest.raises(
        UserError, match=r"xinlai/LISA-13B-llama2-v1: no such folder here, and names on the Hugging Face"
    ):
        chat.open_session(chat.parse_arguments(["--device=cpu"]))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_is_scored(root, precision):
    """What trains is in fp32 beside frozen halves; the score is of all in one precision."""
    more = [f"--precision={precision}", f"--exp_name={precision}", "--steps_per_epoch=1", "--grad_accumulation_steps=1"]
    train_ds.run(train_ds.parse_arguments(training(root, *more)))
    assert list((root / "runs" / precision / "evaluation").rglob("*.jsonl"))


def test_the_merged_folder_is_a_published_lisa(root, merged, trained):
    config = json.loads((merged / "config.json").read_text())
    assert config["architectures"] == ["LISAForCausalLM"] and config["mm_projector_type"] == "mlp2x_gelu"
    model = load_grounded(merged)  # CLIP lies beside it
    assert model.seg_state == "before" and model.mllm.settings.image_marks
    saved = torch.load(trained / "iter_2.pth", weights_only=True)["state_dict"]
    assert torch.equal(model.projector.layers[0].weight, saved["projector.layers.0.weight"])
    name = "segmenter.model.mask_decoder.iou_token.weight"
    assert torch.equal(model.state_dict()[name], saved[name])
    layer = "model.model.language_model.layers.0.self_attn.q_proj"
    down, up = (saved[f"mllm.{layer}.lora_{side}.default.weight"] for side in "AB")
    base = LLaVA.from_pretrained(root / "llava").get_submodule(layer).weight
    torch.testing.assert_close(model.mllm.get_submodule(layer).weight, base + 16 / 2 * up @ down)


@pytest.fixture
def talking(root, merged, tmp_path):
    """A session whose model says ``[SEG]`` first and always, and the folder of its pictures."""
    arguments = [f"--version={merged}", "--precision=fp32", "--device=cpu", f"--vis_save_path={tmp_path / 'out'}"]
    session = chat.open_session(chat.parse_arguments([*arguments, "--max_new_tokens=2"]))
    mllm = session.model.mllm
    seg = mllm.tokenizer.convert_tokens_to_ids("[SEG]")
    with torch.no_grad():
        mllm.model.lm_head.weight.zero_()
        mllm.model.lm_head.weight[seg] = 1.0
        mllm.model.model.language_model.norm.weight.abs_()
    mllm.logits = lambda hidden: torch.nn.functional.one_hot(
        torch.full(hidden.shape[:-1], seg), mllm.model.lm_head.weight.shape[0]
    ).float()
    return chat.Conversation(session, tmp_path / "out", max_new_tokens=2), tmp_path


def test_chat_writes_every_mask_and_remembers(talking, monkeypatch, capsys):
    conversation, folder = talking
    picture = folder / "ein bild.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(picture)
    lines = ["wo ist die 狗?", str(picture), "and (3) there?", "", "nothing", str(folder / "no.png"), "quit"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    chat.talk(conversation)
    said = capsys.readouterr().out
    assert "no.png" in said
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == [f"ein bild_{n:02}_{kind}.png" for n in (1, 2) for kind in ("mask_1", "mask_2", "masked")]
    mask = np.asarray(Image.open(folder / "out" / "ein bild_01_mask_1.png"))
    assert mask.shape[:2] == (40, 60) and set(np.unique(mask)) <= {0, 255}
    assert [turn.role for turn in conversation._turns] == ["user", "assistant", "user", "assistant"]


def test_chat_without_a_picture(talking):
    with pytest.raises(UserError, match="there is no picture yet"):
        talking[0].ask("what is it?", "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--load_in_4bit", "--device=cpu"], "--load_in_4bit needs a CUDA device"),
        (["--load_in_8bit", "--device=cpu"], "--load_in_8bit needs a CUDA device"),
        (["--image_size=512", "--device=cpu"], "--image_size is 512, but this SAM has 64"),
    ],
)
def test_loading_that_cannot_be_had(merged, more, message):
    with pytest.raises(UserError, match=message):
        chat.open_session(chat.parse_arguments([f"--version={merged}", *more]))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--load_in_4bit"], "training can't be quantised"),
        (["--start_epoch=3"], "give --resume alone"),
        (["--sample_rates=1,2"], "2 numbers"),
        (["--dataset_dir=nowhere"], "nowhere"),
        (["--out_dim=128"], "--out_dim is 128, but this SAM has 64"),
    ],
)
def test_flags_that_cannot_be_had(root, more, message):
    with pytest.raises(UserError, match=message):
        train_ds.run(train_ds.parse_arguments(training(root, *more)))


def test_commands_end_with_one_sentence(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["app.py", f"--version={root}", "--load_in_4bit"])
    assert app.main() == 2
    missing = "needs Gradio" if importlib.util.find_spec("gradio") is None else "needs a CUDA device"
    assert missing in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["chat.py", f"--version={root / 'nothing'}", "--device=cpu"])
    assert chat.main() == 2
    assert "no such model folder" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["merge.py", *flags(root, "--weight=no.pth", f"--save_path={root / 'x'}")])
    assert merge_lora_weights_and_save_hf_model.main() == 2
    assert "no.pth: no such checkpoint" in capsys.readouterr().err
