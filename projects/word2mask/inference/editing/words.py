"""The words for effects and colours, English and Chinese."""

from __future__ import annotations

import re

from PIL import ImageColor

from word2mask.inference.editing.instruction import Effect

__all__ = [
    *("COLOR", "EMOJI_NAMES", "LOOK", "NAMED_EMOJI", "STROKE", "UNCLEAR", "VERBS", "Z_COLOR", "Z_LOOK", "Z_STROKE"),
    *("Z_VERBS", "color_of", "look_of", "may_wear", "named_emoji", "stroke_of", "verb_of"),
]

_TONES = "light|dark|deep|medium|pale|hot|sky|navy|forest|lime|royal|steel|sea|olive|dim|midnight|indian|rosy|sandy"
_NAMES = "|".join(sorted(ImageColor.colormap, key=len, reverse=True))
#: Words before a colour that leave it as it is.
_VIVID = r"(?:bright|vivid|pure|solid|deep|plain|nice|strong|rich)"
#: Names of colours that CSS lacks: RGB.
_MORE_COLORS = {
    "burgundy": (128, 0, 32),
    "mint": (152, 255, 152),
    "mint green": (152, 255, 152),
    "navy blue": (0, 0, 128),
    "baby blue": (137, 207, 240),
    "cream": (255, 253, 208),
    "mustard": (225, 173, 1),
    "peach": (255, 218, 185),
    "rose": (255, 0, 127),
    "amber": (255, 191, 0),
}
_MORE_NAMES = "|".join(sorted(_MORE_COLORS, key=len, reverse=True))
_RGB = r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)"
#: A colour in English: a name of CSS, with or without a space inside ("light blue"), #rrggbb or rgb(…).
COLOR = (
    rf"(?:#[0-9a-f]{{6}}\b|#[0-9a-f]{{3}}\b|{_RGB}"
    rf"|(?:{_VIVID}\s+)?(?:{_MORE_NAMES}|(?:(?:{_TONES})\s?)?(?:{_NAMES}))\b)"
)

_Z_COLORS = {
    "红": (220, 20, 30),
    "橙": (255, 140, 0),
    "橘": (255, 140, 0),
    "黄": (250, 210, 0),
    "绿": (20, 150, 50),
    "青": (0, 170, 170),
    "蓝": (20, 70, 220),
    "紫": (130, 40, 170),
    "粉": (255, 150, 180),
    "粉红": (255, 150, 180),
    "紫罗兰": (140, 90, 200),
    "荧光绿": (57, 255, 20),
    "玫红": (220, 30, 110),
    "酒红": (115, 20, 45),
    "棕": (130, 75, 35),
    "褐": (130, 75, 35),
    "咖啡": (110, 70, 45),
    "米": (240, 230, 205),
    "金": (255, 200, 40),
    "金黄": (255, 190, 0),
    "银": (192, 192, 192),
    "灰": (128, 128, 128),
    "黑": (0, 0, 0),
    "白": (255, 255, 255),
    "天蓝": (90, 180, 240),
    "墨绿": (20, 70, 50),
    "草绿": (110, 170, 50),
    "藏青": (25, 40, 90),
}
#: A colour in Chinese, with or without 色, or as in English.
Z_COLOR = (
    rf"(?:#[0-9a-f]{{6}}|#[0-9a-f]{{3}}|{_RGB}|"
    r"(?:鲜|亮|[深浅淡暗])?(?:" + "|".join(sorted(_Z_COLORS, key=len, reverse=True)) + rf")色?|(?:{_NAMES}))"
)

#: How something is to look: (English, Chinese, effect).
_LOOKS: list[tuple[str, str, str]] = [
    (
        r"(?:chinese\s+)?ink[- ]?(?:and[- ])?(?:wash|painting|brush|water)|(?:chinese\s+)?ink|sumi-?e|shui-?mo"
        r"|chinese\s+painting",
        r"水墨|国画|中国画",
        "ink_wash",
    ),
    (r"blur(?:red|ry)?|out of focus|unsharp", r"模糊|虚化|虚", "blur"),
    (r"pixel(?:ated|ized|led|s|\s?art)?|mosaic", r"马赛克|像素|像素化", "pixelate"),
    (r"gr[ae]y-?\s?scale|black[- ]and[- ]white|b&w|monochrome|colou?rless", r"黑白|灰度|单色", "grayscale"),
    (r"brighter|lighter|bright", r"更?亮|明亮|亮一点|亮一些", "brighten"),
    (r"darker|dark|dimmer|dim", r"更?暗|昏暗|暗一点|暗一些", "darken"),
    (r"transparent background", r"透明背景", "cutout"),
    (
        r"invisible|transparent|disappear|vanish|go\s+away|gone|removed|erased|deleted",
        r"透明|隐形|消失|不见|看不见",
        "remove",
    ),
]
_STYLE = (
    r"(?:\s*(?:style|painting|drawing|effect|look|picture|squares?|filter|version|treatment|mosaic|appearance|tones?))*"
)
_OF_COLOR = r"(?:\s+(?:in\s+)?(?:colou?r|tint|shade|tone|paint))?"
_Z_STYLE = r"(?:的|画风|风格|画|风|样式|效果|样子|颜色|滤镜|处理|感)*"
_ENGLISH_LOOKS = "|".join(english for english, _, _ in _LOOKS)
_CHINESE_LOOKS = "|".join(chinese for _, chinese, _ in _LOOKS)
#: A look or colour.
LOOK = rf"(?:(?:an?\s+|the\s+)?(?:(?:{_ENGLISH_LOOKS}){_STYLE}|{COLOR}{_OF_COLOR}))"
Z_LOOK = rf"(?:(?:{_CHINESE_LOOKS}|{Z_COLOR}){_Z_STYLE})"

#: What is done to something: pattern of the verb → effect.
VERBS = {
    r"blur(?:\s+out)?|defocus": "blur",
    r"pixel(?:ate|ize|ise)|mosaic": "pixelate",
    r"grayscale|greyscale|desaturate|decolou?ri[sz]e|gr[ae]y\s+out": "grayscale",
    r"brighten(?:\s+up)?|lighten|light\s+up": "brighten",
    r"darken|dim": "darken",
    r"spotlight(?:\s+on)?"
    r"|(?:put|shine|throw|cast|point|aim)\s+(?:a|the)\s+(?:spot\s?)?light\s+(?:on(?:to)?|at)": "spotlight",
    r"remove|erase|delete|get\s+rid\s+of|wipe\s+out|inpaint|(?:take|edit|rub|paint)\s+out|take\s+away": "remove",
    r"cut\s*-?out|extract|isolate": "cutout",
    r"ink[- ]?wash": "ink_wash",
    r"outline|(?:draw|show|trace)\s+(?:the|an?)\s+(?:outline|contours?|border|edges?)\s+of": "outline",
}
Z_VERBS = {
    r"模糊化?|虚化": "blur",
    r"打上?(?:码|马赛克)|加上?马赛克|马赛克(?:化|处理)?|像素化": "pixelate",
    r"变?成?黑白化?|去色|灰度化": "grayscale",
    r"[变调提加]亮|增亮": "brighten",
    r"[变调压加]暗": "darken",
    r"打上?(?:聚光灯|追光)|加上?(?:聚光灯|追光)|聚光(?!灯)": "spotlight",
    r"去掉|去除|删除|删掉|删了|移除|移掉|移走|抹掉|抹去|擦除|擦掉|擦去|消除|清除|消失|抠掉"
    r"|拿走|拿掉|p掉|弄没|弄掉|弄走": "remove",
    r"[抠扣](?:出来?|图|下来)|提取出来|提取": "cutout",
    r"水墨化": "ink_wash",
    r"描边|勾边|勾勒(?:出来)?|加上?(?:描边|轮廓线?)": "outline",
}
#: How wide a line is, as it is said: share of :data:`Effect.strength`.
THICK, THIN = r"(?:thick|bold|wide|heavy|fat)", r"(?:thin|fine|narrow|slim)"
#: Words before a line that say how wide it is, or nothing.
STROKE = rf"(?:(?P<stroke>{THICK}|{THIN})\s+|(?:bright|solid|clear)\s+)?"
Z_STROKE = "(?P<stroke>[粗细])?"


def stroke_of(words: str | None) -> float | None:
    """The strength of a line that is said to be thick or thin."""
    if not words:
        return None
    return 0.9 if re.fullmatch(rf"{THICK}|粗", words, re.IGNORECASE) else 0.25


#: Emoji by name, English and Chinese.
EMOJI_NAMES = {
    r"smiley(?:\s+face)?|smiling\s+face|happy\s+face|笑脸": "😀",
    r"heart|爱心|红心": "❤",
    r"star|星星": "⭐",
    r"thumbs[- ]?up|大拇指|点赞": "👍",
    r"sunglasses|墨镜": "😎",
    r"laughing(?:\s+face)?|大笑": "😂",
    r"crying(?:\s+face)?|哭脸": "😢",
    r"angry(?:\s+face)?|生气": "😠",
    r"fire|flame|火焰": "🔥",
    r"skull|骷髅": "💀",
    r"crown|皇冠": "👑",
    r"cat(?:\s+face)?|猫脸": "🐱",
    r"dog(?:\s+face)?|狗头": "🐶",
}
#: An emoji that is named: a star is a thing too, and an emoji where it is called so.
NAMED_EMOJI = (
    r"(?:(?:smiley(?:\s+face)?|(?:smiling|happy)\s+face)|"
    rf"(?:{'|'.join(EMOJI_NAMES)})(?:\s+(?:emoji|sticker)|的?(?:表情|贴纸|图案))|笑脸|爱心|红心|大拇指)"
)
#: Words that could mean several effects, and which.
UNCLEAR = {
    r"highlight|emphasi[sz]e|突出|高亮|强调|让.+成为焦点": ("spotlight", "brighten", "outline"),
    r"hide|censor|cover\s+up|anonymi[sz]e|隐藏|遮住|遮挡|匿名": ("remove", "blur", "pixelate", "sticker"),
    r"(?:add|put|draw|give)\s.*\bglow\b|发光": ("spotlight", "brighten", "outline"),
}


def color_of(words: str) -> tuple[int, int, int] | None:
    """RGB of a colour in words, or ``None``.

    >>> color_of("light blue"), color_of("#f00"), color_of("深红色")
    ((173, 216, 230), (255, 0, 0), (132, 12, 18))
    """
    words = words.strip().lower()
    if words.startswith("rgb"):
        red, green, blue = map(int, re.findall(r"\d+", words))
        return (red, green, blue) if max(red, green, blue) < 256 else None
    shade = re.fullmatch(r"([深浅淡暗]?)[鲜亮]?(.+?)色?", words)
    if shade is not None and shade[2] in _Z_COLORS:
        red, green, blue = _Z_COLORS[shade[2]]
        if shade[1] in ("深", "暗") and shade[1]:
            return int(red * 0.6), int(green * 0.6), int(blue * 0.6)
        if shade[1]:
            return (red + 255) // 2, (green + 255) // 2, (blue + 255) // 2
        return red, green, blue
    for said in (words, re.sub(rf"^{_VIVID}\s+", "", words)):
        name = said.replace(" ", "")
        if name.startswith("#") or name in ImageColor.colormap:
            red, green, blue = ImageColor.getrgb(name)[:3]
            return red, green, blue
        if said in _MORE_COLORS:
            return _MORE_COLORS[said]
    # Those shades of a colour that CSS has no name for, as in Chinese.
    tone, _, base = words.partition(" ")
    if tone in ("light", "pale", "dark", "deep", "dim") and (base in _MORE_COLORS or base in ImageColor.colormap):
        red, green, blue = _MORE_COLORS.get(base) or ImageColor.getrgb(base)[:3]
        if tone in ("light", "pale"):
            return (red + 255) // 2, (green + 255) // 2, (blue + 255) // 2
        return int(red * 0.6), int(green * 0.6), int(blue * 0.6)
    return None


def look_of(words: str) -> Effect | None:
    """The effect of a look in words ("ink-wash style", "red", 水墨风格), or ``None``."""
    words = re.sub(r"^(?:an?|the)\s+", "", words.strip(), flags=re.IGNORECASE)
    for english, chinese, name in _LOOKS:
        if re.fullmatch(rf"(?:{english}){_STYLE}|(?:{chinese}){_Z_STYLE}", words, re.IGNORECASE):
            return Effect(name)
    color = color_of(re.sub(_OF_COLOR + "$", "", words)) or color_of(re.sub(_Z_STYLE + "$", "", words))
    return None if color is None else Effect("recolor", color=color)


def named_emoji(words: str) -> str | None:
    """The emoji of a name ("heart emoji", 笑脸), or ``None``."""
    bare = re.sub(r"\s+(?:emoji|sticker)$|的?(?:表情|贴纸|图案)$", "", words.strip())
    for names, emoji in EMOJI_NAMES.items():
        if re.fullmatch(names, bare, re.IGNORECASE):
            return emoji
    return None


#: Who wears clothes: in "the woman in red" the colour is hers, in "outline the star in green" it is the line's.
_PEOPLE = frozenset(
    "man men woman women girl girls boy boys person persons people lady ladies guy guys kid kids child children baby "
    "human someone somebody everyone one ones he she they him her them team crowd couple bride groom gentleman student "
    "clown nurse judge chef athlete dude fellow friend mother father mom dad sister brother aunt uncle king "
    "queen".split()
)
_PERSON_ENDING = re.compile(r".{2,}(?:er|or|ist|man|men|ess|ian|ant|ent|ee)s?")
#: Things that end so.
_NOBODY = frozenset(
    "scooter helicopter container monitor tractor roller trailer speaker poster letter number flower water paper "
    "corner tower river finger shoulder sweater tiger spider burger printer hammer ladder computer motor door floor "
    "mirror elevator razor anchor tree coffee feather leather butter lobster rooster hamster otter beaver panther "
    "elephant plant ant restaurant tent bumper counter cooler drawer blender toaster freezer lighter locker marker "
    "ruler shower tanker timer cracker hydrant pendant croissant pier deer beer".split()
)
_HEAD_ENDS = re.compile(
    r"\s+(?:on|in|at|of|with|near|by|behind|beside|next|to|from|under|over|above|below|between|who|that|which|wearing"
    r"|holding|standing|sitting|walking|running)\s.*"
)


def may_wear(thing: str) -> bool:
    """Whether a colour behind ``thing`` could be that of somebody's clothes; in doubt it could.

    >>> may_wear("the woman on the left"), may_wear("the larger star"), may_wear("the dancer")
    (True, False, True)
    """
    words = _HEAD_ENDS.sub("", thing.strip().lower()).split()
    if not words or words[-1].removesuffix("s") in _NOBODY:
        return False
    return words[-1] in _PEOPLE or _PERSON_ENDING.fullmatch(words[-1]) is not None


def verb_of(words: str) -> str | None:
    """The effect of a verb, or ``None``."""
    for pattern, name in (VERBS | Z_VERBS).items():
        if re.fullmatch(pattern, words.strip(), re.IGNORECASE):
            return name
    return None
