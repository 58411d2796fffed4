"""Videos: jobs with progress, cancelled within a frame; short questions don't wait for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from server_requests import asked, data_url, png

from word2mask.ops.masks import decode_rle


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    """30 frames of 32 x 24."""
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (32, 24))
    for _ in range(30):
        writer.write(np.zeros((24, 32, 3), dtype=np.uint8))
    writer.release()
    return path.read_bytes()


def until(client: Any, number: str, *statuses: str) -> dict[str, Any]:
    """The job once it has one of these statuses."""
    for _ in range(2_000):
        job = client.get(f"/v1/videos/{number}").json()
        if job["status"] in statuses:
            return job
        time.sleep(0.01)
    raise AssertionError(job)


def test_a_job_from_start_to_answer(serve, video) -> None:
    client = serve()
    started = client.post("/v1/videos", json={"media": data_url(video, "video/avi"), "text": "the cat"})
    assert started.status_code == 202 and started.json()["status"] in ("queued", "running")
    job = until(client, started.json()["id"], "completed")
    assert job["progress"] == 1 and job["text"] == "you said the cat" and job["error"] is None
    (found,) = job["word2mask"]["objects"]
    assert job["word2mask"]["num_frames"] == 30 and len(found["masks"]) == len(found["boxes"]) == 30
    assert decode_rle(found["masks"][29]).sum() == 12 * 32
    assert client.delete(f"/v1/videos/{job['id']}").status_code == 200
    assert client.get(f"/v1/videos/{job['id']}").status_code == 404


def test_a_job_is_cancelled_within_a_frame(serve, pretender, video) -> None:
    client = serve()
    pretender.frame_seconds = 0.3
    number = client.post("/v1/videos", files={"file": ("a.avi", video)}, data={"text": "the cat"}).json()["id"]
    while pretender.frames < 3:
        time.sleep(0.005)
    assert client.get(f"/v1/videos/{number}").json()["stage"] == "track"
    assert client.delete(f"/v1/videos/{number}").json()["status"] in ("cancelling", "cancelled")
    seen = pretender.frames
    job = until(client, number, "cancelled")
    assert pretender.frames <= seen + 1 < 30 and job["word2mask"] is None
    assert client.post("/v1/chat/completions", json=asked("still there?")).status_code == 200


def test_short_questions_are_answered_between_frames(serve, pretender, video) -> None:
    client = serve()
    pretender.frame_seconds = 0.3
    number = client.post("/v1/videos", files={"file": ("a.avi", video)}, data={"text": "the cat"}).json()["id"]
    while not pretender.frames:
        time.sleep(0.005)
    before = pretender.frames
    assert client.post("/v1/chat/completions", json=asked("quick", png())).status_code == 200
    assert client.post("/v1/chat/completions", json=asked("quick", stream=True)).status_code == 200
    assert client.get(f"/v1/videos/{number}").json()["status"] == "running" and before <= pretender.frames < 30
    pretender.frame_seconds = 0.0
    until(client, number, "completed")


def test_a_job_that_fails_says_why(serve, video) -> None:
    client = serve()
    number = client.post("/v1/videos", files={"file": ("a.avi", video)}, data={"text": "forbidden"}).json()["id"]
    job = until(client, number, "failed")
    assert job["error"]["message"] == "this text is forbidden; say something else"


def test_too_many_jobs(serve, pretender, video) -> None:
    client = serve(jobs=1)
    pretender.frame_seconds = 0.3
    form = {"files": {"file": ("a.avi", video)}, "data": {"text": "the cat"}}
    first = client.post("/v1/videos", **form).json()["id"]
    until(client, first, "running")
    client.post("/v1/videos", **form)
    refused = client.post("/v1/videos", **form)
    assert refused.status_code == 429 and "retry-after" in refused.headers
    pretender.frame_seconds = 0.0


def test_who_is_told_to_end_ends_jobs_and_answers_who_waits(serve, pretender, video) -> None:
    client = serve()
    pretender.frame_seconds = 0.3
    form = {"files": {"file": ("a.avi", video)}, "data": {"text": "the cat"}}
    jobs = [client.post("/v1/videos", **form).json()["id"] for _ in range(2)]
    until(client, jobs[0], "running")
    with ThreadPoolExecutor(1) as pool:
        asked_too = pool.submit(client.post, "/v1/segment", **form)
        while 'queue_length{kind="video"} 1.0' not in client.get("/metrics").text:
            time.sleep(0.01)
        client.app.closing()
        assert [until(client, number, "cancelled")["word2mask"] for number in jobs] == [None, None]
        of_the_job = pretender.frames
        pretender.frame_seconds = 0.0
        assert asked_too.result().status_code == 200
    assert of_the_job < 30 and pretender.frames <= of_the_job + 31 and len(pretender.requests) == 2
    refused = client.post("/v1/videos", **form)
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "closing"
    assert client.post("/v1/segment", **form).status_code == 200, "one that came with its connection still open"


def test_a_short_video_in_a_chat(serve, video) -> None:
    body = asked("the cat")
    body["messages"][0]["content"].append({"type": "video_url", "video_url": {"url": data_url(video, "video/avi")}})
    message = serve().post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    assert message["word2mask"]["num_frames"] == 30


def test_an_answer_that_takes_too_long(serve, pretender, video) -> None:
    client = serve(seconds=1)
    pretender.frame_seconds = 0.3
    answer = client.post("/v1/segment", files={"file": ("a.avi", video)}, data={"text": "the cat"})
    assert answer.status_code == 503 and "more than 1 s" in answer.json()["error"]["message"]
    assert pretender.frames < 10
