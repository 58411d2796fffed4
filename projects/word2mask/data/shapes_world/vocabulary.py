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
