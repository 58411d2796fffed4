"""COCO-Stuff: the things and the stuff of COCO's pictures, pixel by pixel.

On disk::

    <folder>/<picture>.png                  8 bits: 0 … 181 the classes, 255 unlabelled
    <image_folder>/<picture>.jpg

``stuffthingmaps_trainval2017.zip`` of https://github.com/nightrome/cocostuff, in LISA's tree as ``cocostuff``, and
COCO's pictures of 2017 beside it as ``coco``.
"""

from __future__ import annotations

from pathlib import Path

from word2mask.data.fixtures import write_indices, write_picture
from word2mask.data.sources.semantic_pictures import LabelPictures, names_by_index

#: ``labels.txt`` (nightrome/cocostuff, cad9456), which isn't in the zip: its number less one is the index in the label
#: pictures.
CLASS_NAMES = names_by_index(
    """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, street
    sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
    hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball,
    kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate, wine glass, cup,
    fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake,
    chair, couch, potted plant, bed, mirror, dining table, window, desk, toilet, door, tv, laptop, mouse,
    remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book, clock, vase,
    scissors, teddy bear, hair drier, toothbrush, hair brush, banner, blanket, branch, bridge, building-other,
    bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter,
    cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile,
    floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house,
    leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow,
    plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand,
    sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent,
    textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone,
    wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
    """,
    first=0,
)
#: What LISA calls otherwise (``cocostuff_classes.txt`` of dvlab-research/LISA, 3cb2d43).
RENAMED = {"sky-other": "sky"}


class COCOStuff(LabelPictures):
    """A picture a record: see :class:`~word2mask.data.sources.semantic_pictures.LabelPictures`.

    Names with a hyphen ("wall-tile", "food-other") aren't asked for, as in LISA: nobody would call them so. Their
    pixels are background, not void; LISA's loss counts them as well.

    Args:
        folder: where the label pictures lie.
        image_folder: where the pictures lie.
        classes_per_sample: most turns of a training sample.
        negatives: how often a question asks for a class that isn't in the picture, 0…1.
        per_expression: the view for evaluation.
        name: what to call it.

    Raises:
        UserError: when a folder is missing or has no label picture.
    """

    what = "COCO-Stuff"

    def __init__(
        self,
        folder: str | Path,
        image_folder: str | Path,
        classes_per_sample: int = 3,
        negatives: float = 0.0,
        per_expression: bool = False,
        name: str = "cocostuff",
    ) -> None:
        classes = {index: RENAMED.get(class_name, class_name) for index, class_name in CLASS_NAMES.items()}
        super().__init__(
            Path(folder),
            Path(image_folder),
            classes,
            void=(255,),
            unasked={class_name for class_name in classes.values() if "-" in class_name},
            name=name,
            classes_per_sample=classes_per_sample,
            negatives=negatives,
            per_expression=per_expression,
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> COCOStuff:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        labels, pictures = folder / "cocostuff" / "train2017", folder / "coco" / "train2017"
        # A teddy bear (87) and a rug (151) on a wooden floor (117); and sky (156) alone, unlabelled below.
        write_picture(pictures / "000000000009.jpg", size, {"red": red, "blue": blue})
        write_indices(labels / "000000000009.png", size, [(117, (0, 0, 64, 48)), (87, red), (151, blue)])
        write_picture(pictures / "000000000025.jpg", size, {"green": (0, 0, 64, 20)})
        write_indices(labels / "000000000025.png", size, [(255, (0, 0, 64, 48)), (156, (0, 0, 64, 20))])
        return cls(labels, pictures, **options)
