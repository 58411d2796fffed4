"""Files are written here with PIL and OpenCV; expected pixels are the ones written."""

import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from word2mask.data import media, pictures, video_readers
from word2mask.errors import UserError


def write_video(path, levels, size=(32, 48), codec="MJPG"):
    height, width = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 8, (width, height))
    assert writer.isOpened()
    for level in levels:
        writer.write(np.full((height, width, 3), level, np.uint8))
    writer.release()
    return path


def write_frames(folder, sizes=((6, 8),) * 11):
    folder.mkdir()
    for index, (height, width) in enumerate(sizes):
        Image.fromarray(np.full((height, width, 3), index * 10, np.uint8)).save(folder / f"{index}.png")
    return folder


def test_image_is_rgb_and_upright(tmp_path):
    array = np.zeros((4, 6, 3), np.uint8)
    array[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    found = media.open_image(tmp_path / "a.png")
    assert found.kind == "image" and found.frames.shape == (1, 6, 4, 3) and found.frame_indices == (0,)
    assert found.frames[0, 0, 3].tolist() == [255, 0, 0]
    assert pictures.image_size(tmp_path / "a.png") == (6, 4)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        Image.fromarray(np.full((4, 5), 512, np.uint16)).save(tmp_path / "a.tif")
        assert (media.open_image(tmp_path / "a.tif").frames == 2).all()
        return
    Image.new(mode, (5, 4)).save(tmp_path / "a.tif")
    frames = media.open_image(tmp_path / "a.tif").frames
    assert frames.shape == (1, 4, 5, 3) and frames.dtype == np.uint8


def test_bad_pictures_are_refused_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="none.jpg: no such picture"):
        media.open_image(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(UserError, match=r"text.jpg: not a picture that can be read; .*\.png"):
        media.open_image(tmp_path / "text.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    with pytest.raises(UserError, match="cut.jpg: the picture is damaged or cut short"):
        media.open_image(tmp_path / "cut.jpg")
    # In the middle of its header.
    (tmp_path / "head.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:300])
    with pytest.raises(UserError, match=r"head.jpg: the picture is damaged or cut short \(.+\); copy it again"):
        media.open_image(tmp_path / "head.jpg")
    # Broken off, and as long as it was to be: a decoder paints the rest grey.
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "zeros.jpg").write_bytes(whole[:1500] + bytes(len(whole) - 1500))
    with pytest.raises(UserError, match=rf"zeros.jpg: .* cut short \(its last {len(whole) - 1500} bytes are zeros\)"):
        media.open_image(tmp_path / "zeros.jpg")
    (tmp_path / "padded.jpg").write_bytes(whole + bytes(70_000))
    assert np.array_equal(
        media.open_image(tmp_path / "padded.jpg").frames, media.open_image(tmp_path / "whole.jpg").frames
    )
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(UserError, match="not a picture"):
        media.open_media(tmp_path / "empty.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 4000)
    with pytest.raises(UserError, match="64 × 64 pixels"):
        media.open_image(tmp_path / "whole.jpg")


def test_folder_is_sorted_naturally_and_read_on_demand(tmp_path):
    video = media.VideoFile(write_frames(tmp_path / "v"))
    assert len(video) == 11 and video.size == (6, 8) and video.fps is None
    frames = video.read([10, 2, 2])
    assert frames.shape == (3, 6, 8, 3) and frames[:, 0, 0, 0].tolist() == [100, 20, 20]
    assert [frame[0, 0, 0] for frame in video.iterate()] == list(range(0, 110, 10))
    assert video.read([]).shape == (0, 6, 8, 3)
    with pytest.raises(IndexError, match="0 … 10"):
        video.read([11])
    with pytest.raises(IndexError):
        video.read([-1])
    taken = video.media(np.array([1, 4]))
    assert taken.kind == "video" and taken.frame_indices == (1, 4) and taken.frames[1, 0, 0, 0] == 40


def test_folder_with_listed_frames(tmp_path):
    folder = write_frames(tmp_path / "v")
    video = media.VideoFile(folder, frame_names=["3.png", "7.png"])
    assert len(video) == 2 and video.read([1])[0, 0, 0, 0] == 70
    (folder / "7.png").unlink()
    with pytest.raises(UserError, match="7.png: no such picture"):
        video.read([1])


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "MJPG"), (".mp4", "mp4v")])
def test_encoded_video(tmp_path, suffix, codec):
    levels = list(range(0, 200, 10))
    video = media.VideoFile(write_video(tmp_path / f"v{suffix}", levels, codec=codec))
    assert len(video) == 20 and video.size == (32, 48) and video.fps == pytest.approx(8)
    video = pickle.loads(pickle.dumps(video))
    frames = video.read([15, 3, 3, 19])
    assert frames.shape == (4, 32, 48, 3)
    assert np.abs(frames[:, 16, 24, 0].astype(int) - [150, 30, 30, 190]).max() <= 3
    assert len(list(video.iterate())) == 20


def test_opencv_reader_gives_the_same_frames(tmp_path):
    path = write_video(tmp_path / "v.mp4", range(0, 200, 10), size=(64, 128), codec="mp4v")
    ours, other = video_readers.DecordReader(path), video_readers.OpenCVReader(path)
    assert (ours.num_frames, ours.size, ours.fps) == (other.num_frames, other.size, other.fps)
    first = media.VideoFile(path)._open()
    assert isinstance(first, video_readers.AVReader) and vars(first).keys() >= {"num_frames", "size", "fps"}
    assert (ours.num_frames, ours.size, ours.fps) == (first.num_frames, first.size, first.fps)
    for indices in ([1, 5, 19], [0, 2]):
        difference = ours.read(indices).astype(int) - other.read(indices)
        assert np.abs(difference).max() <= 3
        assert np.array_equal(ours.read(indices), first.read(indices))


def test_gif(tmp_path):
    pictures = [Image.new("RGB", (8, 6), (level, 0, 0)) for level in (0, 100, 200)]
    pictures[0].save(tmp_path / "v.gif", save_all=True, append_images=pictures[1:], duration=100)
    video = media.open_media(tmp_path / "v.gif")
    assert len(video) == 3 and video.fps == 10 and video.read([2, 1])[:, 0, 0, 0].tolist() == [200, 100]
    pictures[1].save(tmp_path / "one.gif")
    assert media.open_media(tmp_path / "one.gif").kind == "image"


def test_bad_videos_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such video"):
        media.VideoFile(tmp_path / "none.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: a video with no frames"):
        media.VideoFile(tmp_path / "empty")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(UserError, match="text.mp4: not a video that can be decoded"):
        media.VideoFile(tmp_path / "text.mp4")
    whole = write_video(tmp_path / "whole.mp4", range(20), codec="mp4v").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cut short"):
        media.open_media(tmp_path / "cut.mp4")
    mixed = media.VideoFile(write_frames(tmp_path / "mixed", [(6, 8), (6, 9)]))
    with pytest.raises(UserError, match=r"1.png: a frame of \[6, 9\].*\[6, 8\]"):
        mixed.read([0, 1])


def test_open_media_chooses(tmp_path):
    assert isinstance(media.open_media(write_frames(tmp_path / "v")), media.VideoFile)
    assert isinstance(media.open_media(write_video(tmp_path / "v.avi", [1, 2])), media.VideoFile)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "noname")
    assert media.open_media(tmp_path / "noname").kind == "image"
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UserError, match="neither a picture nor a video"):
        media.open_media(tmp_path / "a.txt")
    with pytest.raises(UserError, match="no such file"):
        media.open_media(tmp_path / "nothing")


def test_missing_and_unreadable_are_told_apart(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "text.mp4").write_text("hello")
    for name, kind in (("none", media.MissingMedia), ("text", media.UnreadableMedia)):
        for read in (media.open_image, media.open_media):
            with pytest.raises(kind):
                read(tmp_path / f"{name}.jpg")
        with pytest.raises(kind):
            media.VideoFile(tmp_path / f"{name}.mp4")
