"""The program as a user starts it."""

import subprocess
import sys


def run(repository, *arguments):
    command = [sys.executable, str(repository / "tools/make_shapes_world.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


SMALL = [f"--{split}-{kind}=1" for split in ("train", "val", "combo") for kind in ("images", "videos")]


def test_writes_once_and_says_so(repository, tmp_path):
    first = run(repository, "--out", tmp_path / "world", *SMALL, "--frames", 4)
    assert first.returncode == 0, first.stderr
    assert "is written" in first.stderr and (tmp_path / "world/ref_seg/refcoco/refs(unc).p").is_file()
    second = run(repository, "--out", tmp_path / "world", *SMALL, "--frames", 4)
    assert second.returncode == 0 and "nothing to do" in second.stderr


def test_wrong_input_is_one_sentence(repository, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for arguments, words in (
        (["--out", tmp_path, *SMALL], "holds something else than shapes world"),
        (["--out", tmp_path / "w", "--frames", 2], "at least 4 frames"),
    ):
        done = run(repository, *arguments)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
