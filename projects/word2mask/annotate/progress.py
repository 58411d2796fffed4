"""How far a run is: a bar on a terminal, and a line in a while where there is none (the log of a batch job)."""

from __future__ import annotations

import logging
import time
from collections import deque
from types import TracebackType
from typing import Any

from tqdm import tqdm

__all__ = ["ProgressReport"]

logger = logging.getLogger(__name__)

#: Seconds between two lines of a log, and those that the pace is taken from: what a resumed run only looked up, at its
#: beginning, says nothing of what is left.
BETWEEN, LOOKING_BACK = 30.0, 600.0
#: Seconds between two drawings of the bar by its counts alone.
REFRESH = 0.5


class ProgressReport:
    """A context; :meth:`update` as often as there is something new.

    Args:
        name: of what is done, e.g. ``"annotate"``.
        total: of videos; may come with the updates.
        is_terminal: whether somebody watches; found out by itself without.
    """

    def __init__(self, name: str, total: int | None = None, is_terminal: bool | None = None) -> None:
        self._name, self._total, self._done = name, total, 0
        disable = None if is_terminal is None else not is_terminal
        self._bar: Any = tqdm(total=total, desc=name, unit="video", disable=disable, smoothing=0.1)
        self._last = self._shown = time.monotonic()
        self._marks = deque([(self._last, 0)])

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, done: int, total: int | None = None, **counts: object) -> None:
        """Shows what is done.

        Args:
            done: videos, of all.
            total: all of them.
            **counts: what else there is to say, by name.
        """
        now = time.monotonic()
        if total is not None:
            self._total = self._bar.total = total
        if done != self._done:
            self._marks.append((now, done))
            while len(self._marks) > 2 and self._marks[0][0] < now - LOOKING_BACK:
                self._marks.popleft()
        if counts:
            self._bar.set_postfix(**counts, refresh=False)
        self._bar.update(done - self._done)
        self._done = done
        if now - self._shown >= REFRESH:
            # Counts go on where no video gets done.
            self._shown = now
            self._bar.refresh()
        if self._bar.disable and (now - self._last >= BETWEEN or done == self._total):
            self._last = now
            told = "".join(f", {name} {value}" for name, value in counts.items())
            left = self.seconds_left()
            until = "" if not left else f"; {tqdm.format_interval(left)} left"
            logger.info("%s: %d of %s videos%s%s", self._name, done, self._total or "?", told, until)

    def seconds_left(self) -> float | None:
        """At the pace of the last minutes; ``None`` as long as there is none."""
        (since, first), (_, last) = self._marks[0], self._marks[-1]
        seconds = time.monotonic() - since
        if self._total is None or last <= first or seconds <= 0:
            return None
        return (self._total - last) * seconds / (last - first)
