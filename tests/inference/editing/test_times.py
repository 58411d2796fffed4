"""Time spans in a given video: the frames that they mean."""

import numpy as np
import pytest

from word2mask.errors import UserError
from word2mask.inference.editing.times import TimeSpan


def frames(span, count=40, rate=10.0):
    return span.frames(np.arange(count) / rate, count, count / rate, "a.mp4")


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (TimeSpan("x", "seconds", 2, 3), range(20, 30)),
        (TimeSpan("x", "seconds", 3), range(30, 40)),
        (TimeSpan("x", "seconds", -1.5), range(25, 40)),
        (TimeSpan("x", "seconds", 0.05, 0.25), range(1, 3)),
        (TimeSpan("x", "frames", 10, 21), range(10, 21)),
        (TimeSpan("x", "frames", -1), range(39, 40)),
        (TimeSpan("x", "share", 0, 0.5), range(20)),
        (TimeSpan("x", "share", 1 / 3, 2 / 3), range(13, 27)),
    ],
)
def test_frames(span, expected):
    assert frames(span) == expected


def test_frames_that_come_at_no_rate():
    times = np.array([0.0, 0.1, 0.9, 2.0, 2.5])
    assert TimeSpan("x", "seconds", 0.5, 2.5).frames(times, 5, 3.0, "a") == range(2, 4)


def test_the_last_second_may_be_incomplete():
    assert frames(TimeSpan("x", "seconds", 3, 4), count=35) == range(30, 35)


@pytest.mark.parametrize(
    ("span", "message"),
    [
        (
            TimeSpan("in second five", "seconds", 4, 5),
            '"in second five" lies outside of the video, which is 4.00 s long',
        ),
        (TimeSpan("x", "seconds", 2, 9), "lies outside"),
        (TimeSpan("x", "seconds", -9), "lies outside"),
        (TimeSpan("x", "frames", 30, 41), "which has the frames 0 to 39"),
        (TimeSpan("x", "frames", -41), "which has the frames 0 to 39"),
        (TimeSpan("x", "seconds", 0.01, 0.02), "no frame begins in the time span"),
    ],
)
def test_outside(span, message):
    with pytest.raises(UserError, match=f"a.mp4: .*{message}"):
        frames(span)


def test_seconds_need_a_rate():
    with pytest.raises(UserError, match="don't say how many there are in a second; give fps"):
        TimeSpan("x", "seconds", 0, 1).frames(None, 4, None, "frames/")
    assert TimeSpan("x", "share", 0.5, 1).frames(None, 4, None, "frames/") == range(2, 4)
