"""Ray Data and the local engine write the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from word2mask.annotate.engines.local import run_local
from word2mask.annotate.output import write_dataset
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
