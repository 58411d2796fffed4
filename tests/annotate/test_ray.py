"""Ray Data and the local engine write the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from word2mask.annotate.engines.local import run_local
from word2mask.annotate.output import write_dataset
from word2mask.annotate.quality.verification import verify
from word2mask.annotate.record_list import StoredRecords
from word2mask.annotate.records import ObjectRecord, VideoRecord, VideoReference
from word2mask.annotate.settings import Limits
from word2mask.annotate.store import Store
from word2mask.errors import UserError

#: Runs in a process of its own, to be killed.
PROGRAM = """
import sys
from pathlib import Path
from word2mask.annotate.engines.ray import run_ray
from word2mask.annotate.inputs.sav import find_sav
from word2mask.annotate.settings import Endpoint, Limits, Settings
from word2mask.annotate.store import Store
media, store, url = sys.argv[1:]
limits = Limits(concurrency=16, timeout=5, attempts=30, backoff=0.01, longest_backoff=0.05)
settings = Settings(Endpoint(url, "seeing"), Endpoint(url, "reading"), limits, frames=3)
run_ray(find_sav(media), Path(media), settings, Store(store), workers=2, batch=16)
"""


def test_limits_are_shared_out() -> None:
    from word2mask.annotate.engines.ray import share

    limits = Limits(concurrency=64, requests_per_minute=600, token_budget=1001)
    assert share(limits, 4) == replace(limits, concurrency=16, requests_per_minute=150, token_budget=250, pictures=1000)
    assert share(Limits(), 64).concurrency == 1
    with pytest.raises(UserError, match="concurrency is 64 for 65 workers"):
        share(Limits(), 65)


def test_workers_without_ray(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    """What Ray hands to workers and back, handed by ourselves: batches of columns in, rows out, in any order."""
    from word2mask.annotate.engines.ray import _collect, _Verifier, _Worker
    from word2mask.annotate.quality.verification import judged

    references, service, seen = make_sav(tmp_path / "sav", 5), start_service(), []
    settings, store = settings_for(service.url), Store(tmp_path / "store")
    worker = _Worker(str(tmp_path / "sav"), settings, str(store.folder))
    rows = []
    for batch in (references[3:], references[:3]):
        names = [entry.name for entry in fields(VideoReference)]
        columns = worker({name: np.array([getattr(found, name) for found in batch]) for name in names})
        rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    keys = _collect(rows, lambda progress: seen.append(replace(progress, objects=Counter(progress.objects))))
    records = StoredRecords(references, [keys[reference.video_id] for reference in references], store)
    local = run_local(references, tmp_path / "sav", settings, Store(tmp_path / "local"))
    assert records == local and len(records) == 5
    objects = Counter(found.status for record in local for found in record.objects)
    assert [progress.videos for progress in seen] == [2, 5] and seen[-1].objects == objects
    assert 2 * seen[-1].asked == service.script.counts["answers"]  # the local run asked the same

    def load() -> object:
        def ask(request: object) -> object:
            return SimpleNamespace(segments=[])

        return SimpleNamespace(ask=ask)

    verifier = _Verifier(str(tmp_path / "sav"), load, "g", str(store.folder), 0.5)
    texts = np.array([json.dumps(record.to_json()) for record in records])
    assert verifier({"record": texts}) == {"videos": [5], "error": [""]}
    checked = judged(records, tmp_path / "sav", None, "g", store)
    assert Counter(found.reason for record in checked for found in record.objects if found.iou == 0) == {
        "not found again": objects["kept"]
    }
    with pytest.raises(UserError, match="what was measured of sav_00000. is gone; run again"):
        list(judged(records, tmp_path / "sav", None, "another", store))


@pytest.mark.slow
def test_the_same_as_the_local_engine(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed (extra annotate)")
    from word2mask.annotate.engines.ray import run_ray

    references = make_sav(tmp_path / "sav", 24)
    here, there, seen = start_service(), start_service(faults={"busy": 0.1, "broken": 0.1, "invalid": 0.1}), []
    local = run_local(references, tmp_path / "sav", settings_for(here.url), Store(tmp_path / "local"))
    store = Store(tmp_path / "ray")
    settings = settings_for(there.url)
    records = run_ray(
        references, tmp_path / "sav", settings, store, lambda p: seen.append(p.videos), workers=2, batch=5
    )
    assert seen[-1] == 24 and len(seen) == 5
    assert write_dataset(records, tmp_path / "b") == write_dataset(local, tmp_path / "a")
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir() if p.name != "usage.json"} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir() if p.name != "usage.json"
    }
    assert sum(there.script.answered.values()) == sum(here.script.answered.values())
    assert max(there.script.answered.values()) == 1
    # One store for both engines: the local one asks nothing more.
    asked = there.script.counts["answers"]
    assert run_local(references, tmp_path / "sav", settings, store) == records
    assert there.script.counts["answers"] == asked


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    """500 objects, kill -9 of the driver in the middle; Ray ends its workers when it is gone."""
    pytest.importorskip("ray", reason="Ray isn't installed (extra annotate)")
    from word2mask.annotate.engines.ray import run_ray

    references, service = make_sav(tmp_path / "sav", 250), start_service(delay=0.02)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "sav"), str(tmp_path / "store"), service.url]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "projects")}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 400
    counts = service.script.counts
    while counts["answers"] < 1000 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    answered = -1
    while answered != counts["answers"]:
        answered = counts["answers"]
        time.sleep(3)
    assert 1000 <= answered < 2300
    settings = settings_for(service.url)
    records = run_ray(references, tmp_path / "sav", settings, Store(tmp_path / "store"), workers=2, batch=16)
    manifest = write_dataset(records, tmp_path / "resumed")
    # At most what was on its way when the workers died: 16 requests of all together.
    assert sum(count - 1 for count in service.script.answered.values()) <= 16
    whole = start_service()
    again = run_local(references, tmp_path / "sav", settings_for(whole.url), Store(tmp_path / "other"))
    assert write_dataset(again, tmp_path / "uninterrupted") == manifest
    assert (tmp_path / "resumed/manifest.json").read_bytes() == (tmp_path / "uninterrupted/manifest.json").read_bytes()
    assert sum(manifest["objects"].values()) == 500


@pytest.mark.slow
def test_verification_by_workers_is_that_of_one_machine(tmp_path: Path, make_sav: Callable) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed (extra annotate)")
    from word2mask.annotate.engines.ray import verify_ray

    references = make_sav(tmp_path / "sav", 5)
    records = [
        VideoRecord(
            reference, [ObjectRecord(number, "kept", long=f"The object is box {number}.") for number in (0, 1)], {}, {}
        )
        for reference in references
    ]

    def load() -> object:
        """A model that finds the left box whatever is asked."""
        from word2mask.ops.masks import box_to_mask

        class Grounder:
            def ask(self, request: object) -> object:
                masks = np.stack([box_to_mask((4, 8, 24, 30), 48, 64)] * len(request.media.frames))
                return SimpleNamespace(segments=[SimpleNamespace(masks=masks)])

        return Grounder()

    seen: list[tuple[int, int]] = []
    options = {"media_folder": tmp_path / "sav", "name": "g", "threshold": 0.5}
    here = verify(records, grounder=load(), store=Store(tmp_path / "here"), **options)
    there = verify_ray(
        records, load=load, store=Store(tmp_path / "there"), watch=lambda *p: seen.append(p), batch=2, **options
    )
    assert there == here and seen[-1] == (5, 5)
    assert [[found.status for found in record.objects] for record in there] == [["kept", "dropped"]] * 5
    # The measures are in the store: one machine looks nothing up anew.
    assert verify(records, grounder=None, store=Store(tmp_path / "there"), **options) == here


@pytest.mark.slow
def test_what_a_worker_can_not_put_right_stops_the_run(tmp_path: Path, make_sav: Callable) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed (extra annotate)")
    from word2mask.annotate.engines.ray import verify_ray

    (reference,) = make_sav(tmp_path / "sav", 1)
    records = [VideoRecord(reference, [ObjectRecord(0, "kept", long="A box.")], {}, {})]

    def load() -> object:
        from word2mask.errors import UserError

        raise UserError("no such model")

    with pytest.raises(UserError, match="^no such model$"):
        verify_ray(records, tmp_path / "sav", load, "g", Store(tmp_path / "store"), workers=1)
