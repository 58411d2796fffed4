"""word2mask batch: answers line by line, a stopped run that goes on, errors in their lines, and bad files."""

from __future__ import annotations

import errno
import json
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.cli.program import main
from word2mask.apps.cli.request_lines import read_requests
from word2mask.apps.cli.result_lines import Results
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.session import Session
from word2mask.ops.masks import encode_rle
from word2mask.types import Generation, Segment

from .conftest import bad_media

Speaks = Callable[[str], None]


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def command(model: Path, tmp_path: Path, picture: Path, video: Path) -> list[str]:
    requests = write(
        tmp_path / "requests.jsonl",
        {"id": "a", "media": "picture.png", "text": "Where?"},
        {"id": 2, "media": "gone.png", "text": "Where?"},
        {"id": "c", "media": "video.mp4", "text": "And here?", "generation": {"max_new_tokens": 9}},
        {"id": "d", "turns": [{"role": "user", "text": "Hi"}, {"role": "assistant", "text": "Hello."}]
         + [{"role": "user", "text": "Who are you?"}]},
        {"id": "e", "media": "picture.png", "text": "Region1?", "prompts": [{"box": [1, 1, 99, 9]}]},
    )  # fmt: skip
    return ["batch", str(model), str(requests), "--out", str(tmp_path / "results.jsonl")]


@pytest.mark.parametrize("size", [1, 4])
def test_answers_and_errors(
    size: int, command: list[str], tmp_path: Path, speaks: Speaks, capsys: pytest.CaptureFixture[str]
) -> None:
    speaks("It is [SEG].")
    assert main([*command, "--batch-size", str(size)]) == 1
    assert "3 of 5 requests answered, 2 failed" in capsys.readouterr().out
    results = {line["id"]: line for line in read(tmp_path / "results.jsonl")}
    assert set(results) == {"a", 2, "c", "d", "e"}
    assert "gone.png: no such file" in results[2]["error"] and "box" in results["e"]["error"]
    answers = {key: Answer.from_json(results[key]) for key in ("a", "c", "d")}
    assert [answer.text for answer in answers.values()] == ["It is."] * 3
    assert answers["a"].segments[0].masks.shape == (1, 24, 32) and answers["c"].segments[0].masks.shape == (5, 24, 32)
    assert results["d"]["question"] == "Who are you?" and results["a"]["media"] == "picture.png"


def test_a_stopped_run_goes_on(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def batch(self, requests):
        asked.extend(request.turns[-1].text for request in requests)
        if asked == ["Where?", "And here?"]:
            raise KeyboardInterrupt
        return [Answer("Yes.", "Yes.", [], None, 0) for _ in requests]

    monkeypatch.setattr(Session, "batch", batch)
    out = tmp_path / "results.jsonl"
    assert main(command) == 130
    assert [line["id"] for line in read(out)] == ["a", 2] and asked == ["Where?", "And here?"]
    # Killed while it wrote: half a line.
    with out.open("a") as file:
        file.write('{"id": "c", "requ')
    asked.clear()
    assert main(command) == 1
    assert asked == ["And here?", "Who are you?", "Region1?"]  # the error isn't tried again
    assert [line["id"] for line in read(out)] == ["a", 2, "c", "d", "e"]
    assert "4 of 5 requests answered (2 of them before), 1 failed" in capsys.readouterr().out
    # Done, and so the model isn't needed.
    monkeypatch.setattr(Session, "from_pretrained", None)
    assert main(command) == 1
    monkeypatch.undo()
    monkeypatch.setattr(Session, "batch", batch)
    (tmp_path / "gone.png").write_bytes((tmp_path / "picture.png").read_bytes())
    asked.clear()
    assert main([*command, "--retry-failed"]) == 0
    assert [line["id"] for line in read(out)] == ["a", "c", "d", "e", 2]


def test_other_requests_and_settings_are_told_apart(
    command: list[str], tmp_path: Path, speaks: Speaks, capsys: pytest.CaptureFixture[str]
) -> None:
    speaks("Yes.")
    requests = tmp_path / "requests.jsonl"
    write(requests, {"id": "a", "text": "Who?"})
    assert main(command) == 0
    assert main([*command, "--temperature", "2"]) == 2
    assert "'a' was answered when the request, the model or the settings were others" in capsys.readouterr().err
    write(requests, {"id": "a", "text": "What?"})
    assert main(command) == 2
    write(requests, {"id": "b", "text": "Who?"})
    assert main(command) == 2
    assert "it answers 'a', which isn't among these requests" in capsys.readouterr().err
    with Results(tmp_path / "results.jsonl"):
        assert main(command) == 2
    assert "another run is writing it" in capsys.readouterr().err
    (tmp_path / "results.jsonl").write_text("[]\n")
    assert main(command) == 2
    assert "results.jsonl:1: not a line that word2mask batch wrote" in capsys.readouterr().err


def test_edits(model: Path, tmp_path: Path, picture: Path, video: Path, speaks: Speaks, monkeypatch, capsys) -> None:
    """Edited files lie beside the results; a run that was stopped doesn't edit again."""
    speaks("It is [SEG].")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    Image.new("RGB", (8, 8), (0, 200, 0)).save(tmp_path / "hat.png")
    requests = write(
        tmp_path / "requests.jsonl",
        {"id": "a", "media": "picture.png", "edit": "blur the star"},
        {"id": "b/2", "media": "picture.png", "prompts": [{"box": [1, 1, 9, 9]}], "edit": "put hat.png on it"},
        {"id": "c", "media": "video.mp4", "text": "Where?", "edit": "blur it", "edit_as": "gif"},
        {"id": "d", "media": "picture.png", "edit": "blur it"},
        {"id": "e", "media": "picture.png", "text": "Where?", "edit": "blur it in second 2"},
    )
    out = tmp_path / "results.jsonl"
    command = ["batch", str(model), str(requests), "--out", str(out), "--batch-size", "3"]
    assert main(command) == 1 and "3 of 5 requests answered, 2 failed" in capsys.readouterr().out
    results = {line["id"]: line for line in read(out)}
    names = {"a": "a.png", "b/2": "b%2F2.png", "c": "c.gif"}
    assert {key: results[key]["edited"] for key in names} == {
        key: f"results_edited/{name}" for key, name in names.items()
    }
    assert sorted(path.name for path in (tmp_path / "results_edited").iterdir()) == sorted(names.values())
    assert results["a"]["question"] == "Please segment the star in this picture."
    (note,) = results["a"]["notes"]
    assert note.startswith('the model gives "the star" a score of 0.')  # its weights are random
    assert results["b/2"]["objects"][0]["phrase"] == "region1" and results["c"]["question"] == "Where?"
    assert "the edit doesn't say what to change" in results["d"]["error"] and "names a time" in results["e"]["error"]
    assert Answer.from_json(results["a"]).text == "It is."
    monkeypatch.setattr("word2mask.inference.editing.edit.edit", lambda *_, **__: pytest.fail("edited again"))
    before = out.read_bytes()
    assert main(command) == 1 and out.read_bytes() == before


def test_a_full_disk(command: list[str], tmp_path: Path, speaks: Speaks, monkeypatch, capsys) -> None:
    speaks("Yes.")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("word2mask.apps.cli.result_lines.os.fsync", full)
    assert main(command) == 2
    assert "no room left (No space left on device), and what was written before is kept" in capsys.readouterr().err


def test_a_disk_that_fills_up_keeps_whole_lines(
    model: Path, tmp_path: Path, picture: Path, speaks: Speaks, capsys
) -> None:
    """Real writes fail, in the midst of a line; with room, the same command goes on."""
    speaks("Yes.")
    requests = write(tmp_path / "r.jsonl", *({"id": number, "text": "Where? " + "x" * 300} for number in range(20)))
    out = tmp_path / "results.jsonl"
    command = ["batch", str(model), str(requests), "--out", str(out), "--batch-size", "5"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        assert main(command) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert f"{out}: no room left" in error and "what was written before is kept" in error and error.count("\n") == 1
    kept = [line["id"] for line in read(out)]
    assert 0 < len(kept) < 20 and kept == list(range(len(kept))) and out.read_bytes().endswith(b"\n")
    assert main(command) == 0
    assert [line["id"] for line in read(out)] == list(range(20))


@pytest.mark.parametrize("size", [1, 4])
def test_bad_input_is_one_sentence_in_its_line_and_the_rest_is_answered(
    size: int, model: Path, picture: Path, video: Path, tmp_path: Path, speaks: Speaks, monkeypatch, capsys
) -> None:
    speaks("It is [SEG].")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    bad = bad_media(tmp_path, video)
    region = {"media": "picture.png", "text": "What is region1?"}
    edit = {"media": "picture.png", "text": "Where?"}
    cases = [
        *(({"media": name, "text": "Where?"}, message) for name, message in bad.items()),
        ({"media": "", "text": "Where?"}, "media is empty"),
        ({"media": "x" * 5000, "text": "Where?"}, "can't be looked at (File name too long)"),
        ({"media": "picture.png", "text": ""}, "the question is empty; say what to find or ask"),
        ({"media": "picture.png", "text": " \n"}, "the question is empty; say what to find or ask"),
        ({**region, "prompts": [{"box": [1, 1, 99, 9]}]}, "region1: box (1, 1, 99, 9) reaches out of the frame"),
        ({**region, "prompts": [{"points": [[40, 4, 1]]}]}, "region1: point (40, 4) is outside of the frame"),
        ({**region, "prompts": [{"mask": "small.png"}]}, "region1: the mask is 9 x 9, unlike the frame"),
        ({**region, "prompts": [{"frame": 3, "box": [1, 1, 9, 9]}]}, "a visual prompt is on frame 3"),
        ({**region}, "the text speaks of region1, but nothing is pointed at"),
        ({**edit, "edit": "put gone.png on it"}, "gone.png: no such picture"),
        ({**edit, "edit": "replace the background with cut.jpg"}, "cut.jpg: the picture is damaged or cut short"),
        ({**edit, "edit": "blur it", "edit_as": "mp4"}, "an edited picture isn't written as .mp4"),
        ({"media": "video.mp4", "text": "Where?", "edit": "blur it in second 99"}, "outside of the video"),
        ({**edit, "text": "x " * 9000}, "are more than 2048; shorten the conversation"),
    ]
    lines = [{"id": number, **content} for number, (content, _) in enumerate(cases)]
    last = {"id": "last", "media": "video.mp4", "text": "Where?"}
    out = tmp_path / "results.jsonl"
    command = ["batch", str(model), str(write(tmp_path / "r.jsonl", *lines, last)), "--out", str(out)]
    assert main([*command, "--batch-size", str(size)]) == 1
    assert f"1 of {len(cases) + 1} requests answered, {len(cases)} failed" in capsys.readouterr().out
    results = {line["id"]: line for line in read(out)}
    for number, (_, message) in enumerate(cases):
        error = results[number]["error"]
        assert message in error and "\n" not in error and "request 0" not in error, (cases[number], error)
    assert Answer.from_json(results["last"]).segments[0].masks.shape == (5, 24, 32)
    assert not (tmp_path / "results_edited").exists() or not any((tmp_path / "results_edited").iterdir())


def test_an_unknown_effect_is_said_before_anything_is_answered(
    model: Path, tmp_path: Path, picture: Path, capsys
) -> None:
    requests = write(tmp_path / "r.jsonl", {"id": 1, "media": "picture.png", "text": "Where?", "edit": "frobnicate it"})
    assert main(["batch", str(model), str(requests), "--out", str(tmp_path / "o.jsonl")]) == 2
    error = capsys.readouterr().err
    assert 'r.jsonl:1, edit: "frobnicate it" isn\'t understood' in error and error.count("\n") == 1
    assert not (tmp_path / "o.jsonl").exists()


def test_requests_as_they_are_meant(tmp_path: Path, picture: Path) -> None:
    mask = np.zeros((24, 32), dtype=bool)
    mask[3:9, 4:20] = True
    prompts = [{"frame": 0, "box": [1, 2, 9, 9], "points": [[3, 4, 0]]}, {"mask": encode_rle(mask)}]
    path = write(
        tmp_path / "r.jsonl",
        {"id": "a", "media": "picture.png", "text": "?", "prompts": prompts, "generation": {"top_k": 3, "seed": None}},
    )
    (line,) = read_requests(path)
    request = line.request(Generation(max_new_tokens=7))
    assert request.generation == Generation(max_new_tokens=7, top_k=3) and request.media.frames.shape == (1, 24, 32, 3)
    assert request.prompts[0].box == (1, 2, 9, 9) and request.prompts[0].points == ((3, 4, 0),)
    np.testing.assert_array_equal(request.prompts[1].mask, mask)
    assert line.fingerprint({"x": 1}) == line.fingerprint({"x": 1}) != line.fingerprint({"x": 2})


def test_requests_of_the_guide(repository: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", (repository / "docs/command_line.md").read_text(), re.DOTALL)
    (tmp_path / "r.jsonl").write_text(block)
    assert [line.id for line in read_requests(tmp_path / "r.jsonl")] == ["a1", "a2", "a3", "a4", "a5"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "no request in it"),
        ('{"id": 1, "text": "a"}\n{"id"', ":2: not JSON"),
        ("[1]", "expected a JSON object"),
        ('{"id": 1}', "expected an id, and either text or turns, got id"),
        ('{"text": "a"}', "expected an id"),
        ('{"id": 1, "text": "a", "turns": []}', "either text or turns"),
        ('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}', ":2: the id '1' is there twice"),
        ('{"id": true, "text": "a"}', "id is true; expected a text or a whole number"),
        ('{"id": 1, "text": "a", "image": "b"}', "no key 'image'; there are id, text, turns, media"),
        ('{"id": 1, "edit": "blur the dog"}', "edit without media"),
        ('{"id": 1, "text": "a", "edit_as": "gif"}', "edit_as without edit"),
        ('{"id": 1, "media": "a", "edit": "blur it", "edit_as": "frames"}', 'edit_as is "frames"; expected one of png'),
        ('{"id": 1, "media": "a", "edit": "frobnicate it"}', ":1, edit: "),
        ('{"id": 1, "turns": []}', "turns: expected user and assistant in turn"),
        ('{"id": 1, "turns": [{"role": "assistant", "text": "a"}]}', "turns: expected user and assistant in turn"),
        ('{"id": 1, "text": "a", "prompts": [{"boxes": []}]}', "prompts: no key 'boxes'"),
        (
            '{"id": 1, "text": "a", "generation": {"topk": 1}}',
            "no setting 'topk'; there are max_new_tokens",
        ),
    ],
)
def test_bad_files_of_requests(lines: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(lines)
    with pytest.raises(UserError) as error:
        read_requests(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"generation": {"max_new_tokens": 1.5}}, "max_new_tokens is 1.5; expected a whole number"),
        ({"generation": {"do_sample": 1}}, "do_sample is 1; expected true or false"),
        ({"prompts": [{"box": [1, 2, "a", 4]}]}, "expected a box [x1, y1, x2, y2]"),
        ({"prompts": [{"points": [4]}]}, "points [[x, y, 1], …]"),
        ({"prompts": [{"mask": {"size": [2, 2], "counts": [1]}}]}, "mask of a prompt"),
        ({"prompts": [{}]}, "visual prompt is empty"),
    ],
)
def test_values_that_do_not_go(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    (line,) = read_requests(write(tmp_path / "r.jsonl", {"id": "a", "text": "?", **entry}))
    with pytest.raises(UserError) as error:
        line.request(Generation())
    assert message in str(error.value)
