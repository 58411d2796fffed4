"""``tools/shard_dataset.py`` as a user runs it: folders, configs, resuming, verifying, mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from word2mask.data.mixture import Mixture
from word2mask.data.shapes_world.writers import Sizes, write_shapes_world
from word2mask.engine.build import build
from word2mask.engine.config import check_settings, load_config

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "shard_dataset.py"
SIZES = Sizes(train_images=6, val_images=2, combo_images=2, train_videos=2, val_videos=1, combo_videos=1)


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "media").mkdir()
    for number in range(40):
        (tmp_path / "media" / f"{number:03d}.jpg").write_bytes(bytes([number]) * 50_000)
    return tmp_path / "media"


def test_a_folder_is_packed_and_verified(folder, tmp_path):
    out = tmp_path / "shards"
    done = run(folder, "--out", out, "--shard-size", "300K", "--workers", "2")
    assert done.returncode == 0 and "40 files" in done.stderr and "6 shards" in done.stderr, done.stderr
    assert (out / "index.tsv").read_text().count("\n") == 40 and len(list(out.iterdir())) == 7
    assert "complete already" in run(folder, "--out", out, "--shard-size", "300K").stderr
    assert run(out, "--verify").returncode == 0
    tar = out / "shard-000003.tar"
    tar.write_bytes(tar.read_bytes()[:100_000])
    broken = run(out, "--verify")
    assert broken.returncode == 1 and "ends before it" in broken.stderr and "damaged" in broken.stderr


def test_a_killed_run_goes_on(folder, tmp_path):
    out = tmp_path / "shards"
    command = [sys.executable, str(TOOL), str(folder), "--out", str(out), "--shard-size", "50K"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.tar"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    written = {path: os.stat(path).st_mtime_ns for path in out.glob(".*.tsv")}
    done = run(folder, "--out", out, "--shard-size", "50K")
    assert done.returncode == 0 and "40 files" in done.stderr, done.stderr
    for record in written:
        tar = out / record.name.removeprefix(".").removesuffix(".tsv")
        assert tar.stat().st_mtime_ns <= written[record], "a shard that was whole was written again"
    assert run(out, "--verify").returncode == 0
    assert not list(out.glob(".*"))


def test_a_config_is_packed_and_reads_the_same_samples(tmp_path):
    """Every source of the embedded dataset, its media folders replaced by shards: byte for byte what it was."""
    write_shapes_world(tmp_path / "data" / "shapes_world", SIZES, processes=1)
    config = ROOT / "projects" / "llava_sam2" / "configs" / "sa2va_shapes.py"
    done = run(config, "--out", tmp_path / "shards", "--root", tmp_path, "--shard-size", "20K")
    assert done.returncode == 0, done.stderr
    node = check_settings(load_config(config)).data["dataset"]["mixture"]
    before = samples(tmp_path, node)
    packed = [path.parent for path in (tmp_path / "shards").rglob("index.tsv")]
    assert len(packed) >= 6
    for shards in packed:
        plain = tmp_path / shards.relative_to(tmp_path / "shards")
        plain.rename(plain.with_name(f"{plain.name}_before"))
        shards.rename(plain)
    after = samples(tmp_path, node)
    assert len(before) == len(after) > 20 and before == after


def samples(root, node):
    """Everything in two epochs of a mixture, at positions in another order than they come in."""
    here = os.getcwd()
    os.chdir(root)
    try:
        mixture: Mixture = build(node)
        found = {}
        for epoch in (1, 0):
            for position in reversed(range(len(mixture))):
                source, record, rng = mixture.locate(epoch, position)
                sample = mixture.sources[source].read(record, rng)
                arrays = (sample.masks, sample.void, sample.regions, sample.media and sample.media.frames)
                bytes_of = tuple(None if array is None else np.asarray(array).tobytes() for array in arrays)
                found[epoch, position] = (sample.source, sample.id, json.dumps(str(sample.turns)), bytes_of)
        return found
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}"], "--out is missing"),
        (["{folder}", "--out", "{out}", "--shard-size", "much"], "--shard-size: expected a number of bytes"),
        (["{folder}", "--out", "{out}", "--workers", "0"], "--workers must be 1 or more, got 0"),
        (["{folder}", "--out", "{folder}/x"], "lies within"),
        (["{out}/none", "--out", "{out}"], "no such folder to pack"),
        (["{folder}", "--verify"], "no index.tsv in it"),
        (["{folder}", "--out", "{out}", "--sources", "x"], "--sources goes with a config"),
        (["{out}/none.py", "--out", "{out}"], "none.py does not exist"),
    ],
)
def test_mistakes_are_said_in_one_sentence(arguments, message, folder, tmp_path):
    done = run(*(argument.format(folder=folder, out=tmp_path / "out") for argument in arguments))
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
