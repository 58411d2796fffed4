"""Sentence forms of Chinese instructions."""

from __future__ import annotations

from word2mask.inference.editing import rule_effects as effects
from word2mask.inference.editing.rules import EMOJI, HELD, Rule, rule
from word2mask.inference.editing.words import Z_COLOR, Z_LOOK, Z_VERBS

__all__ = ["RULES"]

_VERB = rf"(?P<verb>{'|'.join(Z_VERBS)})"
_WHAT = r"(?P<what>.+?)"
_TAKE = "[把将让使]"
_TO = (
    "(?:变成|变为|变得|变|改成|改为|换成|换为|转成|转为|转换成|转换为|做成|画成"
    "|涂成|染成|弄成|调成|处理成|渲染成|替换成|替换为)"
)
_DONE = "(?:处理|掉)?"
#: Everything but the thing, in both word orders; a pattern has room for one at a time.
_BUTS = tuple(
    rf"{but}(?:所有|全部|一切)?的?(?:一切|东西|部分|地方|区域|背景|内容|画面)?(?:都|全都)?"
    for but in (rf"除了?{_WHAT}(?:以外|之外|外)的?", rf"(?![把将让使给对]?除){_WHAT}(?:以外|之外)的?")
)
_BACKGROUND = r"(?:(?P<what>.+?)(?:的|后面的|身后的|周围的|背后的))?背景"
_BEHIND = rf"(?:(?P<color>{Z_COLOR})(?:的?背景)?|(?P<picture>{HELD}))"
_A = "(?:一?[个条圈张])?"
_STICKER = rf"(?P<sticker>{EMOJI}|{HELD})(?:表情|贴纸|图片)?"
_LINE = "(?:描边|轮廓线?|边框|边|线)"

RULES: tuple[Rule, ...] = (
    # A bare effect, for something that was pointed at or found before.
    rule(_VERB, effects.verb),
    rule(rf"(?:{_TO})?(?P<look>{Z_LOOK})", effects.look),
    rule(rf"(?:[把将让使给]|对){_WHAT}(?:进行|做)?{_VERB}{_DONE}", effects.verb),
    rule(rf"{_VERB}{_DONE}{_WHAT}", effects.verb),
    rule(rf"{_TAKE}?{_WHAT}{_TO}(?P<look>{Z_LOOK})", effects.look),
    # Everything but the thing.
    *(rule(rf"[把将让使给对]?{but}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True) for but in _BUTS),
    *(rule(rf"{_VERB}{but}", effects.tone, True) for but in _BUTS),
    *(rule(rf"{_TAKE}?{but}{_TO}(?P<look>{Z_LOOK})", effects.tone_look, True) for but in _BUTS),
    rule(rf"只保留{_WHAT}的?(?:颜色|色彩|彩色)", "grayscale", True),
    rule(rf"[把将让使给对]?{_BACKGROUND}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True),
    rule(rf"{_VERB}{_BACKGROUND}", effects.tone, True),
    rule(rf"{_TAKE}?{_BACKGROUND}{_TO}(?P<look>{Z_LOOK})", effects.tone_of_background, True),
    # Another background.
    rule(rf"{_TAKE}?{_BACKGROUND}{_TO}{_A}{_BEHIND}", effects.background),
    rule(rf"给{_WHAT}换[上成]?{_A}(?P<color>{Z_COLOR})(?P<picture>的?背景)", effects.background),
    rule(rf"给{_WHAT}换[上成]?{_A}(?P<color>)(?P<picture>{HELD})(?:的|作为|做|当)?背景", effects.background),
    rule(rf"(?:去掉|去除|删除|移除|去){_BACKGROUND}", "cutout"),
    rule(rf"{_TAKE}{_BACKGROUND}(?:去掉|去除|删除|移除)", "cutout"),
    # Lines and marks.
    rule(rf"给{_WHAT}(?:加上?|画上?|描){_A}(?P<color>{Z_COLOR})的?{_LINE}", effects.outline),
    rule(rf"用(?P<color>{Z_COLOR})的?线?(?:给|把|为){_WHAT}(?:描边|勾边|勾勒出来|描出来|圈出来)", effects.outline),
    rule(rf"{_TAKE}{_WHAT}用(?P<color>{Z_COLOR})的?线?(?:描边|勾边|勾勒出来|描出来|圈出来)", effects.outline),
    rule(rf"[给在]{_WHAT}(?:上面|上方|旁边|旁|上)?(?:写上?|标上?){_A}(?:标签|文字|字)?(?P<text>{HELD})", effects.label),
    rule(rf"[给在]{_WHAT}(?:上面|上方|旁边|旁|上)?(?:加上?|贴上?){_A}(?:标签|文字|字)(?P<text>{HELD})", effects.label),
    rule(rf"{_TAKE}{_WHAT}(?:标注|标记|标)(?:为|成){_A}(?P<text>{HELD})", effects.label),
    rule(rf"[给在]{_WHAT}(?:上面|上方|身上|上)?(?:贴上?|放上?|加上?|盖上?){_A}{_STICKER}", effects.sticker),
    rule(rf"用{_A}{_STICKER}(?:遮住|盖住|挡住|代替|替换){_DONE}{_WHAT}", effects.sticker),
    rule(rf"用{_A}{_STICKER}[把将]{_WHAT}(?:遮住|盖住|挡住|代替|替换){_DONE}", effects.sticker),
    rule(rf"{_TAKE}{_WHAT}(?:换成|替换成|替换为){_A}{_STICKER}", effects.sticker),
)
