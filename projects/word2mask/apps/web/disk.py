"""The disk that all visitors share: one folder for what they send and what is made for them, with a limit.

Gradio writes whatever anybody sends into a folder of the process (``GRADIO_TEMP_DIR``), as much as comes, and leaves
there what broke off. Here all of it is counted, and what lies there for long is deleted.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from word2mask.apps.web.limits import Limits
from word2mask.errors import UserError

__all__ = ["UPLOADS_KEPT", "Disk", "Gate"]

#: Seconds after which an upload is deleted; the page takes it over at once, so that a longer time serves nobody.
UPLOADS_KEPT = 60
#: Bytes of a body that holds an upload besides its file, and of any other body: the page sends marks and words.
MARGIN, BODY = 2**16, 2**20

FULL = "the server has no room for more files of visitors now; try again in a minute"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@cache
def _process_folder() -> Path:
    """For all pages of this process, since Gradio knows one place for uploads; deleted when the process ends."""
    given = os.environ.get("GRADIO_TEMP_DIR")
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="word2mask-web-", dir=given)).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "uploads").mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    return folder


class Disk:
    """Bytes on disk, counted over all visitors. Safe to call from several threads.

    Args:
        limits: of all files together.
        folder: where they lie; the process's own, where Gradio puts uploads too, without.

    Raises:
        UserError: no folder can be made there.
    """

    def __init__(self, limits: Limits, folder: Path | None = None) -> None:
        try:
            self.folder = _process_folder() if folder is None else folder
            self.uploads.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"no folder for visitors' files can be made ({error}); name another place in GRADIO_TEMP_DIR"
            ) from error
        self._size = limits.stored_megabytes * 10**6
        self._coming = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def uploads(self) -> Path:
        """Where Gradio puts what is sent."""
        return self.folder / "uploads"

    def new_folder(self) -> Path:
        """For a visit's files."""
        return Path(tempfile.mkdtemp(prefix="visit-", dir=self.folder))

    def used(self) -> int:
        """Bytes that lie there, each file once, and those that are announced."""
        seen = {(status.st_dev, status.st_ino): status.st_size for _, status in _files(self.folder)}
        return sum(seen.values()) + self._coming

    def check(self) -> None:
        """Raises :class:`UserError` where nothing more can be written."""
        with self._lock:
            if self.used() >= self._size:
                raise UserError(FULL)

    def announce(self, count: int) -> None:
        """Reserves so many bytes for an upload; take them back with :meth:`arrived` as they are written.

        Raises:
            UserError: there is no room for them.
        """
        with self._lock:
            if self.used() + count > self._size:
                raise UserError(FULL)
            self._coming += count

    def arrived(self, count: int) -> None:
        """So many announced bytes lie on the disk now, or won't come any more."""
        with self._lock:
            self._coming -= count

    def sweep(self, seconds: float = UPLOADS_KEPT) -> set[str]:
        """Deletes the uploads that came so long ago, whole or broken off; returns their paths."""
        oldest, swept = time.time() - seconds, set()
        for path, status in list(_files(self.uploads)):
            # A copy may have its original's time of writing, and has its own of coming.
            if max(status.st_mtime, status.st_ctime) <= oldest:
                Path(path).unlink(missing_ok=True)
                swept.add(path)
        for folder in [entry for entry in os.scandir(self.uploads) if entry.is_dir(follow_symlinks=False)]:
            if folder.stat().st_mtime <= oldest:
                # Not where something has come into it.
                with suppress(OSError):
                    os.rmdir(folder)
        return swept

    def keep_clean(self, forget: Callable[[set[str]], None]) -> None:
        """Sweeps every few seconds, in a thread of its own, until :meth:`close`; ``forget`` is told what went."""

        def sweeping() -> None:
            while not self._closed.wait(UPLOADS_KEPT / 4):
                forget(self.sweep())

        threading.Thread(target=sweeping, name="word2mask-disk", daemon=True).start()

    def close(self) -> None:
        """Nothing is swept any more."""
        self._closed.set()


class Gate:
    """Before Gradio sees a request: refuses an upload for which there is no room, and bodies that no page sends.

    Args:
        app: Gradio's application.
        disk: that uploads are written to.
        limits: of a file.
    """

    def __init__(self, app: Application, disk: Disk, limits: Limits) -> None:
        self._inner, self._disk = app, disk
        self._most = limits.megabytes * 10**6 + MARGIN

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            return await self._inner(scope, receive, send)
        is_upload = scope["path"].rstrip("/").endswith("/upload")
        most = self._most if is_upload else BODY
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"" if b"transfer-encoding" in headers else b"0")
        if not length.isdigit():
            return await PlainTextResponse("say how long the body is (Content-Length)", 411)(scope, receive, send)
        if int(length) > most:
            words = f"{length.decode()} bytes are more than the {most} that are taken; send less"
            return await PlainTextResponse(words, 413)(scope, receive, send)
        if not is_upload:
            return await self._inner(scope, receive, send)
        try:
            await run_in_threadpool(self._disk.announce, int(length))
        except UserError as error:
            await _drop_body(receive)  # A browser reads no answer while it still sends.
            return await PlainTextResponse(str(error), 503, {"Retry-After": str(UPLOADS_KEPT)})(scope, receive, send)
        left = int(length)

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            count = len(message.get("body", b""))
            self._disk.arrived(count)
            left -= count
            return message

        try:
            await self._inner(scope, counted, send)
        finally:
            self._disk.arrived(left)


async def _drop_body(receive: Receive) -> None:
    """Reads a request's body to its end, and keeps nothing of it."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All files below a folder; those that go meanwhile are passed over."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                yield path, os.lstat(path)
            except FileNotFoundError:
                continue
