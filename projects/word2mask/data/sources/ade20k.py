"""ADE20K (the 150 classes of the scene parsing challenge): every pixel of a picture belongs to a class, or to none.

On disk::

    <folder>/images/<split>/<picture>.jpg
    <folder>/annotations/<split>/<picture>.png        8 bits: 0 no class, 1 … 150 the classes

``ADEChallengeData2016.zip`` of http://sceneparsing.csail.mit.edu, in LISA's tree as ``ade20k``.
"""

from __future__ import annotations

from pathlib import Path

from word2mask.data.fixtures import write_indices, write_picture
from word2mask.data.sources.semantic_pictures import LabelPictures, names_by_index

#: The first name of each class in ``objectInfo150.txt`` (CSAILVision/sceneparsing, 4ce20bd), in its order: LISA's tree
#: leaves the file out. LISA's own list has "television receiver" for "television".
CLASS_NAMES = names_by_index(
    """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
    door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
    field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
    signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
    stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee
    table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
    boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet,
    poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel,
    basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot,
    animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
    ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
    """,
    first=1,
)


class ADE20K(LabelPictures):
    """A picture a record: see :class:`~word2mask.data.sources.semantic_pictures.LabelPictures`.

    Args:
        folder: where ``images`` and ``annotations`` lie.
        split: ``training`` or ``validation``.
        classes_per_sample: most turns of a training sample.
        negatives: how often a question asks for a class that isn't in the picture, 0…1.
        per_expression: the view for evaluation.
        name: what to call it; the folder's name without.

    Raises:
        UserError: when a folder is missing or has no label picture.
    """

    what = "ADE20K"

    def __init__(
        self,
        folder: str | Path,
        split: str = "training",
        classes_per_sample: int = 3,
        negatives: float = 0.0,
        per_expression: bool = False,
        name: str | None = None,
    ) -> None:
        folder = Path(folder)
        super().__init__(
            folder / "annotations" / split,
            folder / "images" / split,
            CLASS_NAMES,
            void=(0,),
            name=name or folder.name,
            classes_per_sample=classes_per_sample,
            negatives=negatives,
            per_expression=per_expression,
        )

    @classmethod
    def fixture(cls, folder: Path, **options: object) -> ADE20K:
        size, red, blue = (48, 64), (4, 6, 20, 22), (30, 10, 50, 30)
        split = str(options.get("split", "training"))
        # Around the boxes is a wall (1) in the one, and no class in the other; a sofa is 24, a box 42.
        for name, background in (("ADE_train_00000001", 1), ("ADE_train_00000002", 0)):
            write_picture(folder / "images" / split / f"{name}.jpg", size, {"red": red, "blue": blue})
            whole = (0, 0, size[1], size[0])
            boxes = [(background, whole), (42, red), (24, blue)]
            write_indices(folder / "annotations" / split / f"{name}.png", size, boxes)
        return cls(folder, **options)
