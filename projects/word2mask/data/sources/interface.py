"""What every data set is to the rest of the library: numbered records that read as :class:`~word2mask.types.Sample`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np

from word2mask.errors import UserError
from word2mask.types import Sample


class Source(ABC):
    """A data set on disk in its own format.

    The annotation files are read when it is built, the media when a record is read. It can be pickled into workers.

    A source has two views. For **training** (the default), a record is a picture or a video, and ``read`` draws
    expressions, sentences, wording and frames anew from ``rng``. With ``per_expression=True``, for **evaluation**, a
    record is one expression or question in fixed wording, ``rng`` isn't used, a video isn't decoded but given as
    ``extra["video"]`` (:class:`~word2mask.data.media.VideoFile`) with masks for all of its frames, and ``extra`` holds:

    * ``expression``: the bare referring text or question;
    * ``kind``: the kind of expression when the file says (key ``kind``), else ``""``;
    * what the benchmark needs besides, as each source's docstring says.
    """

    #: Tasks of :class:`~word2mask.types.Sample` that this source gives.
    tasks: ClassVar[tuple[str, ...]]
    #: What to call it in messages and tables.
    name: str
    #: Frames of a training sample.
    frames_per_sample: int = 1

    @abstractmethod
    def __len__(self) -> int:
        """Number of records."""

    @abstractmethod
    def read(self, index: int, rng: np.random.Generator | None = None) -> Sample:
        """Record ``index``; the same ``rng`` state gives the same sample.

        Raises:
            UserError: naming ``source[id]``, the file, what was got and what was expected.
        """

    def sizes(self) -> np.ndarray:
        """How much work each record is, roughly and without reading media: for putting like beside like.

        Returns:
            int32 ``[len,2]``: frames (0 for text alone), and characters of text where the records differ in it.
        """
        sizes = np.zeros((len(self), 2), dtype=np.int32)
        sizes[:, 0] = self.frames_per_sample
        return sizes

    def media_folders(self) -> tuple[Path, ...]:
        """Folders of the pictures, videos and masks that records are read from; each may be a shard folder."""
        return ()

    @classmethod
    @abstractmethod
    def fixture(cls, folder: Path, **options: object) -> Source:
        """Write a copy of two records in the real on-disk format into ``folder`` and return the source reading it."""


#: What to do about a record that can't be used.
_ADVICE = "correct the record, or leave it out"


@contextmanager
def record(source: str, record_id: object, file: Path | str) -> Iterator[None]:
    """Whatever is wrong with a record is said with its name: ``source[id]: …``.

    Args:
        source: name of the source.
        record_id: the record within it.
        file: the annotation file that it stands in.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}[{record_id}]: {error}") from error
    except KeyError as error:
        raise UserError(f"{source}[{record_id}]: the record in {file} has no {error}; {_ADVICE}") from error
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        # What says more than what is wrong says what to do.
        advice = "" if ";" in str(error) else f"; {_ADVICE}"
        raise UserError(f"{source}[{record_id}]: the record in {file} is malformed: {error}{advice}") from error


def drawing(rng: np.random.Generator | None, per_expression: bool) -> np.random.Generator:
    """The generator to draw from: for evaluation a fresh one of fixed seed, so that the wording never changes."""
    if per_expression:
        return np.random.default_rng(0)
    if rng is None:
        raise ValueError("training reads draw from a generator: read(index, rng)")
    return rng


def draw(items: Sequence, count: int, rng: np.random.Generator) -> list:
    """At most ``count`` of the items in random order, none twice."""
    return [items[position] for position in rng.permutation(len(items))[:count]]


def check_split(name: str, split: str, found: Sequence[str], file: Path | str) -> None:
    """Raise UserError unless ``split`` is among those found in ``file``."""
    if split not in found:
        raise UserError(
            f"{name}: no records of split '{split}' in {file}; it has {', '.join(sorted(found)) or 'no records at all'}"
        )


def stack_masks(
    masks: Sequence[np.ndarray], size: tuple[int, int], file: Path | str, may_be_empty: bool = False
) -> np.ndarray:
    """Masks of one picture, bool ``[H,W]`` each, as bool ``[N,1,H,W]``.

    Raises:
        ValueError: when a mask isn't as large as the picture itself, which ``size`` gives as ``(H, W)``; or when it is
            empty and may not be: a benchmark keeps such an object, training has nothing to learn from it.
    """
    for number, mask in enumerate(masks, start=1):
        if mask.shape != size:
            raise ValueError(
                f"the annotation is for a picture of {list(mask.shape)} (height, width), {file} is {list(size)}"
            )
        if not (may_be_empty or mask.any()):
            raise ValueError(f"object {number} of {len(masks)} has no pixel within {file}")
    return np.stack(masks)[:, None]


def left_to_right(masks: Sequence[np.ndarray]) -> list[int]:
    """The order of masks, bool ``[H,W]``, by the mean column of their pixels; empty ones last."""

    def column(position: int) -> float:
        columns = np.flatnonzero(masks[position].any(axis=0))
        return float(masks[position].sum(axis=0)[columns] @ columns / masks[position].sum()) if columns.size else np.inf

    return sorted(range(len(masks)), key=column)
