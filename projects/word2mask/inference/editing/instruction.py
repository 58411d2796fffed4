"""What a user wants edited: the thing, the time and the effect, as types."""

from __future__ import annotations

from dataclasses import dataclass

from word2mask.errors import UserError
from word2mask.inference.editing.times import TimeSpan

__all__ = ["EFFECTS", "Effect", "Instruction"]

#: Every effect, and what it does in a few words, for messages.
EFFECTS: dict[str, str] = {
    "ink_wash": "as if painted in ink on paper",
    "blur": "out of focus",
    "pixelate": "in coarse squares",
    "grayscale": "without colour",
    "recolor": "in another colour",
    "brighten": "lighter",
    "darken": "darker",
    "spotlight": "lit, and the rest dimmed",
    "outline": "with a line around it",
    "remove": "gone, with the background in its place",
    "background": "before another background: a colour or a picture",
    "cutout": "alone, on nothing (transparent)",
    "label": "with a text that goes along",
    "sticker": "covered by an emoji or a picture that goes along",
}
#: Effects that change pixels where they are, and so can be had on everything but the object.
TONES = frozenset({"ink_wash", "blur", "pixelate", "grayscale", "recolor", "brighten", "darken"})
#: What each effect can't be without.
_NEEDS = {"recolor": ("color",), "label": ("text",), "sticker": ("text", "picture"), "background": ("color", "picture")}


@dataclass(frozen=True)
class Effect:
    """How something is to look.

    Attributes:
        name: one of :data:`EFFECTS`.
        color: RGB, 0…255, of ``recolor``, ``outline``, ``background`` and ``label``.
        strength: 0…1 of ``blur``, ``pixelate``, ``brighten``, ``darken`` and ``ink_wash``, and how wide the line of
            ``outline`` is; ``None`` is the usual.
        text: the words of ``label``, or the emoji of ``sticker``.
        picture: path of the picture for ``background`` or ``sticker``.

    Raises:
        UserError: an effect that isn't there, or without what it needs.
    """

    name: str
    color: tuple[int, int, int] | None = None
    strength: float | None = None
    text: str = ""
    picture: str = ""

    def __post_init__(self) -> None:
        if self.name not in EFFECTS:
            raise UserError(f"unknown effect {self.name!r}; the effects are {', '.join(EFFECTS)}")
        needs = _NEEDS.get(self.name, ())
        if (
            needs
            and not any(getattr(self, need) for need in needs if need != "color")
            and not ("color" in needs and self.color is not None)
        ):
            raise UserError(f"the effect {self.name} needs {' or '.join(needs)}; give one")
        if self.strength is not None and not 0 < self.strength <= 1:
            raise UserError(f"the effect {self.name} has strength {self.strength}; expected more than 0, at most 1")


@dataclass(frozen=True)
class Instruction:
    """What to edit, when and how; :func:`word2mask.inference.editing.readings.read_instruction` makes it of words.

    Attributes:
        effect: how it is to look.
        what: the thing, in the user's words and language; empty for what was pointed at or found before ("it").
        when: the time span; ``None`` is the whole video.
        is_inverted: whether the effect is for everything but the thing.

    Raises:
        UserError: inverted, with an effect that makes no sense that way.
    """

    effect: Effect
    what: str = ""
    when: TimeSpan | None = None
    is_inverted: bool = False

    def __post_init__(self) -> None:
        if self.is_inverted and self.effect.name not in TONES:
            raise UserError(
                f"the effect {self.effect.name} can't be had on everything but a thing; {', '.join(sorted(TONES))} can"
            )
