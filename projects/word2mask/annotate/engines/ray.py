"""A cluster: Ray Data hands out batches of videos, and each worker runs the local engine on its batch.

Stages, keys and store are those of :mod:`word2mask.annotate.engines.local`, so that the output is the same. The store
and the media must lie where every machine sees them. Concurrency, rate and budget are shared out evenly among the
workers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from word2mask.annotate.engines.local import Progress, run_local
from word2mask.annotate.quality.verification import Grounder, judged, verify
from word2mask.annotate.record_list import Records, StoredRecords
from word2mask.annotate.records import VideoRecord, VideoReference
from word2mask.annotate.settings import Limits, Settings
from word2mask.annotate.store import Store
from word2mask.errors import UserError

__all__ = ["run_ray", "share", "verify_ray"]

#: Videos whose records Ray holds at a time while they are verified; the workers load their models anew after so many.
AT_A_TIME = 10_000


def share(limits: Limits, workers: int) -> Limits:
    """What one of several workers may do, so that all together keep to the limits.

    Raises:
        UserError: there is less of something than workers.
    """
    if limits.concurrency < workers:
        raise UserError(f"concurrency is {limits.concurrency} for {workers} workers; give each one request or more")
    if limits.token_budget is not None and limits.token_budget < workers:
        raise UserError(f"token_budget is {limits.token_budget} for {workers} workers; give more or start fewer")
    rate, budget = limits.requests_per_minute, limits.token_budget
    return replace(
        limits,
        concurrency=limits.concurrency // workers,
        pictures=max(1, limits.pictures // workers),
        requests_per_minute=None if rate is None else rate / workers,
        token_budget=None if budget is None else budget // workers,
    )


class _Worker:
    """Annotates batches of videos; its budget holds for all of them together."""

    def __init__(self, media_folder: str, settings: Settings, store: str) -> None:
        self._media_folder, self._settings, self._store = Path(media_folder), settings, Store(store)
        self._left = settings.limits.token_budget

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        columns = [batch[entry.name] for entry in fields(VideoReference)]
        references = [VideoReference(*map(str, row)) for row in zip(*columns, strict=True)]
        limits = replace(self._settings.limits, token_budget=self._left)
        last = Progress()

        def watch(progress: Progress) -> None:
            nonlocal last
            last = progress

        error, keys = "", {}
        try:
            settings = replace(self._settings, limits=limits)
            records = run_local(references, self._media_folder, settings, self._store, watch)
            keys = dict(zip((found.video_id for found in references), records.keys, strict=True))
        except UserError as problem:
            # Ray would wrap it, and start the batch again.
            error = str(problem)
        if self._left is not None:
            self._left = max(1, self._left - last.prompt_tokens - last.completion_tokens)
        return {
            # As text: Arrow would give every row the keys of all others, with nothing under them.
            "keys": [json.dumps(keys)],
            "error": [error],
            "objects": [json.dumps(last.objects)],
            "progress": [{"prompt": last.prompt_tokens, "completion": last.completion_tokens, "asked": last.asked}],
        }


def run_ray(
    references: Sequence[VideoReference],
    media_folder: Path,
    settings: Settings,
    store: Store,
    watch: Callable[[Progress], None] | None = None,
    workers: int = 2,
    batch: int = 64,
    address: str | None = None,
) -> StoredRecords:
    """Annotates videos; arguments and result are those of :func:`~word2mask.annotate.engines.local.run_local`.

    Args:
        references: which.
        media_folder: where their paths begin; seen by every machine.
        settings: of the run; its limits hold for all workers together.
        store: of answers and records; seen by every machine.
        watch: called after every batch.
        workers: processes, of one CPU each.
        batch: videos that a worker takes at a time.
        address: of a running Ray cluster (``auto`` finds it); ``None`` starts one on this machine and stops it again.

    Raises:
        UserError: the run must stop; what was answered is in the store.
    """
    if workers < 1 or batch < 1:
        raise UserError(f"workers and batch are {workers} and {batch}; expected 1 or more")
    if not references:
        return StoredRecords([], [], store)
    shared = replace(settings, limits=share(settings.limits, workers))
    # No worker stands idle because others have all videos.
    batch = min(batch, -(-len(references) // workers))
    where = (str(Path(media_folder).resolve()), shared, str(store.folder.resolve()))
    rows = [asdict(reference) for reference in references]
    with _mapped(rows, _Worker, where, workers, batch, address) as results:
        found = _collect(results, watch)
    return StoredRecords(references, [found[reference.video_id] for reference in references], store)


class _Verifier:
    """Looks for the objects of batches of videos, with a model that is loaded once."""

    def __init__(
        self,
        media_folder: str,
        load: Callable[[], Grounder],
        name: str,
        store: str,
        threshold: float,
    ) -> None:
        self._media_folder, self._name, self._threshold = Path(media_folder), name, threshold
        self._load, self._store = load, Store(store)
        self._grounder: Grounder | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        error = ""
        try:
            if self._grounder is None:
                self._grounder = self._load()
            records = [VideoRecord.from_json(json.loads(text)) for text in batch["record"]]
            # What is measured goes into the store, where it is found.
            verify(records, self._media_folder, self._grounder, self._name, self._store, self._threshold)
        except UserError as problem:
            error = str(problem)
        return {"videos": [len(batch["record"])], "error": [error]}


def verify_ray(
    records: Sequence[VideoRecord],
    media_folder: Path,
    load: Callable[[], Grounder],
    name: str,
    store: Store,
    threshold: float = 0.5,
    watch: Callable[[int, int], None] | None = None,
    workers: int = 2,
    gpus: float = 0,
    batch: int = 16,
    address: str | None = None,
) -> Records:
    """Drops what a model doesn't find again, as :func:`~word2mask.annotate.quality.verification.verify` does.

    Args:
        records: what to check.
        media_folder: where the records' paths begin; seen by every machine.
        load: gives the model; called once in every worker.
        name: of the model.
        store: of what was measured already; seen by every machine.
        threshold: IoU from which an object stays.
        watch: called with (videos done, videos) after every batch.
        workers: processes, of one CPU each.
        gpus: of each of them; parts of one are allowed.
        batch: videos that a worker takes at a time.
        address: of a running Ray cluster; ``None`` starts one on this machine and stops it again.

    Raises:
        UserError: as the local one.
    """
    if workers < 1 or batch < 1:
        raise UserError(f"workers and batch are {workers} and {batch}; expected 1 or more")
    batch = min(batch, max(1, -(-len(records) // workers)))
    where = (str(Path(media_folder).resolve()), load, name, str(store.folder.resolve()), threshold)
    done = 0
    for start in range(0, len(records), AT_A_TIME):
        rows = [{"record": json.dumps(record.to_json())} for record in records[start : start + AT_A_TIME]]
        with _mapped(rows, _Verifier, where, workers, batch, address, gpus) as results:
            for row in results:
                if row["error"]:
                    raise UserError(row["error"])
                done += int(row["videos"])
                if watch is not None:
                    watch(done, len(records))
    return judged(records, media_folder, None, name, store, threshold)


@contextmanager
def _mapped(
    rows: list[dict[str, Any]],
    worker: type,
    arguments: tuple[Any, ...],
    workers: int,
    batch: int,
    address: str | None,
    gpus: float = 0,
) -> Iterator[Any]:
    """What workers make of batches of rows, in any order.

    Raises:
        UserError: Ray isn't installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            "Ray isn't installed; pip install 'ray[data]' (extra annotate), or use --engine local"
        ) from None
    own = {"num_cpus": max(2, workers), "include_dashboard": False, "object_store_memory": 256 << 20}
    ray.init(log_to_driver=False, logging_level=logging.WARNING, **({"address": address} if address else own))
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        blocks = -(-len(rows) // batch)
        yield (
            ray.data.from_items(rows, override_num_blocks=blocks)
            .map_batches(
                worker,
                fn_constructor_args=arguments,
                batch_size=batch,
                compute=ray.data.ActorPoolStrategy(size=workers),
                num_cpus=1,
                num_gpus=gpus,
            )
            .iter_rows()
            if rows
            else iter(())
        )
    finally:
        ray.shutdown()


def _collect(rows: Any, watch: Callable[[Progress], None] | None) -> dict[str, str]:
    """The keys of records by video, from batches in any order."""
    found: dict[str, str] = {}
    progress = Progress()
    for row in rows:
        if row["error"]:
            raise UserError(row["error"])
        found |= json.loads(row["keys"])
        progress.videos = len(found)
        progress.objects.update(json.loads(row["objects"]))
        progress.prompt_tokens += int(row["progress"]["prompt"])
        progress.completion_tokens += int(row["progress"]["completion"])
        progress.asked += int(row["progress"]["asked"])
        if watch is not None:
            watch(progress)
    return found
