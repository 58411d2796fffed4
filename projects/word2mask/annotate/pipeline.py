"""The three stages one after another, for an object and for a video. Both engines run exactly this."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from pathlib import Path

from word2mask.annotate.album import Album, Shelf
from word2mask.annotate.asking import Ask, Asker, Load, StageFailed
from word2mask.annotate.object_level import describe_object
from word2mask.annotate.preparing import Prepared, prepare
from word2mask.annotate.records import ObjectRecord, ObjectViews, VideoRecord, VideoReference
from word2mask.annotate.scene_level import describe_scene
from word2mask.annotate.settings import Settings
from word2mask.annotate.store import hash_of
from word2mask.annotate.video_level import describe_motion
from word2mask.annotate.views import DRAWING
from word2mask.errors import UserError

__all__ = ["annotate_object", "annotate_video", "video_key"]


async def annotate_object(views: ObjectViews, asker: Asker, load: Load) -> tuple[ObjectRecord, bool]:
    """An object's expressions, or why it has none; and whether another run couldn't change that.

    Args:
        views: what is to be shown of it.
        asker: of the run.
        load: makes the pictures.

    Raises:
        UserError: the run must stop.
    """
    ask = Ask(asker, load)
    record = ObjectRecord(views.number, "kept", area=views.area, frame=views.frame, calls=ask.calls, usage=ask.usage)
    try:
        found = await describe_object(views, ask)
        record.texts |= {"caption_masked": found.caption_masked, "caption_crop": found.caption_crop}
        if found.verdict != "consistent":
            record.status, record.reason, record.detail = "dropped", found.verdict, found.reason
            return _ordered(record), True
        record.texts["object"] = found.description
        record.texts["scene"] = await describe_scene(views, found.description, ask)
        before = f"{_sentence(found.description)} {_sentence(record.texts['scene'])}"
        record.texts["video"], by_motion = await describe_motion(views, before, ask)
        record.long = f"{before} {_sentence(record.texts['video'])}"
        record.short = [text for text in dict.fromkeys((found.short, by_motion)) if text]
    except StageFailed as failure:
        record.status, record.reason, record.detail = "failed", failure.reason, failure.detail
        return _ordered(record), failure.is_final
    return _ordered(record), True


async def annotate_video(
    reference: VideoReference, media_folder: Path, settings: Settings, asker: Asker, workers: Executor, shelf: Shelf
) -> tuple[str, VideoRecord]:
    """All objects of a video, side by side; looked up where it is known, and kept. With the key it is kept under.

    Args:
        reference: which video.
        media_folder: where its paths begin.
        settings: of the run.
        asker: of the run.
        workers: threads that decode and draw.
        shelf: room for pictures, shared by the videos of the run.

    Raises:
        UserError: the run must stop.
    """
    key = video_key(reference, media_folder, settings, asker)
    kept = asker.store.get(key)
    if kept is not None and kept["is_final"]:
        return key, VideoRecord.from_json(kept)
    try:
        prepared = await asyncio.get_running_loop().run_in_executor(workers, prepare, reference, media_folder, settings)
    except UserError as error:
        # One damaged file among a million must not stop the rest; it is counted, and tried again by the next run.
        objects, is_final = [ObjectRecord(-1, "failed", "unreadable video", str(error))], False
    else:
        album = Album(prepared, shelf, workers)
        try:
            objects, is_final = await _annotate_all(prepared, asker, album)
        finally:
            await album.close()
    versions = {name: prompt.version for name, prompt in sorted(asker.prompts.items())}
    models = {role: model.name for role, model in sorted(asker.models.items())}
    record = VideoRecord(reference, objects, versions, models, is_final)
    asker.store.put(key, record.to_json())
    return key, record


async def _annotate_all(prepared: Prepared, asker: Asker, album: Album) -> tuple[list[ObjectRecord], bool]:
    async def annotate(views: ObjectViews) -> tuple[ObjectRecord, bool]:
        found = await annotate_object(views, asker, album.load)
        await album.done(views)
        return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(annotate(views)) for views in prepared.views]
    asked = iter([task.result() for task in tasks])
    outcomes = [next(asked) if isinstance(found, ObjectViews) else (found, True) for found in prepared.objects]
    return [record for record, _ in outcomes], all(is_final for _, is_final in outcomes)


def video_key(reference: VideoReference, media_folder: Path, settings: Settings, asker: Asker) -> str:
    """Of a video's record: like the keys of answers, with its files known by name, size and time instead of content.

    A file that was only touched is read again, and nothing is asked: answers are known by what is shown.
    """
    files = []
    for path in filter(None, (reference.video_path, reference.annotation_path, reference.besides)):
        place = media_folder / path
        state = place.stat() if place.exists() else None
        files.append([path, state and state.st_size, state and state.st_mtime_ns])
    return hash_of(
        {
            "stage": "video record",
            "video": reference.video_id,
            "files": files,
            "views": [settings.views, DRAWING],
            "prompts": {name: prompt.version for name, prompt in asker.prompts.items()},
            "models": {role: model.identity for role, model in asker.models.items()},
            "generation": asker.generation,
        }
    )


def _sentence(text: str) -> str:
    """With a mark at its end."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _ordered(record: ObjectRecord) -> ObjectRecord:
    """Captions come back in any order; what is kept of them doesn't show it."""
    record.calls = dict(sorted(record.calls.items()))
    record.usage = dict(sorted(record.usage.items()))
    return record
