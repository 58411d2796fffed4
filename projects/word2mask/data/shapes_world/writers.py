"""Shapes world on disk, in the formats and layouts of the real data sets, so that the real sources read it.

Layout below the folder (``test`` and ``testA`` are the split ``combo``)::

    ref_seg/refcoco/{instances.json, refs(unc).p, coco2014/train2014/}       splits train, val, testA
    ref_seg/grefcoco/{instances.json, grefs(unc).json, coco2014/train2014/}  splits train, val, testA
    ref_seg/ReasonSeg/{train,val,test}/<picture>.{jpg,json}
    grounded_caption/{train,val,test}.json, images/                          GranD-f
    llava/{train,val,test}.json, images/                                     LLaVA
    osprey/{train,val,test}.json, images/                                    Osprey
    video_seg/mevis/{train,valid_u,valid}/{JPEGImages/, *.json}              MeViS; ``valid`` is ``combo``
    video_chat/{train,val,test}.json, videos/                                Chat-UniVi
    manifest.json, README.md

A picture is one file with several names (hard links). Records say what kind their expression is under the key ``kind``.
The whole folder appears under its name at once, when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from word2mask.data.shapes_world import formats, records
from word2mask.data.shapes_world.formats import COCO_SPLITS, JSON_SPLITS, MEVIS_SPLITS
from word2mask.data.shapes_world.render import render
from word2mask.data.shapes_world.scene import Scene, training_scene
from word2mask.data.shapes_world.splits import SPLITS, Split, scene_rng
from word2mask.data.sources.video_chat import write_mp4
from word2mask.errors import UserError
from word2mask.ops.masks import encode_rle, mask_to_box

logger = logging.getLogger(__name__)

#: Scene indices of videos begin here, so that none begins like a picture.
FIRST_VIDEO = 1_000_000
FRAMES_PER_SECOND = 8
#: Raised when the layout on disk changes; changes of the world itself are noticed without.
FORMAT = 1
#: What the motions of a scene need.
MIN_FRAMES = 4
_PICTURES = "coco2014/train2014"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True)
class Sizes:
    """How many scenes of each split, and what they are drawn from.

    Attributes:
        train_images, val_images, combo_images: pictures.
        train_videos, val_videos, combo_videos: videos.
        frames: of a video.
        seed: of everything.
    """

    train_images: int = 2000
    val_images: int = 150
    combo_images: int = 100
    train_videos: int = 250
    val_videos: int = 40
    combo_videos: int = 24
    frames: int = 16
    seed: int = 0


def write_shapes_world(
    folder: str | Path,
    sizes: Sizes,
    processes: int = 2,
    progress: Callable[[Iterator, int], Iterator] | None = None,
) -> bool:
    """Write the data set, unless a complete one of the same sizes, seed and generator lies there already.

    Args:
        folder: where to; a folder that this function wrote before is replaced, any other must be absent or empty.
        sizes: how much.
        processes: that render side by side; the result doesn't depend on it.
        progress: wraps the iterator over scenes, given their number; none without.

    Returns:
        whether anything was written.

    Raises:
        UserError: when the sizes make no sense, something else lies there, or the place can't be written.
    """
    folder = Path(folder)
    _check(sizes, processes)
    settings = asdict(sizes) | {"generator": _fingerprint(sizes.seed)}
    present = _read_manifest(folder)
    if present is not None and present.get("settings") == settings:
        logger.info("%s is complete, nothing to do", folder)
        return False
    if present is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else than shapes world; give another folder or empty it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial_folder = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}); give another folder") from error
    try:
        counts = _write(partial_folder, sizes, processes, progress)
        manifest = {"settings": settings, "records": counts}
        _write_json(partial_folder / "manifest.json", manifest, indent=2)
        (partial_folder / "README.md").write_text(_readme(manifest), encoding="utf-8")
        partial_folder.chmod(0o755)
        _put_in_place(partial_folder, folder)
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error}); free some space or give another folder") from error
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
    return True


def _put_in_place(new: Path, folder: Path) -> None:
    """``new`` under its final name; what an older version wrote there goes only then."""
    if not folder.exists():
        new.rename(folder)
        return
    if any(folder.iterdir()):
        logger.info("%s was made with other settings or another version: it is replaced", folder)
    aside = new.with_name(f"{new.name}.old")
    folder.rename(aside)
    new.rename(folder)
    shutil.rmtree(aside)


def _write(
    root: Path, sizes: Sizes, processes: int, progress: Callable[[Iterator, int], Iterator] | None
) -> dict[str, dict[str, int]]:
    """Everything but manifest and README; returns the number of records by set and split."""
    for name in (f"ref_seg/refcoco/{_PICTURES}", f"ref_seg/grefcoco/{_PICTURES}", "video_chat/videos"):
        (root / name).mkdir(parents=True)
    for name in ("grounded_caption", "llava", "osprey"):
        (root / name / "images").mkdir(parents=True)
    jobs: list[tuple[str, Split, int]] = []
    for kind in ("image", "video"):
        for split in SPLITS:
            jobs += [(kind, split, index) for index in range(getattr(sizes, f"{split}_{kind}s"))]
    for split in SPLITS:
        (root / "ref_seg/ReasonSeg" / JSON_SPLITS[split]).mkdir(parents=True)
        (root / "video_seg/mevis" / MEVIS_SPLITS[split] / "JPEGImages").mkdir(parents=True)
    work = partial(_write_scene, root, sizes)
    described: dict[tuple[str, Split], list[dict]] = {(kind, split): [] for kind, split, _ in jobs}
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        results: Iterator[dict] = pool.imap(work, jobs, chunksize=8)
        if progress is not None:
            results = progress(results, len(jobs))
        for (kind, split, _), result in zip(jobs, results, strict=True):
            described[kind, split].append(result)
        # Left to its end, the pool is killed, and a worker that dies with the queue's lock keeps the other waiting.
        pool.close()
        pool.join()
    images = {split: described.get(("image", split), []) for split in SPLITS}
    videos = {split: described.get(("video", split), []) for split in SPLITS}
    coco = formats.coco(images)
    for name in ("refcoco", "grefcoco"):
        _write_json(root / "ref_seg" / name / "instances.json", coco.instances)
    (root / "ref_seg/refcoco/refs(unc).p").write_bytes(pickle.dumps(coco.refs, protocol=2))
    _write_json(root / "ref_seg/grefcoco/grefs(unc).json", coco.grefs)
    counts = {
        name: {
            split: sum(len(ref["sentences"]) for ref in refs if ref["split"] == split) for split in COCO_SPLITS.values()
        }
        for name, refs in (("refcoco", coco.refs), ("grefcoco", coco.grefs))
    }
    counts["ReasonSeg"] = {JSON_SPLITS[s]: sum(image["has_reasoning"] for image in images[s]) for s in SPLITS}
    for name, scenes in (("grounded_caption", images), ("llava", images), ("osprey", images), ("video_chat", videos)):
        counts[name] = {}
        for split in SPLITS:
            found = [scene[name] for scene in scenes[split] if scene[name] is not None]
            _write_json(root / name / f"{JSON_SPLITS[split]}.json", found)
            counts[name][JSON_SPLITS[split]] = len(found)
    counts["mevis"] = {}
    for split in SPLITS:
        meta, masks = formats.mevis(videos[split])
        _write_json(root / "video_seg/mevis" / MEVIS_SPLITS[split] / "meta_expressions.json", meta)
        _write_json(root / "video_seg/mevis" / MEVIS_SPLITS[split] / "mask_dict.json", masks)
        counts["mevis"][MEVIS_SPLITS[split]] = sum(len(video["expressions"]) for video in videos[split])
    return counts


def _write_scene(root: Path, sizes: Sizes, job: tuple[str, Split, int]) -> dict[str, Any]:
    """Render one scene, write its media, and say everything about it."""
    kind, split, index = job
    rng = scene_rng(sizes.seed, split, index + (FIRST_VIDEO if kind == "video" else 0))
    scene = training_scene(rng, kind, split, sizes.frames)
    frames, masks = render(scene)
    name = f"{split}_{index:06d}"
    amounts = records.TRAINING if split == "train" else records.EVALUATION
    write = _write_image if kind == "image" else _write_video
    return write(root, name, split, scene, frames, masks, amounts, rng)


def _write_image(
    root: Path,
    name: str,
    split: Split,
    scene: Scene,
    frames: np.ndarray,
    masks: np.ndarray,
    amounts: records.Amounts,
    rng: np.random.Generator,
) -> dict[str, Any]:
    file = f"{name}.jpg"
    original = root / "ref_seg/refcoco" / _PICTURES / file
    _write_picture(original, frames[0])
    places = [
        root / "ref_seg/grefcoco" / _PICTURES,
        *(root / n / "images" for n in ("grounded_caption", "llava", "osprey")),
    ]
    for place in places:
        _link(original, place / file)
    rles = [encode_rle(mask) for mask in masks[:, 0]]
    described: dict[str, Any] = {
        "file_name": file,
        "height": scene.height,
        "width": scene.width,
        "rles": rles,
        "areas": masks.sum(axis=(1, 2, 3)).tolist(),
        "boxes": [mask_to_box(mask) for mask in masks[:, 0]],
        "single": [asdict(one) for one in records.single_expressions(scene, rng, amounts.sentences)],
        "general": [asdict(one) for one in records.general_expressions(scene, rng, amounts)],
    }
    reasoning = records.reasoning_question(scene, rng, amounts.reasoning)
    described["has_reasoning"] = reasoning is not None
    if reasoning is not None:
        folder = root / "ref_seg/ReasonSeg" / JSON_SPLITS[split]
        _link(original, folder / file)
        _write_json(folder / f"{name}.json", formats.reason_seg(file, reasoning, masks))
    caption = records.caption(scene, rng)
    described["grounded_caption"] = caption and {
        "image_id": name,
        "file_name": file,
        "caption": caption.text,
        "groundings": {
            one.phrase: {"token_positives": list(one.span), "rle_masks": [rles[one.index]]} for one in caption.phrases
        },
    }
    conversation = formats.conversation("<image>", records.questions(scene, rng, amounts.questions))
    described["llava"] = {"id": name, "image": file, "conversations": conversation}
    marked = records.regions(scene, rng, amounts.regions)
    described["osprey"] = {
        "id": name,
        "file_name": file,
        "height": scene.height,
        "width": scene.width,
        "kind": "region",
        "annotation": [{"segmentation": rles[index]} for index in marked.indices],
    } | (
        {"description": list(marked.answers)}
        if marked.question is None
        else {"conversations": formats.messages("<image>", [(marked.question, marked.answers[0], "region")])}
    )
    return described


def _write_video(
    root: Path,
    name: str,
    split: Split,
    scene: Scene,
    frames: np.ndarray,
    masks: np.ndarray,
    amounts: records.Amounts,
    rng: np.random.Generator,
) -> dict[str, Any]:
    folder = root / "video_seg/mevis" / MEVIS_SPLITS[split] / "JPEGImages" / name
    folder.mkdir()
    for t, frame in enumerate(frames):
        _write_picture(folder / f"{t:05d}.jpg", frame)
    write_mp4(root / "video_chat/videos" / f"{name}.mp4", frames, FRAMES_PER_SECOND)
    conversation = formats.conversation("<video>", records.questions(scene, rng, amounts.questions))
    return {
        "name": name,
        "height": scene.height,
        "width": scene.width,
        "frames": [f"{t:05d}" for t in range(len(frames))],
        "tracks": [[encode_rle(mask) if mask.any() else None for mask in track] for track in masks],
        "expressions": [asdict(one) for one in records.video_expressions(scene, rng, amounts.motions)],
        "video_chat": {"id": name, "video": f"{name}.mp4", "conversations": conversation},
    }


def _write_picture(path: Path, frame: np.ndarray) -> None:
    """uint8 RGB ``[H,W,3]`` as JPEG with full colour resolution: the objects are small."""
    if not cv2.imwrite(str(path), frame[:, :, ::-1], _JPEG):
        raise OSError(f"OpenCV can't write {path}")


def _link(original: Path, path: Path) -> None:
    """Another name for a file; a copy where the disk has no hard links."""
    try:
        os.link(original, path)
    except OSError:
        shutil.copyfile(original, path)


def _write_json(path: Path, content: Any, indent: int | None = None) -> None:
    path.write_text(json.dumps(content, indent=indent), encoding="utf-8")


def _check(sizes: Sizes, processes: int) -> None:
    for name, value in asdict(sizes).items():
        if value < 0:
            raise UserError(f"shapes world: {name} is {value}; give 0 or more")
    if sizes.train_images < 1:
        raise UserError("shapes world: train_images is 0; at least one picture is needed")
    if sizes.frames < MIN_FRAMES:
        raise UserError(f"shapes world: a video needs at least {MIN_FRAMES} frames for its motions, got {sizes.frames}")
    if processes < 1:
        raise UserError(f"shapes world: {processes} processes; give 1 or more")


def _read_manifest(folder: Path) -> dict | None:
    """The manifest of a data set that this module wrote, else ``None``."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "settings" in manifest else None


def _fingerprint(seed: int) -> str:
    """Changes when the world or what is said about it does, so that a data set of an older version is noticed."""
    digest = hashlib.sha256(str(FORMAT).encode())
    for kind in ("image", "video"):
        for split in SPLITS:
            rng = scene_rng(seed, split, 0)
            scene = training_scene(rng, kind, split, MIN_FRAMES)
            frames, masks = render(scene)
            digest.update(frames.tobytes() + masks.tobytes())
            if kind == "image":
                said = [
                    records.single_expressions(scene, rng, 24),
                    records.general_expressions(scene, rng, records.TRAINING),
                    records.reasoning_question(scene, rng, 3),
                    records.caption(scene, rng),
                    records.regions(scene, rng, 3),
                ]
            else:
                said = [records.video_expressions(scene, rng, 12)]
            digest.update(
                repr([*said, records.questions(scene, rng, 5), records.TRAINING, records.EVALUATION]).encode()
            )
    return digest.hexdigest()[:16]


def _readme(manifest: dict) -> str:
    settings = manifest["settings"]
    rows = "\n".join(
        f"| {name} | {', '.join(f'{split} {count}' for split, count in splits.items())} |"
        for name, splits in manifest["records"].items()
    )
    return (
        "# Shapes world\n\n"
        f"Made by `tools/make_shapes_world.py` from seed {settings['seed']}; `manifest.json` says with which sizes. "
        "`val` and `valid_u` are scenes of other seeds; `testA`, `test` and MeViS' `valid` ask for objects of pairs of "
        "colour and shape that no training scene shows.\n\n"
        f"| set | records |\n|---|---|\n{rows}\n"
    )
