"""The file of results: a line an answer, written whole, so that a run that was killed goes on where it stood.

A line is ``{"id": …, "request": FINGERPRINT, …}`` with either the keys of
:func:`word2mask.inference.formats.plain.to_json`, and ``edited`` and ``notes`` where a file was edited, or ``error``, a
sentence. The fingerprint tells whether the request
and the settings are still those that were answered.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from word2mask.apps.cli.request_lines import Line
from word2mask.data.outputs import new_file, reporting_full_disk
from word2mask.errors import UserError

__all__ = ["Results"]


class Results:
    """The results of a run, and which requests they answer.

    Args:
        path: of the file; made if need be.

    Raises:
        UserError: it can't be written, is in use by another run, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed: set[str] = set()
        self._fingerprints: dict[str, str] = {}
        self._file = self._opened()
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets others at the file."""
        self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def remaining(self, lines: Iterable[Line], settings: Mapping[str, Any]) -> list[Line]:
        """The requests that have no line yet.

        Raises:
            UserError: the file has answers to other requests, or with other settings.
        """
        lines = list(lines)
        strange = set(self._fingerprints) - {str(line.id) for line in lines}
        if strange:
            raise UserError(
                f"{self.path}: it answers {sorted(strange)[0]!r}, which isn't among these requests; give another --out"
            )
        for line in lines:
            if self._fingerprints.get(str(line.id), line.fingerprint(settings)) != line.fingerprint(settings):
                raise UserError(
                    f"{self.path}: {line.id!r} was answered when the request, the model or the settings were others; "
                    "give another --out"
                )
        return [line for line in lines if str(line.id) not in self._fingerprints]

    def forget_failed(self) -> int:
        """Takes the lines with an error out, so that they are tried again; returns how many there were."""
        count = len(self.failed)
        if count:
            kept = [line for line in self._lines() if "error" not in json.loads(line)]
            self._file.close()
            with new_file(self.path) as work:
                work.write_bytes(b"".join(kept))
            self._file = self._opened()
            self.failed.clear()
            self._fingerprints.clear()
            self._read()
        return count

    def add(self, line: Line, content: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Writes a request's answer, or its error, and sees to it that it is on disk.

        Raises:
            UserError: there is no room for it.
        """
        entry = {"id": line.id, "request": line.fingerprint(settings), **content}
        data = memoryview(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        end = self._file.seek(0, os.SEEK_END)
        with reporting_full_disk(self.path, "what was written before is kept"):
            try:
                while data:
                    data = data[self._file.write(data) :]
                os.fsync(self._file.fileno())
            except OSError:
                # Not half a line: what is there are answers.
                self._file.truncate(end)
                raise
        self._fingerprints[str(line.id)] = entry["request"]
        if "error" in content:
            self.failed.add(str(line.id))

    def _opened(self) -> FileIO:
        """The file, locked: two runs would answer everything twice.

        Without a buffer, which would be written once more, to a disk that is full, when the file is closed.
        """
        if self.path.is_dir():
            raise UserError(f"{self.path} is a folder; give the name of a file to write")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = FileIO(self.path, "ab+")
        except OSError as error:
            raise UserError(f"{self.path}: can't be written ({error.strerror}); choose another --out") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise UserError(f"{self.path}: another run is writing it; wait for it, or give another --out") from None
        return file

    def _lines(self) -> list[bytes]:
        self._file.seek(0)
        return self._file.readlines()

    def _read(self) -> None:
        """Which requests are done; a last line that was cut short is taken away."""
        lines = self._lines()
        if lines and not lines[-1].endswith(b"\n"):
            self._file.truncate(sum(len(line) for line in lines[:-1]))
            lines.pop()
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                self._fingerprints[str(entry["id"])] = entry["request"]
                if "error" in entry:
                    self.failed.add(str(entry["id"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{self.path}:{number}: not a line that word2mask batch wrote ({type(error).__name__}); give "
                    "another --out"
                ) from error
