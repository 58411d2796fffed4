"""word2mask ask: what it prints and writes, what it makes of regions, and what bad input gets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.cli.options import find_model
from word2mask.apps.cli.pointing import prompts_of
from word2mask.apps.cli.program import main
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.answer import Answer
from word2mask.inference.session import Session
from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.readability import unread_words
from word2mask.types import Generation, Segment, VisualPrompt

Speaks = Callable[[str], None]


def test_picture_to_a_folder(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, capsys: pytest.CaptureFixture[str]
) -> None:
    speaks("<p>A star</p> [SEG].")
    out = tmp_path / "out"
    assert main(["ask", str(model), str(picture), "Where?", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "A star." and printed.out.splitlines()[1].startswith("  1  A star: ")
    assert f"written to {out}: answer.json, mask_01.png, overlay.png" in printed.out
    # No terminal, no bars.
    assert printed.err == ""
    content = json.loads((out / "answer.json").read_text())
    assert content["question"] == "Where?" and content["size"] == [24, 32]
    mask = np.asarray(Image.open(out / "mask_01.png")) > 0
    np.testing.assert_array_equal(mask, Answer.from_json(content).segments[0].masks[0])


def test_video_to_a_folder_and_json_alone(
    model: Path, video: Path, tmp_path: Path, speaks: Speaks, capsys: pytest.CaptureFixture[str]
) -> None:
    speaks("[SEG] [SEG]")
    before = sorted(tmp_path.iterdir())
    assert main(["ask", str(model), str(video), "Where?", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert sorted(tmp_path.iterdir()) == before
    assert content["num_frames"] == 5 and len(content["objects"]) == 2 and content["media"] == str(video)
    out = tmp_path / "out"
    options = ["--out", str(out), "--key-frames", "2", "--key-frame-choice", "0,4", "--dtype", "fp32"]
    assert main(["ask", str(model), str(video), "Where?", *options]) == 0
    assert {entry.name for entry in out.iterdir()} == {
        "answer.json",
        "masks_01",
        "masks_02",
        "overlay.mp4",
        "strip.png",
    }
    assert len(VideoFile(out / "overlay.mp4")) == len(list((out / "masks_01").iterdir())) == 5


def test_settings_and_regions_reach_the_session(
    model: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    asked = []

    def ask(self, request, progress):
        asked.append((self, request))
        return Answer("Yes.", "Yes.", [], (24, 32), 5)

    monkeypatch.setattr(Session, "ask", ask)
    regions = ["--box", "1,2,30,20@3", "--point", "5,6;7.5,8,0", "--point", "9,9,0", "--mask", f"{tmp_path}/mask.png@1"]
    settings = ["--key-frame-choice", "every:2", "--threshold", "0.4", "--temperature", "0.5", "--seed", "3"]
    assert main(["ask", str(model), str(video), "What is region1?", *regions, *settings]) == 0
    ((session, request),) = asked
    assert (session.key_frame_choice, session.threshold) == (2, 0.4)
    assert request.generation == Generation(do_sample=True, temperature=0.5, seed=3)
    box, points, mask = request.prompts
    assert (box, points) == (
        VisualPrompt(frame=3, box=(1, 2, 30, 20)),
        VisualPrompt(points=((5, 6, 1), (7.5, 8, 0), (9, 9, 0))),
    )
    assert mask.frame == 1 and mask.mask.tolist() == np.eye(4, dtype=bool).tolist()


def test_edit_beside_the_answer(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The editing itself has tests of its own; here, that it gets answer and name."""
    speaks("[SEG]")
    calls = []

    def edit(session, media, instruction, out, *, result, is_answered, progress):
        calls.append((instruction.effect.name, len(result.segments), is_answered))
        Path(out).write_bytes(b"edited")
        return SimpleNamespace(notes=("the size is odd",))

    monkeypatch.setattr("word2mask.inference.editing.edit.edit", edit)
    out = tmp_path / "out"
    options = ["--edit", "blur it", "--edit-as", "webp", "--out", str(out)]
    assert main(["ask", str(model), str(picture), "Where?", *options]) == 0
    assert calls == [("blur", 1, False)] and (out / "edited.webp").read_bytes() == b"edited"
    assert capsys.readouterr().err == "the size is odd\n"


def test_an_edit_needs_no_question_of_its_own(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """What the edit names is asked for once; what is shown isn't asked for at all."""
    asked = []
    ask = Session.ask
    monkeypatch.setattr(
        Session, "ask", lambda self, request, report: asked.append(request) or ask(self, request, report)
    )
    speaks("[SEG]")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    out = tmp_path / "named"
    assert main(["ask", str(model), str(picture), "--edit", "blur the star", "--out", str(out)]) == 0
    assert [request.turns[-1].text for request in asked] == ["Please segment the star in this picture."]
    content = json.loads((out / "answer.json").read_text())
    assert [entry["phrase"] for entry in content["objects"]] == ["the star"] and (out / "edited.png").exists()
    out = tmp_path / "shown"
    shown = ["--box", "4,4,20,20", "--edit", "blur it", "--out", str(out)]
    assert main(["ask", str(model), str(picture), *shown]) == 0 and len(asked) == 1
    content = json.loads((out / "answer.json").read_text())
    assert [entry["phrase"] for entry in content["objects"]] == ["region1"] and (out / "edited.png").exists()
    capsys.readouterr()
    assert main(["ask", str(model), str(picture), "--edit", "blur it", "--out", str(tmp_path / "none")]) == 2
    assert "the edit doesn't say what to change" in capsys.readouterr().err
    assert main(["ask", str(model), str(picture)]) == 2 and "the question is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["--edit", "把红色的圆模糊"], ["请分割红色的圆。", "--edit", "把它模糊"]], ids=["edit", "question"]
)
def test_an_edit_in_words_that_the_model_cannot_read_is_refused(
    given, model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(
        Session, "unread", lambda self, text: unread_words(text, byte_tokenizer(["the picture"] * 9, 300))
    )
    monkeypatch.setattr(Session, "ask", lambda *_: pytest.fail("what can't be read was asked for"))
    before = sorted(tmp_path.rglob("*"))
    assert main(["ask", str(model), str(picture), *given, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert (
        error.startswith('"红色的圆" was asked for, but this model can\'t read "红色的圆"') and error.count("\n") == 1
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_question_in_words_that_the_model_cannot_read_gets_a_note(
    model: Path, picture: Path, speaks: Speaks, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    speaks("It is [SEG].")
    monkeypatch.setattr(Session, "unread", lambda self, text: ("圆",))
    assert main(["ask", str(model), str(picture), "Please segment 圆."]) == 0
    assert capsys.readouterr().err.startswith('the model can\'t read "圆"')


def test_points_in_words() -> None:
    assert prompts_of([("point", "1,2;3,4@7"), ("point", "5,6")]) == (
        VisualPrompt(frame=7, points=((1, 2, 1), (3, 4, 1))),
        VisualPrompt(points=((5, 6, 1),)),
    )
    # Off the object, with the box before it.
    (prompt,) = prompts_of([("box", "0,0,5,5@2"), ("point", "1,1,0@2")])
    assert prompt == VisualPrompt(frame=2, box=(0, 0, 5, 5), points=((1, 1, 0),))


def test_model_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained" / "small").mkdir(parents=True)
    assert find_model("small") == Path("pretrained/small")
    (tmp_path / "small").mkdir()
    assert find_model("small") == Path("small")
    with pytest.raises(UserError, match="other: no such model folder, and none of this name in pretrained/"):
        find_model("other")


def test_bad_input_gets_one_sentence(
    model: Path, picture: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "not.png").write_text("text")
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:200])
    for name in ("empty", "mixed", "full"):
        (tmp_path / name).mkdir()
    for side in (8, 9):
        Image.fromarray(np.zeros((side, side, 3), dtype=np.uint8)).save(tmp_path / "mixed" / f"{side}.png")
    (tmp_path / "full" / "note").write_text("")
    (tmp_path / "file").write_text("")
    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(tmp_path / "small.png")
    # 20,000 x 10,000 pixels of one colour are a small file.
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    some, out = tmp_path, tmp_path / "out"
    cases = [
        ((some / "not.png", "Where?"), "not a picture"),
        ((some / "gone.png", "Where?"), "no such file"),
        ((some / "empty", "Where?"), "no frames"),
        ((some / "cut.mp4", "Where?"), "cut.mp4"),
        ((some / "mixed", "Where?"), "must have one size"),
        ((some / "huge.png", "Where?"), "pixels"),
        ((picture, "  "), "question is empty"),
        ((picture, "Where?", "--box", "1,2,3"), "--box 1,2,3: expected x1,y1,x2,y2"),
        ((picture, "Where?", "--box", "9,9,2,2"), "x1 < x2"),
        ((picture, "Where is region1?", "--box", "1,1,99,9"), "box"),
        ((picture, "Where is region1?", "--point", "40,4"), "point"),
        ((picture, "Where?", "--point", "4"), "--point 4: expected x,y"),
        ((picture, "Where?", "--point", "4,4,0"), "there is no region before it"),
        ((picture, "Where?", "--mask", picture), "expected a PNG in black and white"),
        ((picture, "Where is region1?", "--mask", some / "small.png"), "mask"),
        ((picture, "Where is region1?", "--box", "1,1,9,9@3"), "frame"),
        ((picture, "Where?", "--edit-as", "gif"), "--edit-as gif without --edit"),
        ((picture, "Where?", "--device", "tpu9"), "device 'tpu9'"),
        ((picture, "Where?", "--key-frames", 0), "key_frames"),
        ((picture, "Where?", "--temperature", 0), "temperature is 0.0"),
        ((picture, "Where?", "--num-beams", 2, "--top-k", 5), "num_beams=2 with do_sample"),
        ((video, "Where?", "--key-frame-choice", "99"), "99"),
        ((picture, "Where?", "--out", some / "file" / "out"), "can't be written"),
        ((picture, "Where?", "--out", some / "full"), "isn't empty"),
        ((picture, "Where?", "--out", out, "--edit", "frobnicate it"), "frobnicate"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in cases:
        options = [] if "--out" in arguments else ["--out", out]
        code = main(["ask", str(model), *map(str, [*arguments, *options])])
        error = capsys.readouterr().err
        assert code == 2, (arguments, error)
        assert message in error and error.count("\n") == 1, (arguments, error)
        assert sorted(tmp_path.rglob("*")) == before, arguments
    assert main(["ask", str(tmp_path / "gone"), str(picture), "Where?"]) == 2
    assert "no such model folder" in capsys.readouterr().err
    assert main(["ask", str(model), str(picture), "Where?", "--edit", "blur it"]) == 2
    assert "say with --out" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["nothing"], ["ask", "a"], ["ask", "a", "b", "c", "--key-frame-choice", "x"]])
def test_wrong_command_lines(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(given)
    assert stop.value.code == 2 and "usage: word2mask" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ask", "chat", "batch"])
def test_help_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and f"\nexamples:\n  word2mask {command} DIR" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "module"), [("web", "apps.web.command"), ("serve", "apps.server.__main__")])
def test_other_programs_get_their_arguments(command: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"word2mask.{module}.main", lambda arguments: len(arguments))
    assert main([command, "DIR", "--port", "0"]) == 3


def test_interrupted(monkeypatch: pytest.MonkeyPatch, model: Path, picture: Path, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "ask", interrupt)
    assert main(["ask", str(model), str(picture), "Where?", "--out", str(tmp_path / "out")]) == 130
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["picture.png"]


def test_the_installed_command(model: Path, picture: Path) -> None:
    program = Path(sys.executable).parent / "word2mask"
    if not program.exists():
        pytest.skip("the package isn't installed in this environment")
    command = [program, "ask", model, picture, "Where?", "--max-new-tokens", "3", "--json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["question"] == "Where?", done.stderr
