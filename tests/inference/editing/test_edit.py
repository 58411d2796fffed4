"""From words to an edited file: what is asked, which frames change, what is refused, and nothing half-written."""

import errno
import io
import resource

import av
import numpy as np
import pytest
from PIL import Image

from word2mask.data.media import VideoFile, open_media
from word2mask.errors import UserError
from word2mask.inference.editing import output
from word2mask.inference.editing.edit import edit, question_for
from word2mask.inference.editing.editor import BuiltInEditor
from word2mask.inference.editing.instruction import Effect, Instruction
from word2mask.inference.masks import MaskStream
from word2mask.types import Media, Request, Result, Segment, Turn


def streams(path):
    """Codec names by kind, and the sound's packets."""
    with av.open(str(path)) as container:
        names = {stream.type: stream.codec_context.name for stream in container.streams}
        sound = [bytes(packet) for packet in container.demux(audio=0) if packet.size] if "audio" in names else []
    return names, sound


def frames_of(path):
    video = VideoFile(path)
    return video.read(range(len(video))).astype(int)


def away_from(masks, margin=4):
    """Where neither the mask nor the codec's colours of half the size reach."""
    far = np.ones_like(masks)
    for frame, mask in zip(far, masks, strict=True):
        for row, column in np.argwhere(mask)[:: 1 if masks.sum() < 1000 else 3]:
            frame[max(0, row - margin) : row + margin + 1, max(0, column - margin) : column + margin + 1] = False
    return far


@pytest.fixture
def picture(clip, tmp_path):
    Image.fromarray(clip.frames[0]).save(tmp_path / "in.png")
    return open_media(tmp_path / "in.png")


@pytest.fixture
def one(clip, session_of):
    return session_of(clip.masks[:1])


def test_a_cut_out_picture_has_its_colours_and_alpha(picture, one, clip, tmp_path):
    made = edit(one, picture, "cut out the square", tmp_path / "out.png")
    assert made.path == tmp_path / "out.png" and made.frames == range(1) and made.notes == ()
    assert one.asked == ["Please segment the square in this picture."]
    with Image.open(made.path) as written:
        assert written.mode == "RGBA"
        pixels = np.asarray(written)
    np.testing.assert_array_equal(pixels[clip.masks[0]][:, :3], clip.frames[0][clip.masks[0]])
    # What was cut away can't be had back by taking the transparency out.
    red = clip.frames[0][clip.masks[0]][0]
    assert np.abs(pixels[~clip.masks[0]][:, :3].astype(int) - red).max() <= 1
    # The ramp of one pixel is the mask itself.
    np.testing.assert_array_equal(pixels[..., 3], np.where(clip.masks[0], 255, 0))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_picture_in_each_form(suffix, picture, one, clip, tmp_path):
    edit(one, picture, "make the square black and white", tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert written.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]
        pixels = np.asarray(written.convert("RGB")).astype(int)
    limit = 0 if suffix == "png" else 12
    far = away_from(clip.masks[:1], 8)[0]
    assert np.abs(pixels - clip.frames[0])[far].max() <= limit
    # 0.299 · 200 + 0.587 · 40 + 0.114 · 30 = 86.7
    np.testing.assert_allclose(pixels[20:28, 12:20], 87, atol=max(limit, 0.5))


def test_mp4_keeps_size_rate_and_sound(clip, session, tmp_path):
    made = edit(session, VideoFile(clip.path), "turn the square green", tmp_path / "out.mp4")
    assert session.asked == ["Please segment the square in this video."]
    assert made.frames == range(12) and made.notes == ()
    assert made.instruction.effect == Effect("recolor", color=(0, 128, 0))
    video = VideoFile(made.path)
    assert (len(video), video.size, video.fps) == (12, (48, 64), 8.0)
    names, sound = streams(made.path)
    assert names == {"video": "h264", "audio": "aac"}
    assert sound and sound == streams(clip.path)[1]  # as it was, not encoded anew
    written, source = frames_of(made.path), frames_of(clip.path)
    assert np.abs(written - source)[away_from(clip.masks)].mean() < 1.5
    inside = np.stack([frame[18:30, 10 + 2 * index : 22 + 2 * index] for index, frame in enumerate(written)])
    np.testing.assert_allclose(inside.mean(axis=(1, 2)), [[0, 128, 0]] * 12, atol=10)


def test_a_time_span_limits_what_changes(clip, session, tmp_path):
    made = edit(session, VideoFile(clip.path), "turn the square green from 0.5 s to 1 s", tmp_path / "out")
    assert made.frames == range(4, 8) and made.notes == ("the sound was left out: a folder of frames has none",)
    source = frames_of(clip.path)
    written = [np.asarray(Image.open(tmp_path / f"out/{index:05}.png")).astype(int) for index in range(12)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{index:05}.png" for index in range(12)]
    for index, frame in enumerate(written):
        changed = (frame != source[index]).any(axis=2)
        assert changed.any() == (index in range(4, 8))
        assert not changed[~clip.masks[index]].any()


def test_everything_but_the_thing(clip, one, picture, tmp_path):
    edit(one, picture, "make everything but the square black and white", tmp_path / "out.png")
    pixels = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(pixels[clip.masks[0]], clip.frames[0][clip.masks[0]])
    assert np.ptp(pixels[~clip.masks[0]].astype(int), axis=1).max() == 0


def test_webm_with_transparency(clip, session, tmp_path):
    made = edit(session, VideoFile(clip.path), "cut out the square", tmp_path / "out.webm")
    assert made.notes == ("the sound was encoded anew, from aac to libopus",)
    assert streams(made.path)[0] == {"video": "vp9", "audio": "opus"}
    assert b"\x53\xc0\x81\x01" in made.path.read_bytes()  # Matroska's element AlphaMode, by which players know
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(made.path)) as container:
        pictures = [frame for packet in container.demux(video=0) if packet.size for frame in decoder.decode(packet)]
    pictures += decoder.decode(None)
    assert [picture.format.name for picture in pictures] == ["yuva420p"] * 12
    alpha = np.stack([picture.to_ndarray(format="rgba")[..., 3] for picture in pictures])
    assert ((alpha > 127) == clip.masks).mean() > 0.98
    assert alpha[away_from(clip.masks)].max() < 30


def test_run_lengths_give_what_arrays_give(clip, session, session_of, tmp_path):
    runs = MaskStream((48, 64))
    for index, mask in enumerate(clip.masks):
        runs[index] = mask
    for name, given in (("arrays", session), ("runs", session_of(runs))):
        edit(given, VideoFile(clip.path), "blur the square", tmp_path / name)
    for index in range(12):
        arrays, of_runs = (tmp_path / name / f"{index:05}.png" for name in ("arrays", "runs"))
        assert arrays.read_bytes() == of_runs.read_bytes()


def test_masks_of_an_answer_that_is_there(clip, session, picture, tmp_path):
    answer = Result("it", "it", [Segment("it", None, clip.masks[:1], np.ones(1, np.float32))], (48, 64), 1)
    made = edit(session, picture, "blur it", tmp_path / "out.png", result=answer)
    assert session.asked == [] and made.result is answer
    with pytest.raises(UserError, match="12 frames of .*but the answer is about 1 of"):
        edit(session, VideoFile(clip.path), "blur it", tmp_path / "out.mp4", result=answer)
    with pytest.raises(UserError, match="doesn't say what to change"):
        edit(session, picture, "blur it", tmp_path / "other.png")


def test_an_object_counts_only_where_it_is_found(clip, session_of, tmp_path):
    scores = np.where(np.arange(12) < 6, 0.9, 0.2).astype(np.float32)
    edit(session_of(clip.masks, scores), VideoFile(clip.path), "remove the square", tmp_path / "out")
    source = frames_of(clip.path)
    written = np.stack([np.asarray(Image.open(tmp_path / f"out/{index:05}.png")) for index in range(12)])
    assert [bool((written[index] != source[index]).any()) for index in range(12)] == [True] * 6 + [False] * 6


def test_removed_with_what_other_frames_show(clip, session, tmp_path):
    """The square moves 22 pixels and is 20 wide: each frame shows a part of the wall that another one hides."""
    edit(session, VideoFile(clip.path), "remove the square", tmp_path / "out")
    rows, columns = np.mgrid[:48, :64]
    wall = np.stack([60 + columns, 90 + rows, 200 - columns], axis=2)
    for index in range(12):
        pixels = np.asarray(Image.open(tmp_path / f"out/{index:05}.png")).astype(int)
        assert np.abs(pixels - wall)[clip.masks[index]].mean() < 12


def test_frames_in_memory_and_a_rate(clip, session, tmp_path):
    media = Media("video", clip.frames, tuple(range(12)))
    made = edit(session, media, "blur the square", tmp_path / "a.mp4")
    assert made.notes == ("video doesn't say how many frames there are in a second; 8 were taken",)
    assert edit(session, media, "blur the square", tmp_path / "b.mp4", fps=25).notes == ()
    assert VideoFile(tmp_path / "b.mp4").fps == pytest.approx(25)
    with pytest.raises(UserError, match="don't say how many there are in a second; give fps"):
        edit(session, media, "blur the square in second one", tmp_path / "c.mp4")
    with pytest.raises(UserError, match="fps is 0"):
        edit(session, media, "blur the square", tmp_path / "c.mp4", fps=0)


def test_progress_and_stopping(clip, session, tmp_path):
    seen = []
    edit(session, VideoFile(clip.path), "blur the square", tmp_path / "a.gif", progress=lambda *at: seen.append(at))
    assert seen == [("edit", done, 12) for done in range(13)]

    def stop(stage, done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(session, VideoFile(clip.path), "blur the square", tmp_path / "b.mp4", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_another_editor(clip, one, picture, tmp_path):
    class Black:
        def edit(self, frames, masks, span, instruction):
            assert instruction == Instruction(Effect("ink_wash"), "the square")
            for index in span:
                yield np.where(masks[index][..., None] > 0.5, 0, frames[index]).astype(np.uint8)

    edit(one, picture, "turn the square into ink wash", tmp_path / "out.png", editor=Black())
    pixels = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(pixels, np.where(clip.masks[0][..., None], 0, clip.frames[0]))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("turn the square into oil painting", "a.mp4", "unknown effect .*the effects are ink_wash, blur, pixelate"),
        ("blur the square in second five", "a.mp4", '"in second five" lies outside of the video, which is 1.50 s long'),
        ("blur the square", "a.xyz", "isn't written as .xyz; give a name with .mp4, .webm, .gif, or a folder's name"),
        ("cut out the square", "a.mp4", ".mp4 has no transparency.*give .webm, .gif or a folder's name"),
        ("blur it", "a.mp4", "doesn't say what to change"),
        ("replace the background with gone.jpg", "a.mp4", "doesn't say what to change"),
        ("replace the background of the square with gone.jpg", "a.mp4", "gone.jpg"),
    ],
)
def test_refused_for_a_video(text, name, message, clip, session, tmp_path):
    with pytest.raises(UserError, match=message):
        edit(session, VideoFile(clip.path), text, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_refused_for_a_picture(picture, one, tmp_path):
    with pytest.raises(UserError, match='in.png is a picture, but the instruction names a time, "in second one"'):
        edit(one, picture, "blur the square in second one", tmp_path / "a.png")
    with pytest.raises(UserError, match="an edited picture isn't written as .mp4; give a name with .png, .jpg"):
        edit(one, picture, "blur the square", tmp_path / "a.mp4")
    with pytest.raises(UserError, match="in.png is what is to be edited, and would be lost"):
        edit(one, picture, "blur the square", tmp_path / "in.png")
    assert one.asked == [] and [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_not_found(clip, session_of, tmp_path):
    nowhere = session_of(clip.masks, np.full(12, 0.3, np.float32))
    with pytest.raises(UserError, match='"the square" wasn\'t found, nothing was written; the model said "Sure, it is'):
        edit(nowhere, VideoFile(clip.path), "blur the square", tmp_path / "a.mp4")
    session = session_of(clip.masks)
    session.text = "There is no square in the video."  # and points at something all the same
    with pytest.raises(UserError, match="wasn't found, nothing was written; the model said \"There is no square"):
        edit(session, VideoFile(clip.path), "blur the square", tmp_path / "a.mp4")
    late = session_of(clip.masks, np.where(np.arange(12) < 8, 0.1, 0.9).astype(np.float32))
    message = (
        r'isn\'t there in the time span "in the first half" \(frames 0 to 5\).*frame 8 \(1.00 s\) and frame 11 \(1.38'
    )
    with pytest.raises(UserError, match=message):
        edit(late, VideoFile(clip.path), "blur the square in the first half", tmp_path / "a.mp4")
    assert not any(tmp_path.iterdir())


def test_what_the_model_cannot_read_is_not_asked_for(clip, session, tmp_path):
    """It would point at something else; where "it" was found before, or is the answer to another question, it goes."""
    session.unread = lambda text: tuple(word for word in ("方块",) if word in text)
    session.doubtful = lambda text: ("square",)
    with pytest.raises(UserError, match='"方块" was asked for, but this model can\'t read "方块".*nothing was written'):
        edit(session, VideoFile(clip.path), "把方块模糊", tmp_path / "a.mp4")
    assert session.asked == [] and not any(tmp_path.iterdir())
    made = edit(session, VideoFile(clip.path), "blur the square", tmp_path / "a.mp4")
    assert made.path.exists() and made.notes[0].startswith('"square" is no word of this model\'s small vocabulary')


def test_a_thing_of_which_the_model_is_not_sure_is_told(clip, session_of, tmp_path):
    """An unlearnt word that looks known: it finds something, and its score is all that says that it guessed."""
    scores = np.full(12, 0.56, np.float32)
    made = edit(session_of(clip.masks, scores), VideoFile(clip.path), "blur the zebra", tmp_path / "a.mp4")
    assert made.notes == (
        'the model gives "the zebra" a score of 0.56 only, of 1; look whether what was found is what was meant',
    )
    sure = session_of(clip.masks, np.full(12, 0.9, np.float32))
    assert edit(sure, VideoFile(clip.path), "blur the zebra", tmp_path / "b.mp4").notes == ()
    # What was asked for before and seen to be found isn't told again.
    result = session_of(clip.masks, scores).ask(Request((Turn("user", "Where?"),)))
    assert edit(sure, VideoFile(clip.path), "blur it", tmp_path / "c.mp4", result=result).notes == ()


def test_an_answer_to_what_the_edit_names_is_not_asked_for_again(clip, session, tmp_path):
    result = session.ask(Request((Turn("user", question_for("the square", True)),)))
    edit(session, VideoFile(clip.path), "blur the square", tmp_path / "a.mp4", result=result, is_answered=True)
    assert session.asked == ["Please segment the square in this video."]


def test_what_an_effect_needs_is_looked_for_before_the_model_works(clip, session, tmp_path):
    png = _png(clip.frames[0])
    (tmp_path / "cut.png").write_bytes(png[: len(png) // 2])
    for text, message in (
        (f"put {tmp_path}/cut.png on the square", "cut.png: the picture is damaged or cut short"),
        (f"replace the background of the square with {tmp_path}/cut.png", "cut.png: the picture is damaged"),
        ("put \U0001fae8 on the square", "no font here has the characters"),
    ):
        with pytest.raises(UserError, match=message):
            edit(session, VideoFile(clip.path), text, tmp_path / "a.mp4", editor=BuiltInEditor(font="none.ttf"))
    assert session.asked == []


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "a"])
def test_a_full_disk_leaves_nothing(name, clip, session, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "_encode", full)
    monkeypatch.setattr(output, "_palettes", full)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="no room left .*nothing was kept under this name"):
        edit(session, VideoFile(clip.path), "blur the square", tmp_path / name)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "limits"), [("a.mp4", (600, 3000)), ("a.webm", (600, 3000)), ("a.gif", (600, 3000)), ("a", (300,))]
)
def test_a_real_limit_on_files_leaves_nothing(name, limits, clip, session, tmp_path):
    """Writes of the real writers fail, early or at the end of the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(UserError, match="no room left .*nothing was kept under this name"):
                edit(session, VideoFile(clip.path), "blur the square", tmp_path / name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not any(tmp_path.iterdir())


def test_a_full_disk_keeps_what_was_there(picture, one, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"before")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="no room left"):
        edit(one, picture, "blur the square", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "in.png"]
