"""Sentence forms of English instructions."""

from __future__ import annotations

from word2mask.inference.editing import rule_effects as effects
from word2mask.inference.editing.rules import EMOJI, HELD, Rule, rule
from word2mask.inference.editing.words import COLOR, LOOK, NAMED_EMOJI, STROKE, VERBS

__all__ = ["LEADING_VERBS", "RULES"]

_VERB = rf"(?P<verb>{'|'.join(VERBS)})"
_WHAT = r"(?P<what>.+?)"
_A = r"(?:an?\s+|the\s+|its\s+|some\s+)?"
_LOOK = rf"{_A}(?P<look>{LOOK})"
_COLOR = rf"{_A}(?P<color>{COLOR})"
_TURN = (
    r"(?:turn|change|make|render|paint|draw|convert|transform|put|show|color|colour|redraw|restyle|style|set|do|have|let"
    r"|get)"
)
_INTO = r"(?:into|to|in|as|like|with|using)"
#: "I want it blurred".
_WISH = r"(?:i\s+want|i'd\s+like|i\s+would\s+like|have|get|let|make|show|keep|see)"

# Everything but the thing.
_REST = r"(?:the\s+rest(?:\s+of\s+the\s+(?:picture|image|photo|video|clip|scene|frame))?|(?:everything|all)\s+else)"
_BUT = (
    r"(?:everything|all|anything|the\s+rest|everyone)\s+"
    r"(?:but|except(?:\s+for)?|besides|around|behind|apart\s+from|other\s+than|outside(?:\s+of)?"
    r"|(?:that|who|which)\s+(?:isn't|is\s+not|aren't|are\s+not))"
)
_SCENERY = r"(?:background|backdrop|surroundings|bg)"
_BACKGROUND = rf"(?:the\s+|its\s+)?{_SCENERY}(?:\s+(?:of|behind|around|for)\s+(?P<what>.+?))?"
_REPLACE = r"(?:replace|change|swap|turn|make|set|switch|substitute|exchange)"
_BEFORE = r"(?:on|in\s+front\s+of|before|against|over|onto)"
_BEHIND_COLOR = rf"{_A}(?:(?:plain|solid|pure)\s+)?(?P<color>{COLOR})"
_ONE = rf"(?:\s+(?:one|version|effect|{_SCENERY}|colou?r))?"

# Lines and marks.
_PUT = r"(?:put|stick|place|paste|add|attach|overlay|glue|pin|drop|stamp|tape|draw)"
_LINE = r"(?:outline|line|contour|border|edge|stroke|rim)"
_COLORED_LINE = rf"{_A}{STROKE}(?:(?P<color>{COLOR})\s+)?{_LINE}(?:\s+line)?"
_LABEL = rf"(?:(?P<color>{COLOR})\s+)?(?:name\s?tag|label|tag|caption|text|sign|note|title|words?)"
_SAYING = r"(?:(?:that\s+|which\s+)?(?:saying|says|say|reading|reads|read|with\s+the\s+(?:text|words?)|called|of|:)\s*)"
_PLACE = r"(?:on\s+top\s+of|on|above|over|next\s+to|beside|onto|to|near|by|under|below|for|at)"
_TEXT = rf"(?P<text>{HELD})"
_PLAIN_TEXT = "(?P<text>[^\ue000-\uf8ff]+?)"
_STICKER = rf"{_A}(?P<sticker>{EMOJI}|{HELD}|{NAMED_EMOJI})(?:\s+(?:emoji|sticker|picture|image|face))?"
_FOLLOW = (
    r"(?:follow|track|accompany|(?:move|go|stay|travel)(?:\s+along)?\s+with|stick\s+to|stay\s+on)(?:s|ing)?"
    r"|follows|tracks|moves\s+with|goes\s+with|sticks\s+to|stays\s+on|moving\s+with"
)

#: With what an instruction begins; behind "and" or a comma it begins another one.
LEADING_VERBS = (
    rf"(?:{'|'.join(VERBS)}|turn|change|make|render|paint|draw|convert|transform|put|colou?r|recolou?r|replace|label|tag"
    r"|write|stick|cover|hide|keep|apply|give)"
)

RULES: tuple[Rule, ...] = (
    # A bare effect, for something that was pointed at or found before.
    rule(rf"{_VERB}", effects.verb),
    rule(rf"(?:{_INTO}\s+)?(?P<look>{LOOK})", effects.look),
    # A verb.
    rule(rf"{_VERB}\s+{_WHAT}", effects.verb),
    rule(
        rf"(?P<verb>blur|wipe|light|brighten|grey|gray|edit|take|rub)\s+{_WHAT}\s+(?P<particle>out|up|away)",
        effects.split_verb,
    ),
    rule(r"cut\s+(?P<what>.+?)\s+out", "cutout"),
    rule(
        rf"(?:cut\s*-?out|extract|isolate|export|save)\s+{_WHAT}\s+(?:with|as|on|before)\s+(?:an?\s+)?"
        r"(?:transparent\s+(?:background|png|webm|picture|image|video|gif)|(?:png|webm)\s+with\s+(?:alpha|transparency)|alpha"
        r"|transparency)(?:\s+channel)?",
        "cutout",
    ),
    rule(rf"(?:(?:keep|leave|show)\s+(?:only|just)|(?:only|just)\s+(?:keep|leave|show))\s+{_WHAT}", effects.alone),
    rule(rf"(?:remove|erase|delete|get\s+rid\s+of)\s+{_BUT}\s+{_WHAT}", "cutout"),
    rule(
        rf"(?:take|drain|remove|strip|suck)\s+(?:the|all)\s+colou?rs?\s+(?:out\s+of|from|off|of)\s+{_WHAT}", "grayscale"
    ),
    # A look.
    rule(rf"{_TURN}\s+{_WHAT}\s+{_INTO}\s+{_LOOK}", effects.look),
    rule(rf"{_WISH}\s+{_WHAT}\s+(?:to\s+)?(?:be(?:come)?\s+)?(?P<look>{LOOK})", effects.look),
    rule(rf"(?:turn|paint|color|colour|dye|tint|render)\s+{_WHAT}\s+(?P<look>{LOOK})", effects.look),
    rule(
        rf"{_WISH}\s+{_WHAT}\s+(?:to\s+)?(?:look|appear|seem)\s+(?:like\s+|as\s+(?:if|though)\s+)?{_LOOK}", effects.look
    ),
    rule(rf"(?:apply|add|put|use)\s+{_LOOK}\s+(?:to|on|onto|over|for)\s+{_WHAT}", effects.look),
    rule(rf"give\s+{_WHAT}\s+{_LOOK}", effects.look),
    rule(rf"(?:cover|hide|censor|mask)\s+{_WHAT}\s+(?:with|by|under|behind)\s+{_LOOK}", effects.tone_look),
    # A colour.
    rule(
        rf"(?:re-?colou?r|re-?paint|dye|tint|fill)\s+{_WHAT}\s+(?:in\s+|to\s+|into\s+|with\s+)?{_COLOR}(?:\s+paint)?",
        effects.colored,
    ),
    rule(
        rf"(?:change|set|turn|make)\s+the\s+colou?r\s+of\s+{_WHAT}\s+(?:to\s+|into\s+)?(?:be\s+)?{_COLOR}",
        effects.colored,
    ),
    rule(rf"(?:change|set|turn|make)\s+{_WHAT}'s\s+colou?r\s+(?:to\s+|into\s+)?{_COLOR}", effects.colored),
    # Everything but the thing.
    rule(rf"{_VERB}\s+{_BUT}\s+{_WHAT}", effects.tone, True),
    rule(rf"{_VERB}\s+{_REST}", effects.tone, True),
    rule(rf"{_TURN}\s+{_BUT}\s+{_WHAT}\s+(?:{_INTO}\s+)?{_LOOK}", effects.tone_look, True),
    rule(rf"{_TURN}\s+{_REST}\s+(?:{_INTO}\s+)?{_LOOK}", effects.tone_look, True),
    rule(r"(?:keep|leave)\s+only\s+(?:the\s+colou?rs?\s+of\s+)(?P<what>.+?)", "grayscale", True),
    rule(r"(?:keep|leave)\s+only\s+(?P<what>.+?)\s+(?:in\s+colou?r|colou?red)", "grayscale", True),
    rule(rf"{_VERB}\s+{_BACKGROUND}", effects.tone, True),
    rule(
        rf"(?:{_TURN}|{_REPLACE})\s+{_BACKGROUND}\s+(?:{_INTO}\s+|by\s+|for\s+)?{_LOOK}{_ONE}",
        effects.tone_of_background,
        True,
    ),
    rule(rf"(?:give|put)\s+{_WHAT}\s+(?:{_BEFORE}\s+)?{_LOOK}\s+{_SCENERY}", effects.tone_of_background, True),
    rule(
        rf"(?:apply|add|use)\s+{_LOOK}\s+(?:to|on|onto|over|for|as|in)\s+{_BACKGROUND}",
        effects.tone_of_background,
        True,
    ),
    rule(rf"{_WISH}\s+{_BACKGROUND}\s+(?:to\s+)?(?:be\s+|look\s+)(?P<look>{LOOK})", effects.tone_of_background, True),
    # Another background.
    rule(
        rf"{_REPLACE}\s+{_BACKGROUND}\s+(?:with\s+|to\s+|by\s+|into\s+|for\s+)?{_BEHIND_COLOR}{_ONE}",
        effects.background,
    ),
    rule(
        rf"{_REPLACE}\s+{_BACKGROUND}\s+(?:with\s+|to\s+|by\s+|into\s+|for\s+)?(?:the\s+(?:picture|image|photo)\s+)?"
        rf"(?P<picture>{HELD})",
        effects.background,
    ),
    rule(
        rf"(?:change|set|make|turn)\s+(?:the\s+)?{_SCENERY}\s+colou?r(?:\s+(?:of|behind|for)\s+(?P<what>.+?))?\s+(?:to\s+)?"
        rf"{_BEHIND_COLOR}",
        effects.background,
    ),
    rule(
        rf"(?:put|place|show|set|give|move)\s+{_WHAT}\s+(?:{_BEFORE}\s+)?{_BEHIND_COLOR}\s+{_SCENERY}",
        effects.background,
    ),
    rule(rf"(?:put|place|show|set|move)\s+{_WHAT}\s+(?:{_BEFORE}|in(?:to)?)\s+(?P<picture>{HELD})", effects.background),
    rule(rf"(?:put|place|use|set)\s+(?P<picture>{HELD})\s+behind\s+{_WHAT}", effects.background),
    rule(rf"(?:put|place|add|use)\s+{_BEHIND_COLOR}(?:\s+{_SCENERY})?\s+behind\s+{_WHAT}", effects.background),
    rule(rf"add\s+{_BEHIND_COLOR}\s+{_SCENERY}\s+to\s+{_WHAT}", effects.background),
    rule(rf"use\s+(?P<picture>{HELD})\s+(?:as|for)\s+{_BACKGROUND}", effects.background),
    rule(rf"use\s+{_BEHIND_COLOR}\s+(?:as|for)\s+{_BACKGROUND}", effects.background),
    rule(rf"(?:use|set)\s+{_BEHIND_COLOR}\s+{_SCENERY}(?:\s+(?:for|behind)\s+(?P<what>.+?))?", effects.background),
    rule(rf"(?:remove|erase|delete|get\s+rid\s+of|cut\s+(?:out|away)|drop)\s+{_BACKGROUND}", "cutout"),
    rule(rf"(?:make|turn|set)\s+{_BACKGROUND}\s+(?:to\s+|into\s+)?(?:be\s+)?transparent", "cutout"),
    # Lines.
    rule(
        rf"(?:outline|trace|circle|encircle)\s+{_WHAT}\s+(?:in|with|by|using)\s+{_A}{STROKE}(?P<color>{COLOR})"
        rf"(?:\s+(?:{_LINE}|colou?r))?",
        effects.outline,
    ),
    rule(
        rf"(?:highlight|mark|show|emphasi[sz]e)\s+{_WHAT}\s+(?:with|by|using)\s+(?:a\s+|the\s+)?spot\s?light",
        "spotlight",
    ),
    rule(rf"(?:trace|circle|encircle)\s+{_WHAT}", effects.outline),
    rule(rf"{_PUT}\s+{_COLORED_LINE}\s+(?:around|on|to|along|over|round)\s+{_WHAT}", effects.outline),
    rule(
        rf"{_PUT}\s+{_A}{STROKE}{_LINE}\s+(?:around|on|to|along|round)\s+{_WHAT}\s+in\s+(?P<color>{COLOR})",
        effects.outline,
    ),
    rule(rf"give\s+{_WHAT}\s+{_COLORED_LINE}", effects.outline),
    rule(
        rf"(?:surround|mark|show|trace|circle|encircle|frame|highlight|outline|emphasi[sz]e)\s+{_WHAT}\s+(?:with|by|in|using)\s+"
        rf"{_COLORED_LINE}",
        effects.outline,
    ),
    rule(rf"{_WISH}\s+{_WHAT}\s+(?:to\s+be\s+|be\s+)?outlined(?:\s+(?:in|with)\s+{_COLOR})?", effects.outline),
    # Words that go along.
    rule(
        rf"(?:label|tag|caption|mark|annotate|name|title)\s+{_WHAT}\s*:?\s+(?:as\s+|with\s+|by\s+)?{_TEXT}",
        effects.label,
    ),
    rule(rf"(?:label|tag|caption|annotate|name)\s+{_WHAT}\s+as\s+{_PLAIN_TEXT}", effects.label),
    rule(
        rf"(?:label|tag|caption|mark|annotate|show)\s+{_WHAT}\s+(?:with|by|using)\s+{_A}{_LABEL}\s+(?:{_SAYING})?{_TEXT}",
        effects.label,
    ),
    rule(
        rf"(?:label|tag|caption|mark|annotate|show)\s+{_WHAT}\s+(?:with|by|using)\s+{_A}{_LABEL}\s+{_SAYING}{_PLAIN_TEXT}",
        effects.label,
    ),
    rule(rf"give\s+{_WHAT}\s+{_A}{_LABEL}\s+(?:{_SAYING})?{_TEXT}", effects.label),
    rule(rf"give\s+{_WHAT}\s+{_A}{_LABEL}\s+{_SAYING}{_PLAIN_TEXT}", effects.label),
    rule(
        rf"(?:write|print|show|display|{_PUT})\s+{_A}(?:{_LABEL}\s+)?(?:{_SAYING})?{_TEXT}\s+{_PLACE}\s+{_WHAT}",
        effects.label,
    ),
    rule(rf"(?:show|display|{_PUT})\s+{_A}{_LABEL}\s+{_SAYING}{_PLAIN_TEXT}\s+{_PLACE}\s+{_WHAT}", effects.label),
    rule(rf"(?:write|print)\s+{_PLAIN_TEXT}\s+(?:on|above|over|next\s+to|beside|below|under)\s+{_WHAT}", effects.label),
    rule(rf"(?:make|let|have)\s+{_A}(?:{_LABEL}\s+)?(?:{_SAYING})?{_TEXT}\s+(?:{_FOLLOW})\s+{_WHAT}", effects.label),
    # A picture that goes along.
    rule(rf"{_PUT}\s+{_STICKER}\s+(?:on\s+top\s+of|on|over|onto|to|across)\s+{_WHAT}", effects.sticker),
    rule(
        rf"(?:cover|hide|replace|swap|overlay|substitute)\s+{_WHAT}\s+(?:with|by|behind|for|under)\s+{_STICKER}",
        effects.sticker,
    ),
    rule(rf"(?:turn|change|make|transform|convert)\s+{_WHAT}\s+(?:in)?to\s+{_STICKER}", effects.sticker),
    rule(rf"use\s+{_STICKER}\s+to\s+(?:cover|hide|replace|mask)\s+{_WHAT}", effects.sticker),
    rule(rf"(?:make|let|have)\s+{_STICKER}\s+(?:{_FOLLOW}|cover|hide)\s+{_WHAT}", effects.sticker),
    rule(rf"(?:{_PUT}\s+|show\s+)?{_STICKER}\s+(?:(?:that|which)\s+)?(?:{_FOLLOW})\s+{_WHAT}", effects.sticker),
    rule(rf"{_STICKER}\s+(?:on|over)\s+{_WHAT}", effects.sticker),
    rule(rf"give\s+{_WHAT}\s+{_STICKER}", effects.sticker),
)
