"""PACO-LVIS: objects of 75 kinds and their parts in COCO's pictures.

On disk, beside what :class:`~word2mask.data.sources.part_pictures.PartPictures` says::

    <annotations>                           images: [{neg_category_ids}]
    <image_folder>/train2017/<picture>.jpg

``paco_lvis_v1_train.json`` of https://github.com/facebookresearch/paco, in LISA's tree in ``vlpart/paco/annotations``,
and COCO's pictures in ``coco``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from word2mask.data.fixtures import write_picture
from word2mask.data.sources.part_pictures import PartPictures, write_fixture_annotations


class PACOLVIS(PartPictures):
    """A picture a record. Objects of a kind are labelled in some pictures only, as in LVIS: what is absent for certain
    stands in the file."""

    usual_name = "paco_lvis"

    def _absent(self, image: dict[str, Any], present: Mapping[str, Sequence[Any]]) -> list[str]:
        found = {self._name_of(category_id) for category_id in image.get("neg_category_ids", ())}
        return sorted(found - present.keys())

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> PACOLVIS:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        pictures = folder / "coco" / "train2017"
        write_picture(pictures / "000000000030.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "000000000034.jpg", size, {"green": green})
        images = [
            {
                "id": number,
                "file_name": f"train2017/{number:012d}.jpg",
                "height": size[0],
                "width": size[1],
                "neg_category_ids": absent,
                "not_exhaustive_category_ids": [],
            }
            for number, absent in ((30, [3]), (34, [1, 2]))
        ]
        file = folder / "vlpart" / "paco" / "annotations" / "paco_lvis_v1_train.json"
        write_fixture_annotations(
            file,
            ["trash_can", "trash_can:lid", "mouse_(computer_equipment)", "mouse_(computer_equipment):scroll_wheel"],
            images,
            [
                # Two cans, one of them with a lid.
                (30, "trash_can", red),
                (30, "trash_can", blue),
                (30, "trash_can:lid", (4, 6, 20, 10)),
                (34, "mouse_(computer_equipment)", green),
                (34, "mouse_(computer_equipment):scroll_wheel", (20, 8, 28, 16)),
            ],
        )
        return cls(file, folder / "coco", **options)
