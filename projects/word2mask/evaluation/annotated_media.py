"""What the benchmarks of one JSON file and one folder of media a split share: where the two lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from word2mask.data.sources.annotated_media import AnnotatedMedia
from word2mask.data.sources.interface import Source
from word2mask.evaluation.interface import Benchmark


class AnnotatedMediaBenchmark(Benchmark):
    """A benchmark on the evaluation view of an annotated source."""

    #: What reads the data.
    reader: ClassVar[type[AnnotatedMedia]]
    splits: ClassVar[tuple[str, ...]] = ("val", "test")

    @classmethod
    def open(cls, root: Path, split: str, annotations: str = "{split}.json", pictures: str = "images") -> Source:
        """Paths below ``root``; ``{split}`` is replaced."""
        places = (root / name.replace("{split}", split) for name in (annotations, pictures))
        return cls.reader(*places, per_expression=True)

    @classmethod
    def fixture(cls, folder: Path, **options: Any) -> Self:
        cls.reader.fixture(folder)
        (file,) = folder.glob("*.json")
        return cls.build(folder, options.pop("split", cls.splits[0]), annotations=file.name, **options)
