"""The command: configuration and flags, a whole run, and what it says when something is missing."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")
pytest.importorskip("jsonschema", reason="annotation needs the extra annotate")

from word2mask.data.sources.ref_sav import RefSAV
from word2mask.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("annotate_refsav", ROOT / "tools" / "annotate_refsav.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The scripted service as a user starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "word2mask.annotate.scripted_service", "--port", str(port), "--delay", "0"]
    process = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT / "projects"), "PATH": ""})
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait()


def test_flags_come_before_the_file(tool: ModuleType, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'videos = "v"\nout = "o"\nframes = 6\nprice = [1, 2]\n'
        '[vision]\nurl = "http://a/v1"\nmodel = "sees"\n[text]\nmodel = "reads"\n[limits]\nconcurrency = 8\n'
    )
    settings, run = tool.merged(tool.parse_arguments([str(config), "--out", "here", "--token-budget", "99"]))
    assert (run["videos"], run["out"], run["layout"], run["filter"]) == ("v", "here", "sav", True)
    assert (settings.frames, settings.price) == (6, (1, 2))
    assert (settings.vision.model, settings.text.model, settings.text.url) == ("sees", "reads", "http://a/v1")
    assert (settings.limits.concurrency, settings.limits.token_budget) == (8, 99)


def test_a_local_model_for_text_has_a_name_of_its_own(tool: ModuleType, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'videos = "v"\nout = "o"\n[vision]\nurl = "http://a/v1"\nmodel = "sees"\nstructure = "object"\n'
        'omit = ["seed"]\n[vision.extra]\nthinking = false\n'
    )
    settings, _ = tool.merged(tool.parse_arguments([str(config), "--text-url", "local:small"]))
    text = settings.text
    assert (text.url, text.model, text.structure, text.omit, text.extra) == ("local:small", "", "object", (), {})
    settings, _ = tool.merged(tool.parse_arguments([str(config), "--text-url", "local:small", "--text-model", "own"]))
    assert (settings.text.model, settings.vision.model) == ("own", "sees")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no videos; give --videos"),
        ('videos = "v"\nout = "o"', "no model; give --vision-url"),
        ('video = "v"', "unknown key 'video'; there are"),
        ('[limits]\nattempts = "many"', r"\[limits\] attempts is 'many'; expected a number"),
        ("videos =", "not TOML"),
        ('[text]\nomit = "seed"', r"\[text\] omit is 'seed'; expected a list of names"),
        ("[text]\nextra = 3", r"\[text\] extra is 3; expected a table"),
        (
            'videos = "v"\nout = "o"\n[vision]\nurl = "http://a"\nmodel = "m"\nomit = ["top_p"]',
            "omit: 'top_p' is no field",
        ),
        (
            'videos = "v"\nout = "o"\n[vision]\nurl = "http://a"\nmodel = "m"\n[vision.extra]\nmodel = "x"',
            "extra: model is for us to say",
        ),
        ('videos = "v"\nout = "o"\n[vision]\nurl = "ftp://a"\nmodel = "m"', "expected the URL of a chat service"),
        ('videos = "v"\nout = "o"\nframes = 0\n[vision]\nurl = "http://a"\nmodel = "m"', "frames is 0; expected 1"),
        (
            'videos = "v"\nout = "o"\nengine = "slurm"\n[vision]\nurl = "http://a"\nmodel = "m"',
            "expected .*; local, ray",
        ),
    ],
)
def test_what_is_wrong_is_said(tool: ModuleType, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        tool.merged(tool.parse_arguments([str(tmp_path / "run.toml")]))


def test_a_run(tool: ModuleType, tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    RefSAV.fixture(tmp_path)
    flags = ["--videos", str(tmp_path / "sam_v_full"), "--out", str(tmp_path / "run")]
    flags += ["--vision-url", service, "--vision-model", "m", "--no-filter"]
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", *flags])
    assert tool.main() == 0
    told = json.loads(capsys.readouterr().out.partition("\nwritten to")[0])
    manifest = json.loads((tmp_path / "run/dataset/manifest.json").read_text())
    assert told == {key: manifest[key] for key in told}
    assert told["videos"] == 2 and sum(told["objects"].values()) == 4
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", "--out", str(tmp_path / "run"), "--plan", "1000"])
    assert tool.main() == 0
    plan = capsys.readouterr().out
    assert "| | 1,000 videos of 2.00 objects |" in plan and "core hours |" in plan
    assert "(tokens a second of one: vision 3,195, text 3,195)" in plan
    more = ["--tokens-per-second", "9000", "500", "--gpus", "16", "--objects-per-video", "3.5"]
    monkeypatch.setattr(sys, "argv", [*sys.argv, *more])
    assert tool.main() == 0
    plan = capsys.readouterr().out
    assert "videos of 3.50 objects" in plan and "16 GPUs" in plan and "vision 9,000, text 500" in plan
    names = {path.name for path in (tmp_path / "run/dataset").iterdir()}
    texts = {"manifest.json", "prompts.json", "statistics.json", "usage.json"}
    assert names == {"ref_sav_00000.json", "records_00000.jsonl"} | texts
    prompts = json.loads((tmp_path / "run/dataset/prompts.json").read_text())
    assert prompts.keys() == set(manifest["prompts"][0].values())
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", "--out", str(tmp_path / "run"), "--check"])
    assert tool.main() == 0
    assert "2 files, all as the manifest says" in capsys.readouterr().out
    with (tmp_path / "run/dataset/records_00000.jsonl").open("a") as file:
        file.write("{}\n")
    assert tool.main() == 2
    assert "records_00000.jsonl: " in (told := capsys.readouterr().err) and "the manifest says" in told
    # What an evaluation set names stays out.
    (tmp_path / "val.txt").write_text("sav_000002\n")
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", *flags, "--exclude", str(tmp_path / "val.txt")])
    assert tool.main() == 0
    manifest = json.loads((tmp_path / "run/dataset/manifest.json").read_text())
    assert (manifest["videos"], manifest["left out"]) == (1, 1)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", "--plan", "1000"])
    assert tool.main() == 2
    assert "no out; give --out" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["annotate_refsav.py", *flags, "--layout", "bare"])
    assert tool.main() == 2
    assert "give --segmenter" in capsys.readouterr().err
