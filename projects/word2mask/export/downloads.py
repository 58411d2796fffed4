"""One file over HTTP, as a whole or not at all: broken connections are taken up where they broke, and hashes held."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from word2mask.errors import UserError

__all__ = ["Unreachable", "Wanted", "download", "sha256_of"]

#: How often a broken connection is taken up again, and seconds before the first time; each wait is twice the last.
ATTEMPTS, PAUSE = 5, 1.0
TIMEOUT = 60.0
_CHUNK = 1 << 20


class Unreachable(UserError):
    """The server can't be reached, or doesn't have the file: another address, or files placed by hand, may help."""


class Wanted(NamedTuple):
    """What a file must be; ``None`` where nobody has written it down yet."""

    bytes: int | None = None
    sha256: str | None = None


def sha256_of(file: Path) -> str:
    """Of a file of any size."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(
    url: str,
    file: Path,
    wanted: Wanted,
    report: Callable[[int, int | None], None] = lambda done, total: None,
    pause: float = PAUSE,
) -> str:
    """Brings a file and gives its SHA-256.

    While it comes it lies beside its place under the name ``….part``; what a run that ended left there is taken up.

    Args:
        url: ``https://``, ``http://`` or ``file://``.
        file: where it goes; its folder is made if need be.
        wanted: its size and hash.
        report: called with the bytes that are there, and all of them if known.
        pause: seconds before a broken connection is taken up for the first time.

    Raises:
        Unreachable: no answer, or none with the file in it.
        UserError: it came, and isn't what is wanted.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _continue(url, part, report)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.is_file():  # more lies there than the server has: begin again
                part.unlink()
                reason = str(error)
                continue
            if error.code < 500 and error.code != 429:
                raise Unreachable(f"{url}: the server says {error.code} {error.reason}") from None
            reason = f"the server says {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    else:
        raise Unreachable(f"{url}: can't be reached after {ATTEMPTS} attempts ({reason})")
    found = sha256_of(part)
    size = part.stat().st_size
    if wanted.sha256 is not None and found != wanted.sha256:
        part.unlink()
        raise UserError(
            f"{url}: what came has the SHA-256 {found} ({size} bytes), expected {wanted.sha256}; it was thrown away: "
            "run again, and if it stays so, another file lies there"
        )
    os.replace(part, file)
    return found


def _continue(url: str, part: Path, report: Callable[[int, int | None], None]) -> None:
    """Adds to ``part`` what it lacks.

    Raises:
        http.client.IncompleteRead: the connection broke before everything was there.
    """
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "word2mask"})
    if done and not url.startswith("file:"):
        request.add_header("Range", f"bytes={done}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        # A server that knows no ranges sends everything with status 200.
        goes_on = done and getattr(answer, "status", None) == 206
        done = done if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if goes_on else "wb") as stream:
            while chunk := answer.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)
