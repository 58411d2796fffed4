"""Sentence forms of Chinese instructions."""

from __future__ import annotations

from word2mask.inference.editing import rule_effects as effects
from word2mask.inference.editing.rules import EMOJI, HELD, Rule, rule
from word2mask.inference.editing.words import NAMED_EMOJI, Z_COLOR, Z_LOOK, Z_STROKE, Z_VERBS

__all__ = ["LEADING_VERBS", "RULES"]

_VERB = rf"(?P<verb>{'|'.join(Z_VERBS)})"
_WHAT = r"(?P<what>.+?)"
_TAKE = "[把将让使]"
_TO = (
    "(?:变成|变为|变作|变得|变|改成|改为|换成|换为|转成|转为|转换成|转换为|做成|画成|绘成|涂成|染成|刷成|漆成|弄成|弄得|调成"
    "|设成|设为|设置成|设置为|处理成|渲染成|替换成|替换为|涂|染|刷|漆)"
)
_DONE = "(?:处理|掉|了)?"
_A = "(?:一?[个条圈张层幅道种顶副只])?"
_ON = "(?:上面|上方|上边|旁边|身上|头上|头顶|下面|下方|旁|上)"
#: Everything but the thing, in both word orders; a pattern has room for one at a time.
_BUTS = tuple(
    rf"{but}(?:所有|全部|一切|其他|其它|其余)?的?(?:一切|东西|部分|地方|区域|背景|内容|画面|人)?(?:都|全都|全部)?"
    for but in (rf"除了?{_WHAT}(?:以外|之外|外)的?", rf"(?![把将让使给对]?除){_WHAT}(?:以外|之外)的?")
)
_REST = "(?:其他|其它|其余|别的|剩下)的?(?:一切|东西|部分|地方|区域|内容|画面|人)?(?:都|全都|全部)?"
_BACKGROUND = r"(?:(?P<what>.+?)(?:的|后面的|身后的|周围的|背后的))?背景"
_BEHIND = rf"(?:纯)?(?:(?P<color>{Z_COLOR})的?(?:背景)?|(?:图片|照片)?(?P<picture>{HELD}))"
_INSTEAD = "(?:替换|代替|取代|换掉|作为|当作|当成|当|做|作)"
_STICKER = rf"(?P<sticker>{EMOJI}|{HELD}|{NAMED_EMOJI})(?:的?(?:表情|贴纸|图片|图案))?"
_COVER = "(?:遮住|盖住|挡住|代替|替换|覆盖|遮挡|遮盖|取代)"
#: For a sticker, the head is a thing: 狗的头上 is on its head.
_OVER = "(?:上面|上方|上边|身上|上)"
_LINE = "(?:描边|轮廓线?|边框|边缘线?|外框|线条|边|线)"
_COLORED = rf"(?:(?P<stroke_before>[粗细])的?)?(?:(?P<color>{Z_COLOR})的?)?{Z_STROKE}"
_TRACE = "(?:描边|勾边|勾勒(?:出来)?|描出来|圈出来|圈起来|勾出来|框出来|框起来|描一圈)"
_TAG = "(?:标签|文字|字样|字|标注|名字|标题)"
_TAGGED = rf"(?:(?:(?P<color>{Z_COLOR})的?)?{_TAG})?"
_TEXT = rf"(?:写着|写有|内容为|内容是|叫)?(?P<text>{HELD})(?:的?{_TAG})?"
_MARK = "(?:标注|标记|标出|标明|标示|注明|标)"
_FOLLOW = "(?:一直|始终)?(?:跟着|跟随|跟踪|追踪|随着|紧跟)"
_ALONG = "(?:上|身上)?(?:一起)?(?:移动|运动|走动|走|动|跑)?"

#: With what an instruction begins; behind a comma it begins another one.
LEADING_VERBS = rf"(?:[把将给对让]|{'|'.join(Z_VERBS)})"

RULES: tuple[Rule, ...] = (
    # A bare effect, for something that was pointed at or found before.
    rule(_VERB, effects.verb),
    rule(rf"(?:{_TO})?(?P<look>{Z_LOOK})", effects.look),
    # A verb.
    rule(rf"(?:[把将让使给]|对){_WHAT}(?:进行|做)?{_VERB}{_DONE}", effects.verb),
    rule(rf"{_VERB}{_DONE}{_WHAT}", effects.verb),
    rule(rf"只(?:保留|留下?|显示|要){_WHAT}", effects.alone),
    *(rule(rf"(?:去掉|去除|删除|移除|删掉){but}", "cutout") for but in _BUTS),
    *(rule(rf"[把将]{but}(?:去掉|去除|删除|移除|删掉)", "cutout") for but in _BUTS),
    rule(rf"用?聚光灯(?:打|照)[在到向]?{_WHAT}(?:身上|上)?", "spotlight"),
    # A look.
    rule(rf"{_TAKE}?{_WHAT}{_TO}{_A}(?P<look>{Z_LOOK})", effects.look),
    rule(rf"[给对在]{_WHAT}{_ON}?(?:加上?|应用|添加|套上?|使用|用上?|做){_A}(?P<look>{Z_LOOK})(?:滤镜)?", effects.look),
    rule(
        rf"[让使]{_WHAT}(?:看起来|看上去|显得|呈现出?)(?:像是?|是|变得)?{_A}(?P<look>{Z_LOOK})(?:一样|似的)?",
        effects.look,
    ),
    rule(rf"用{_A}(?P<look>{Z_LOOK})来?(?:画|绘制|渲染|表现|显示|处理|呈现){_WHAT}", effects.look),
    rule(rf"用{_A}(?P<look>{Z_LOOK})(?:滤镜)?(?:来|把|将)?{_COVER}{_DONE}{_WHAT}", effects.tone_look),
    rule(rf"用{_A}(?P<look>{Z_LOOK})(?:滤镜)?[把将]{_WHAT}{_COVER}", effects.tone_look),
    # A colour.
    rule(rf"{_TAKE}?{_WHAT}的?颜色{_TO}(?P<color>{Z_COLOR})的?", effects.colored),
    rule(rf"给{_WHAT}(?:涂上?|染上?|刷上?|上|换)成?(?P<color>{Z_COLOR})", effects.colored),
    rule(rf"用(?P<color>{Z_COLOR})来?(?:涂|染|刷){_WHAT}", effects.colored),
    rule(rf"用(?P<color>{Z_COLOR})[给把将]{_WHAT}(?:涂色|上色|染色)", effects.colored),
    # Everything but the thing.
    *(rule(rf"[把将让使给对]?{but}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True) for but in _BUTS),
    *(rule(rf"{_VERB}{but}", effects.tone, True) for but in _BUTS),
    *(rule(rf"{_TAKE}?{but}{_TO}(?P<look>{Z_LOOK})", effects.tone_look, True) for but in _BUTS),
    rule(rf"[把将让使给对]?{_REST}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True),
    rule(rf"{_VERB}{_REST}", effects.tone, True),
    rule(rf"{_TAKE}?{_REST}{_TO}(?P<look>{Z_LOOK})", effects.tone_look, True),
    rule(rf"只(?:保留|留下?){_WHAT}的?(?:颜色|色彩|彩色)", "grayscale", True),
    rule(
        rf"只有{_WHAT}(?:是|保持|保留)?(?:彩色|有颜色|颜色)的?,?(?:{_REST}|背景)(?:都|全|{_TO}|是|为)*(?:黑白|灰色|灰度)的?",
        "grayscale",
        True,
    ),
    rule(rf"(?:保留|留下){_WHAT},?[把将]?{_REST}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True),
    rule(rf"(?:保留|留下){_WHAT},?{_VERB}{_REST}", effects.tone, True),
    rule(rf"[把将让使给对]?{_BACKGROUND}(?:进行|做)?{_VERB}{_DONE}", effects.tone, True),
    rule(rf"{_VERB}{_BACKGROUND}", effects.tone, True),
    rule(rf"{_TAKE}?{_BACKGROUND}{_TO}{_A}(?P<look>{Z_LOOK})(?:背景)?", effects.tone_of_background, True),
    rule(rf"[给对]{_BACKGROUND}(?:加上?|应用|添加|做){_A}(?P<look>{Z_LOOK})", effects.tone_of_background, True),
    rule(rf"用{_A}(?P<look>{Z_LOOK})(?:背景)?(?:来)?{_INSTEAD}{_BACKGROUND}", effects.tone_of_background, True),
    rule(rf"给{_WHAT}(?:换|加|用)[上成]?{_A}(?P<look>{Z_LOOK})背景", effects.tone_of_background, True),
    # Another background.
    rule(rf"{_TAKE}?{_BACKGROUND}(?:的?颜色)?{_TO}{_A}{_BEHIND}", effects.background),
    rule(rf"给{_WHAT}(?:换|加|用)[上成]?{_A}纯?(?P<color>{Z_COLOR})的?背景", effects.background),
    rule(rf"给{_WHAT}(?:换|加|用)[上成]?{_A}(?P<picture>{HELD})(?:的|作为|做|当)?背景", effects.background),
    rule(rf"用{_A}{_BEHIND}(?:来)?{_INSTEAD}{_BACKGROUND}", effects.background),
    rule(rf"[把将]{_BEHIND}(?:作为|当作|当成|设为|设成){_BACKGROUND}", effects.background),
    rule(rf"[把将]{_WHAT}放(?:在|到)(?P<picture>{HELD})(?:前面?|上面?|里面?|中)?", effects.background),
    rule(rf"[把将]{_WHAT}放(?:在|到)纯?(?P<color>{Z_COLOR})的?背景(?:前面?|上面?|里面?|中)?", effects.background),
    rule(rf"(?:去掉|去除|删除|移除|抠掉|去){_BACKGROUND}", "cutout"),
    rule(rf"{_TAKE}?{_BACKGROUND}(?:去掉|去除|删除|移除|抠掉|变透明|变成透明|变为透明|设为透明)", "cutout"),
    # Lines.
    rule(rf"[给为]{_WHAT}(?:加上?|画上?|描上?|添加|套上?){_A}{_COLORED}{_LINE}", effects.outline),
    rule(
        rf"在{_WHAT}(?:的?(?:周围|四周|外面|边缘|边上|外围)){_ON}?(?:加上?|画上?|描上?|添加){_A}{_COLORED}{_LINE}",
        effects.outline,
    ),
    rule(rf"[把将]{_WHAT}(?:描上?|加上?|画上?){_A}{_COLORED}{_LINE}", effects.outline),
    rule(rf"{_TAKE}{_WHAT}(?:圈出来|圈起来|描出来|勾出来|框出来|框起来|描一圈)", effects.outline),
    rule(rf"(?:圈出|圈住|描出|勾出|勾勒出){_WHAT}(?:的?轮廓线?)?", effects.outline),
    rule(rf"用{_COLORED}{_LINE}?(?:给|把|将|为){_WHAT}{_TRACE}", effects.outline),
    rule(rf"{_TAKE}{_WHAT}用{_COLORED}{_LINE}?{_TRACE}", effects.outline),
    rule(
        rf"用{_COLORED}{_LINE}?(?:来)?(?:描边|勾边|勾勒出?|勾出|描出|圈出|圈住|框出){_WHAT}(?:的?轮廓线?)?",
        effects.outline,
    ),
    rule(rf"{_TAKE}?{_WHAT}(?:描边|勾边)(?:成|为)(?P<color>{Z_COLOR})的?", effects.outline),
    rule(rf"{_TAKE}{_WHAT}的?(?:边缘|轮廓线?|外框|边框){_TO}(?P<color>{Z_COLOR})的?", effects.outline),
    # Words that go along.
    rule(
        rf"[给为]{_WHAT}(?:的?{_ON})?(?:加上?|贴上?|打上?|添加|标上?|写上?|标注上?|挂上?|标记){_A}{_TAGGED}{_TEXT}",
        effects.label,
    ),
    rule(
        rf"在{_WHAT}(?:的?{_ON})?(?:加上?|贴上?|打上?|添加|标上?|写上?|标注上?|显示出?|标记){_A}{_TAGGED}{_TEXT}",
        effects.label,
    ),
    rule(rf"用{_A}{_TAGGED}{_TEXT}来?{_MARK}出?{_WHAT}", effects.label),
    rule(rf"用{_A}{_TAGGED}{_TEXT}[给把将为对]{_WHAT}(?:{_MARK}|打标签|加标签|做标记)(?:出来)?", effects.label),
    rule(rf"{_TAKE}{_WHAT}用{_A}{_TAGGED}{_TEXT}{_MARK}(?:出来)?", effects.label),
    rule(rf"{_TAKE}?{_WHAT}(?:{_MARK}|命名)(?:为|成|上|作){_A}{_TAGGED}(?P<text>{HELD})", effects.label),
    rule(rf"{_TAKE}{_WHAT}(?:标注|标记|标|命名)(?:为|成|作)(?P<text>[^\ue000-\uf8ff]+)", effects.label),
    rule(rf"(?:标注|标记){_WHAT}(?:为|成|作){_A}{_TAGGED}(?P<text>{HELD})", effects.label),
    rule(rf"[让使]{_A}{_TAGGED}{_TEXT}{_FOLLOW}{_WHAT}{_ALONG}", effects.label),
    # A picture that goes along.
    rule(rf"[给在]{_WHAT}(?:的?{_OVER})?(?:贴上?|放上?|加上?|盖上?|添加|戴上?|画上?){_A}{_STICKER}", effects.sticker),
    rule(rf"[把将]{_A}{_STICKER}(?:贴|放|盖|加|叠|画)(?:在|到){_WHAT}(?:的?{_OVER})?", effects.sticker),
    rule(rf"[让使]{_A}{_STICKER}(?:{_FOLLOW}|贴在|盖住|遮住|粘在){_WHAT}{_ALONG}", effects.sticker),
    rule(rf"{_STICKER}{_FOLLOW}{_WHAT}{_ALONG}", effects.sticker),
    rule(rf"用{_A}{_STICKER}来?{_COVER}{_DONE}{_WHAT}", effects.sticker),
    rule(rf"用{_A}{_STICKER}[把将]{_WHAT}{_COVER}{_DONE}", effects.sticker),
    rule(rf"{_TAKE}{_WHAT}(?:换成|替换成|替换为|变成|变为|改成){_A}{_STICKER}", effects.sticker),
)
