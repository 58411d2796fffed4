"""Files that users sent: under names of our own, in a folder of our own, for a while.

Nothing that a user says becomes a part of a path. What a file is, its first bytes say.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from word2mask.apps.server.limits import Limits
from word2mask.apps.server.problems import Problem
from word2mask.data.first_bytes import suffix_of

__all__ = ["Store", "Upload"]

#: What a shown name is cut to.
LONGEST_NAME = 200


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        id: how its owner calls it; random, so that it can't be guessed.
        path: where it lies.
        size: in bytes.
        shown_name: the name it was sent under, for showing only.
        created: seconds since 1970.
        is_listed: whether the id is known to anybody; media inside of a request are not.
    """

    id: str
    path: Path
    size: int
    shown_name: str
    created: float
    is_listed: bool = True


class Store:
    """Holds files until they are given back or have expired. Safe to call from several threads.

    Args:
        limits: of bytes and seconds.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folder = Path(tempfile.mkdtemp(prefix="word2mask-server-"))
        self._files: dict[str, Upload] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, parts: Iterable[bytes], shown_name: str = "", is_listed: bool = True) -> Upload:
        """Writes a file.

        Args:
            parts: of its bytes, in order; no more than one in memory at a time.
            shown_name: as it was sent.
            is_listed: whether :meth:`find` knows it.

        Raises:
            Problem: too large, no room, or no picture or video.
        """
        number = f"file-{uuid.uuid4().hex}"
        path, size, suffix = self._folder / number, 0, None
        try:
            with path.open("xb") as file:
                for part in parts:
                    suffix = suffix or (_suffix(part) if part else None)
                    self._take(len(part))
                    size += len(part)
                    if size > self._limits.file_bytes:
                        raise Problem(
                            413, f"the file is larger than {self._limits.file_bytes} bytes; send less", "file_too_large"
                        )
                    file.write(part)
            if suffix is None:
                raise Problem(400, "the file is empty; send a picture or a video", "bad_media")
            path = path.rename(path.with_suffix(suffix))
        except BaseException:
            path.unlink(missing_ok=True)
            self._take(-size)
            raise
        shown = re.split(r"[/\\]", shown_name)[-1][:LONGEST_NAME]
        upload = Upload(number, path, size, shown, time.time(), is_listed)
        with self._lock:
            self._files[number] = upload
        return upload

    def find(self, number: str) -> Upload:
        """A file by its id.

        Raises:
            Problem: there is none, or it has expired.
        """
        self.expire()
        with self._lock:
            found = self._files.get(number)
        if found is None or not found.is_listed:
            raise Problem(
                404,
                f"there is no such file; they are kept for {self._limits.keep_seconds} s, upload it again",
                "no_file",
            )
        return found

    def remove(self, upload: Upload) -> None:
        """Deletes a file; one that is gone already is no matter. A reader that has it open can finish."""
        with self._lock:
            if self._files.pop(upload.id, None) is None:
                return
        upload.path.unlink(missing_ok=True)
        self._take(-upload.size)

    def expire(self) -> None:
        """Deletes the listed files that have been kept long enough."""
        oldest = time.time() - self._limits.keep_seconds
        with self._lock:
            expired = [upload for upload in self._files.values() if upload.is_listed and upload.created < oldest]
        for upload in expired:
            self.remove(upload)

    def conceal(self, message: str) -> str:
        """A message without the paths of files, which are nobody's business."""
        return re.sub(re.escape(str(self._folder)) + r"/[\w.-]+", "the file", message)

    def close(self) -> None:
        """Deletes everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._lock:
            self._files.clear()

    def _take(self, count: int) -> None:
        with self._lock:
            if count > 0 and self._bytes + count > self._limits.stored_bytes:
                raise Problem(429, "there is no room for more files now; try again later", "store_full", retry_after=10)
            self._bytes += count


def _suffix(start: bytes) -> str:
    """The suffix that a file's first bytes stand for; the name it was sent under could say anything."""
    suffix = suffix_of(start)
    if suffix is None:
        raise Problem(
            400,
            "not a picture or video that can be read; send PNG, JPEG, WebP, GIF, BMP, TIFF, MP4, MOV, WebM, MKV or AVI",
            "bad_media",
        )
    return suffix
