"""Sentence forms of English instructions."""

from __future__ import annotations

from word2mask.inference.editing import rule_effects as effects
from word2mask.inference.editing.rules import EMOJI, HELD, Rule, rule
from word2mask.inference.editing.words import COLOR, LOOK, VERBS

__all__ = ["RULES"]

_VERB = rf"(?P<verb>{'|'.join(VERBS)})"
_WHAT = r"(?P<what>.+?)"
_BUT = (
    r"(?:everything|all|anything)\s+"
    r"(?:but|except(?:\s+for)?|besides|around|apart\s+from|other\s+than|outside(?:\s+of)?)"
)
_BACKGROUND = r"(?:the\s+)?background(?:\s+(?:of|behind|around)\s+(?P<what>.+?))?"
_STICKER = rf"(?:an?\s+|the\s+)?(?P<sticker>{EMOJI}|{HELD})(?:\s+(?:emoji|sticker|picture))?"
_DRAW = r"(?:draw|put|add)\s+(?:an?|the)"
_LINE = r"(?:outline|line|contour|border)\s+(?:around|on|to)"
_WITH = (
    rf"(?:(?:an?\s+|the\s+)?(?:(?:plain|solid)\s+)?(?P<color>{COLOR})(?:\s+(?:one|background))?|(?P<picture>{HELD}))"
)
_TURN = r"(?:turn|change|make|render|paint|draw|convert|transform|put|show|color|colour)"

RULES: tuple[Rule, ...] = (
    # A bare effect, for something that was pointed at or found before.
    rule(rf"{_VERB}", effects.verb),
    rule(rf"(?P<look>{LOOK})", effects.look),
    rule(rf"{_VERB}\s+{_WHAT}", effects.verb),
    rule(r"cut\s+(?P<what>.+?)\s+out", "cutout"),
    rule(rf"{_TURN}\s+{_WHAT}\s+(?:into|to|in|as|like)\s+(?P<look>{LOOK})", effects.look),
    rule(rf"(?:turn|make|paint|color|colour|dye|tint|render)\s+{_WHAT}\s+(?P<look>{LOOK})", effects.look),
    rule(
        rf"(?:re-?colou?r|re-?paint|dye|tint)\s+{_WHAT}\s+(?:in\s+|to\s+|into\s+|with\s+)?(?P<color>{COLOR})",
        effects.colored,
    ),
    rule(rf"(?:change|set|turn)\s+the\s+colou?r\s+of\s+{_WHAT}\s+(?:to|into)\s+(?P<color>{COLOR})", effects.colored),
    rule(rf"(?:apply|add)\s+(?:an?\s+|the\s+)?(?P<look>{LOOK})\s+(?:to|on)\s+{_WHAT}", effects.look),
    rule(rf"give\s+{_WHAT}\s+(?P<look>an?\s+{LOOK})", effects.look),
    # Everything but the thing.
    rule(rf"{_VERB}\s+{_BUT}\s+{_WHAT}", effects.tone, True),
    rule(rf"{_TURN}\s+{_BUT}\s+{_WHAT}\s+(?:into\s+|to\s+|in\s+|as\s+)?(?P<look>{LOOK})", effects.tone_look, True),
    rule(r"(?:keep|leave)\s+only\s+(?:the\s+colou?rs?\s+of\s+)(?P<what>.+?)", "grayscale", True),
    rule(rf"{_VERB}\s+{_BACKGROUND}", effects.tone, True),
    rule(rf"{_TURN}\s+{_BACKGROUND}\s+(?:into\s+|to\s+|in\s+)?(?P<look>{LOOK})", effects.tone_of_background, True),
    # Another background.
    rule(
        rf"(?:replace|change|swap|turn|make|set)\s+{_BACKGROUND}\s+(?:with\s+|to\s+|by\s+|into\s+|for\s+)?{_WITH}",
        effects.background,
    ),
    rule(
        rf"put\s+{_WHAT}\s+(?:on|in\s+front\s+of|before)\s+(?:an?\s+|the\s+)?(?P<color>{COLOR})\s+(?P<picture>background)",
        effects.background,
    ),
    rule(rf"put\s+{_WHAT}\s+(?:on|in\s+front\s+of|before)\s+(?P<color>)(?P<picture>{HELD})", effects.background),
    rule(rf"(?:remove|erase|delete)\s+{_BACKGROUND}", "cutout"),
    # Lines and marks.
    rule(rf"outline\s+{_WHAT}\s+(?:in|with)\s+(?:an?\s+)?(?P<color>{COLOR})(?:\s+line)?", effects.outline),
    rule(rf"{_DRAW}\s+(?:(?P<color>{COLOR})\s+)?{_LINE}\s+{_WHAT}", effects.outline),
    rule(rf"{_DRAW}\s+{_LINE}\s+{_WHAT}\s+in\s+(?P<color>{COLOR})", effects.outline),
    rule(rf"label\s+{_WHAT}\s+(?:as\s+|with\s+)?(?P<text>{HELD})", effects.label),
    rule(rf"label\s+{_WHAT}\s+as\s+(?P<text>[^\ue000-\uf8ff]+)", effects.label),
    rule(
        rf"(?:write|put|add)\s+(?:the\s+)?(?:label\s+|text\s+|words?\s+)?(?P<text>{HELD})\s+"
        rf"(?:on|above|over|next\s+to|beside|to)\s+{_WHAT}",
        effects.label,
    ),
    rule(rf"(?:put|stick|place|paste|add)\s+{_STICKER}\s+(?:on|over|onto)\s+{_WHAT}", effects.sticker),
    rule(rf"(?:cover|hide|replace)\s+{_WHAT}\s+(?:with|by|behind)\s+{_STICKER}", effects.sticker),
)
