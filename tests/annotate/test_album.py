"""Pictures in memory: drawn once when they are needed, let go of soon, and never more than there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("aiohttp", reason="annotation needs the extra annotate")

from word2mask.annotate.album import Album, Shelf
from word2mask.annotate.asking import StageFailed
from word2mask.annotate.records import ObjectViews, Picture
from word2mask.errors import UserError


class Video:
    """Stands for a prepared video of some objects with four pictures each."""

    def __init__(self, name: str, objects: int, problem: str = "") -> None:
        def views(number: int) -> ObjectViews:
            one, two, three, four = (Picture(number, view, 0, f"{name}{number}{view}") for view in "abcd")
            return ObjectViews(number, 0.5, 0, one, two, three, (four,))

        self.views = [views(number) for number in range(objects)]
        self.problem, self.drawings = problem, []

    def draw(self, pictures: Iterable[Picture]) -> dict[Picture, str]:
        if self.problem:
            raise UserError(self.problem)
        self.drawings.append(sorted(picture.key for picture in pictures))
        return {picture: f"url of {picture.key}" for picture in pictures}


def test_one_drawing_for_all_objects_that_are_left() -> None:
    video = Video("v", 3)

    async def use() -> None:
        with ThreadPoolExecutor(1) as workers:
            album = Album(video, Shelf(100), workers)
            await album.done(video.views[2])  # its answers were known
            one, two = await asyncio.gather(*(album.load([views.crop, views.masked]) for views in video.views[:2]))
            assert one == ["url of v0b", "url of v0a"] and two == ["url of v1b", "url of v1a"]

    asyncio.run(use())
    assert video.drawings == [sorted(f"v{number}{view}" for number in (0, 1) for view in "abcd")]


def test_drawing_waits_for_room() -> None:
    """Room for 10 pictures: a video of 8 at a time, and one of 20 when it is alone."""
    held, most, order = 0, 0, []

    async def use() -> None:
        shelf = Shelf(10)

        async def annotate(name: str, objects: int) -> None:
            nonlocal held, most
            video = Video(name, objects)
            album = Album(video, shelf, workers)
            await album.load([video.views[0].crop])
            order.append(name)
            held += 1
            most = max(most, held)
            for views in video.views:
                await asyncio.sleep(0.005)
                await album.load([views.crop])
                if views is video.views[-1]:
                    held -= 1
                await album.done(views)
            await album.close()

        with ThreadPoolExecutor(2) as workers:
            await asyncio.gather(*(annotate(name, count) for name, count in (("a", 2), ("b", 2), ("c", 5), ("d", 2))))
        assert shelf._free == 10

    asyncio.run(asyncio.wait_for(use(), 10))
    assert sorted(order) == ["a", "b", "c", "d"] and most == 1


def test_a_frame_that_cannot_be_decoded_fails_its_objects_alone() -> None:
    video = Video("v", 2, problem="v.mp4: frame 4 can't be decoded")

    async def use() -> None:
        shelf = Shelf(10)
        with ThreadPoolExecutor(1) as workers:
            album = Album(video, shelf, workers)
            for views in video.views:
                with pytest.raises(StageFailed, match=r"unreadable video: v\.mp4: frame 4") as raised:
                    await album.load([views.crop])
                assert not raised.value.is_final
                await album.done(views)
            await album.close()
        assert shelf._free == 10

    asyncio.run(asyncio.wait_for(use(), 10))
