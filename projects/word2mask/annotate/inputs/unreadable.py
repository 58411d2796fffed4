"""Videos of which no masklets can be made: said and counted, and no reason to stop as long as there are others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from word2mask.errors import UserError

__all__ = ["Unreadable"]

logger = logging.getLogger(__name__)


class Unreadable:
    """What couldn't be read among the videos of a folder; without masklets they are recorded as failed."""

    def __init__(self) -> None:
        self._errors: list[UserError] = []

    @contextmanager
    def noted(self, file: Path) -> Iterator[None]:
        """Within it an error of one video passes.

        Args:
            file: of the video's masklets; those of an earlier run go, for they are no longer the video's.
        """
        try:
            yield
        except UserError as error:
            file.unlink(missing_ok=True)
            self._errors.append(error)
            logger.warning("%s; recorded as failed, and tried again by the next run", error)

    def check(self, videos: int) -> None:
        """Called at the end.

        Raises:
            UserError: none of so many videos could be read; the first error.
        """
        if videos and len(self._errors) == videos:
            raise self._errors[0]
