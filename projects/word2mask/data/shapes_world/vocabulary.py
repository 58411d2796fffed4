"""The words of the shapes world and what each looks like. Everything else in this package speaks in these names."""

from __future__ import annotations

from types import MappingProxyType

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "heart", "moon")

#: Stands for the word of a colour or shape that has none; ``unnamed-7`` is a shape.
UNNAMED = "unnamed"

#: Main colour of every colour word, RGB 0…255. Far apart on purpose: jitter and lighting never confuse two of them.
COLOURS = MappingProxyType(
    {
        "red": (216, 34, 38),
        "orange": (250, 138, 20),
        "yellow": (250, 222, 40),
        "green": (34, 158, 58),
        "blue": (34, 78, 214),
        "purple": (142, 52, 182),
        "white": (246, 246, 246),
        "black": (16, 16, 18),
    }
)

#: Further colours and shapes with a word, for pretraining only. Eight by eight pairs can be learnt one by one, and
#: those held out are then unlike anything; of hundreds of pairs, a model learns the words.
MORE_COLOURS = MappingProxyType(
    {
        "cyan": (30, 220, 230),
        "magenta": (235, 40, 200),
        "lime": (150, 235, 40),
        "navy": (16, 24, 96),
        "maroon": (110, 10, 30),
        "olive": (110, 110, 20),
        "turquoise": (60, 200, 170),
        "violet": (150, 110, 240),
        "salmon": (250, 128, 114),
        "mint": (160, 245, 200),
        "lavender": (200, 180, 250),
        "peach": (255, 200, 160),
        "indigo": (70, 20, 150),
        "rust": (170, 70, 20),
        "khaki": (190, 180, 100),
        "azure": (60, 150, 250),
        "rose": (240, 100, 150),
        "silver": (185, 185, 190),
        "charcoal": (60, 60, 65),
        "forest": (20, 80, 35),
        "plum": (100, 40, 90),
        "chocolate": (90, 50, 25),
        "sky": (150, 210, 250),
        "lemon": (250, 250, 140),
    }
)
#: Made-up words for made-up shapes: the places in the tuple are the numbers of the shapes without a name.
MORE_SHAPES = (
    "blick", "dax", "fep", "gorp", "kiki", "lorp", "mip", "nuk",
    "pilk", "quib", "sarn", "tov", "vash", "wug", "yim", "zav",
)  # fmt: skip
#: All words that a model may have been pretrained with, in the order in which heads count them.
ALL_COLOURS = (*COLOURS, *MORE_COLOURS)
ALL_SHAPES = (*SHAPES, *MORE_SHAPES)

#: Second shade of a striped or dotted object of that colour: the same hue, darker (black: lighter).
SHADES = MappingProxyType(
    {
        "red": (132, 12, 18),
        "orange": (190, 88, 4),
        "yellow": (196, 160, 8),
        "green": (12, 96, 30),
        "blue": (14, 36, 128),
        "purple": (84, 20, 112),
        "white": (186, 186, 192),
        "black": (84, 84, 88),
    }
)

TEXTURES = ("plain", "striped", "dotted")
SIZES = ("small", "large")

#: Range of the nominal extent in pixels of each size word.
SIZE_RANGES = MappingProxyType({"small": (22.0, 30.0), "large": (40.0, 54.0)})

MOTIONS = ("still", "left", "right", "up", "down", "grows", "shrinks", "leaves", "returns", "spins")
DIRECTIONS = MappingProxyType({"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)})

#: Muted mid-tones on which all eight object colours stand out.
BACKGROUNDS = MappingProxyType(
    {
        "grey": (128, 128, 130),
        "beige": (176, 162, 138),
        "brown": (122, 104, 90),
        "teal": (98, 134, 136),
        "pink": (178, 140, 146),
    }
)
BACKGROUND_PATTERNS = ("plain", "gradient", "speckled", "striped", "cloudy")

#: (width, height) of the pictures.
CANVASES = ((128, 128), (160, 128), (128, 160))
