"""All visitors of a page: each begins with nothing and leaves nothing behind."""

from __future__ import annotations

import threading

from word2mask.apps.web.disk import Disk
from word2mask.apps.web.limits import Limits
from word2mask.apps.web.visit import Files, Visit

__all__ = ["Visits"]


class Visits:
    """The visits that go on, by the key of the visitor's connection.

    Args:
        limits: of each.
        disk: that they share.

    Attributes:
        files: that the visits offer for download.
    """

    def __init__(self, limits: Limits, disk: Disk | None = None) -> None:
        self.files = Files()
        self._limits, self._disk = limits, disk
        self._going_on: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._going_on)

    def begin(self, key: str) -> Visit:
        """A new visit; an earlier one of the same connection ends."""
        visit = Visit(self._limits, self.files, self._disk)
        with self._lock:
            earlier, self._going_on[key] = self._going_on.get(key), visit
        if earlier is not None:
            earlier.close()
        return visit

    def end(self, key: str) -> None:
        """The visitor has left."""
        with self._lock:
            visit = self._going_on.pop(key, None)
        if visit is not None:
            visit.close()

    def close(self) -> None:
        """The page closes: all visits end."""
        for key in list(self._going_on):
            self.end(key)
