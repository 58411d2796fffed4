"""The zip that a challenge's server scores: a PNG a frame, 255 where the answer's object is.

    [<folder>/]<video>/<expression>/<frame>.png

Written from the records, read back whole, and compared with what was asked, before it gets its name.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from word2mask.errors import UserError
from word2mask.evaluation.interface import Benchmark, mask_shape
from word2mask.evaluation.records import Record, decode_segments
from word2mask.types import Sample

#: Beside the records.
SUBMISSION_FILE = "submission.zip"


def write_submission(benchmark: Benchmark, records: Sequence[Record], folder: Path) -> Path:
    """Writes ``submission.zip``; the same records give the same bytes.

    Args:
        benchmark: whose :attr:`~word2mask.evaluation.interface.Benchmark.submission` says where its folders begin.
        records: of all its samples, in order; one that failed is an empty mask.
        folder: where the zip goes.

    Returns:
        its path.

    Raises:
        UserError: it covers a part of the split only, can't be written, or doesn't read back as it was meant.
    """
    if benchmark.submission is None:
        raise UserError(f"{benchmark.label} has no server to submit to; its masks are published")
    if len(benchmark) != benchmark.num_usable:
        raise UserError(
            f"{benchmark.label}: the server wants all {benchmark.num_usable} expressions, {len(benchmark)} were asked; "
            "evaluate without a limit"
        )
    path = folder / SUBMISSION_FILE
    partial = path.with_name(f"{path.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name, mask in _files(benchmark, records):
                # Of a fixed date, so that the bytes depend on the answers alone.
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), _png(mask))
        check_submission(benchmark, records, partial)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written ({error.strerror}); give another --out") from error
    return path


def check_submission(benchmark: Benchmark, records: Sequence[Record], path: Path) -> int:
    """Reads a submission back and compares it with the records.

    Args:
        benchmark: that was asked.
        records: of all its samples.
        path: the zip.

    Returns:
        the number of its pictures.

    Raises:
        UserError: a picture is missing, too many, damaged, of another size, or not the answer's mask.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            open_names = set(archive.namelist())
            if len(open_names) != len(archive.namelist()):
                raise UserError(f"{path} holds a file twice")
            count = len(open_names)
            for name, mask in _files(benchmark, records):
                if name not in open_names:
                    raise UserError(f"{path} has no {name}; each frame of each expression needs one")
                open_names.remove(name)
                picture = Image.open(io.BytesIO(archive.read(name)))
                values = np.asarray(picture)
                if picture.mode != "L" or values.shape != mask.shape:
                    raise UserError(
                        f"{path}: {name} is a picture of mode {picture.mode} and {list(values.shape)}; expected mode L "
                        f"and {list(mask.shape)} (height, width)"
                    )
                if not np.array_equal(values, mask * np.uint8(255)):
                    raise UserError(f"{path}: {name} isn't the answer's mask, 0 and 255")
    except (zipfile.BadZipFile, Image.UnidentifiedImageError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if open_names:
        raise UserError(f"{path} holds {len(open_names)} files that nobody asked for, e.g. {min(open_names)}")
    return count


def _files(benchmark: Benchmark, records: Sequence[Record]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and mask, bool ``[H,W]``, of every picture, expression by expression."""
    for record in records:
        sample = benchmark.sample(record.position)
        parts = (benchmark.submission or "", sample.extra["video_id"], sample.extra["expression_id"])
        place = PurePosixPath(*filter(None, parts))
        for frame, mask in zip(sample.extra["frame_names"], _masks(benchmark, record, sample), strict=True):
            yield f"{place}/{frame}.png", mask


def _masks(benchmark: Benchmark, record: Record, sample: Sample) -> np.ndarray:
    """The answer's masks as one, bool ``[T,H,W]``."""
    segments = decode_segments(record)
    if segments is None:
        return np.zeros(mask_shape(sample), dtype=bool)
    return np.asarray(segments[0] if benchmark.switches["segments"] == "first" else segments.any(axis=0))


def _png(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask * np.uint8(255)).save(stream, "PNG")
    return stream.getvalue()
