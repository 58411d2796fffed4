"""Answers and records on disk by the hash of everything that they depend on.

One file a key, in 4096 folders, written beside its place and renamed: a killed run leaves whole files or none,
and several processes or machines may write into one store. A file that isn't whole (a power cut) counts as absent.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from word2mask.data.outputs import reporting_full_disk
from word2mask.errors import UserError

__all__ = ["Store", "hash_of", "model_version"]

logger = logging.getLogger(__name__)


def hash_of(content: Any) -> str:
    """SHA-256 of plain values, 64 hexadecimal digits; the order of a dictionary's keys doesn't matter."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def model_version(folder: Path) -> str:
    """A name for a folder of weights that another model in the same place doesn't have: ``NAME@12 digits``.

    It rests on the configuration and on names, sizes and times of the weights; the whole of them takes minutes to read.
    """
    state = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.rglob("*.safetensors")):
        found = file.stat()
        state.update(f"{file.relative_to(folder)} {found.st_size} {found.st_mtime_ns}".encode())
    return f"{folder.resolve().name}@{state.hexdigest()[:12]}"


class Store:
    """Plain values by key.

    Args:
        folder: made if need be.

    Raises:
        UserError: it can't be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: can't be written ({error.strerror}); choose another --out") from None

    def get(self, key: str) -> dict[str, Any] | None:
        """What was put under a key, ``None`` if nothing was.

        Raises:
            UserError: the file is there and can't be read.
        """
        path = self._path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                envelope = orjson.loads(file.readall())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(
                f"{path}: can't be read ({error.strerror}); see to the disk or the rights, and run again"
            ) from error
        except ValueError:
            logger.warning("%s isn't whole and is made again", path)
            return None
        return envelope["content"] if envelope.get("key") == key else None

    def put(self, key: str, content: dict[str, Any]) -> None:
        """Keeps plain values, in place of what was there.

        Raises:
            UserError: there is no room, or the folder can't be written any more.
        """
        path = self._path(key)
        folder, name = os.path.split(path)
        partial = os.path.join(folder, f".{name}.{os.getpid()}")
        written = orjson.dumps({"key": key, "content": content})
        with _saying_why(path):
            try:
                try:
                    _write(partial, written)
                except FileNotFoundError:  # the first of its folder
                    os.makedirs(folder, exist_ok=True)
                    _write(partial, written)
                os.replace(partial, path)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(partial)
                raise

    def __len__(self) -> int:
        """How many keys there are; walks all folders."""
        return sum(1 for _ in self.folder.glob("???/[!.]*.json"))

    def _path(self, key: str) -> str:
        # Text and not a Path, which takes as long to make as the file to read.
        return os.path.join(self.folder, key[:3], f"{key}.json")


@contextmanager
def _saying_why(path: str) -> Iterator[None]:
    """Says in one sentence why a file couldn't be written."""
    try:
        with reporting_full_disk(path, "what was answered before is kept"):
            yield
    except OSError as error:
        raise UserError(
            f"{path}: can't be written ({error.strerror}), and what was answered before is kept; see to the disk or "
            "the rights, and run again"
        ) from error


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
