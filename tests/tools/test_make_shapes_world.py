"""The program as a user starts it, and its messages."""

import importlib.util
import subprocess
import sys

SMALL = [f"--{split}-{kind}=1" for split in ("train", "val", "combo") for kind in ("images", "videos")]


def load(repository):
    spec = importlib.util.spec_from_file_location("make_shapes_world", repository / "tools/make_shapes_world.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_writes_once_and_says_so(repository, tmp_path):
    command = [sys.executable, str(repository / "tools/make_shapes_world.py"), "--out", str(tmp_path / "world"), *SMALL]
    first = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert first.returncode == 0, first.stderr
    assert "is written" in first.stderr and (tmp_path / "world/ref_seg/refcoco/refs(unc).p").is_file()
    stamp = (tmp_path / "world/manifest.json").stat().st_mtime_ns
    assert load(repository).main(["--out", str(tmp_path / "world"), *SMALL]) == 0
    assert (tmp_path / "world/manifest.json").stat().st_mtime_ns == stamp


def test_wrong_input_is_one_sentence(repository, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    for arguments, words in (
        (["--out", str(tmp_path), *SMALL], "holds something else than shapes world"),
        (["--out", str(tmp_path / "w"), "--frames", "2"], "at least 4 frames"),
    ):
        assert load(repository).main(arguments) == 2
        message = capsys.readouterr().err
        assert words in message and message.count("\n") == 1 and message.startswith("make_shapes_world: ")
