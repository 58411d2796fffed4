"""A language model behind services of other projects, with a small model's published weights.

The vision model is scripted; its captions are compared by SmolLM2-135M-Instruct. That is far too small for it, which is
the point: whatever it writes, every object ends as kept, dropped or failed, with the reason. transformers' own service
ignores the schema; llama.cpp's holds the model to it, and so does our own backend.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

#: llama.cpp's server, which xllamacpp brings as a wheel; it says where it listens.
LLAMA_CPP = """
import sys, threading
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.n_parallel = sys.argv[1], 4096, 2
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
threading.Event().wait()
"""


@contextmanager
def transformers_serve(folder: Path) -> Iterator[Endpoint]:
    """``transformers serve``, which ignores ``response_format``."""
    pytest.importorskip("gguf", reason="the weights need the extra gguf")
    pytest.importorskip("uvicorn", reason="the service needs transformers[serving]")
    command = shutil.which("transformers") or str(Path(sys.executable).with_name("transformers"))
    write_folder(folder / "smollm2")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [command, "serve", str(folder / "smollm2"), "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(arguments, env=os.environ | {"HF_HUB_OFFLINE": "1"}, cwd=folder)
    try:
        deadline = time.monotonic() + 900
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        yield Endpoint(f"http://127.0.0.1:{port}/v1", str(folder / "smollm2"), structure="none")
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def llama_cpp(folder: Path) -> Iterator[Endpoint]:
    """llama.cpp's own server, which follows JSON schemas."""
    pytest.importorskip("xllamacpp", reason="llama.cpp's server comes with pip install xllamacpp")
    command = [sys.executable, "-c", LLAMA_CPP, str(WEIGHTS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = next(line.strip() for line in process.stdout if line.startswith("http"))
        yield Endpoint(f"{url}/v1", "smollm2")
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def this_process(folder: Path) -> Iterator[Endpoint]:
    """Our own backend, with llguidance."""
    pytest.importorskip("gguf", reason="the weights need the extra gguf")
    pytest.importorskip("llguidance", reason="answers are held to schemas by llguidance (extra annotate)")
    write_folder(folder / "smollm2")
    yield Endpoint(f"local:{folder / 'smollm2'}", "")


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


@pytest.mark.parametrize("serve", [transformers_serve, llama_cpp, this_process])
def test_whatever_a_small_model_writes_is_accounted_for(
    tmp_path: Path, start_service: Callable, make_sav: Callable, serve: Callable
) -> None:
    references, scripted = make_sav(tmp_path / "sav", 2), start_service()
    limits = Limits(concurrency=2, timeout=1500, attempts=2)
    store = Store(tmp_path / "store")
    with serve(tmp_path) as text:
        # Held to its form it may say enough; where it isn't, it never comes to an end.
        settings = Settings(
            Endpoint(scripted.url, "script"), text, limits, frames=3, max_tokens=96 if text.structure == "none" else 256
        )
        records = run_local(references, tmp_path / "sav", settings, store)
        # What it wrote is kept: a second run asks neither service.
        asked = scripted.script.counts["answers"]
        assert run_local(references, tmp_path / "sav", settings, store) == records
        assert scripted.script.counts["answers"] == asked
    objects = [found for record in records for found in record.objects]
    assert len(objects) == 4
    compared = [found for found in objects if found.usage.get("compare") or "compare" in found.reason]
    assert compared, "no object came so far"
    for found in objects:
        if found.status == "failed":
            assert found.reason == "unreadable answer to compare" and found.detail
            # A text left empty where one is needed is of the right form, and still no answer.
            assert text.structure == "none" or found.detail.endswith("is empty")
        elif found.status == "dropped":
            assert found.reason in ("inconsistent", "unrecognisable")
        else:
            assert found.long and found.usage["compare"]["completion_tokens"] > 0
    manifest = write_dataset(records, tmp_path / "dataset")
    assert sum(manifest["objects"].values()) == 4
