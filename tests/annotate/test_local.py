"""The local engine: nothing lost, nothing twice, the same output whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from word2mask.annotate.engines.local import Progress, run_local
from word2mask.annotate.output import write_dataset
from word2mask.annotate.store import Store
from word2mask.data.sources.ref_sav import RefSAV
from word2mask.errors import UserError

#: Runs in a process of its own, to be killed.
PROGRAM = """
import json, sys
from pathlib import Path
from word2mask.annotate.engines.local import run_local
from word2mask.annotate.inputs.sav import find_sav
from word2mask.annotate.settings import Endpoint, Limits, Settings
from word2mask.annotate.store import Store
media, store, url = sys.argv[1:]
limits = Limits(concurrency=16, timeout=5, attempts=30, backoff=0.01, longest_backoff=0.05)
settings = Settings(Endpoint(url, "seeing"), Endpoint(url, "reading"), limits, frames=3)
run_local(find_sav(media), Path(media), settings, Store(store))
"""


def test_a_run_reads_back(tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable) -> None:
    references = make_sav(tmp_path / "sav", 4)
    service, seen = start_service(), []
    settings = settings_for(service.url)
    records = run_local(
        references, tmp_path / "sav", settings, Store(tmp_path / "store"), lambda p: seen.append(p.videos)
    )
    manifest = write_dataset(records, tmp_path / "dataset", videos_per_shard=3)
    assert seen == sorted(seen) and set(seen) - {0} == {1, 2, 3, 4}
    assert [record.reference for record in records] == references
    assert sum(manifest["objects"].values()) == 8
    kept = {}
    for file in sorted((tmp_path / "dataset").glob("ref_sav_*.json")):
        source = RefSAV(file, tmp_path / "sav", kinds=("long", "short"), per_expression=True)
        for index in range(len(source)):
            sample = source.read(index)
            kept[sample.id] = sample.extra["expression"]
            assert sample.masks.shape == (1, 3, 48, 64) and sample.masks.any()
    assert len(kept) == manifest["expressions"]["long"] + manifest["expressions"]["short"] > 8
    lines = [json.loads(line) for file in tmp_path.glob("dataset/records_*.jsonl") for line in file.open()]
    for line in lines:
        if line["status"] == "kept":
            texts = line["texts"]
            assert line["long"] == f"{texts['object']} {texts['scene']} {texts['video']}"
            assert kept[f"{line['video']}/{line['number']}/long"] == line["long"]
            assert set(line["calls"]) == {"caption_masked", "caption_crop", "compare", "scene", "video"}
        else:
            assert line["reason"] in ("inconsistent", "unrecognisable") and line["detail"]
    assert lines[0]["prompts"].keys() == {"caption_masked", "caption_crop", "compare", "scene", "video", "repair"}


def test_faults_change_nothing(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    references = make_sav(tmp_path / "sav", 20)
    faults = {"busy": 0.1, "broken": 0.1, "cut": 0.1, "garbage": 0.05, "invalid": 0.2, "slow": 0.1}
    manifests = []
    faulty = start_service(faults=faults, slow_delay=0.2, seed=7)
    for name, service in (("clean", start_service()), ("faulty", faulty)):
        records = run_local(references, tmp_path / "sav", settings_for(service.url), Store(tmp_path / name))
        manifests.append(write_dataset(records, tmp_path / f"{name}_dataset"))
        assert max(service.script.answered.values()) == 1
    assert min(service.script.counts[fault] for fault in faults) > 0
    assert manifests[0] == manifests[1]
    assert manifests[0]["objects"]["kept"] > 20
    usage = json.loads((tmp_path / "faulty_dataset" / "usage.json").read_text())
    assert sum(stage["repaired"] for stage in usage.values()) > 0


def test_an_answer_that_stays_unreadable_is_recorded_as_failed(
    tmp_path: Path, serve_once: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    from aiohttp import web

    bodies = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"choices": [{"message": {"content": "A dog."}}]})

    references = make_sav(tmp_path / "sav", 1, objects=1)
    settings, store = settings_for(serve_once(answer)), Store(tmp_path / "store")
    for _ in range(2):  # the second run asks nothing
        (record,) = run_local(references, tmp_path / "sav", settings, store)
        (found,) = record.objects
        assert found.status == "failed" and found.reason.startswith("unreadable answer to caption_")
        assert len(bodies) == 4  # two captions, each asked for once and again
        # Both are on record, whichever failed first, and what was written is in the store.
        assert set(found.calls) == set(found.usage) == {"caption_crop", "caption_masked"}
        assert store.get(found.calls["caption_crop"])["texts"] == ["A dog.", "A dog."]
    repairs = [body["messages"] for body in bodies if len(body["messages"]) == 3]
    assert len(repairs) == 2
    assert all("it holds no JSON object" in messages[2]["content"] for messages in repairs)
    manifest = write_dataset([record], tmp_path / "dataset")
    assert manifest["objects"] == {"failed": 1}
    assert [shard["file"] for shard in manifest["shards"]] == ["records_00000.jsonl"]


def test_a_second_run_asks_nothing_and_a_changed_prompt_what_depends_on_it(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    references, service = make_sav(tmp_path / "sav", 5), start_service()
    store, counts = Store(tmp_path / "store"), service.script.counts
    first = run_local(references, tmp_path / "sav", settings_for(service.url), store)
    asked = counts["answers"]
    assert run_local(references, tmp_path / "sav", settings_for(service.url), store) == first
    assert counts["answers"] == asked
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "video.md").write_text("What does it do? $description $count")
    changed = run_local(
        references, tmp_path / "sav", settings_for(service.url, prompts=str(tmp_path / "prompts")), store
    )
    kept = sum(found.status == "kept" for record in first for found in record.objects)
    assert counts["answers"] - asked == kept  # one video-level call an object that comes so far
    pairs = [pair for a, b in zip(first, changed, strict=True) for pair in zip(a.objects, b.objects, strict=True)]
    assert all(a.texts.get("scene") == b.texts.get("scene") for a, b in pairs)
    assert any(a.texts.get("video") != b.texts.get("video") for a, b in pairs)


def test_objects_without_pictures_are_dropped_and_a_broken_video_does_not_stop_the_rest(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    references, service = make_sav(tmp_path / "sav", 2, objects=1), start_service()
    annotation = tmp_path / "sav" / references[0].annotation_path
    content = json.loads(annotation.read_text())
    (shown,) = content["masklet"][0]
    empty = {"size": [48, 64], "counts": [48 * 64]}
    dot = {"size": [48, 64], "counts": [100, 1, 48 * 64 - 101]}
    content["masklet"] = [[shown, empty, dot]] * 3
    annotation.write_text(json.dumps(content))
    (tmp_path / "sav" / references[1].video_path).write_bytes(b"no video")
    records = run_local(references, tmp_path / "sav", settings_for(service.url), Store(tmp_path / "store"))
    shown_record, never, small = records[0].objects
    assert shown_record.texts["caption_crop"]
    assert (never.status, never.reason, never.area) == ("dropped", "never seen", 0.0)
    assert (small.status, small.reason) == ("dropped", "too small")
    assert small.area == pytest.approx(1 / (48 * 64), abs=1e-6)
    (broken,) = records[1].objects
    assert (broken.status, broken.reason) == ("failed", "unreadable video") and "sav_000001.mp4" in broken.detail


def test_answers_are_known_by_what_is_shown(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable, monkeypatch
) -> None:
    """Not by a file's name or time; and where all is known, nothing is decoded."""
    references, service = make_sav(tmp_path / "sav", 2), start_service()
    store, counts = Store(tmp_path / "store"), service.script.counts
    settings = settings_for(service.url)
    first = run_local(references, tmp_path / "sav", settings, store)
    asked = counts["answers"]
    for reference in references:
        for path in (reference.video_path, reference.annotation_path):
            (tmp_path / "moved" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "moved" / path).write_bytes((tmp_path / "sav" / path).read_bytes())
            os.utime(tmp_path / "moved" / path, (1, 1))

    def walk(*_: object) -> None:
        raise AssertionError("decoded")

    with monkeypatch.context() as patched:
        patched.setattr("word2mask.data.media.VideoFile.walk", walk)
        assert run_local(references, tmp_path / "moved", settings, store) == first
    assert counts["answers"] == asked
    # Another mask is another picture, and other settings of pictures are.
    annotation = tmp_path / "moved" / references[0].annotation_path
    content = json.loads(annotation.read_text())
    content["masklet"] = [objects[::-1] for objects in content["masklet"]]
    annotation.write_text(json.dumps(content))
    run_local(references, tmp_path / "moved", settings, store)
    assert counts["answers"] == asked  # the same two objects in another order
    run_local(references, tmp_path / "sav", settings_for(service.url, frame_side=32), store)
    motions = counts["answers"] - asked
    kept = sum(found.status == "kept" for record in first for found in record.objects)
    assert motions == kept > 0


def test_other_fields_of_a_request_are_another_model(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    references, service = make_sav(tmp_path / "sav", 2), start_service()
    store, counts = Store(tmp_path / "store"), service.script.counts
    settings = settings_for(service.url)
    first = run_local(references, tmp_path / "sav", settings, store)
    asked = counts["answers"]
    compared = sum("compare" in found.calls for record in first for found in record.objects)
    text = replace(settings.text, extra={"chat_template_kwargs": {"enable_thinking": False}}, omit=("seed",))
    run_local(references, tmp_path / "sav", replace(settings, text=text), store)
    # The captions are known; the comparison is made anew, and gives the same, so that the stages after it are known.
    assert counts["answers"] - asked == compared > 0


def test_a_wrong_key_stops_the_run(
    tmp_path: Path, serve_once: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=401)

    with pytest.raises(UserError, match="the key is wrong"):
        run_local(
            make_sav(tmp_path / "sav", 3), tmp_path / "sav", settings_for(serve_once(answer)), Store(tmp_path / "s")
        )


def test_refusals_in_a_row_stop_the_run(
    tmp_path: Path, serve_once: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=400, text="no pictures here")

    references = make_sav(tmp_path / "sav", 12)
    with pytest.raises(UserError, match=r"2\d requests refused one after another.*HTTP 400: no pictures here; put"):
        run_local(references, tmp_path / "sav", settings_for(serve_once(answer)), Store(tmp_path / "store"))


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    """500 objects, kill -9 in the middle."""
    references, service = make_sav(tmp_path / "sav", 250), start_service(delay=0.02)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "sav"), str(tmp_path / "store"), service.url]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "projects")}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 400
    while service.script.counts["answers"] < 1000 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    answered, kept = service.script.counts["answers"], len(Store(tmp_path / "store"))
    assert 1000 <= answered < 2300
    records = run_local(references, tmp_path / "sav", settings_for(service.url), Store(tmp_path / "store"))
    manifest = write_dataset(records, tmp_path / "resumed")
    twice = sum(count - 1 for count in service.script.answered.values())
    assert twice <= 16  # at most what was on its way when the process died
    assert kept > 900
    whole = start_service()
    again = run_local(references, tmp_path / "sav", settings_for(whole.url), Store(tmp_path / "other"))
    assert write_dataset(again, tmp_path / "uninterrupted") == manifest
    assert (tmp_path / "resumed/manifest.json").read_bytes() == (tmp_path / "uninterrupted/manifest.json").read_bytes()
    assert sum(manifest["objects"].values()) == 500


def test_cost() -> None:
    assert Progress(prompt_tokens=2_000_000, completion_tokens=500_000).cost((0.5, 2.0)) == 2.0
