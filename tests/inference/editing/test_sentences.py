"""Instructions as people say them: what, when and how in one sentence, in both languages and many wordings."""

import pytest

from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.editing.readings import read_instruction

RED, GREEN, BLUE, WHITE, LIME = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 255, 0)
Z_RED, Z_GREEN, Z_BLUE = (220, 20, 30), (20, 150, 50), (20, 70, 220)
BLUR, INK, GRAY, CUT = Effect("blur"), Effect("ink_wash"), Effect("grayscale"), Effect("cutout")
REMOVE, SQUARES = Effect("remove"), Effect("pixelate")


THICK, THIN = 0.9, 0.25


def line(color, strength=None):
    return Effect("outline", color=color, strength=strength)


def painted(color):
    return Effect("recolor", color=color)


def behind(color):
    return Effect("background", color=color)


def said(text, color=None):
    return Effect("label", text=text, color=color)


SMILE, BEACH = Effect("sticker", text="😀"), Effect("background", picture="beach.jpg")

#: sentence → (how, what, when); a leading ! is everything but the thing; when is (unit, start, stop).
ENGLISH = [
    # Lines.
    ("outline the star in green", line(GREEN), "the star", None),
    ("outline the star with a green outline", line(GREEN), "the star", None),
    ("outline the star with green", line(GREEN), "the star", None),
    ("outline the larger star in bright green", line(GREEN), "the larger star", None),
    ("outline the woman in red with a green line", line(GREEN), "the woman in red", None),
    ("mark the star with a lime outline", line(LIME), "the star", None),
    ("give the star a green outline", line(GREEN), "the star", None),
    ("add a green outline to the star", line(GREEN), "the star", None),
    ("put a thick red border around the star", line(RED, THICK), "the star", None),
    ("outline the dog in thick yellow", line((255, 255, 0), THICK), "the dog", None),
    ("outline the horse with a thin white line from 1.5s to 3s", line(WHITE, THIN), "the horse", ("seconds", 1.5, 3)),
    ("outline the scooter in bright cyan", line((0, 255, 255)), "the scooter", None),
    ("draw a green line around the star", line(GREEN), "the star", None),
    ("draw an outline around the cat in red", line(RED), "the cat", None),
    ("surround the star with a green line", line(GREEN), "the star", None),
    ("highlight the star with a green outline", line(GREEN), "the star", None),
    ("circle the star in green", line(GREEN), "the star", None),
    ("trace the star", Effect("outline"), "the star", None),
    ("draw the outline of the star", Effect("outline"), "the star", None),
    ("I want the star outlined in green", line(GREEN), "the star", None),
    # Words that go along.
    ('label it with a tag saying "good boy"', said("good boy"), "", None),
    ("label it with a tag saying good boy", said("good boy"), "", None),
    ('label the dog with a label that says "Rex"', said("Rex"), "the dog", None),
    ('tag the dog with "Rex"', said("Rex"), "the dog", None),
    ('label the dog: "Rex"', said("Rex"), "the dog", None),
    ('add a label "Rex" to the dog', said("Rex"), "the dog", None),
    ("put a tag that says good boy above the dog", said("good boy"), "the dog", None),
    ('give the dog a red name tag saying "Rex"', said("Rex", RED), "the dog", None),
    ("write Rex above the dog", said("Rex"), "the dog", None),
    ('make the label "Rex" follow the dog', said("Rex"), "the dog", None),
    # The background.
    ("replace the background with blur", BLUR, "!", None),
    ("make the background blurry", BLUR, "!", None),
    ("change the background to a blurred one", BLUR, "!", None),
    ("give the dog a blurred background", BLUR, "!the dog", None),
    ("put the dog on a blurred background", BLUR, "!the dog", None),
    ("blur everything behind the dog", BLUR, "!the dog", None),
    ("blur the rest", BLUR, "!", None),
    ("make everything else black and white", GRAY, "!", None),
    ("make the background white", behind(WHITE), "", None),
    ("set the background color to white", behind(WHITE), "", None),
    ("give the dog a blue background", behind(BLUE), "the dog", None),
    ("use beach.jpg as the background of the dog", BEACH, "the dog", None),
    ("put beach.jpg behind the dog", BEACH, "the dog", None),
    ("make the background transparent", CUT, "", None),
    ("remove everything except the dog", CUT, "the dog", None),
    ("keep only the dog", CUT, "the dog", None),
    ("keep only the dog in colour", GRAY, "!the dog", None),
    # Pictures that go along.
    ("make 😀 follow the circle", SMILE, "the circle", None),
    ("let a 😀 emoji follow the circle", SMILE, "the circle", None),
    ("😀 follows the circle", SMILE, "the circle", None),
    ("put a 😀 that follows the circle", SMILE, "the circle", None),
    ("put 😀 on the circle and make it follow it", SMILE, "the circle", None),
    ("make 😀 follow it", SMILE, "", None),
    ('put "😀" on the circle', SMILE, "the circle", None),
    ("put a smiley on the man’s face", SMILE, "the man's face", None),
    ("put a heart emoji on the dog", Effect("sticker", text="❤"), "the dog", None),
    ("turn the circle into 😀", SMILE, "the circle", None),
    ("use 😀 to cover the face", SMILE, "the face", None),
    ("let hat.png follow the man", Effect("sticker", picture="hat.png"), "the man", None),
    # Looks and colours.
    ("cover the face with a mosaic", SQUARES, "the face", None),
    ("make the dog disappear", REMOVE, "the dog", None),
    ("take the dog out", REMOVE, "the dog", None),
    ("remove the person in the background", REMOVE, "the person in the background", None),
    ("remove the colour from the dog", GRAY, "the dog", None),
    ("change the colour of the car to red", painted(RED), "the car", None),
    ("change the car's color to red", painted(RED), "the car", None),
    ("paint the car with red", painted(RED), "the car", None),
    ("make the dog look like an ink painting", INK, "the dog", None),
    ("give the dog an ink-wash look", INK, "the dog", None),
    ("add an ink-wash effect to the dog", INK, "the dog", None),
    ("restyle the dog in ink-wash style", INK, "the dog", None),
    ("I'd like the dog to be blurred", BLUR, "the dog", None),
    ("blur the dog out", BLUR, "the dog", None),
    ("blur only the dog", BLUR, "the dog", None),
    ("remove the rest of the pizza", REMOVE, "the rest of the pizza", None),
    ("turn the man and woman into ink wash", INK, "the man and woman", None),
    ("make the background black and white but keep the dog in colour", GRAY, "!the dog", None),
    ("keep the dog in color and make everything else gray", GRAY, "!the dog", None),
    ("keep the dog, blur everything else", BLUR, "!the dog", None),
    ("blur everything that isn't the dog", BLUR, "!the dog", None),
    ("cut out the dog with a transparent background", CUT, "the dog", None),
    ("extract the dog as a transparent png", CUT, "the dog", None),
    ("highlight the rider with a spotlight", Effect("spotlight"), "the rider", None),
    ("spotlight on the dog", Effect("spotlight"), "the dog", None),
    ("blur the dog at 80% strength", Effect("blur", strength=0.8), "the dog", None),
    ("blur the dog with strength 80%", Effect("blur", strength=0.8), "the dog", None),
    ("paint the car light red", painted((255, 127, 127)), "the car", None),
    ("paint the car dark yellow", painted((153, 153, 0)), "the car", None),
    ("paint the car navy blue", painted((0, 0, 128)), "the car", None),
    ("paint the car mint green", painted((152, 255, 152)), "the car", None),
    ("paint the car a nice red", painted(RED), "the car", None),
    ("paint the car rgb(255, 128, 0)", painted((255, 128, 0)), "the car", None),
    # When.
    ("make the car blurry in the first second and a half", BLUR, "the car", ("seconds", 0, 1.5)),
    ("blur the dog for the first half a second", BLUR, "the dog", ("seconds", 0, 0.5)),
    ("blur the dog in the last half second", BLUR, "the dog", ("seconds", -0.5, None)),
    ("blur the car for one and a half seconds starting at 2 s", BLUR, "the car", ("seconds", 2, 3.5)),
    ("blur the dog starting 2 seconds in", BLUR, "the dog", ("seconds", 2, None)),
    ("blur the dog in the two seconds before the end", BLUR, "the dog", ("seconds", -2, None)),
    ("blur the dog starting at 0:02 and ending at 0:04", BLUR, "the dog", ("seconds", 2, 4)),
    ("blur the dog from the third second to the fifth", BLUR, "the dog", ("seconds", 2, 5)),
    ("blur the dog from second 0 to second 2", BLUR, "the dog", ("seconds", 0, 2)),
    ("blur the dog from halfway", BLUR, "the dog", ("share", 0.5, 1)),
    ("put 😀 over the dog until the end", SMILE, "the dog", None),
    ("blur the dog in every frame", BLUR, "the dog", None),
    ("make the last three frames of the dog blurry", BLUR, "the dog", ("frames", -3, None)),
    ('put "wait 2 s" above the light from 1 s to 2 s', said("wait 2 s"), "the light", ("seconds", 1, 2)),
    ("replace the man with 😀 from second 1 to second 2", SMILE, "the man", ("seconds", 0, 2)),
    ("turn the woman in red into ink-wash style only in the third second", INK, "the woman in red", ("seconds", 2, 3)),
    ("blur the dog just from 2 to 3 seconds", BLUR, "the dog", ("seconds", 2, 3)),
    ("only between 2 s and 5 s, blur the dog", BLUR, "the dog", ("seconds", 2, 5)),
    ("blur the dog in the first half only", BLUR, "the dog", ("share", 0, 0.5)),
    (
        "outline the red circle in green from the second to the fourth second",
        line(GREEN),
        "the red circle",
        ("seconds", 1, 4),
    ),
    ("blur the dog in the second and third seconds", BLUR, "the dog", ("seconds", 1, 3)),
    ("blur the dog in seconds 2 and 3", BLUR, "the dog", ("seconds", 1, 3)),
    ("make 😀 follow the circle for 2 seconds starting at 0:03", SMILE, "the circle", ("seconds", 3, 5)),
    ("blur the dog from 0:03 for 2 seconds", BLUR, "the dog", ("seconds", 3, 5)),
    ("blur the dog after the first 2 seconds", BLUR, "the dog", ("seconds", 2, None)),
    ("blur the dog in the second minute", BLUR, "the dog", ("seconds", 60, 120)),
    ("blur the dog in the first 2 minutes", BLUR, "the dog", ("seconds", 0, 120)),
    ("blur the dog from 500 ms to 1500 ms", BLUR, "the dog", ("seconds", 0.5, 1.5)),
    ("blur the dog at the 3-second mark", BLUR, "the dog", ("seconds", 3, 4)),
    ("blur the dog in the first 20% of the video", BLUR, "the dog", ("share", 0, 0.2)),
    ("blur the dog from second 2.5 to second 3", BLUR, "the dog", ("seconds", 2.5, 3)),
    ("in the third second of the video, blur the dog", BLUR, "the dog", ("seconds", 2, 3)),
    ("blur the dog 2s–5s", BLUR, "the dog", ("seconds", 2, 5)),
    ("blur the dog from 2 s until the end of the video", BLUR, "the dog", ("seconds", 2, None)),
    ("0:03-0:05: blur the dog", BLUR, "the dog", ("seconds", 3, 5)),
    ("blur the dog during the final second", BLUR, "the dog", ("seconds", -1, None)),
    ("blur the dog in the last 10 frames", BLUR, "the dog", ("frames", -10, None)),
    ("blur the dog from frame 10 to the last frame", BLUR, "the dog", ("frames", 10, None)),
    ("blur the dog on the first frame", BLUR, "the dog", ("frames", 0, 1)),
    ("blur the dog on the right in second 3", BLUR, "the dog on the right", ("seconds", 2, 3)),
    ('label the circle with a tag saying "in 2 s" in second three', said("in 2 s"), "the circle", ("seconds", 2, 3)),
]
CHINESE = [
    # Lines.
    ("把圆描边成绿色", line(Z_GREEN), "圆", None),
    ("给星星描一圈绿边", line(Z_GREEN), "星星", None),
    ("用绿色描出星星", line(Z_GREEN), "星星", None),
    ("用绿色线条给星星描边", line(Z_GREEN), "星星", None),
    ("在星星周围画一圈绿色的线", line(Z_GREEN), "星星", None),
    ("用绿色勾勒星星", line(Z_GREEN), "星星", None),
    ("把星星用绿色圈出来", line(Z_GREEN), "星星", None),
    # Words that go along.
    ("用标签“小黑”标注狗", said("小黑"), "狗", None),
    ("用“小黑”标注狗", said("小黑"), "狗", None),
    ("用标签「小黑」标注红色的圆", said("小黑"), "红色的圆", None),
    ("用一个写着“小黑”的标签标注它", said("小黑"), "", None),
    ("把狗用标签“小黑”标注", said("小黑"), "狗", None),
    ("把狗标注为“小黑”", said("小黑"), "狗", None),
    ("把狗标记为小黑", said("小黑"), "狗", None),
    ("标注狗为“小黑”", said("小黑"), "狗", None),
    ("给狗贴上写着“小黑”的标签", said("小黑"), "狗", None),
    ("给狗加一个“小黑”的标签", said("小黑"), "狗", None),
    ("在狗上方显示“小黑”", said("小黑"), "狗", None),
    ("让标签“小黑”跟着狗", said("小黑"), "狗", None),
    # The background.
    ("把背景替换成模糊", BLUR, "!", None),
    ("把背景换成模糊的", BLUR, "!", None),
    ("用模糊替换背景", BLUR, "!", None),
    ("背景虚化", BLUR, "!", None),
    ("给狗换一个模糊的背景", BLUR, "!狗", None),
    ("其他地方变成黑白", GRAY, "!", None),
    ("把其余部分模糊", BLUR, "!", None),
    ("用蓝色替换背景", behind(Z_BLUE), "", None),
    ("把背景设为白色", behind(WHITE), "", None),
    ("把背景颜色改为蓝色", behind(Z_BLUE), "", None),
    ("用beach.jpg替换狗的背景", BEACH, "狗", None),
    ("用beach.jpg作为背景", BEACH, "", None),
    ("把背景变透明", CUT, "", None),
    ("只保留狗", CUT, "狗", None),
    ("去掉除了狗以外的所有东西", CUT, "狗", None),
    # Pictures that go along.
    ("让😀跟着圆", SMILE, "圆", None),
    ("让😀跟随圆移动", SMILE, "圆", None),
    ("让一个😀表情跟着圆走", SMILE, "圆", None),
    ("给圆加一个😀", SMILE, "圆", None),
    ("让😀跟着它", SMILE, "", None),
    ("给圆贴上“😀”", SMILE, "圆", None),
    ("给圆贴上😀,让它跟着移动", SMILE, "圆", None),
    ("把😀放到狗的脸上", SMILE, "狗的脸", None),
    ("给狗贴一个笑脸", SMILE, "狗", None),
    ("把圆变成😀", SMILE, "圆", None),
    ("用😀盖住圆", SMILE, "圆", None),
    # Looks and colours.
    ("把狗的颜色改成红色", painted(Z_RED), "狗", None),
    ("把狗染红", painted(Z_RED), "狗", None),
    ("给狗涂上红色", painted(Z_RED), "狗", None),
    ("让狗看起来像水墨画", INK, "狗", None),
    ("用水墨风格画狗", INK, "狗", None),
    ("给狗加上水墨效果", INK, "狗", None),
    ("给狗套上水墨滤镜", INK, "狗", None),
    ("用马赛克遮住脸", SQUARES, "脸", None),
    ("把车P掉", REMOVE, "车", None),
    ("帮我把狗模糊一下好吗?", BLUR, "狗", None),
    ("把狗和猫模糊", BLUR, "狗和猫", None),
    ("把 红色的圆 变成 水墨 风格", INK, "红色的圆", None),
    ("再把狗调亮一点", Effect("brighten", strength=0.3), "狗", None),
    ("把左边第二只狗变红", painted(Z_RED), "左边第二只狗", None),
    ("给马描白色的细边", line(WHITE, THIN), "马", None),
    ("用黄色粗线描出狗的轮廓", line((250, 210, 0), THICK), "狗", None),
    ("给狗画一条粗的红线", line(Z_RED, THICK), "狗", None),
    ("把两只狗都描上红边", line(Z_RED), "两只狗", None),
    ("把穿10号球衣的人圈出来", Effect("outline"), "穿10号球衣的人", None),
    ("在马的上方写“冠军”", said("冠军"), "马", None),
    ("给狗加一个红色的标签“小黑”", said("小黑", Z_RED), "狗", None),
    ("在狗的头上贴一个😀", SMILE, "狗的头", None),
    ("给戴帽子的人加一顶 hat.png", Effect("sticker", picture="hat.png"), "戴帽子的人", None),
    ("除了狗,其他都变黑白", GRAY, "!狗", None),
    ("除了最左边的人以外,其他人都打码", SQUARES, "!最左边的人", None),
    ("只有狗是彩色,其他黑白", GRAY, "!狗", None),
    ("保留狗,模糊其他", BLUR, "!狗", None),
    ("把背景虚化得强一些", Effect("blur", strength=0.9), "!", None),
    ("模糊狗,强度80%", Effect("blur", strength=0.8), "狗", None),
    ("聚光灯打在狗身上", Effect("spotlight"), "狗", None),
    ("抠图:狗", CUT, "狗", None),
    ("把狗扣出来", CUT, "狗", None),
    ("把车身颜色改为粉红色", painted((255, 150, 180)), "车身", None),
    # When.
    ("半秒后把圆模糊", BLUR, "圆", ("seconds", 0.5, None)),
    ("前一秒半把圆模糊", BLUR, "圆", ("seconds", 0, 1.5)),
    ("把圆模糊,从第3秒开始,到第5秒结束", BLUR, "圆", ("seconds", 2, 5)),
    ("第0秒到第2秒把圆模糊", BLUR, "圆", ("seconds", 0, 2)),
    ("结束前两秒把圆模糊", BLUR, "圆", ("seconds", -2, None)),
    ("倒数两秒把圆模糊", BLUR, "圆", ("seconds", -2, None)),
    ("第三秒开始,到最后,把圆模糊", BLUR, "圆", ("seconds", 2, None)),
    ("整段视频把圆模糊", BLUR, "圆", None),
    ("把整个视频里的圆都模糊", BLUR, "圆", None),
    ("把倒数第二个人模糊", BLUR, "倒数第二个人", None),
    ("把第三秒穿红衣服的女人变成水墨风格", INK, "穿红衣服的女人", ("seconds", 2, 3)),
    ("只在第三秒把圆变成水墨风格", INK, "圆", ("seconds", 2, 3)),
    ("只把第三秒的圆模糊", BLUR, "圆", ("seconds", 2, 3)),
    ("仅在2到3秒把圆模糊", BLUR, "圆", ("seconds", 2, 3)),
    ("第2.5秒到第3秒,用标签“好狗”标注狗", said("好狗"), "狗", ("seconds", 2.5, 3)),
    ("把圆在第2.5秒到第3秒之间模糊", BLUR, "圆", ("seconds", 2.5, 3)),
    ("把圆从第2秒到第3.5秒模糊", BLUR, "圆", ("seconds", 2, 3.5)),
    ("2s到5s把圆模糊", BLUR, "圆", ("seconds", 2, 5)),
    ("第2～3秒把圆模糊", BLUR, "圆", ("seconds", 1, 3)),
    ("第二秒和第三秒把圆模糊", BLUR, "圆", ("seconds", 1, 3)),
    ("头三秒把圆模糊", BLUR, "圆", ("seconds", 0, 3)),
    ("3秒之内把圆模糊", BLUR, "圆", ("seconds", 0, 3)),
    ("从第2秒开始持续3秒把圆模糊", BLUR, "圆", ("seconds", 1, 4)),
    ("第一分钟把圆模糊", BLUR, "圆", ("seconds", 0, 60)),
    ("视频第三秒把圆模糊", BLUR, "圆", ("seconds", 2, 3)),
    ("视频的前20%把圆模糊", BLUR, "圆", ("share", 0, 0.2)),
    ("前三分之一把圆模糊", BLUR, "圆", ("share", 0, 1 / 3)),
    ("第 2 秒 到 第 3 秒 把圆模糊", BLUR, "圆", ("seconds", 1, 3)),
    ("从2秒直到结尾把圆模糊", BLUR, "圆", ("seconds", 2, None)),
    ("第1分20秒到第1分30秒把圆模糊", BLUR, "圆", ("seconds", 80, 90)),
    ("0:02到0:05把圆模糊", BLUR, "圆", ("seconds", 2, 5)),
    ("第3帧到第5帧把圆模糊", BLUR, "圆", ("frames", 3, 6)),
]


@pytest.mark.parametrize(("text", "effect", "what", "when"), ENGLISH + CHINESE, ids=lambda value: str(value)[:60])
def test_sentence(text, effect, what, when):
    instruction = read_instruction(text)
    named = Instruction(effect, what.removeprefix("!"), instruction.when, is_inverted=what.startswith("!"))
    assert instruction == named
    span = instruction.when
    assert (None if span is None else (span.unit, span.start, span.stop)) == (
        None if when is None else pytest.approx(when)
    )


@pytest.mark.parametrize("text", ["Please {}.", "Could you {}?", "{}, please", "just {}", "I want you to {}"])
def test_politeness_changes_nothing(text):
    for sentence in ("outline the star in green", "replace the background with blur", "make 😀 follow the circle"):
        assert read_instruction(text.format(sentence)) == read_instruction(sentence)
