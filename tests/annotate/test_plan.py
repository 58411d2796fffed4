"""The plan: what a run took, multiplied; every number by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from word2mask.annotate.engines.local import run_local
from word2mask.annotate.output import write_dataset
from word2mask.annotate.plan import Assumptions, as_markdown, read_run, write_effort
from word2mask.annotate.preparing import data_url
from word2mask.annotate.scripted_service import count_tokens
from word2mask.annotate.store import Store, hash_of
from word2mask.annotate.views import to_jpeg
from word2mask.errors import UserError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two videos of two objects: all four were captioned, two compared, one of these asked for again; one is kept."""
    (tmp_path / "dataset").mkdir()
    manifest = {
        "videos": 2,
        "objects": {"kept": 1, "dropped": 3},
        "shards": [{"file": "a", "bytes": 3000}, {"file": "b", "bytes": 1000}],
    }
    usage = {
        "compare": {"calls": 2, "repaired": 1, "pictures": 0, "picture_bytes": 0}
        | {"prompt_tokens": 300, "completion_tokens": 100},
        "caption_crop": {"calls": 4, "repaired": 0, "pictures": 4, "picture_bytes": 400_000}
        | {"prompt_tokens": 2000, "completion_tokens": 200},
    }
    (tmp_path / "dataset/manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "dataset/usage.json").write_text(json.dumps(usage))
    store = Store(tmp_path / "store")
    for number in range(8):
        store.put(hash_of(number), {"text": "x" * 100})
    return tmp_path


def test_every_number_by_hand(run: Path) -> None:
    write_effort(run, asked=7, cpu_seconds=0.7, seconds=9.0, tokens=2600)
    found = read_run(run)
    assert (found.videos, found.objects, found.kept, found.store_files) == (2, 4, 1, 8)
    assert found.cpu_seconds == pytest.approx(0.1)
    text = as_markdown(found, Assumptions(1000, 3.0, {"vision": 550.0, "text": 10.0}, gpus=2, videos_per_shard=300))
    lines = text.splitlines()
    assert lines[0] == "An object, in the mean of 4 of 2 videos (1 kept):"
    # 2000 / 4 and 200 / 4 tokens; 300 / 4 and 100 / 4.
    assert "| caption_crop | vision | 1.00 | 1.00 | 500 | 50 |" in lines
    assert "| compare | text | 0.75 | 0.00 | 75 | 25 |" in lines
    assert "| together | | 1.75 | 1.00 | 575 | 75 |" in lines
    assert "| | 1,000 videos of 3.00 objects |" in lines
    assert "| objects | 3,000, 750 kept |" in lines
    assert "| requests | 5,250 |" in lines
    assert "| tokens | 2 million read, 0 million written |" in lines
    # 3000 · 550 / 550 s = 0.83 h, 3000 · 100 / 10 s = 8.3 h; 9.17 h of two GPUs are 0.19 days.
    expected = "1 hours vision + 8 hours text; 2 GPUs: 0.2 days (tokens a second of one: vision 550, text 10)"
    assert f"| GPUs | {expected} |" in lines
    assert "| client | 0 core hours |" in lines  # 5250 · 0.1 s
    assert "| pictures sent | 300 MB |" in lines  # 3000 · 100 kB
    assert f"| store | 6,000 files, {found.store_bytes / 4 * 3000 / 1e6:.3g} MB |" in lines
    assert "| dataset | 4 shards of 300 videos, 3 MB |" in lines


def test_as_many_objects_as_the_run_had(run: Path) -> None:
    text = as_markdown(read_run(run), Assumptions(10**6, None, {"vision": 1000.0, "text": 1000.0}))
    assert "| | 1,000,000 videos of 2.00 objects |" in text
    assert "| tokens | 1,150 million read, 150 million written |" in text
    assert "| client | not measured |" in text
    assert "| dataset | 1,000 shards of 1,000 videos, 2 GB |" in text


def test_the_figures_are_those_that_the_service_saw(
    tmp_path: Path, start_service: Callable, settings_for: Callable, make_sav: Callable
) -> None:
    references, service, seen = make_sav(tmp_path / "sav", 6), start_service(faults={"invalid": 0.2}, seed=2), []
    settings = settings_for(service.url)
    records = run_local(
        references,
        tmp_path / "sav",
        settings,
        Store(tmp_path / "store"),
        lambda p: seen.append((p.prompt_tokens, p.completion_tokens, p.asked)),
    )
    write_dataset(records, tmp_path / "dataset")
    found = read_run(tmp_path)
    stages = found.stages.values()
    total = [sum(stage[key] for stage in stages) for key in ("prompt_tokens", "completion_tokens")]
    assert (*total, sum(stage["calls"] + stage["repaired"] for stage in stages)) == seen[-1]
    assert seen[-1][2] == service.script.counts["answers"]
    # A fault that is drawn for a repair changes nothing.
    assert 0 < sum(stage["repaired"] for stage in stages) <= service.script.counts["invalid"]
    assert found.stages["video"]["pictures"] == 3 * found.stages["video"]["calls"]
    assert found.stages["compare"]["pictures"] == 0
    # An answer and its object's video are a file each.
    assert found.store_files == sum(stage["calls"] for stage in stages) + len(references)
    # As long as Ref-SAV's expressions are.
    words = json.loads((tmp_path / "dataset/statistics.json").read_text())["long"]["words"]
    assert words["mean"] == pytest.approx(83.6, abs=1)


def test_tokens_of_pictures_are_those_of_qwen3_vl() -> None:
    def tokens(*sizes: tuple[int, int]) -> int:
        urls = [data_url(to_jpeg(np.zeros((height, width, 3), np.uint8))) for width, height in sizes]
        return count_tokens([{"type": "image_url", "image_url": {"url": url}} for url in urls])

    assert tokens((768, 432)) == 24 * 14  # 13.5 rows are rounded to an even number
    assert tokens((640, 360), (640, 360)) == 2 * 20 * 11
    assert tokens((8, 8)) == 1
    assert count_tokens("four letters each") == 4


def test_a_service_given_no_picture_refuses(start_service: Callable) -> None:
    service = start_service()
    content = [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}}]

    async def ask() -> int:
        async with aiohttp.ClientSession() as http:
            body = {"model": "m", "messages": [{"role": "user", "content": content}]}
            return (await http.post(f"{service.url}/chat/completions", json=body)).status

    assert asyncio.run(ask()) == 400


def test_what_is_missing_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent/dataset/manifest\.json: can't be read .*annotate a few videos"):
        read_run(tmp_path / "absent")
    with pytest.raises(UserError, match="a plan takes numbers above 0"):
        Assumptions(0, None, {"vision": 1.0})
    (run / "dataset/usage.json").write_text("{}")
    with pytest.raises(UserError, match="nothing was asked in this run"):
        read_run(run)
    (run / "dataset/usage.json").write_text("{")
    with pytest.raises(UserError, match=r"usage\.json: damaged"):
        read_run(run)


def test_a_run_that_asked_nothing_leaves_the_effort_of_the_last(run: Path) -> None:
    write_effort(run, asked=4, cpu_seconds=2.0, seconds=9.0, tokens=100)
    write_effort(run, asked=0, cpu_seconds=0.1, seconds=0.1, tokens=0)
    assert read_run(run).cpu_seconds == 0.5
