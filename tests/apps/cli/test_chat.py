"""word2mask chat: through a pipe, and on a terminal of its own with Ctrl-C and the arrow keys."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.cli import chat
from word2mask.apps.cli.program import main
from word2mask.inference.answer import Answer
from word2mask.inference.session import Session
from word2mask.types import Segment

from .conftest import bad_media

Speaks = Callable[[str], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(model: Path, *lines: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = main(["chat", str(model), *options])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_turns_through_a_pipe(model: Path, picture: Path, video: Path, tmp_path: Path, speaks: Speaks, pipe) -> None:
    speaks("<p>A star</p> [SEG].")
    code, printed, error = pipe(
        model,
        f"/image {picture}",
        "",
        "Where?",
        "/box 1,1,9,9",
        "And region1?",
        "/undo",
        f"/save {tmp_path / 'out'}",
        f"/video {video}",
        "And there?",
        "/new",
        "/help",
        "/quit",
        "never asked",
    )
    assert (code, error) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == f"{picture}: 32 x 24" and lines[1] == "A star." and lines[2].startswith("  1  A star: ")
    assert "the next question may speak of 1 region" in lines and "taken back: And region1?" in lines
    assert f"{video}: 32 x 24, 5 frames" in lines and "a new conversation" in lines
    assert any(line.startswith("  /point x,y[,0][@frame]  ") for line in lines)
    content = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert content["question"] == "Where?" and content["answer"] == "A star."


def test_edits_through_a_pipe(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found, what is shown and what the edit names; by default under a free name where one works."""
    speaks("<p>A star</p> [SEG].")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    monkeypatch.chdir(tmp_path)
    asked = []
    ask = Session.ask
    monkeypatch.setattr(
        Session, "ask", lambda self, request, report: asked.append(request.turns[-1].text) or ask(self, request, report)
    )
    code, printed, error = pipe(
        model,
        f"/image {picture}",
        "/edit blur the moon > moon.webp",
        "Where?",
        "/edit blur it",
        "/edit blur it",
        "/box 1,1,9,9",
        "/edit remove it > out/gone.png",
    )
    assert (code, error) == (0, "") and asked == ["Please segment the moon in this picture."]
    names = ["moon.webp", "picture_edited.png", "picture_edited_2.png", "out/gone.png"]
    assert [line for line in printed.splitlines() if "written" in line] == [f"written to {name}" for name in names]
    assert all(Image.open(name).size == (32, 24) for name in names)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/edit blur it", "there is no picture or video yet"),
        ("/edit", "expected /edit TEXT [> FILE]"),
        ("/edit frobnicate it", "isn't understood"),
        ("/undo", "no turn to undo"),
        ("/save out", "there is no answer yet"),
        ("/frobnicate", "/frobnicate: no such command; /help lists them"),
        ("/image", "expected /image PATH"),
        ("/new now", "expected /new"),
        ("/image gone.png", "no such file"),
        ("/point 4,4,0", "there is no region before it"),
        ("/video PICTURE", "is a picture; use /image"),
    ],
)
def test_what_cannot_be_done_through_a_pipe(line: str, message: str, model: Path, picture: Path, pipe) -> None:
    code, _, error = pipe(model, line.replace("PICTURE", str(picture)), "never asked")
    assert code == 2 and message in error and error.count("\n") == 1


def test_a_terminal_goes_on_after_what_cannot_be_done(
    model: Path, picture: Path, video: Path, tmp_path: Path, speaks: Speaks, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence each; the picture, what was said and what is shown are as before."""
    speaks("It is [SEG].")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    monkeypatch.chdir(tmp_path)
    bad = bad_media(tmp_path, video)
    cases = [
        *((f"/{'video' if name.endswith('mp4') else 'image'} {name}", said) for name, said in bad.items()),
        (f"/image {'x' * 5000}", "can't be looked at (File name too long)"),
        ("/box 1,1,99,9", "region1: box (1, 1, 99, 9) reaches out of the frame"),
        ("/box 1,2,3", "/box 1,2,3: expected x1,y1,x2,y2"),
        ("/point 40,4", "region1: point (40, 4) is outside of the frame"),
        ("/box 1,1,9,9@3", "region1 is on frame 3, but picture.png has 1 frame"),
        ("/mask small.png", "region1: the mask is 9 x 9, unlike the frame"),
        ("/mask cut.jpg", "cut.jpg: the picture is damaged or cut short"),
        ("What is region1?", "the text speaks of region1, but nothing is pointed at"),
        ("/edit frobnicate it", "isn't understood"),
        ("/edit put gone.png on it", "gone.png: no such picture"),
        ("/edit blur it > out.mp4", "an edited picture isn't written as .mp4"),
        ("/edit blur it in second 9", "names a time"),
        ("x " * 9000, "are more than 2048; shorten the conversation"),
        ("/save picture.png", "is a file; give the name of a folder"),
        (f"/save {'x' * 300}", "can't be written (File name too long)"),
    ]
    # A folder of frames of two sizes is opened, and can't be asked about.
    mixed = [name for name in bad if name == "mixed"]
    cases = [case for case in cases if case[0] != "/image mixed"]
    lines = ["/image picture.png", "Where?", *(line for line, _ in cases), "And now?", "/undo"]
    lines += [f"/video {name}" for name in mixed] + ["Where?", "/image picture.png", "Again?"]
    monkeypatch.setattr(chat, "_typed", lambda history: iter(lines))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    before = sorted(path.name for path in tmp_path.iterdir())
    code = main(["chat", str(model)])
    printed, error = capsys.readouterr()
    said = printed.splitlines()[1:]
    assert (code, error) == (0, "") and sorted(path.name for path in tmp_path.iterdir()) == before
    assert said[0] == "picture.png: 32 x 24" and said[1] == "It is."
    for (line, message), answer in zip(cases, said[3:], strict=False):
        assert message in answer, (line[:60], answer)
    rest = said[3 + len(cases) :]
    assert rest[0] == "It is." and rest[2] == "taken back: And now?"
    assert "must have one size" in rest[4] and rest[6] == "It is." and len(rest) == 8


def test_an_edit_says_how_sure_the_model_is_of_what_it_names(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks("It is [SEG].")
    monkeypatch.setattr(Segment, "found_on", property(lambda self: np.ones(len(self.masks), dtype=bool)))
    monkeypatch.chdir(tmp_path)
    code, printed, _ = pipe(model, f"/image {picture}", "/edit blur the zebra")
    lines = printed.splitlines()
    assert code == 0 and re.fullmatch(r"  1  the zebra: at \[.*\], score 0\.\d\d", lines[1])
    assert lines[2].startswith('the model gives "the zebra" a score of 0.') and lines[3].startswith("written to ")


def test_media_and_history_are_checked(model: Path, tmp_path: Path, picture: Path, speaks: Speaks, pipe) -> None:
    speaks("Yes.")
    assert pipe(model, "Is it?", options=(str(picture),))[:2] == (0, f"{picture}: 32 x 24\nYes.\n")
    assert pipe(model, options=(str(tmp_path / "gone.png"),))[0] == 2


#: What prompt_toolkit tells a terminal when it begins to read a line: to mark what is pasted.
READY = "\x1b[?2004h"


class Terminal:
    """A child process with a terminal of its own that runs the command."""

    def __init__(self, arguments: list[str]) -> None:
        self.seen = ""
        self.child, self._master = pty.fork()
        if self.child == 0:
            code = 99
            try:
                for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
                    setattr(sys, name, os.fdopen(number, mode))
                fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
                code = main(arguments)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str, seconds: float = 120.0) -> None:
        """Waits until the terminal shows a text, beyond what was expected before."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            if select.select([self._master], [], [], 1.0)[0]:
                try:
                    self.seen += os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # the other end is gone
                    assert text in self.seen, f"ended without {text!r}: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def ended(self) -> int:
        _, status = os.waitpid(self.child, 0)
        os.close(self._master)
        return os.waitstatus_to_exitcode(status)


def test_on_a_terminal(
    model: Path, picture: Path, tmp_path: Path, speaks: Speaks, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks("<p>A star</p> [SEG].")
    stream_job = Session.stream_job

    def slow(self, job, report):
        if "slow" not in job.request.turns[-1].text:
            yield from stream_job(self, job, report)
            return
        while True:
            yield "word "
            time.sleep(0.05)
            report("answer", 0, 1)

    monkeypatch.setattr(Session, "stream_job", slow)
    monkeypatch.setenv("TERM", "xterm")
    # prompt_toolkit would ask the terminal where its cursor is, and this one doesn't answer.
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    out, history = tmp_path / "out", tmp_path / "history"
    terminal = Terminal(["chat", str(model), str(picture), "--history", str(history)])
    terminal.expect(f"{picture}: 32 x 24")
    terminal.expect(READY)
    terminal.type("Where is it?\r")
    terminal.expect("A star.")
    terminal.expect("  1  A star: ")
    terminal.expect(READY)
    terminal.type("/frobnicate\r")
    terminal.expect("no such command; /help lists them")
    terminal.expect(READY)
    terminal.type("Be slow.\r")
    terminal.expect("word word ")
    terminal.type("\x03")
    terminal.expect("stopped; the question was taken back")
    terminal.expect(READY)
    terminal.type("half a question\x03")
    terminal.expect(READY)
    terminal.type("A second turn?\r")
    terminal.expect("A star.")
    terminal.expect(READY)
    terminal.type("/undo\r")
    terminal.expect("taken back: A second turn?")
    terminal.expect(READY)
    terminal.type(f"/save {out}\r")
    terminal.expect(f"written to {out}")
    terminal.expect(READY)
    # The last line but one, from the history.
    terminal.type("\x1b[A\x1b[A\r")
    terminal.expect("taken back: Where is it?")
    terminal.expect(READY)
    terminal.type("\x04")
    assert terminal.ended() == 0
    answer = json.loads((out / "answer.json").read_text())
    assert answer["question"] == "Where is it?" and Answer.from_json(answer).segments[0].masks.shape == (1, 24, 32)
    assert "+Where is it?\n" in history.read_text() and history.stat().st_mode & 0o777 == 0o600
