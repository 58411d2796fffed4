"""RefCLEF (ReferIt): expressions for one segment of a picture of SAIAPR TC-12 each.

On disk::

    <folder>/instances.json                pictures and segments, as COCO's, but with lists of run lengths
    <folder>/refs(unc).p                   or refs(berkeley).p: as RefCOCO's
    <folder>/../images/saiapr_tc-12/<file_name>

Layout, run lengths and the meaning of a split such as ``testAB`` are those of ``refer.py`` of
https://github.com/lichengunc/refer (e3bbaa3); that ``file_name`` may lead through folders (``00/images/…``), and that
the folder of pictures lies beside, is how LISA and GLaMM read it (mbzuai-oryx/groundingLMM, e74865f).
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from word2mask.data.fixtures import write_picture
from word2mask.data.sources.refcoco import RefCOCO, fixture_ref
from word2mask.ops.masks import box_to_mask, encode_rle


class RefCLEF(RefCOCO):
    """A picture a record, as :class:`~word2mask.data.sources.refcoco.RefCOCO`.

    UNC's test splits overlap: a reference of ``testAB`` belongs to ``testA`` and to ``testB``; ``test`` is all of them.
    """

    pictures = ("../images/saiapr_tc-12", "the pictures of SAIAPR TC-12")

    @staticmethod
    def _is_in(split: str, of_reference: str) -> bool:
        if split in ("testA", "testB", "testC"):
            return of_reference.startswith("test") and split[-1] in of_reference[len("test") :]
        return of_reference.startswith("test") if split == "test" else of_reference == split

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> RefCLEF:
        size, red, blue, green = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30), (8, 8, 40, 40)
        folder = folder / "refclef"
        folder.mkdir(parents=True)
        pictures = folder.parent / "images" / "saiapr_tc-12"
        write_picture(pictures / "00" / "images" / "25.jpg", size, {"red": red, "blue": blue})
        write_picture(pictures / "01" / "images" / "1012.jpg", size, {"green": green})
        images = [
            {"id": 25, "file_name": "00/images/25.jpg", "height": size[0], "width": size[1]},
            {"id": 1012, "file_name": "01/images/1012.jpg", "height": size[0], "width": size[1]},
        ]
        annotations = [
            {"id": number, "image_id": image, "segmentation": [encode_rle(box_to_mask(box, *size))]}
            for number, image, box in ((1, 25, red), (2, 25, blue), (3, 1012, green))
        ]
        (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        refs = [
            fixture_ref(1, 1, 25, ["the red box", "red thing on the left"]),
            fixture_ref(2, 2, 25, ["blue box"]),
            fixture_ref(3, 3, 1012, ["green box"]),
            fixture_ref(4, 1, 25, ["left box"], split="testAB"),
            fixture_ref(5, 3, 1012, ["the box"], split="testC"),
        ]
        (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
        return cls(folder, **options)
