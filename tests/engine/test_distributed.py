"""What the processes of a machine say to the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from word2mask.engine.distributed import SAID, tell
from word2mask.errors import UserError


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What a process of a machine writes when it stops with a sentence."""

    def run(rank: int, local_rank: int, sentence: str) -> str:
        for name, value in (("RANK", str(rank)), ("LOCAL_RANK", str(local_rank)), (SAID, str(tmp_path))):
            monkeypatch.setenv(name, value)
        tell(UserError(sentence), patience=0.2)
        return capsys.readouterr().err

    return run


def test_what_all_stop_with_is_said_once_a_machine(says) -> None:
    assert says(0, 0, "no data") == "no data\n"
    assert says(1, 1, "no data") == ""
    assert says(7, 7, "no data") == ""


def test_what_one_stops_with_is_said_by_it(says) -> None:
    assert says(3, 3, "a torn picture") == "process 3: a torn picture\n"
    assert says(0, 0, "no data") == "no data\n"
    assert says(2, 2, "another sentence") == "process 2: another sentence\n"


def test_the_first_of_a_second_machine_says_who_it_is(says) -> None:
    assert says(8, 0, "no data") == "process 8: no data\n"
    assert says(9, 1, "no data") == ""


def test_without_a_launcher_every_process_speaks(monkeypatch, capsys) -> None:
    monkeypatch.delenv(SAID, raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    tell(UserError("no data"))
    assert capsys.readouterr().err == "process 1: no data\n"
