"""One machine: all videos and stages overlap in one event loop; threads decode and draw."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from word2mask.annotate.album import Shelf
from word2mask.annotate.asking import Asker
from word2mask.annotate.client import ChatClient, ChatModel
from word2mask.annotate.limits import RateLimit, TokenBudget
from word2mask.annotate.pipeline import annotate_video
from word2mask.annotate.prompts import load_prompts
from word2mask.annotate.record_list import StoredRecords
from word2mask.annotate.records import VideoReference
from word2mask.annotate.settings import Settings
from word2mask.annotate.store import Store

__all__ = ["Progress", "open_asker", "run_local"]


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        videos: that are done.
        objects: by status.
        prompt_tokens: of this run.
        completion_tokens: of this run.
        asked: calls that a model answered in this run.
    """

    videos: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    asked: int = 0

    def cost(self, price: tuple[float, float]) -> float:
        """Of the tokens, by the price of a million of each kind."""
        return (self.prompt_tokens * price[0] + self.completion_tokens * price[1]) / 1e6


#: Seconds between two calls of what watches, where no video gets done.
BETWEEN = 1.0

Watch = Callable[[Progress], None]


@asynccontextmanager
async def open_asker(settings: Settings, store: Store) -> AsyncIterator[tuple[Asker, TokenBudget]]:
    """What asks the models, with its connections open.

    Raises:
        UserError: prompts or a local model can't be read.
    """
    prompts = load_prompts(settings.prompts)
    slots = asyncio.Semaphore(settings.limits.concurrency)
    rate, budget = RateLimit(settings.limits.requests_per_minute), TokenBudget(settings.limits.token_budget)
    models: dict[str, ChatModel] = {}
    try:
        for role, endpoint in (("vision", settings.vision), ("text", settings.text)):
            if endpoint.url.startswith("local:"):
                from word2mask.annotate.local_model import LocalModel

                models[role] = LocalModel(endpoint, budget)
            else:
                models[role] = ChatClient(endpoint, settings.limits, slots, rate, budget)
        yield Asker(models, prompts, store, settings.generation), budget
    finally:
        for model in models.values():
            await model.close()


def run_local(
    references: Sequence[VideoReference],
    media_folder: Path,
    settings: Settings,
    store: Store,
    watch: Watch | None = None,
) -> StoredRecords:
    """Annotates videos.

    Args:
        references: which.
        media_folder: where their paths begin.
        settings: of the run.
        store: of answers and records; what it holds isn't asked again.
        watch: called after every video, and every second between.

    Returns:
        a record a video, in the order of ``references``, read from the store when it is looked at.

    Raises:
        UserError: the run must stop; what was answered is in the store.
    """
    return asyncio.run(_run(references, media_folder, settings, store, watch))


async def _run(
    references: Sequence[VideoReference], media_folder: Path, settings: Settings, store: Store, watch: Watch | None
) -> StoredRecords:
    keys = [""] * len(references)
    waiting = iter(enumerate(references))
    progress = Progress()
    threads = max(2, os.cpu_count() or 1)
    shelf = Shelf(settings.limits.pictures)
    async with open_asker(settings, store) as (asker, budget):
        with ThreadPoolExecutor(threads, thread_name_prefix="prepare") as workers:

            async def work() -> None:
                for place, reference in waiting:
                    key, record = await annotate_video(reference, media_folder, settings, asker, workers, shelf)
                    keys[place] = key
                    progress.videos += 1
                    progress.objects.update(found.status for found in record.objects)
                    tell()

            def tell() -> None:
                progress.prompt_tokens = budget.prompt_tokens
                progress.completion_tokens = budget.completion_tokens
                progress.asked = asker.asked
                if watch is not None:
                    watch(progress)

            async def tick() -> None:
                while True:
                    await asyncio.sleep(BETWEEN)
                    tell()

            # As many videos as there may be requests, so that none waits for another video's last stage.
            count = min(settings.limits.concurrency, len(references))
            clock = asyncio.create_task(tick())
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(count):
                        group.create_task(work())
            except BaseExceptionGroup as errors:
                raise _first(errors) from None
            finally:
                clock.cancel()
    return StoredRecords(references, keys, store)


def _first(errors: BaseException) -> BaseException:
    """The first error inside groups of errors."""
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors
