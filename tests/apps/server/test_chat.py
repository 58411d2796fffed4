"""Chat completions: OpenAI's format with masks beside the words, whole and streamed."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
from server_requests import asked, data_url, png

from word2mask.ops.masks import decode_rle

CHAT = "/v1/chat/completions"


def test_words_and_masks(serve) -> None:
    answer = serve().post(CHAT, json=asked("the sky", png())).json()
    assert answer["object"] == "chat.completion" and answer["model"] == "small"
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "you said the sky" and choice["finish_reason"] == "stop"
    masks = choice["message"]["word2mask"]
    assert masks["size"] == [16, 20] and masks["num_frames"] == 1
    (found,) = masks["objects"]
    assert found["phrase"] == "the sky" and found["span"] == [9, 16] and found["scores"] == [0.75]
    assert found["boxes"] == [[0, 0, 20, 8]] and found["confidence"] == 0.75 and found["found"] is True
    expected = np.zeros((16, 20), dtype=bool)
    expected[:8] = True
    np.testing.assert_array_equal(decode_rle(found["masks"][0]), expected)


def test_streamed_words_then_masks_then_the_end(serve) -> None:
    client = serve()
    whole = client.post(CHAT, json=asked("the sky", png())).json()["choices"][0]["message"]
    lines = [line for line in client.post(CHAT, json=asked("the sky", png(), stream=True)).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines[:-1]]
    assert chunks[0]["delta"] == {"role": "assistant", "content": ""}
    words = [chunk["delta"]["content"] for chunk in chunks[1:] if "content" in chunk["delta"]]
    assert words == ["you ", "said ", "the ", "sky"]
    assert [list(chunk["delta"]) for chunk in chunks[-2:]] == [["word2mask"], []]
    assert chunks[-2]["delta"]["word2mask"] == whole["word2mask"] and chunks[-1]["finish_reason"] == "stop"


def test_an_error_ends_a_stream_as_clients_expect(serve) -> None:
    lines = serve().post(CHAT, json=asked("forbidden", stream=True)).text.strip().split("\n\n")
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert error["message"] == "this text is forbidden; say something else"
    assert error["type"] == "invalid_request_error"


def test_a_message_goes_back_as_it_came(serve, pretender) -> None:
    client = serve()
    first = client.post(CHAT, json=asked("the sky", png())).json()["choices"][0]["message"]
    body = asked("the sky", png())
    body["messages"] += [first, {"role": "user", "content": "and now?"}]
    assert client.post(CHAT, json=body).status_code == 200
    turns = pretender.requests[-1].turns
    assert [turn.text for turn in turns] == ["the sky", "you said <p>the sky</p>[SEG]", "and now?"]
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]


def test_the_same_picture_may_come_with_every_turn(serve, pretender) -> None:
    body = asked("one", png())
    body["messages"] += [{"role": "assistant", "content": "1"}, *asked("two", png())["messages"]]
    assert serve().post(CHAT, json=body).status_code == 200
    assert pretender.requests[-1].media.frames.shape == (1, 16, 20, 3)


def test_settings_of_writing(serve, pretender) -> None:
    client = serve()
    client.post(CHAT, json=asked("a", temperature=0.5, top_p=0.9, top_k=7, seed=3, max_tokens=5))
    settings = pretender.requests[-1].generation
    assert settings.do_sample and settings.temperature == 0.5 and settings.top_p == 0.9 and settings.top_k == 7
    assert settings.seed == 3 and settings.max_new_tokens == 5
    client.post(CHAT, json=asked("a", temperature=0))
    assert not pretender.requests[-1].generation.do_sample
    client.post(CHAT, json=asked("a"))
    assert not pretender.requests[-1].generation.do_sample


def test_a_cut_answer_says_so(serve) -> None:
    client = serve()
    # "you said a b" has four words, which the pretender's tokenizer counts.
    reasons = [client.post(CHAT, json=asked("a b", max_tokens=n)).json()["choices"][0]["finish_reason"] for n in (4, 5)]
    assert reasons == ["length", "stop"]


def test_markup_of_a_user_stays_text(serve) -> None:
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    answer = serve().post(CHAT, json=asked(text))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["choices"][0]["message"]["content"] == "you said " + text


def test_prompts_are_passed_on(serve, pretender) -> None:
    extension = {"prompts": [{"box": [1, 2, 8, 9]}, {"points": [[3, 4, 1], [5, 6, 0]]}]}
    assert serve().post(CHAT, json=asked("region1?", png(), word2mask=extension)).status_code == 200
    box, points = pretender.requests[-1].prompts
    assert box.box == (1, 2, 8, 9) and points.points == ((3, 4, 1), (5, 6, 0))


def test_what_waits_together_is_answered_together(serve, pretender) -> None:
    client = serve(batch=4, batch_milliseconds=1)
    pretender.gate.clear()
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = client.post(CHAT, json=asked(f"number {number}")).json()["choices"][0]["message"]["content"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(9)]
    threads[0].start()
    while not pretender.batches:
        time.sleep(0.005)
    for thread in threads[1:]:
        thread.start()
    while sum(_waiting(client).values()) < 8:
        time.sleep(0.005)
    pretender.gate.set()
    for thread in threads:
        thread.join()
    assert [len(batch) for batch in pretender.batches] == [1, 4, 4]
    assert answers == {number: f"you said number {number}" for number in range(9)}


def _waiting(client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    rows = [line for line in lines if line.startswith("word2mask_queue_length{")]
    return {line.partition(" ")[0]: float(line.partition(" ")[2]) for line in rows}


def test_one_bad_question_doesnt_spoil_a_batch(serve, pretender) -> None:
    client = serve(batch_milliseconds=500)
    statuses: dict[str, int] = {}

    def ask(text: str) -> None:
        statuses[text] = client.post(CHAT, json=asked(text)).status_code

    threads = [threading.Thread(target=ask, args=(text,)) for text in ("good", "forbidden", "fine")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {"good": 200, "forbidden": 400, "fine": 200}
    assert sorted(pretender.batches[0]) == ["fine", "forbidden", "good"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "be brief"}]}, "no system message"),
        (asked("a") | {"tools": []}, "tools"),
        (asked("a") | {"n": 2}, "n"),
        (asked("a") | {"temperature": "hot"}, "temperature"),
        # What stands for a number or a truth value elsewhere.
        (asked("a") | {"temperature": "1"}, "temperature: Input should be a valid number"),
        (asked("a") | {"presence_penalty": False}, "presence_penalty: Input should be a valid number"),
        (asked("a") | {"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        (asked("a") | {"seed": "7"}, "seed: Input should be a valid integer"),
        (asked("a") | {"n": True}, "true or false where a number"),
        (asked("a") | {"stream": 1}, "stream: Input should be a valid boolean"),
        (asked("a") | {"store": 0}, "a number where true or false"),
        (asked("a", png(), word2mask={"prompts": [{"points": [[1, 2, True]]}]}), "true or false where a number"),
        (asked("a", png(), word2mask={"prompts": [{"box": [1, 2, "3", 4]}]}), "valid number"),
        (asked("a") | {"model": "large"}, "'small'"),
        (asked("   ", png()), "no text"),
        (asked("a") | {"max_tokens": 10**6}, "at most 1024"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "user first"),
        ({"messages": [*asked("a")["messages"], {"role": "assistant", "content": "b"}]}, "last message"),
        (
            {
                "messages": [
                    *asked("a", png())["messages"],
                    {"role": "assistant", "content": "b"},
                    *asked("c", png(8, 8))["messages"],
                ]
            },
            "several pictures",
        ),
        (asked("a", word2mask={"prompts": [{"box": [1, 1, 2, 2]}]}), "there is none"),
        (asked("a", png(), word2mask={"prompts": [{"box": [5, 1, 2, 2]}]}), "x1 < x2"),
        (asked("a", png(), word2mask={"prompts": [{"mask": {"size": [9**9, 9**9], "counts": "0"}}]}), "[16, 20]"),
        (asked("a", png(), word2mask={"prompts": [{"mask": {"size": [16, 20], "counts": "zzz"}}]}), "run lengths"),
        (asked("a", data_url(b"", "video/mp4")), "empty"),
    ],
)
def test_what_cant_be_answered_is_refused_in_words(serve, body, words) -> None:
    answer = serve().post(CHAT, json=body)
    assert answer.status_code in (400, 404), answer.text
    error = answer.json()["error"]
    assert words in error["message"] and set(error) == {"message", "type", "param", "code"}
