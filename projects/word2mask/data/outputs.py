"""Files and folders that appear under their name when they are complete, and not at all when something fails."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from word2mask.errors import UserError

__all__ = ["new_file", "new_folder", "reporting_full_disk", "with_usual_rights"]

#: What a write says when there is no room: the disk is full, or a quota is, or the file is larger than the file system
#: (4 GB on many memory cards) or a limit of the process allows.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def reporting_full_disk(target: str | Path, kept: str = "nothing was kept under this name") -> Iterator[None]:
    """Says in one sentence that there was no room for ``target``; every other error goes on as it is.

    Args:
        target: what was being written.
        kept: what is there now.

    Raises:
        UserError: the disk is full, or the user's quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{target}: no room left ({error.strerror}), and {kept}; make room or choose another place"
        ) from error


@contextmanager
def new_folder(target: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder that appears under its name when it is complete, and not at all when something fails.

    Args:
        target: its name.
        overwrite: replace a folder that isn't empty.

    Yields:
        where to write.

    Raises:
        UserError: ``target`` is taken, can't be written, or there is no room for it.
    """
    target = Path(target)
    try:
        if target.exists() and not target.is_dir():
            raise UserError(f"{target} is a file; give the name of a folder to write")
        if target.is_dir() and any(target.iterdir()) and not overwrite:
            raise UserError(f"{target} isn't empty; give another folder, or --overwrite to replace it")
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target}: can't be written ({error.strerror}); choose a folder that you may write") from None
    try:
        try:
            with reporting_full_disk(target):
                yield work
        except UserError as error:
            if str(work) not in str(error):
                raise
            # What was written inside is said under the name that it was to have.
            raise UserError(str(error).replace(str(work), str(target))) from error
        with_usual_rights(work)
        if target.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            os.replace(target, old)
            os.replace(work, target)
            shutil.rmtree(old)
        else:
            os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def new_file(target: str | Path) -> Iterator[Path]:
    """A file that appears under its name, in place of one that was there, when it is complete.

    Args:
        target: its name.

    Yields:
        where to write; the suffix is ``target``'s own, by which writers choose a format.

    Raises:
        UserError: ``target`` is a folder, can't be written, or there is no room for it.
    """
    target = Path(target)
    try:
        if target.is_dir():
            raise UserError(f"{target} is a folder; give the name of a file to write")
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target}: can't be written ({error.strerror}); choose a place that you may write") from None
    try:
        with reporting_full_disk(target):
            yield work / target.name
        os.replace(work / target.name, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def with_usual_rights(path: str | Path) -> None:
    """Who may read what else the user writes may read this too, as the umask has it.

    Temporary folders are for their maker alone, and so are files that the library safetensors writes.

    Args:
        path: a folder or a file of the user's own.
    """
    path = Path(path)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
