"""A language model behind a service of another project: transformers' own, with a small model's published weights.

The vision model is scripted; its captions are compared by SmolLM2-135M-Instruct. That is far too small for it, which is
the point: whatever it writes, every object ends as kept, dropped or failed, with the reason.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from word2mask.annotate.engines.local import run_local
from word2mask.annotate.output import write_dataset
from word2mask.annotate.settings import Endpoint, Limits, Settings
from word2mask.annotate.store import Store

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "pretrained" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not WEIGHTS.is_file(), reason="tools/fetch_pretrained.py smollm2-135m hasn't been run"),
]


@pytest.fixture
def real_service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URL and model's name of ``transformers serve``."""
    pytest.importorskip("gguf", reason="the weights need the extra gguf")
    pytest.importorskip("uvicorn", reason="the service needs transformers[serving]")
    command = shutil.which("transformers") or str(Path(sys.executable).with_name("transformers"))
    write_folder(tmp_path / "smollm2")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [command, "serve", str(tmp_path / "smollm2"), "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(arguments, env=os.environ | {"HF_HUB_OFFLINE": "1"}, cwd=tmp_path)
    deadline = time.monotonic() + 900
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/v1", str(tmp_path / "smollm2")
    process.terminate()
    process.wait(60)


def write_folder(folder: Path) -> None:
    """The weights as a folder of transformers' own format: its service doesn't take this GGUF (docs/annotate.md)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(WEIGHTS.parent, gguf_file=WEIGHTS.name, dtype=torch.float32)
    del read.config.quantization_config
    model = LlamaForCausalLM(read.config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(WEIGHTS.parent, gguf_file=WEIGHTS.name).save_pretrained(folder)


def test_whatever_a_small_model_writes_is_accounted_for(
    tmp_path: Path, start_service: Callable, real_service: tuple[str, str], make_sav: Callable
) -> None:
    references, scripted = make_sav(tmp_path / "sav", 2), start_service()
    limits = Limits(concurrency=2, timeout=1500, attempts=2)
    text = Endpoint(*real_service, structure="none")
    settings = Settings(Endpoint(scripted.url, "script"), text, limits, frames=3, max_tokens=96)
    store = Store(tmp_path / "store")
    records = run_local(references, tmp_path / "sav", settings, store)
    objects = [found for record in records for found in record.objects]
    assert len(objects) == 4
    compared = [found for found in objects if found.usage.get("compare") or "compare" in found.reason]
    assert compared, "no object came so far"
    for found in objects:
        if found.status == "failed":
            assert found.reason == "unreadable answer to compare" and found.detail
        elif found.status == "dropped":
            assert found.reason in ("inconsistent", "unrecognisable")
        else:
            assert found.long and found.usage["compare"]["completion_tokens"] > 0
    manifest = write_dataset(records, tmp_path / "dataset")
    assert sum(manifest["objects"].values()) == 4
    # What it wrote is kept: a second run asks neither service.
    asked = scripted.script.counts["answers"]
    assert run_local(references, tmp_path / "sav", settings, store) == records
    assert scripted.script.counts["answers"] == asked
