"""The server with a real session and a tiny model: what it sends is what the session says, to OpenAI's client too."""

from __future__ import annotations

import json

import httpx
import numpy as np
import openai
import pytest
import torch
from PIL import Image
from server_requests import asked, data_url, png

from word2mask.apps.server.asking import extension_of
from word2mask.data.media import open_media
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Request, Turn


@pytest.fixture(scope="module")
def session() -> Session:
    torch.manual_seed(0)
    return Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()))


def client_of(server) -> openai.OpenAI:
    """OpenAI's client, whose requests reach the server without a socket."""

    def pass_on(request: httpx.Request) -> httpx.Response:
        content = request.read()
        answer = server.request(request.method, request.url.raw_path.decode(), content=content, headers=request.headers)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

    transport = httpx.MockTransport(pass_on)
    return openai.OpenAI(
        base_url="http://testserver/v1", api_key="k", max_retries=0, http_client=httpx.Client(transport=transport)
    )


def test_openai_client(serve, session, tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    expected = session.ask(Request((Turn("user", "What?"),), open_media(tmp_path / "a.png"), max_new_tokens=6))
    client = client_of(serve(key="k", session=session))
    assert [model.id for model in client.models.list()] == ["small"]
    messages = asked("What?", png())["messages"]
    answer = client.chat.completions.create(model="small", messages=messages, max_tokens=6)
    message = answer.choices[0].message
    assert message.content == expected.text and message.word2mask == json.loads(json.dumps(extension_of(expected)))
    chunks = list(client.chat.completions.create(model="small", messages=messages, max_tokens=6, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == expected.text
    assert [delta.word2mask for delta in deltas if "word2mask" in delta.model_extra] == [message.word2mask]
    assert chunks[-1].choices[0].finish_reason == answer.choices[0].finish_reason
    follow_up = [*messages, message.model_dump(), {"role": "user", "content": "And?"}]
    assert client.chat.completions.create(model="small", messages=follow_up, max_tokens=2).choices[0].message.role
    upload = client.files.create(file=("a.png", png()), purpose="vision")
    content = [{"type": "file", "file": {"file_id": upload.id}}, {"type": "text", "text": "What?"}]
    again = client.chat.completions.create(model="small", messages=[{"role": "user", "content": content}], max_tokens=6)
    assert again.choices[0].message.word2mask == message.word2mask
    assert client.files.delete(upload.id).deleted
    with pytest.raises(openai.BadRequestError, match="opens no addresses"):
        client.chat.completions.create(model="small", messages=asked("What?", "http://a/b.png")["messages"])


def test_what_is_shown_needs_no_words(serve, session) -> None:
    client = serve(session=session)
    body = {"media": data_url(png(40, 32)), "prompts": [{"box": [4, 4, 20, 20]}, {"points": [[30, 20, 1]]}]}
    answer = client.post("/v1/segment", json=body)
    assert answer.status_code == 200, answer.text
    masks = answer.json()["word2mask"]
    assert [found["phrase"] for found in masks["objects"]] == ["region1", "region2"]
    assert masks["size"] == [32, 40] and masks["objects"][0]["masks"][0]["size"] == [32, 40]
    outside = client.post("/v1/segment", json=body | {"prompts": [{"box": [4, 4, 200, 20]}]})
    assert outside.status_code == 400 and "reaches out of the frame" in outside.json()["error"]["message"]


def test_a_real_video_as_a_job(serve, session, tmp_path) -> None:
    frames = [Image.fromarray(np.full((24, 32, 3), shade, dtype=np.uint8)) for shade in (10, 90, 170)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    client = serve(session=session)
    body = {"media": data_url((tmp_path / "a.gif").read_bytes(), "image/gif"), "prompts": [{"box": [2, 2, 9, 9]}]}
    number = client.post("/v1/videos", json=body).json()["id"]
    job = {"status": "queued"}
    while job["status"] in ("queued", "running"):
        job = client.get(f"/v1/videos/{number}").json()
    assert job["status"] == "completed", job
    assert job["word2mask"]["num_frames"] == 3 and len(job["word2mask"]["objects"][0]["scores"]) == 3
