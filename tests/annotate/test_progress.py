"""What is told of a run's progress where nobody watches a terminal."""

from __future__ import annotations

import logging

import pytest

from word2mask.annotate import progress
from word2mask.annotate.progress import ProgressReport


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_lines_of_a_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    caplog.set_level(logging.INFO)
    with ProgressReport("annotate", 100, is_terminal=False) as report:
        report.update(0, kept=0)
        clock.now += 20
        report.update(10, kept=18)
        assert not caplog.messages  # not yet
        clock.now += 20
        report.update(20, kept=36, cost="0.40")
        clock.now += 5
        report.update(100, kept=180)
    # 20 videos in 40 s: 80 more in 160.
    assert caplog.messages == [
        "annotate: 20 of 100 videos, kept 36, cost 0.40; 02:40 left",
        "annotate: 100 of 100 videos, kept 180",
    ]


def test_what_was_only_looked_up_does_not_count_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    with ProgressReport("annotate", 2000, is_terminal=False) as report:
        assert report.seconds_left() is None
        clock.now += 1
        report.update(1000)  # of an earlier run
        for _ in range(100):
            clock.now += 10
            report.update(report._done + 1)
        assert report.seconds_left() == pytest.approx(10 * 900, rel=0.02)


def test_a_bar_says_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport("verify", is_terminal=True) as report:
        report.update(1, 4, kept=3)
        report.update(4, 4, kept=9)
    shown = capsys.readouterr().err
    assert "verify" in shown and "4/4" in shown and "kept=9" in shown
