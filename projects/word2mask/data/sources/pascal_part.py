"""PASCAL-Part: parts of the animals, people and vehicles in PASCAL VOC 2010.

On disk: see :class:`~word2mask.data.sources.part_pictures.PartPictures`. ``train.json`` is what VLPart makes of the
published ``.mat`` files (``tools/pascal_part_mat2json.py`` of https://github.com/facebookresearch/VLPart, aaaffa9); it
lies in LISA's tree in ``vlpart/pascal_part``, and the pictures in ``VOCdevkit/VOC2010/JPEGImages`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from word2mask.data.fixtures import write_picture
from word2mask.data.sources.part_pictures import SEPARATOR, PartPictures, write_fixture_annotations


class PASCALPart(PartPictures):
    """A picture a record. Every visible part is labelled: parts of an object of which none is are absent."""

    usual_name = "pascal_part"

    def _absent(self, image: dict[str, Any], present: Mapping[str, Sequence[Any]]) -> list[str]:
        wholes = {class_name.partition(SEPARATOR)[0] for class_name in present}
        return sorted(name for name in set(self._names.values()) if name.partition(SEPARATOR)[0] not in wholes)

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> PASCALPart:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        folder = folder / "vlpart" / "pascal_part"
        pictures = folder / "VOCdevkit" / "VOC2010" / "JPEGImages"
        write_picture(pictures / "2008_000002.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "2008_000003.jpg", size, {"green": green})
        images = [
            {"id": number, "file_name": f"2008_{number % 10**6:06d}.jpg", "height": size[0], "width": size[1]}
            for number in (2008000002, 2008000003)
        ]
        write_fixture_annotations(
            folder / "train.json",
            ["cat:ear", "cat:head", "potted plant:pot"],
            images,
            [
                # Two ears and the head; a pot.
                (2008000002, "cat:ear", red),
                (2008000002, "cat:ear", blue),
                (2008000002, "cat:head", (20, 6, 30, 30)),
                (2008000003, "potted plant:pot", green),
            ],
        )
        return cls(folder / "train.json", pictures, **options)
