"""Ray Data and the local engine write the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from word2mask.annotate.engines.local import run_local
from word2mask.annotate.output import write_dataset
from word2mask.annotate.quality.verification import verify
from word2mask.annotate.records import ObjectRecord, VideoRecord
from word2mask.annotate.settings import Limits
from word2mask.annotate.store import Store
from word2mask.errors import UserError


def test_limits_are_shared_out() -> None:
    from word2mask.annotate.engines.ray import share

    limits = Limits(concurrency=64, requests_per_minute=600, token_budget=1001)
    assert share(limits, 4) == replace(limits, concurrency=16, requests_per_minute=150, token_budget=250, pictures=1000)
    assert share(Limits(), 64).concurrency == 1
    with pytest.raises(UserError, match="concurrency is 64 for 65 workers"):
        share(Limits(), 65)


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
        from types import SimpleNamespace

        import numpy as np

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
