"""Frames through PyAV: the same pixels as by decoding everything, with less decoded on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from word2mask.data.av_reader import AVReader
from word2mask.data.media import VideoFile
from word2mask.data.pictures import UnreadableMedia
from word2mask.data.video_readers import DecordReader

SIZE = (48, 64)


def write_video(path: Path, num_frames: int, codec: str = "libx264", **options: str) -> Path:
    """A square that moves over noise, so that frames differ and rest on each other."""
    noise = np.random.default_rng(0).integers(0, 90, (*SIZE, 3), dtype=np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(num_frames):
            picture = noise.copy()
            picture[10:20, number : number + 10] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    """Two recordings one behind the other, as a transport stream may have them."""
    path = tmp_path / "mixed.ts"
    for side in (64, 96):
        with av.open(str(tmp_path / f"{side}.ts"), "w", format="mpegts") as part:
            stream = part.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 20 * number, np.uint8), format="rgb24")
                frame.pts = number + (10 if side == 96 else 0)
                part.mux(stream.encode(frame))
            part.mux(stream.encode(None))
    path.write_bytes((tmp_path / "64.ts").read_bytes() + (tmp_path / "96.ts").read_bytes())
    with pytest.raises(UnreadableMedia, match=r"a frame of \[96, 96\] .* a first of \[64, 64\]; all frames"):
        VideoFile(path).read(range(20))


@pytest.mark.parametrize("name", ["cut.mkv", "cut.webm"])
def test_a_file_that_is_cut_short_and_can_be_opened_says_so(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_video(tmp_path / name, 48, codec)
    assert len(VideoFile(path)) == 48
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UnreadableMedia, match=r"cut short: it says that it is 2.00 s long, and its frames end at [01]\."
    ):
        VideoFile(path)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("one.mp4", "libx264", {"bf": "3"}),  # one key frame
        ("many.mp4", "libx264", {"bf": "3", "g": "8"}),  # key frames to jump by
        ("open.mkv", "libx264", {"bf": "2", "g": "10", "x264-params": "open-gop=1"}),
        ("h265.mp4", "libx265", {"x265-params": "log-level=error:keyint=12"}),
        ("plain.avi", "mpeg4", {"g": "12"}),
        ("web.webm", "libvpx-vp9", {"g": "16"}),
    ],
)
def test_the_same_frames_as_by_decoding_all(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = write_video(tmp_path / name, 40, codec, **options)
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert isinstance(VideoFile(path)._open(), AVReader)
    video = VideoFile(path)
    assert (len(video), video.size, video.fps) == (40, SIZE, 24)
    assert np.array_equal(DecordReader(path).read(list(range(40))), everything)  # another decoder, from end to end
    found = dict(video.walk([33, 0, 9, 10, 21, 39]))
    assert list(found) == [0, 9, 10, 21, 33, 39]
    # On, back, the same again, one behind the other, what was left out on the way, and all.
    orders = [[5], [7], [39], [0, 1, 2], [2], [3], [4, 5, 6, 7], [20], [21], [19], [38, 12, 12], list(range(40))]
    for indices in orders:
        for index, frame in zip(indices, video.read(indices), strict=True):
            found[index] = frame
            assert np.array_equal(frame, everything[index]), (indices, index)
    assert all(np.array_equal(frame, everything[index]) for index, frame in found.items())
    assert np.array_equal(np.stack(list(video.iterate())), everything)
    assert [index for index, _ in video.walk([7, 7])] == [7] and list(video.walk([])) == []
    with pytest.raises(IndexError, match="there are 0 … 39"):
        list(video.walk([40]))


def counted(reader: AVReader, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When the frames are shown that a reader decodes from now on."""
    decoded: list[int] = []
    original = reader._from

    def counting(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(reader, "_coming", counting(reader._coming))
    monkeypatch.setattr(reader, "_from", lambda index: counting(original(index)))
    return decoded


def test_frames_on_the_way_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 40, bf="3", **{"x264-params": "b-adapt=0:b-pyramid=none"})
    reader = AVReader(path)
    decoded = counted(reader, monkeypatch)
    reader.read([39])
    # Three of four frames are B frames, on which nothing rests: of 40, the others are 11.
    assert len(decoded) <= 12


def test_it_goes_on_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = AVReader(write_video(tmp_path / "a.mp4", 40, bf="3", **{"x264-params": "b-adapt=0:b-pyramid=none"}))
    decoded = counted(reader, monkeypatch)
    for start in range(0, 40, 8):
        reader.read(list(range(start, start + 8)))
    assert len(decoded) <= 60  # each about once, and not every part from the only key frame on


def test_the_first_frame_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By opening; asked for later it is decoded anew, and not kept for ever."""
    path = write_video(tmp_path / "a.mp4", 40)
    reader = AVReader(path)
    decoded = counted(reader, monkeypatch)
    first = reader.read([0])
    assert decoded == [] and reader._first is None
    assert np.array_equal(reader.read([0]), first) and len(decoded) >= 1
    later = AVReader(path)
    later.read([5])
    assert later._first is None
    assert np.array_equal(later.read([0]), first)


def test_it_starts_no_threads(tmp_path: Path) -> None:
    """A process forked off one with FFmpeg's threads hangs when it lets go of a frame, and data loaders fork."""
    path = write_video(tmp_path / "a.mp4", 40)
    before = len(list(Path("/proc/self/task").iterdir()))
    reader = AVReader(path)
    reader.read([0, 20, 39])
    assert len(list(Path("/proc/self/task").iterdir())) <= before


def test_folders_have_the_same_walk(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(3):
        picture = np.full((*SIZE, 3), 60 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), picture)
    video = VideoFile(tmp_path / "frames")
    assert [(index, int(frame.mean())) for index, frame in video.walk([2, 1])] == [(1, 60), (2, 120)]


def test_a_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "whole.mkv", 40, g="8")
    every = VideoFile(path).read(range(40))
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    # It is refused, for it says how long it was; without the saying it has fewer frames and never gives others.
    with pytest.raises(UnreadableMedia, match="cut short"):
        VideoFile(tmp_path / "cut.mkv")
    monkeypatch.setattr(AVReader, "_check_length", lambda *_: None)
    video = VideoFile(tmp_path / "cut.mkv")
    assert len(video) < 40
    assert all(np.array_equal(frame, every[index]) for index, frame in video.walk([0, len(video) // 2]))


def test_a_frame_that_is_not_where_the_file_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    reader = AVReader(path)
    reader._times.append(reader._times[-1] + 10_000_000)
    with pytest.raises(UnreadableMedia, match="frame 40 can't be decoded"):
        reader.read([40])


def test_a_file_that_lies_on_its_side_is_left_to_others(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 5)
    content = bytearray(path.read_bytes())
    # The track header's matrix: 90 degrees (ISO/IEC 14496-12, 8.3.2), 16.16 fixed point, the last column 2.30.
    place = content.find(b"tkhd") + 4 + 40
    turned = [0, 1 << 16, 0, (1 << 32) - (1 << 16), 0, 0, SIZE[0] << 16, 0, 1 << 30]
    content[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in turned)
    path.write_bytes(content)
    with pytest.raises(OSError, match="to be turned"):
        AVReader(path)
    assert VideoFile(path).size == SIZE[::-1]
