"""Instructions in words: what, when and how, in English and Chinese; and what is refused, in which words."""

import pytest

from word2mask.errors import UserError
from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.editing.readings import read_instruction

RED, BLUE, GREEN, WHITE = (255, 0, 0), (0, 0, 255), (0, 128, 0), (255, 255, 255)
Z_RED, Z_BLUE = (220, 20, 30), (20, 70, 220)

#: text → (effect, what); a leading ! is everything but the thing.
UNDERSTOOD = [
    ("turn the woman in red into ink-wash style", Effect("ink_wash"), "the woman in red"),
    ("Please turn the dog into an ink painting.", Effect("ink_wash"), "the dog"),
    ("paint the house in Chinese ink style", Effect("ink_wash"), "the house"),
    ("make the car blurry", Effect("blur"), "the car"),
    ("blur the face of the man", Effect("blur"), "the face of the man"),
    ("Could you pixelate the license plate?", Effect("pixelate"), "the license plate"),
    ("blur the dog in the video", Effect("blur"), "the dog"),
    ("make the car black and white", Effect("grayscale"), "the car"),
    ("change the car to red", Effect("recolor", color=RED), "the car"),
    ("paint the man in red blue", Effect("recolor", color=BLUE), "the man in red"),
    ("paint the car light blue", Effect("recolor", color=(173, 216, 230)), "the car"),
    ("recolor the ball to #00ff80", Effect("recolor", color=(0, 255, 128)), "the ball"),
    ("brighten the dog by 30%", Effect("brighten", strength=0.3), "the dog"),
    ("make the dog much darker", Effect("darken", strength=0.9), "the dog"),
    ("slightly blur the dog", Effect("blur", strength=0.3), "the dog"),
    ("put a spotlight on the singer", Effect("spotlight"), "the singer"),
    ("spotlight the singer", Effect("spotlight"), "the singer"),
    ("outline the cat", Effect("outline"), "the cat"),
    ("outline the man with a white line", Effect("outline", color=WHITE), "the man"),
    ("draw a red outline around the woman in red", Effect("outline", color=RED), "the woman in red"),
    ("outline the woman in red in blue", Effect("outline", color=BLUE), "the woman in red"),
    ("remove the person on the left", Effect("remove"), "the person on the left"),
    ("get rid of the bird", Effect("remove"), "the bird"),
    ("remove the second half of the pizza", Effect("remove"), "the second half of the pizza"),
    ("replace the background of the dog with beach.jpg", Effect("background", picture="beach.jpg"), "the dog"),
    ("replace the background with blue", Effect("background", color=BLUE), ""),
    ("change the dog's background to green", Effect("background", color=GREEN), "the dog"),
    ("put the dog in front of a red background", Effect("background", color=RED), "the dog"),
    ("put the dog on pictures/beach.png", Effect("background", picture="pictures/beach.png"), "the dog"),
    ("blur the background of the dog", Effect("blur"), "!the dog"),
    ("blur the background", Effect("blur"), "!"),
    ("turn the background of the dog black and white", Effect("grayscale"), "!the dog"),
    ("make the background behind the dog darker", Effect("darken"), "!the dog"),
    ("blur everything except the dog", Effect("blur"), "!the dog"),
    ("make everything but the car black and white", Effect("grayscale"), "!the car"),
    ("cut out the dog", Effect("cutout"), "the dog"),
    ("cut the dog out", Effect("cutout"), "the dog"),
    ("remove the background of the dog", Effect("cutout"), "the dog"),
    ('label the dog as "Rex"', Effect("label", text="Rex"), "the dog"),
    ('write "in second 3" above the cat', Effect("label", text="in second 3"), "the cat"),
    ("put 😀 on the man's face", Effect("sticker", text="😀"), "the man's face"),
    ("cover the face with a 😀", Effect("sticker", text="😀"), "the face"),
    ("replace the man with hat.png", Effect("sticker", picture="hat.png"), "the man"),
    ("blur", Effect("blur"), ""),
    ("ink wash", Effect("ink_wash"), ""),
    ("blur it", Effect("blur"), ""),
    ("请把穿红衣服的女人变成水墨风格", Effect("ink_wash"), "穿红衣服的女人"),
    ("把车变成水墨画风", Effect("ink_wash"), "车"),
    ("把车模糊", Effect("blur"), "车"),
    ("给车打马赛克", Effect("pixelate"), "车"),
    ("对脸进行模糊处理", Effect("blur"), "脸"),
    ("把狗变成黑白", Effect("grayscale"), "狗"),
    ("把车变红", Effect("recolor", color=Z_RED), "车"),
    ("把红色的车涂成蓝色", Effect("recolor", color=Z_BLUE), "红色的车"),
    ("把车变成深红色", Effect("recolor", color=(132, 12, 18)), "车"),
    ("模糊背景", Effect("blur"), "!"),
    ("把狗的背景虚化", Effect("blur"), "!狗"),
    ("把狗的背景换成蓝色", Effect("background", color=Z_BLUE), "狗"),
    ("把狗的背景换成beach.jpg", Effect("background", picture="beach.jpg"), "狗"),
    ("给狗换个蓝色的背景", Effect("background", color=Z_BLUE), "狗"),
    ("把除了狗以外的东西都变成黑白", Effect("grayscale"), "!狗"),
    ("把狗以外的地方模糊", Effect("blur"), "!狗"),
    ("只保留狗的颜色", Effect("grayscale"), "!狗"),
    ("把狗抠出来", Effect("cutout"), "狗"),
    ("去掉狗的背景", Effect("cutout"), "狗"),
    ("去掉左边的人", Effect("remove"), "左边的人"),
    ("让车消失", Effect("remove"), "车"),
    ("让车变亮", Effect("brighten"), "车"),
    ("把狗模糊百分之三十", Effect("blur", strength=0.3), "狗"),
    ("把狗调亮30%", Effect("brighten", strength=0.3), "狗"),
    ("稍微调亮狗", Effect("brighten", strength=0.3), "狗"),
    ("把狗调暗一点", Effect("darken", strength=0.3), "狗"),
    ("给狗描边", Effect("outline"), "狗"),
    ("给狗加红色描边", Effect("outline", color=Z_RED), "狗"),
    ("把狗用红色描边", Effect("outline", color=Z_RED), "狗"),
    ("给狗加上标签“小黑”", Effect("label", text="小黑"), "狗"),
    ("在狗上面写“小黑”", Effect("label", text="小黑"), "狗"),
    ("在人的脸上贴一个😀", Effect("sticker", text="😀"), "人的脸"),
    ("把脸换成😀", Effect("sticker", text="😀"), "脸"),
    ("给狗打聚光灯", Effect("spotlight"), "狗"),
    ("把它模糊", Effect("blur"), ""),
]

#: time in words → (unit, start, stop)
TIMES = [
    ("in second three", "seconds", 2, 3),
    ("in the third second", "seconds", 2, 3),
    ("from 2 s to 5 s", "seconds", 2, 5),
    ("from 2 to 5 seconds", "seconds", 2, 5),
    ("between 2 and 5 seconds", "seconds", 2, 5),
    ("2-5 s", "seconds", 2, 5),
    ("in seconds 2 to 5", "seconds", 1, 5),
    ("from second 2 to 4", "seconds", 1, 4),
    ("after second three", "seconds", 3, None),
    ("after 2.5 s", "seconds", 2.5, None),
    ("before 2 s", "seconds", 0, 2),
    ("until second 3", "seconds", 0, 3),
    ("from second two on", "seconds", 1, None),
    ("in the first 3 seconds", "seconds", 0, 3),
    ("in the last two seconds", "seconds", -2, None),
    ("at 0:03", "seconds", 3, 4),
    ("at 00:01:02.5", "seconds", 62.5, 62.6),
    ("from 0:03 to 0:05", "seconds", 3, 5),
    ("from 1 min 20 s to 2 min", "seconds", 80, 120),
    ("in the first half", "share", 0, 0.5),
    ("in the second half of the video", "share", 0.5, 1),
    ("in the middle third", "share", 1 / 3, 2 / 3),
    ("in frames 10-20", "frames", 10, 21),
    ("from frame 10 to frame 20", "frames", 10, 21),
    ("on frame 3", "frames", 3, 4),
    ("in the last frame", "frames", -1, None),
]
Z_TIMES = [
    ("第三秒", "seconds", 2, 3),
    ("从2秒到5秒", "seconds", 2, 5),
    ("从第二秒到第四秒", "seconds", 1, 4),
    ("第2到4秒", "seconds", 1, 4),
    ("前三秒", "seconds", 0, 3),
    ("最后两秒", "seconds", -2, None),
    ("第三秒之后", "seconds", 3, None),
    ("第三秒以前", "seconds", 0, 2),
    ("从第三秒开始", "seconds", 2, None),
    ("二点五秒后", "seconds", 2.5, None),
    ("在0:03", "seconds", 3, 4),
    ("一分二十秒到一分三十秒", "seconds", 80, 90),
    ("前半段", "share", 0, 0.5),
    ("中间三分之一", "share", 1 / 3, 2 / 3),
    ("第10帧到第20帧", "frames", 10, 21),
    ("10到20帧", "frames", 10, 21),
]


@pytest.mark.parametrize(("text", "effect", "what"), UNDERSTOOD, ids=[text for text, *_ in UNDERSTOOD])
def test_what_and_how(text, effect, what):
    assert read_instruction(text) == Instruction(effect, what.removeprefix("!"), None, what.startswith("!"))


@pytest.mark.parametrize(("words", "unit", "start", "stop"), TIMES, ids=[words for words, *_ in TIMES])
def test_when(words, unit, start, stop):
    for text in (
        f"blur the second car {words}",
        f"{words}, blur the second car",
        f"Please, {words}, blur the second car.",
    ):
        instruction = read_instruction(text)
        assert (instruction.what, instruction.effect) == ("the second car", Effect("blur"))
        assert (instruction.when.unit, instruction.when.start, instruction.when.stop) == (unit, start, stop)
        assert instruction.when.words == words


@pytest.mark.parametrize(("words", "unit", "start", "stop"), Z_TIMES, ids=[words for words, *_ in Z_TIMES])
def test_when_in_chinese(words, unit, start, stop):
    for text in (f"{words}把车变成水墨风格", f"把车{words}变成水墨风格", f"请把车{words}变成水墨风格。"):
        instruction = read_instruction(text)
        assert (instruction.what, instruction.effect) == ("车", Effect("ink_wash"))
        assert (instruction.when.unit, instruction.when.start, instruction.when.stop) == (unit, start, stop)


def test_the_two_sentences_of_the_guide():
    english = read_instruction("turn the woman in red into ink-wash style in second three")
    chinese = read_instruction("把第三秒穿红衣服的女人变成水墨风格")
    assert (english.what, chinese.what) == ("the woman in red", "穿红衣服的女人")
    assert english.effect == chinese.effect == Effect("ink_wash")
    for when in (english.when, chinese.when):
        assert (when.unit, when.start, when.stop) == ("seconds", 2, 3)


def test_the_whole_video_is_no_span():
    assert read_instruction("blur the car throughout the whole video") == Instruction(Effect("blur"), "the car")
    assert read_instruction("全程把车模糊") == Instruction(Effect("blur"), "车")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the instruction is empty"),
        ("turn the dog into watercolor style", 'unknown effect "watercolor style"; the effects are ink_wash, blur'),
        ("turn the dog into inc wash", r'unknown effect "inc wash" \(did you mean "ink wash"\?\)'),
        ("把狗变成油画风格", 'unknown effect "油画风格"'),
        ("blurr the dog", r'isn\'t understood: no effect was found in it \(did you mean "blur"\?\)'),
        ("make the dog sing", "isn't understood"),
        ("outline the woman in red", 'two ways: outline on "the woman in red"; or outline #ff0000 on "the woman"'),
        ("draw an outline around the dancer in red", "two ways"),
        ("blur the dog and outline the cat", 'asks for two edits, the second one behind "blur the dog"'),
        ("把狗模糊,然后把猫变红", 'asks for two edits, the second one behind "把狗模糊"'),
        ("blur the car in seconds 1 and 3", 'names two time spans, "in seconds 1 and 3"'),
        ("blur the car from frame 2.5 to frame 4", "frames are counted in whole numbers"),
        ("blur the car in the first 300%", "at most 100 %"),
        ("highlight the dog", '"highlight" could be spotlight, brighten or outline'),
        ("突出狗", '"突出" could be spotlight'),
        ("blur the car at the end", 'the time "at the end" isn\'t understood'),
        ("结尾把车模糊", 'the time "结尾" isn\'t understood'),
        ("blur the car for 3 seconds", 'the time "for 3 seconds" isn\'t understood'),
        ("blur the car from 2 to 5", 'the time "from 2 to 5" isn\'t understood'),
        ("把3秒的车模糊", 'the time "3秒" isn\'t understood'),
        ("blur the car in second 1 and in second 3", 'names 2 time spans, "in second 1" and "in second 3"'),
        ("blur the car from 5 s to 2 s", "ends before it begins"),
        ("blur the car from 2 s to frame 8", "begins in seconds and ends in frames"),
        ("blur the car in second 0", "seconds are counted from 1"),
        ("blur the car every second", 'the time "every second" isn\'t understood'),
        ("blur the car in the second before last", 'the time "in the second before" isn\'t understood'),
        ("倒数第二秒把车模糊", 'the time "倒数第二秒" isn\'t understood: only the last one is counted from the end'),
        ("anonymize the face", '"anonymize" could be remove, blur, pixelate or sticker'),
        ("put a glow around the dog", '"put a glow" could be spotlight, brighten or outline'),
        ("label the dog", "which words\\? Say them in quotation marks"),
        ("cover the face with an emoji", "which emoji\\? Give it"),
        ("put a crown on the dog's head", "an emoji is called so: put a crown emoji"),
        ("给狗戴上皇冠", "an emoji is called so: put a crown emoji"),
        ("add a red box around the dog", "no box is drawn; outline draws a line"),
        ("给狗画个框", "no box is drawn; outline draws a line"),
        ("replace the background with a beach", "a background is a colour, the name of a picture, a blur or nothing"),
        ("把背景换成沙滩", "a background is a colour"),
        ('write "hello" on the dog in red', "which words|isn't understood"),
        ("remove the car by 30%", "remove can't be more or less"),
        ("blur the car by 300%", "at most 100 %"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_instruction(text)


def test_effects_know_what_they_need():
    with pytest.raises(UserError, match="unknown effect 'oil'; the effects are ink_wash"):
        Effect("oil")
    for name in ("recolor", "label", "sticker", "background"):
        with pytest.raises(UserError, match=f"the effect {name} needs"):
            Effect(name)
    with pytest.raises(UserError, match="strength 2; expected more than 0"):
        Effect("blur", strength=2)
    with pytest.raises(UserError, match="cutout can't be had on everything but"):
        Instruction(Effect("cutout"), "the dog", is_inverted=True)
