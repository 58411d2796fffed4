"""Edited files, decoded again: frames, times, sizes, transparency and sound are what went in."""

import os
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.editing.output import Target
from word2mask.inference.editing.soft_masks import signed_distance
from word2mask.inference.editing.timeline import Timeline, timeline_of
from word2mask.types import Media


def even(count, rate=8.0):
    return Timeline(np.arange(count) / rate, count / rate, rate)


def colors(count, size=(48, 64)):
    """One colour a frame."""
    return [np.full((*size, 3), (20 * index, 100, 220 - 15 * index), np.uint8) for index in range(count)]


def test_gif_frames_times_and_holes(tmp_path):
    frames = [np.dstack([frame, np.full((48, 64), 255, np.uint8)]) for frame in colors(4)]
    for frame in frames:
        frame[:, 32:, 3] = 0
    assert Target(tmp_path / "a.gif", True, has_alpha=True).write(frames, even(4)) == ()
    with Image.open(tmp_path / "a.gif") as written:
        assert (written.n_frames, written.size, written.info["loop"]) == (4, (64, 48), 0)
        for index, frame in enumerate(frames):
            written.seek(index)
            # 0.125 s are 12 or 13 hundredths.
            assert written.info["duration"] in (120, 130)
            pixels = np.asarray(written.convert("RGBA")).astype(int)
            np.testing.assert_allclose(pixels[:, :30, :3], frame[:, :30, :3], atol=8)
            assert (pixels[:, :32, 3] == 255).all() and (pixels[:, 32:, 3] == 0).all()


def test_odd_sides_grow_by_a_pixel_in_mp4_alone(tmp_path):
    frames = colors(3, (49, 65))
    (note,) = Target(tmp_path / "a.mp4", True, has_alpha=False).write(frames, even(3))
    assert note.startswith("the frame grew from 65 × 49 to 66 × 50 pixels")
    video = VideoFile(tmp_path / "a.mp4")
    assert video.size == (50, 66)
    np.testing.assert_allclose(video.read([2])[0, 49, 65].astype(int), frames[2][0, 0], atol=6)
    assert Target(tmp_path / "a.webm", True, has_alpha=False).write(frames, even(3)) == ()
    assert (VideoFile(tmp_path / "a.webm").size, len(VideoFile(tmp_path / "a.webm"))) == ((49, 65), 3)


def test_alpha_is_whole_within_and_nothing_beyond(tmp_path):
    """Something ragged that moves and changes its shape, as animals do, opened again with its alpha."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (160, 200, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:160, :200]
    frames, distances = [], []
    for index in range(16):
        rags = cv2.GaussianBlur(generator.standard_normal((160, 200)).astype(np.float32), (0, 0), 6)
        inside = np.hypot(rows - 80 - 4 * index % 9, columns - 60 - 5 * index) - 40 + 4 * rags / rags.std() < 0
        distances.append(signed_distance(inside))
        alpha = np.clip(255 * distances[-1], 0, 255).astype(np.uint8)
        frames.append(np.dstack([np.roll(noise, 5 * index, axis=1), alpha]))
    Target(tmp_path / "a.webm", True, has_alpha=True).write(frames, even(16))
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(tmp_path / "a.webm")) as container:
        pictures = [picture for packet in container.demux(video=0) if packet.size for picture in decoder.decode(packet)]
    alphas = [picture.to_ndarray(format="rgba")[..., 3] for picture in (*pictures, *decoder.decode(None))]
    assert len(alphas) == 16
    assert min(alpha[distance > 4].min() for alpha, distance in zip(alphas, distances, strict=True)) > 244
    assert max(alpha[distance < -4].max() for alpha, distance in zip(alphas, distances, strict=True)) < 9


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_frames_keep_their_times(name, tmp_path):
    """Frames of telephones come at no even rate."""
    times = np.array([0.0, 0.1, 0.15, 0.6])
    Target(tmp_path / name, True, has_alpha=False).write(colors(4), Timeline(times, 0.8, 5.0))
    with av.open(str(tmp_path / name)) as container:
        found = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(np.array(found) - found[0], times, atol=1e-3)
    np.testing.assert_allclose(timeline_of(VideoFile(tmp_path / name)).times, times, atol=1e-3)


def test_timeline_of_what_says_it_and_what_does_not(clip):
    said = timeline_of(VideoFile(clip.path))
    np.testing.assert_allclose(said.times, np.arange(12) / 8, atol=1e-4)
    assert (said.duration, said.fps, said.is_said) == (pytest.approx(1.5), pytest.approx(8), True)
    unsaid = timeline_of(Media("video", clip.frames, tuple(range(12))))
    assert (unsaid.is_said, unsaid.fps, unsaid.duration) == (False, 8.0, 1.5)
    assert timeline_of(VideoFile(clip.path), fps=4).duration == 3.0


def test_sound_as_long_as_it_was(clip, tmp_path):
    frames = list(clip.frames)
    for name in ("a.mp4", "a.webm"):
        Target(tmp_path / name, True, False).write(frames, timeline_of(VideoFile(clip.path)), clip.path)
        with av.open(str(tmp_path / name)) as container:
            samples = sum(frame.samples / frame.rate for frame in container.decode(audio=0))
        assert samples == pytest.approx(1.5, abs=0.06)  # whole packets, with the encoder's run-in
        with av.open(str(tmp_path / name)) as container:
            waves = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            rate = container.streams.audio[0].rate
        wave = np.concatenate(waves)[rate // 4 : rate]
        peak = np.argmax(np.abs(np.fft.rfft(wave))) * rate / len(wave)
        assert peak == pytest.approx(440, abs=3)


def test_colours_come_back(tmp_path):
    frames = colors(6)
    for name in ("a.mp4", "a.webm"):
        Target(tmp_path / name, True, has_alpha=False).write(frames, even(6))
        read = VideoFile(tmp_path / name).read(range(6)).astype(int)
        np.testing.assert_allclose(read, np.stack(frames), atol=6)


@pytest.mark.parametrize(
    ("name", "is_video", "has_alpha", "message"),
    [
        (
            "a.avi",
            True,
            False,
            "an edited video isn't written as .avi; give a name with .mp4, .webm, .gif, or a folder",
        ),
        ("a.png", True, False, "an edited video isn't written as .png"),
        ("a", False, False, "an edited picture isn't written as a name without suffix; give a name with .png"),
        ("a.jpg", False, True, ".jpg has no transparency, which a cut-out needs; give .png or .webp"),
        ("a.mp4", True, True, ".mp4 has no transparency"),
    ],
)
def test_what_is_not_written(name, is_video, has_alpha, message, tmp_path):
    with pytest.raises(UserError, match=message):
        Target(tmp_path / name, is_video, has_alpha)


def test_a_folder_that_is_taken(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/mine.txt").write_text("x")
    with pytest.raises(UserError, match="frames isn't empty"):
        Target(tmp_path / "frames", True, False).write(colors(1), even(1))
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["mine.txt"]


def test_webm_after_a_video_was_read(clip, tmp_path):
    """Decord's own codecs, seen by all that is loaded later, must not take the place of PyAV's: in a fresh process."""
    program = """if True:
        import sys
        from pathlib import Path
        from word2mask.data.media import VideoFile
        video = VideoFile(sys.argv[1])
        frames = video.read(range(12))
        from word2mask.inference.editing.output import Target
        from word2mask.inference.editing.timeline import timeline_of
        Target(Path(sys.argv[2]), True, False).write(frames, timeline_of(video))
    """
    command = [sys.executable, "-c", program, str(clip.path), str(tmp_path / "a.webm")]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert len(VideoFile(tmp_path / "a.webm")) == 12
