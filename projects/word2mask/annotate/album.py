"""The pictures of a video while its objects are asked about: drawn when the first is needed, and let go of soon.

What all videos of a run hold together is bounded: drawing waits until others have let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from word2mask.annotate.asking import StageFailed
from word2mask.annotate.preparing import Prepared
from word2mask.annotate.records import ObjectViews, Picture
from word2mask.errors import UserError

__all__ = ["Album", "Shelf"]


class Shelf:
    """Room for so many pictures. A video that needs more than there is has it for itself.

    Args:
        places: pictures.
    """

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._changed = asyncio.Condition()

    async def take(self, count: int) -> None:
        """Waits until there is room for so many pictures, and takes it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= min(count, self._places))
            self._free -= count

    async def give(self, count: int) -> None:
        """Lets go of so many places."""
        async with self._changed:
            self._free += count
            self._changed.notify_all()


class Album:
    """The pictures of one video.

    Args:
        prepared: the video.
        shelf: shared by the videos of a run.
        workers: threads that decode and draw.
    """

    def __init__(self, prepared: Prepared, shelf: Shelf, workers: Executor) -> None:
        self._prepared, self._shelf, self._workers = prepared, shelf, workers
        self._drawn: dict[Picture, str] = {}
        self._left = {picture for views in prepared.views for picture in views.pictures}
        self._taken = 0
        self._problem = ""
        self._lock = asyncio.Lock()

    async def load(self, pictures: Sequence[Picture]) -> list[str]:
        """Pictures as ``data:`` URLs; the first call draws those of all objects that aren't done with.

        Raises:
            StageFailed: a frame can't be decoded; it is tried again by the next run.
        """
        async with self._lock:
            if not self._problem and not self._drawn.keys() >= set(pictures):
                await self._draw()
        if self._problem:
            raise StageFailed("unreadable video", self._problem, is_final=False)
        return [self._drawn[picture] for picture in pictures]

    async def _draw(self) -> None:
        missing = self._left - self._drawn.keys()
        await self._shelf.take(len(missing))
        self._taken += len(missing)
        try:
            drawing = asyncio.get_running_loop().run_in_executor(self._workers, self._prepared.draw, missing)
            self._drawn |= await drawing
        except UserError as error:
            # Not tried again for the next object: the file is the same.
            self._problem = str(error)
            await self._give(len(missing))

    async def done(self, views: ObjectViews) -> None:
        """Lets go of an object's pictures."""
        pictures = set(views.pictures)
        self._left -= pictures
        await self._give(sum(self._drawn.pop(picture, None) is not None for picture in pictures))

    async def close(self) -> None:
        """Lets go of everything."""
        self._drawn.clear()
        await self._give(self._taken)

    async def _give(self, count: int) -> None:
        self._taken -= count
        if count:
            await self._shelf.give(count)
